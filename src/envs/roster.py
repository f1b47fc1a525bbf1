"""Who of a team is in the game, and how its episode ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.utils.errors import UserError

Bools = NDArray[np.bool_]


class Roster:
    """Follows an episode as PettingZoo defines it: who was terminated or truncated is out for the rest of it.

    The episode is over when nobody is in the game or the clock has run out. It is truncated if the clock found
    somebody in the game, or if any agent was truncated in the step that ended it: that agent's game would have gone
    on, so the learner bootstraps. Who was terminated before or in the same step then has action 0 alone, as everyone
    has who is out. An agent that is reported both terminated and truncated was terminated.

    Args:
        name: what to call the env in messages.
        agents: what to call its agents.

    Attributes:
        live: [N] agents that are in the game.
        seen: [N] agents that were in it when the last step began, or have joined: their observations are shown.
        acts: [N] agents with a choice: those in the game, and at the end those whom only a clock sent off.
        over: the episode has ended.
        truncated: only a clock ended it.
    """

    def __init__(self, name: str, agents: Sequence[Any]) -> None:
        self.name = name
        self.agents = list(agents)
        self._begin(np.zeros(len(self.agents), np.bool_))

    def _begin(self, present: Bools) -> None:
        self._out = np.zeros_like(present)
        self.live = self.seen = self.acts = present
        self.over = self.truncated = False

    def reset(self, present: Bools) -> None:
        """Begin an episode with these agents, [N]. UserError if there are none."""
        if not present.any():
            raise UserError(f"env {self.name!r}: no agent is in the game after reset")
        self._begin(present.copy())

    def step(self, terminated: Bools, truncated: Bools, present: Bools, alive: Bools, last: bool) -> None:
        """Count one step.

        Args:
            terminated: [N].
            truncated: [N].
            present: [N], whom the env lists as in the game.
            alive: [N], who is reported neither terminated nor truncated.
            last: our own clock has run out.

        Raises:
            UserError: an agent left without being either, or came back.
        """
        stopped = self.live & truncated & ~terminated
        ended = self.live & terminated
        back = self._out & present & alive
        left = self.live & ~present & ~stopped & ~ended
        self._refuse(back, "was terminated or truncated, but is reported alive again in the same episode")
        self._refuse(left, "left the env's agents without being terminated or truncated")
        self._out |= stopped | ended
        joined = present & ~self._out
        self.seen = self.live | joined
        self.live = joined
        self.over = last or not self.live.any()
        self.truncated = self.over and bool((self.live | stopped).any())
        self.acts = self.live | stopped if self.over else self.live

    def _refuse(self, whom: Bools, what: str) -> None:
        for agent in np.flatnonzero(whom):
            raise UserError(f"env {self.name!r}: agent {self.agents[agent]!r} {what}")
