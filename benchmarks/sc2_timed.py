"""Env sc2 that adds up the seconds spent in the package smac: its Python, the protocol and the game."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pymarl.envs.sc2.env import SC2Env

METHODS = ("reset", "step", "get_obs", "get_state", "get_avail_actions")


class TimedSC2Env(SC2Env):
    """`get_stats` holds `package_seconds`, the CPU time in them, and `cpu_seconds` of the whole process."""

    def __init__(self, config: SC2Env.Config, seed: int) -> None:
        self._seconds = self._cpu_seconds = 0.0
        super().__init__(config, seed)

    def _make(self, seed: int) -> Any:
        game = super()._make(seed)
        for name in METHODS:
            setattr(game, name, self._over(getattr(game, name)))
        return game

    def _over(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            begin, cpu = time.perf_counter(), time.process_time()
            result = method(*args)
            self._seconds += time.perf_counter() - begin
            self._cpu_seconds += time.process_time() - cpu
            return result

        return timed

    def get_stats(self) -> dict[str, float]:
        """Return SMAC's statistics and the seconds."""
        seconds = {"package_seconds": self._seconds, "package_cpu_seconds": self._cpu_seconds}
        return {**super().get_stats(), **seconds, "cpu_seconds": time.process_time()}
