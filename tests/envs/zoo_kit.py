"""A PettingZoo env whose every answer a test writes down, and a package to put it in."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from pymarl.envs.single import make_env

Answer = dict[str, Any]


class Scripted:
    """A parallel env of agents a and b (2 and 3 actions) that answers as `script` says, one entry per step.

    An entry overrides what is returned else: "obs", "rewards", "terminations", "truncations", "infos", and "agents",
    the list from then on. Entry 0 is the reset's.
    """

    script: list[Answer] = []
    spaces: dict[str, gym.Space[Any]] = {}
    acted: dict[str, gym.Space[Any]] = {"a": gym.spaces.Discrete(2), "b": gym.spaces.Discrete(3)}

    def __init__(self) -> None:
        self.possible_agents: list[Any] = ["a", "b"]
        self.played: list[Any] = []
        self.observed = {name: gym.spaces.Box(0, 9, (2,), np.float32) for name in "ab"} | self.spaces

    def observation_space(self, name: str) -> gym.Space[Any]:
        return self.observed[name]

    def action_space(self, name: str) -> gym.Space[Any]:
        return self.acted[name]

    def _answer(self) -> list[Any]:
        entry = self.script[self.steps] if self.steps < len(self.script) else {}
        acting, self.agents = self.agents, entry.get("agents", self.agents)
        usual = {
            "obs": {name: np.full(2, self.steps + 1, np.float32) for name in acting},
            "rewards": dict.fromkeys(acting, 1.0),
            "terminations": dict.fromkeys(acting, False),
            "truncations": dict.fromkeys(acting, False),
            "infos": {name: {} for name in acting},
        }
        return [entry.get(part, value) for part, value in usual.items()]

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.steps = ["a", "b"], 0
        obs, *_, infos = self._answer()
        return obs, infos

    def step(self, actions: Any) -> Any:
        self.played.append(actions)
        self.steps += 1
        return tuple(self._answer())


def scripted(*script: Answer, **attributes: Any) -> type[Scripted]:
    """Return a class of `Scripted` with this script, and with these attributes or methods."""
    return type("Ours", (Scripted,), {"script": list(script), **attributes})


def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **module: Any) -> str:
    """Put a module with these names into the package our_zoo; return its key."""
    package = tmp_path / "our_zoo"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "env_v0.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = ModuleType("our_zoo.env_v0")
    vars(made).update(module)
    monkeypatch.setitem(sys.modules, "our_zoo.env_v0", made)
    return "our_zoo:env_v0"


def make_zoo(key: str, **env_args: Any) -> Any:
    """Return the env, after its reset."""
    env = make_env("pettingzoo", {"key": key, "time_limit": 5, **env_args}, seed=0)
    env.reset(seed=1)
    return env
