"""Checks an env against the contract of `MultiAgentEnv` by playing it.

`PYTHONPATH=src python -m pymarl.envs.check ENV [key=value ...]` checks the env of that registry name or `module:Class`;
keys are env_args, values YAML. It prints what it checked, or one line with what is wrong and exits with 1.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from pymarl.envs.actions import handed_over
from pymarl.envs.adapter import close_env
from pymarl.envs.contract import Outcome, check_methods, read_info, read_observations, read_step
from pymarl.envs.faults import calling
from pymarl.envs.multiagentenv import MultiAgentEnv
from pymarl.envs.single import make_env
from pymarl.envs.specs import EnvInfo
from pymarl.utils.doors import as_called
from pymarl.utils.errors import UserError, where
from pymarl.utils.yaml_files import parse_value


@dataclass
class CheckReport:
    """How much was checked.

    Attributes:
        info: what the env says of itself.
        steps: env steps played, with random available actions.
        terminated: episodes that ended by themselves.
        truncated: episodes that only the clock ended.
        repeated: episodes played twice with the same seed and found equal; 0 if the env is not repeatable.
    """

    info: EnvInfo
    steps: int = 0
    terminated: int = 0
    truncated: int = 0
    repeated: int = 0

    def __str__(self) -> str:
        i = self.info
        own = " with rewards of their own" if i.n_rewards > 1 else ""
        repeated = f"{self.repeated} repeated by seed" if self.repeated else "by seed alone it cannot be repeated"
        return (
            f"{i.n_agents} agents{own}, {i.n_actions} actions, obs {i.obs_shape}, state {i.state_shape}, limit "
            f"{i.episode_limit}; played {self.steps} steps: {self.terminated} episodes terminated, {self.truncated} "
            f"truncated, {repeated}"
        )


@dataclass
class Episode:
    """What an episode showed: the bytes of each step's obs, state, avail and reward."""

    trace: list[bytes] = field(default_factory=list)
    steps: int = 0
    truncated: bool = False


def check_env(env: MultiAgentEnv, steps: int = 1000, seed: int = 0, name: str = "") -> CheckReport:
    """Play at least `steps` env steps and two whole episodes, and check all that the env returns.

    Args:
        env: any object with PyMARL's methods.
        steps: env steps to play.
        seed: of the random actions and of the episodes.
        name: what to call the env; its class's name if empty.

    Raises:
        UserError: one line with the first thing that breaks the contract.
        EnvError: the env raised something else.
    """
    name = name or type(env).__name__
    check_methods(name, env)
    with calling(name, "get_env_info"):
        report = CheckReport(info=read_info(name, env.get_env_info()))
    takes_seed = "seed" in inspect.signature(env.reset).parameters and repeatable(env)
    player = _Player(name, env, report)
    number = 0
    while report.steps < steps or number < 2:
        first = player.play(seed + number if takes_seed else None, number)
        if takes_seed:
            player.play(seed + number + 1, number + 1)
            again = player.play(seed + number, number)
            _compare(first, again, f"env {name!r}: reset(seed={seed + number})")
            report.repeated += 1
        number += 1
    return report


def repeatable(env: Any) -> bool:
    """Return whether an env (or its class) says that an episode follows from its seed alone."""
    return not hasattr(env, "repeatable") or bool(env.repeatable)


class _Player:
    """Plays episodes with random available actions, checks every step of them and counts them in the report."""

    def __init__(self, name: str, env: MultiAgentEnv, report: CheckReport) -> None:
        self.name, self.env, self.report = name, env, report

    def play(self, seed: int | None, actions_seed: int) -> Episode:
        """Play one episode; `reset` gets the seed if there is one."""
        generator, limit, episode = np.random.default_rng(actions_seed), self.report.info.episode_limit, Episode()
        with calling(self.name, "reset"):
            self.env.reset(seed=seed) if seed is not None else self.env.reset()
            avail = self._observe(episode, 0.0)
        over = False
        while not over:
            if episode.steps == limit:
                raise UserError(f"env {self.name!r}: the episode goes on after {limit} steps, its episode_limit")
            with calling(self.name, "step"):
                outcome = self._step((generator.random(avail.shape) * avail).argmax(1))
                avail = self._observe(episode, outcome.reward)
            over, episode.truncated = outcome.over, outcome.truncated
            episode.steps += 1
        self.report.steps += episode.steps
        self.report.truncated += episode.truncated
        self.report.terminated += not episode.truncated
        return episode

    def _observe(self, episode: Episode, reward: float | NDArray[np.float64]) -> NDArray[Any]:
        """Add what the env shows to the episode's trace; return avail_actions [N, A]."""
        shown = read_observations(self.name, self.env, self.report.info.with_role("observation"))
        numbers = np.concatenate([*(array.ravel() for array in shown.values()), np.atleast_1d(reward)]).astype(
            np.float64
        )
        episode.trace.append(numbers.tobytes())
        return shown["avail_actions"]

    def _step(self, actions: NDArray[np.int64]) -> Outcome:
        outcome = read_step(self.name, self.env.step(handed_over(actions)), self.report.info.n_rewards)
        if outcome.truncated and not outcome.over:
            raise UserError(f"env {self.name!r}: info['episode_limit'] is true, but step says that the episode goes on")
        return outcome


def _compare(first: Episode, again: Episode, what: str) -> None:
    same = [a == b for a, b in zip(first.trace, again.trace, strict=False)]
    if not all(same) or len(first.trace) != len(again.trace):
        step = same.index(False) if not all(same) else len(same)
        raise UserError(f"{what} and the same actions gave another episode, from step {step} on")


def parse_env_args(words: Sequence[str]) -> dict[str, Any]:
    """Return {key: value} of key=value words. UserError for a word that is none."""
    env_args = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"{word!r}: expected key=value")
        try:
            env_args[key.removeprefix("env_args.")] = parse_value(value)
        except (yaml.YAMLError, RecursionError) as error:
            raise UserError(f"{key}={value[:80]!r}: the value is not YAML; quote it if it is text") from error
    return env_args


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    if not argv or argv[0].startswith("-"):
        print(as_called("usage: python -m pymarl.envs.check ENV [key=value ...]"), file=sys.stderr)
        return int(argv[:1] not in (["--help"], ["-h"]))
    name = argv[0]
    try:
        env_args = parse_env_args(argv[1:])
        with calling(name, "start"):
            env = make_env(name, env_args, seed=0)
        try:
            report = check_env(env, name=name)
        finally:
            with calling(name, "close"):
                close_env(env)
        print(f"ok: {name}: {report}")
    except UserError as error:
        print(f"error: {error}", *filter(None, [error.details]), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        stood = where(traceback.extract_tb(error.__traceback__))
        print(f"interrupted; it stood here (most recent call last):\n{stood}", end="", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
