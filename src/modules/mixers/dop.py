"""DOP's mixer: a linear one, whose weights are also what each agent's advantage counts in the actors' loss.

Parameter names are PyMARL2's, so that its mixer.th loads.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers.mixer import MixerInputs, weighted_sum
from pymarl.modules.mixers.qmix import QMixer


class DOPMixer(QMixer):
    """Q_tot = sum_i k_i(s) Q_i (Wang et al. 2020, arXiv:2007.12322), k >= 0 and of sum 1, as in the authors' code.

    k is what the product of |w1| and |w_final| is of its sum; both are written by hypernetworks as in QMIX. With
    dop_nonlinear the values are mixed by QMIX as it is (PyMARL2), of which k is not the derivative.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(QMixer.Config):
        """Keys of dop; see config/default.yaml."""

        dop_nonlinear: bool

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        if not config.dop_nonlinear:
            self.monotone = True
            self.idle = self.names_in("hyper_b_1", "V")

    def mix(self, inputs: MixerInputs) -> Tensor:
        """Return [P, 1]."""
        if self.config.dop_nonlinear:
            return super().mix(inputs)
        return (self.k(inputs.state) * inputs.q).sum(dim=-1, keepdim=True)

    def k(self, state: Tensor) -> Tensor:
        """Return the agents' weights [P, N] in states [P, S]."""
        w1 = self.hyper_w_1(state).abs().view(-1, self.n_agents, self.config.mixing_embed_dim)  # [P, N, E]
        k = weighted_sum(self.hyper_w_final(state).abs(), w1.transpose(1, 2))  # [P, N]
        return k / k.sum(dim=-1, keepdim=True)
