"""Critics of an agent's action beside the others' actions, and the best that these could have been (Pareto-AC)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from pymarl.modules.critics.critic import Critic
from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.utils.config import PositiveInt
from pymarl.utils.devices import upload

CHUNK = 2**22
"""Numbers of a hidden layer that the maximum over joint actions computes at once."""


class OthersCritic(Critic):
    """Base of critics Q_i(s, a_-i; .) of each agent's actions, which see what the others do.

    The others' actions are the first N one-hots of their input, in which a row's own block is empty.
    """

    def of_agent(self, agent: int) -> PACCritic:
        """Return the network of one agent."""
        raise NotImplementedError

    @torch.no_grad()
    def best(self, inputs: Inputs, joint: Tensor, avail_actions: Tensor, generator: torch.Generator) -> Tensor:
        """Return [P, N], the value of each agent's action beside the best that is available to the others.

        All joint actions of the others are looked at if there are at most max_joint_actions of them. Otherwise so many
        are: the one in `joint`, and ones drawn at random among the available actions.

        Args:
            inputs: of P slots, N rows each; the others' actions in them do not matter.
            joint: [P, N] int64, the actions taken.
            avail_actions: [P, N, A] bool, at least one per agent.
            generator: source of the draws, on the CPU.
        """
        n, a = self.info.n_agents, self.info.n_actions
        count = min(a ** (n - 1), cast(PACCritic.Config, self.config).max_joint_actions)
        size = max(1, CHUNK // (count * self.of_agent(0).fc2.in_features))  # slots at once
        values = []
        for start in range(0, len(joint), size):
            slots = slice(start, start + size)
            taken, avail = joint[slots], avail_actions[slots]
            drawn = None if count == a ** (n - 1) else _drawn(taken, avail, count, generator)
            rows = inputs.rows(slice(start * n, (start + size) * n))
            values.append(torch.stack([self._best_of(i, rows, taken, avail, drawn) for i in range(n)], dim=1))
        return torch.cat(values)

    def _best_of(self, agent: int, inputs: Inputs, joint: Tensor, avail: Tensor, drawn: Tensor | None) -> Tensor:
        """Return [P], one agent's of `best`; `drawn` [P, N, K] are the joint actions looked at, None all."""
        n, net = self.info.n_agents, self.of_agent(agent)
        own = _without_others(inputs.rows(slice(agent, None, n)), n)
        first = own.linear(net.fc1).unsqueeze(1)  # [P, 1, H]
        width = own.features.shape[1]
        weight = net.fc1.weight[:, width : width + n * self.info.n_actions]
        columns = weight.t().reshape(n, self.info.n_actions, -1)  # [N, A, H]
        others = [other for other in range(n) if other != agent]
        possible = avail.new_ones(len(avail), 1)
        if drawn is None:
            beside = first.new_zeros(1, first.shape[-1])
            for other in others:
                beside = (beside.unsqueeze(1) + columns[other]).flatten(0, 1)  # [K, H]
                possible = (possible.unsqueeze(2) & avail[:, other].unsqueeze(1)).flatten(1)  # [P, K]
            first = first + beside
        else:
            for other in others:
                first = first + F.embedding(drawn[:, other], columns[other])  # [P, K, H]
        q = net.rest(first)  # [P, K, A]
        q_own = q.gather(-1, joint[:, agent, None, None].expand(-1, q.shape[1], 1)).squeeze(-1)
        return q_own.masked_fill(~possible, -float("inf")).amax(-1)


def _without_others(inputs: Inputs, n_agents: int) -> Inputs:
    """Return inputs in which nobody else acts: the first `n_agents` one-hots are empty."""
    blank = [OneHot(torch.full_like(each.index, -1), each.width) for each in inputs.one_hots[:n_agents]]
    return dataclasses.replace(inputs, features=inputs.features, one_hots=(*blank, *inputs.one_hots[n_agents:]))


def _drawn(joint: Tensor, avail: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return [P, N, count] int64: joint actions, the first of them `joint` and the others drawn among the available."""
    uniform = upload(torch.rand(*joint.shape, count, generator=generator), joint.device)
    number = avail.sum(-1, keepdim=True)  # [P, N, 1]
    choice = torch.minimum((uniform * number).long(), number - 1)
    actions = avail.byte().argsort(dim=-1, descending=True, stable=True).gather(-1, choice)  # available ones come first
    actions[..., 0] = joint
    return actions


class PACCritic(OthersCritic, MLPCritic):
    """Three layers shared by all agents, on the state, the others' actions and the agent's number.

    Args:
        config, info: as for Critic.
        of_one: as for MLPCritic.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(MLPCritic.Config):
        """Keys of a critic beside the others' actions; see config/default.yaml."""

        obs_individual_obs: bool
        obs_last_action: bool
        max_joint_actions: PositiveInt

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        c = self.config
        obs, last = ["joint_obs"] * c.obs_individual_obs, ["joint_last_action"] * c.obs_last_action
        return ("state", *obs, "others_actions", *last, "agent_id")

    def outputs(self) -> int:
        """Return A, a value of each own action."""
        return self.info.n_actions

    def of_agent(self, agent: int) -> PACCritic:
        """Return itself."""
        return self

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, A]; see Critic.forward."""
        return self.rest(inputs.linear(self.fc1))

    def rest(self, first: Tensor) -> Tensor:
        """Return [..., A] for [..., H], what the first layer said."""
        values: Tensor = self.fc3(self.fc2(first.relu()).relu())
        return values


class PACCriticNS(OthersCritic, NSMLPCritic):
    """A PACCritic for each agent."""

    Config = PACCritic.Config
    shared: ClassVar[type[MLPCritic]] = PACCritic

    def of_agent(self, agent: int) -> PACCritic:
        """Return the network of one agent."""
        return cast(PACCritic, self.critics[agent])
