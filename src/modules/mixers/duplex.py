"""The duplex dueling network (Wang et al. 2021, arXiv:2008.01062): what QPLEX's mixers share.

Parameter names are the authors', which PyMARL2 kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.inputs import OneHot
from pymarl.modules.layers.heads import together
from pymarl.modules.layers.mlp import mlp
from pymarl.modules.mixers.mixer import BaseMixer, Mixed, MixerInputs
from pymarl.utils.config import PositiveInt

TINY = 1e-10
"""Keeps the weights above zero where an absolute value is not: the authors' number."""


class Transformed(NamedTuple):
    """The agents' values on the team's scale: weight * q + bias.

    Attributes:
        weight: [P, N], positive.
        bias: [P, N].
        penalty: as of Mixed.
    """

    weight: Tensor
    bias: Tensor
    penalty: Tensor | None = None


class DuplexMixer(BaseMixer):
    """Base of QPLEX's mixers. A subclass writes `transform` and sets `si_weight` to `advantage_weights(...)`.

    With q' and m' the transformed values of the actions taken and of the best available ones, the team's value is
    sum m' + lambda * (q' - m'). As q' - m' is at most 0 and lambda above 0, the joint action is greedy exactly where
    every agent's is (IGM); lambda depends on the joint action and so gives each its own payoff.
    """

    needs_q_max = True
    config: Config
    si_weight: nn.Module

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of QPLEX's mixers; see config/default.yaml."""

        num_kernel: PositiveInt
        adv_hypernet_layers: Literal[1, 2, 3]
        adv_hypernet_embed: PositiveInt
        is_adv_attention: bool
        is_minus_one: bool
        is_stop_gradient: bool
        weighted_head: bool

    def transform(self, inputs: MixerInputs) -> Transformed | None:
        """Return the agents' weights and biases; None leaves their values as they are."""
        raise NotImplementedError

    def mix(self, inputs: MixerInputs) -> Mixed:
        """Return values [P, 1], with hit_prob: the share of agents that took a greedy action."""
        q, q_max, transformed = inputs.q, inputs.q_max, self.transform(inputs)
        assert q_max is not None
        hit = q.eq(q_max).to(q.dtype).mean(dim=-1, keepdim=True)
        penalty = None
        if transformed is not None:
            weight, bias, penalty = transformed
            q, q_max = weight * q + bias, weight * q_max + bias
        advantage = q - q_max
        if self.config.is_stop_gradient:  # the agents learn from the sum alone, lambda from the advantages alone
            advantage = advantage.detach()
        taken = OneHot(inputs.actions.flatten(), self.n_actions).dense(q.dtype).view(len(q), -1)  # [P, N*A]
        weights = self.si_weight(inputs.state, torch.cat([inputs.state, taken], dim=-1))  # [P, N]
        # q' + (q' - m') * (lambda - 1) is m' + lambda * (q' - m'); without the 1, lambda counts from 1 on
        value = q + advantage * (weights - 1 if self.config.is_minus_one else weights)
        return Mixed(value.sum(dim=-1, keepdim=True), penalty, {"hit_prob": hit})


def advantage_weights(config: DuplexMixer.Config, info: EnvInfo) -> nn.Module:
    """Return the network of lambda [P, N] for a state [P, S] and that with the joint action's one-hots [P, S + N*A]."""
    return (AttentionWeights if config.is_adv_attention else PlainWeights)(config, info)


class AttentionWeights(nn.Module):
    """Lambda as a sum over kernels of |key(s)| * sigmoid(agents(s)) * sigmoid(action(s, a))."""

    def __init__(self, config: DuplexMixer.Config, info: EnvInfo) -> None:
        super().__init__()
        state, n = info.state_shape, info.n_agents
        hidden = [config.adv_hypernet_embed] * (config.adv_hypernet_layers - 1)

        def kernels(inputs: int, outputs: int) -> nn.ModuleList:
            return nn.ModuleList(mlp(inputs, *hidden, outputs) for _ in range(config.num_kernel))

        self.key_extractors = kernels(state, 1)
        self.agents_extractors = kernels(state, n)
        self.action_extractors = kernels(state + n * info.n_actions, n)

    def forward(self, state: Tensor, state_action: Tensor) -> Tensor:
        """Return [P, N]."""
        key = together(self.key_extractors, state).abs() + TINY  # [P, K, 1]
        agents, action = together(self.agents_extractors, state), together(self.action_extractors, state_action)
        return (key * agents.sigmoid() * action.sigmoid()).sum(dim=1)


class PlainWeights(nn.Module):
    """Lambda as |key(s, a)| * sigmoid(action(s, a)): the paper's ablation without attention."""

    def __init__(self, config: DuplexMixer.Config, info: EnvInfo) -> None:
        super().__init__()
        inputs = info.state_shape + info.n_agents * info.n_actions
        hidden = [config.adv_hypernet_embed] * (config.adv_hypernet_layers - 1)
        self.key = mlp(inputs, *hidden, info.n_agents)
        self.action = mlp(inputs, *hidden, info.n_agents)

    def forward(self, state: Tensor, state_action: Tensor) -> Tensor:
        """Return [P, N]."""
        weights: Tensor = (self.key(state_action).abs() + TINY) * self.action(state_action).sigmoid()
        return weights
