"""Weighted QMIX's central mixer: a feed-forward network of the state and the central agents' values."""

from __future__ import annotations

import torch
from torch import Tensor

from pymarl.envs.specs import EnvInfo
from pymarl.modules.central.central_mixer import CentralMixer
from pymarl.modules.layers.mlp import mlp


class CentralFFMixer(CentralMixer):
    """Three hidden layers on [state, values], plus V(state) with one (Rashid et al. 2020, arXiv:2006.10800).

    Parameter names are PyMARL2's.
    """

    Config = CentralMixer.Config

    def __init__(self, config: CentralMixer.Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        embed = config.central_mixing_embed_dim
        self.net = mlp(info.state_shape + info.n_agents * config.central_action_embed, embed, embed, embed, 1)
        self.V = mlp(info.state_shape, embed, 1)

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        """Return [P, 1]; see CentralMixer.forward."""
        out: Tensor = self.net(torch.cat([state, values.flatten(1)], dim=1)) + self.V(state)
        return out
