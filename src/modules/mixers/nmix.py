"""QMIX's mixer as PyMARL2 tunes it (Hu et al. 2021, arXiv:2102.03479); the original is qmix.py.

Parameter names are PyMARL2's, so that its mixer.th loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers.hypernetworks import mix_in_kernel
from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs, weighted_sum
from pymarl.utils.config import PositiveFloat, PositiveInt


class Mixer(BaseMixer):
    """A two-layer network over the agents' Q-values; hypernetworks of the state write its weights.

    The weights are made positive, so that the output is monotone in every agent's Q-value.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of nmix; see config/default.yaml."""

        mixing_embed_dim: PositiveInt
        hypernet_embed: PositiveInt
        qmix_pos_func: Literal["abs", "softplus", "quadratic"]
        qmix_pos_func_beta: PositiveFloat
        use_orthogonal: bool

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        embed, hyper = config.mixing_embed_dim, config.hypernet_embed
        self.hyper_w1 = _hypernetwork(info.state_shape, hyper, info.n_agents * embed)
        self.hyper_b1 = nn.Sequential(nn.Linear(info.state_shape, embed))
        self.hyper_w2 = _hypernetwork(info.state_shape, hyper, embed)
        self.hyper_b2 = _hypernetwork(info.state_shape, embed, 1)
        if config.use_orthogonal:
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    nn.init.orthogonal_(module.weight)
                    nn.init.zeros_(module.bias)

    def mix(self, inputs: MixerInputs) -> Tensor:
        """Return [P, 1]."""
        if self.config.qmix_pos_func == "abs":
            mixed = mix_in_kernel(inputs, self.hyper_w1, self.hyper_b1, self.hyper_w2, self.hyper_b2)
            if mixed is not None:
                return mixed
        embed = self.config.mixing_embed_dim
        w1_hidden, w2_hidden, b2_hidden, b1 = self._first_layers(inputs.state)
        w1 = self._positive(self.hyper_w1[2](w1_hidden)).view(-1, self.n_agents, embed)  # [P, N, E]
        w2 = self._positive(self.hyper_w2[2](w2_hidden))  # [P, E]
        hidden = F.elu(weighted_sum(inputs.q, w1) + b1)  # [P, E]
        return (hidden * w2).sum(dim=-1, keepdim=True) + self.hyper_b2[2](b2_hidden)

    def _first_layers(self, state: Tensor) -> tuple[Tensor, ...]:
        """Return the first layers of w1, w2 and b2 after their ReLU, and b1, which has no other layer.

        All four read the state, so they are one matrix product: the state is by far their widest operand.
        """
        networks = (self.hyper_w1, self.hyper_w2, self.hyper_b2, self.hyper_b1)
        layers = [cast(nn.Linear, network[0]) for network in networks]
        weight = torch.cat([layer.weight for layer in layers])
        bias = torch.cat([layer.bias for layer in layers])
        sizes = [layer.out_features for layer in layers]
        hidden, b1 = F.linear(state, weight, bias).split([sum(sizes[:3]), sizes[3]], dim=-1)
        return *torch.relu(hidden).split(sizes[:3], dim=-1), b1

    def _positive(self, x: Tensor) -> Tensor:
        if self.config.qmix_pos_func == "softplus":
            return F.softplus(x, beta=self.config.qmix_pos_func_beta)
        if self.config.qmix_pos_func == "quadratic":
            return 0.5 * x**2
        return x.abs()


def _hypernetwork(state_shape: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(state_shape, hidden), nn.ReLU(), nn.Linear(hidden, out))
