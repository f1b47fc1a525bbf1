"""QTRAN's joint value, and what its agents' sum is held to (Son et al. 2019, arXiv:1905.05408).

Parameter names are PyMARL's, so that its mixer.th loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.layers.mlp import mlp
from pymarl.utils.config import PositiveInt


class JointInputs(NamedTuple):
    """What a joint value may look at, on P rows (one row is one time step of one episode).

    Attributes:
        q: [P, N, A], the agents' Q-values of all their actions.
        avail_actions: [P, N, A] bool.
        actions: [P, N] int64, the joint action to be judged.
        state: [P, S].
        states: [P, N, H], the agents' hidden states.
    """

    q: Tensor
    avail_actions: Tensor
    actions: Tensor
    state: Tensor
    states: Tensor

    def q_sum(self) -> Tensor:
        """Return [P, 1], the sum of the agents' Q-values of their actions: the transformed joint value."""
        return self.q.gather(-1, self.actions.unsqueeze(-1)).sum(1)


class Joint(NamedTuple):
    """Q_jt(s, a) and V(s), each [P, 1]."""

    q: Tensor
    v: Tensor


class QTranBase(nn.Module):
    """Q_jt and V of QTRAN-base: where the sum of the agents' values plus V lies below Q_jt, it is pulled up to it.

    Q_jt reads the state and the sum over agents of what a network makes of [hidden state, action] ("qtran_paper"), or
    the joint action itself ("coma_critic"). V reads the state.

    Attributes:
        idle: names of parameters that change no output and get no gradient: PyMARL's files hold them.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of qtran_base and qtran_alt; see config/default.yaml."""

        qtran_arch: Literal["qtran_paper", "coma_critic"]
        network_size: Literal["small", "big"]
        mixing_embed_dim: PositiveInt
        rnn_hidden_dim: PositiveInt

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        hidden = (config.mixing_embed_dim,) * (2 if config.network_size == "small" else 3)
        of_agent = config.rnn_hidden_dim + info.n_actions
        team = of_agent if config.qtran_arch == "qtran_paper" else info.n_agents * info.n_actions
        self.Q = mlp(info.state_shape + team, *hidden, 1)
        self.V = mlp(info.state_shape, *hidden, 1)
        self.action_encoding = mlp(of_agent, of_agent, of_agent)
        encoding = {f"action_encoding.{name}" for name, _ in self.action_encoding.named_parameters()}
        self.idle: set[str] = set() if config.qtran_arch == "qtran_paper" else encoding

    def forward(self, inputs: JointInputs) -> Joint:
        """Return Q_jt and V."""
        team = self.parts(inputs.states, inputs.actions).sum(1)
        return Joint(self.judge(inputs.state, team), self.V(inputs.state))

    def parts(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return what each agent adds to that which Q_jt sees of the team, [P, N, W], for `actions` [P, N]."""
        one_hot = F.one_hot(actions, self.info.n_actions).to(states.dtype)  # [P, N, A]
        if self.config.qtran_arch == "qtran_paper":
            parts: Tensor = self.action_encoding(torch.cat([states, one_hot], -1))
            return parts
        own = torch.eye(self.info.n_agents, dtype=states.dtype, device=states.device)
        return (own.unsqueeze(-1) * one_hot.unsqueeze(2)).flatten(2)  # [P, N, N * A], each in a place of its own

    def judge(self, state: Tensor, team: Tensor) -> Tensor:
        """Return Q_jt [..., 1] of a state [..., S] and a team [..., W]."""
        q: Tensor = self.Q(torch.cat([state, team], -1))
        return q

    def nopt_error(self, inputs: JointInputs, joint: Joint) -> Tensor:
        """Return [P, M], whose mean square holds the sum to Q_jt off the optimum.

        Args:
            inputs: of the actions taken.
            joint: of them; Q_jt is taken as it is, without gradient.
        """
        return (inputs.q_sum() - joint.q.detach() + joint.v).clamp(max=0)
