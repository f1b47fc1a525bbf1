"""QMIX's mixer as first published (Rashid et al. 2018, arXiv:1803.11485); nmix.py is the tuned one.

Parameter names are PyMARL's, so that its mixer.th loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers.hypernetworks import mix_in_kernel
from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs, weighted_sum
from pymarl.utils.config import PositiveInt


class QMixer(BaseMixer):
    """A two-layer network over the agents' Q-values; hypernetworks of one or two layers write its weights.

    With `abs` the weights are made positive and the output is monotone in every agent's Q-value.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of qmix; see config/default.yaml."""

        mixing_embed_dim: PositiveInt
        hypernet_layers: Literal[1, 2]
        hypernet_embed: PositiveInt
        abs: bool

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        self.monotone = config.abs
        embed = config.mixing_embed_dim
        self.hyper_w_1 = self._hypernetwork(embed * info.n_agents)
        self.hyper_w_final = self._hypernetwork(embed)
        self.hyper_b_1 = nn.Linear(info.state_shape, embed)
        # V(s) takes the place of a bias in the last layer.
        self.V = nn.Sequential(nn.Linear(info.state_shape, embed), nn.ReLU(), nn.Linear(embed, 1))

    def mix(self, inputs: MixerInputs) -> Tensor:
        """Return [P, 1]."""
        if self.config.abs:
            mixed = mix_in_kernel(inputs, self.hyper_w_1, self.hyper_b_1, self.hyper_w_final, self.V)
            if mixed is not None:
                return mixed
        w1, w_final = self.hyper_w_1(inputs.state), self.hyper_w_final(inputs.state)
        if self.config.abs:
            w1, w_final = w1.abs(), w_final.abs()
        w1 = w1.view(-1, self.n_agents, self.config.mixing_embed_dim)  # [P, N, E]
        hidden = F.elu(weighted_sum(inputs.q, w1) + self.hyper_b_1(inputs.state))  # [P, E]
        return (hidden * w_final).sum(dim=-1, keepdim=True) + self.V(inputs.state)

    def _hypernetwork(self, out: int) -> nn.Module:
        if self.config.hypernet_layers == 1:
            return nn.Linear(self.state_shape, out)
        hidden = self.config.hypernet_embed
        return nn.Sequential(nn.Linear(self.state_shape, hidden), nn.ReLU(), nn.Linear(hidden, out))
