"""What makes the packages' envs say that their game failed. Imports pysc2; see game.py."""

from __future__ import annotations

import sys
from typing import Any

from pymarl.envs.multiagentenv import EpisodeBroken
from pymarl.envs.sc2.game import Launch, RunConfig
from pymarl.utils.errors import message_line


class Watched:
    """Put before StarCraft2Env of smac or smacv2 as a base class: a failed game ends the episode with EpisodeBroken.

    What the packages do themselves, `full_restart`, ends an episode with reward 0 as if it were over; goes on with the
    units of the game before; and adds the enemies' life to `max_reward` once more.
    """

    launch: Launch
    _episode_count: int
    _sc2_proc: Any
    _controller: Any
    _obs: Any

    def _launch(self) -> None:
        with RunConfig.chosen(self.launch):
            super()._launch()  # type: ignore[misc]

    def full_restart(self) -> None:
        """Say what the package was about to hide."""
        failure = sys.exception()
        raise EpisodeBroken(message_line(failure) if failure else "the game was to be restarted")

    def reset(self, *args: Any) -> Any:
        """Start an episode, in time."""
        self._restart_deadline()
        if self._controller is not None:  # until an episode has ended, the package would start a second game
            self._episode_count = max(1, self._episode_count)
        return super().reset(*args)  # type: ignore[misc]

    def step(self, actions: list[int]) -> Any:
        """Take a step, in time."""
        self._restart_deadline()
        return super().step(actions)  # type: ignore[misc]

    def replay(self) -> bytes:
        """Return a replay of all that this game has played."""
        self._restart_deadline()
        data: bytes = self._controller.save_replay()
        return data

    def loops(self) -> int:
        """Return the game loops played."""
        return 0 if self._obs is None else int(self._obs.observation.game_loop)

    def exit_reason(self) -> str:
        """See `Process.exit_reason`."""
        return self._sc2_proc.exit_reason() if self._sc2_proc else ""

    def kill(self) -> None:
        """End the game at once and forget everything: the package's atexit handler keeps this object for ever."""
        if self._sc2_proc:
            self._sc2_proc.kill()
        vars(self).clear()

    def close(self) -> None:
        """End the game politely."""
        if vars(self):
            super().close()  # type: ignore[misc]

    def _restart_deadline(self) -> None:
        if self._controller is not None:
            self._sc2_proc.check()
            self._controller.restart_deadline()
