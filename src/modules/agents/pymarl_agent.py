"""An agent that was written for PyMARL, as it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pymarl.modules.agents import REGISTRY
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.foreign import keep_names, same, trial
from pymarl.modules.inputs import Inputs
from pymarl.utils.errors import UserError, one_line, users_lines
from pymarl.utils.pymarl_args import Args, build_as_pymarl

CALLS = {"[B * N, E]": False, "[B, N, E]": True}
"""The inputs that PyMARL's and EPyMARL's agents take, and PyMARL2's; whether they are of teams."""

Step = tuple[Tensor, Tensor]


class PyMARLAgent(Agent):
    """The agent that `args.agent` names, built as `Agent(input_shape, args)`, called as `agent(inputs, hidden_state)`.

    Hidden states are [B, N, H]. Whether it takes PyMARL's inputs or PyMARL2's is found out by a trial step. Without a
    hidden state (`init_hidden` returns None) it may return its outputs alone.

    Args:
        args: the run's keys.
        spec: what it is built for.

    Raises:
        UserError: it cannot be built or called so.
    """

    mixes_agents = True  # for all we know

    def __init__(self, args: Args, spec: AgentSpec) -> None:
        super().__init__(args, spec)
        self._n_agents, self._n_actions = spec.n_agents, spec.n_actions
        self.network: Any = build_as_pymarl("agent", REGISTRY[args.agent], args, spec.input_shape).to(args.device)
        keep_names(self)
        self._of_teams = self._convention(args.agent, spec.input_shape)

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, H] of whole teams; H is 0 if it keeps nothing."""
        hidden = self.network.init_hidden()
        if hidden is None:
            return torch.empty(rows, 0, device=next(self.parameters()).device)
        teams: Tensor = hidden.unsqueeze(0).expand(rows // self._n_agents, self._n_agents, -1)
        return teams.reshape(rows, -1)

    def forward(self, inputs: Inputs, hidden: Tensor) -> Step:
        """Take one step; see Agent.forward."""
        n = self._n_agents if inputs.agents is None else len(inputs.agents)
        return self._step(inputs.dense().unflatten(0, (-1, n)), hidden.unflatten(0, (-1, n)), teams=self._of_teams)

    def _step(self, inputs: Tensor, hidden: Tensor, *, teams: bool) -> Step:
        """Return [B * N, A] and [B * N, H] for inputs [B, N, E] and hidden [B, N, H]."""
        kept = hidden.shape[-1] > 0
        answer = self.network(inputs if teams else inputs.flatten(0, 1), hidden if kept else None)
        out, after = (answer, None) if isinstance(answer, Tensor) and not kept else answer
        rows = inputs.shape[:2].numel()
        return out.reshape(rows, self._n_actions), hidden.flatten(0, 1) if after is None else after.reshape(rows, -1)

    def _convention(self, name: str, width: int) -> bool:
        """Return whether it takes inputs of teams: those that work, and keep episodes apart."""
        works, errors = {}, {}
        with trial(self.network) as draw:
            inputs = draw(3, self._n_agents, width)
            for shape, teams in CALLS.items():
                try:
                    works[teams] = self._keeps_episodes_apart(inputs, teams)
                except Exception as error:
                    errors[shape] = error
        if not works:
            said = "; ".join(f"with inputs {shape}: {one_line(error)}" for shape, error in errors.items())
            raise UserError(
                f"agent={name!r} cannot be called as in PyMARL, q, h = agent(inputs, hidden_state); {said}",
                "\n".join(users_lines(error) for error in errors.values()),
            )
        return max(works, key=lambda teams: (works[teams], not teams))

    def _keeps_episodes_apart(self, inputs: Tensor, teams: bool) -> bool:
        """Return whether two steps of several teams are those of each team alone."""
        parts = [self._two_steps(team, teams) for team in inputs.split(1)]
        return same(self._two_steps(inputs, teams), torch.cat(parts))

    def _two_steps(self, inputs: Tensor, teams: bool) -> Tensor:
        """Return [B * N, A], the outputs after a step that has changed the hidden state."""
        rows = inputs.shape[:2].numel()
        hidden = self.init_hidden(rows)
        for _ in range(2):
            shape = hidden.shape
            out, hidden = self._step(inputs, hidden.unflatten(0, inputs.shape[:2]), teams=teams)
            if hidden.shape != shape:
                raise ValueError(f"its hidden state is {list(hidden.shape)}, and that of init_hidden() {list(shape)}")
        return out
