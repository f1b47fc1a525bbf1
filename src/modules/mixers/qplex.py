"""QPLEX's mixer, PyMARL2's `dmaq`: hypernetworks of the state put the agents' values on the team's scale."""

from __future__ import annotations

from dataclasses import dataclass

from pymarl.envs.specs import EnvInfo
from pymarl.modules.layers.mlp import mlp
from pymarl.modules.mixers.duplex import TINY, DuplexMixer, Transformed, advantage_weights
from pymarl.modules.mixers.mixer import MixerInputs
from pymarl.utils.config import PositiveInt


class QPLEXMixer(DuplexMixer):
    """Duplex dueling of the agents' values (Wang et al. 2021, arXiv:2008.01062).

    It can represent every payoff that has IGM, hence also where no monotone mixer can. Assumes nothing of the env; the
    joint action is an input of N * A places.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(DuplexMixer.Config):
        """Keys of qplex; see config/default.yaml."""

        hypernet_embed: PositiveInt

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        self.hyper_w_final = mlp(info.state_shape, config.hypernet_embed, info.n_agents)
        self.V = mlp(info.state_shape, config.hypernet_embed, info.n_agents)
        self.si_weight = advantage_weights(config, info)
        if not config.weighted_head:
            self.idle = self.names_in("hyper_w_final", "V")

    def transform(self, inputs: MixerInputs) -> Transformed | None:
        """Return weights and biases of the state; None without weighted_head."""
        if not self.config.weighted_head:
            return None
        return Transformed(self.hyper_w_final(inputs.state).abs() + TINY, self.V(inputs.state))
