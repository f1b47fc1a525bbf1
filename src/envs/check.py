"""Checks an env against the contract of `MultiAgentEnv` by playing it.

`PYTHONPATH=src python -m envs.check ENV [key=value ...]` checks the env of that registry name or `module:Class`;
keys are env_args, values YAML. It prints what it checked, or one line with what is wrong and exits with 1.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from envs.multiagentenv import EnvInfo, MultiAgentEnv
from envs.single import make_env
from utils.errors import UserError

METHODS = ("reset", "step", "get_obs", "get_state", "get_avail_actions", "get_env_info")


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
        repeated = f"{self.repeated} repeated by seed" if self.repeated else "by seed alone it cannot be repeated"
        return (
            f"{i.n_agents} agents, {i.n_actions} actions, obs {i.obs_shape}, state {i.state_shape}, limit "
            f"{i.episode_limit}; played {self.steps} steps: {self.terminated} episodes terminated, {self.truncated} "
            f"truncated, {repeated}"
        )


@dataclass
class Episode:
    """What an episode showed: the bytes of each step's obs, state, avail and reward."""

    trace: list[bytes] = field(default_factory=list)
    steps: int = 0
    truncated: bool = False


def check_env(env: MultiAgentEnv, steps: int = 1000, seed: int = 0) -> CheckReport:
    """Play at least `steps` env steps and two whole episodes, and check all that the env returns.

    Args:
        env: any object with PyMARL's methods.
        steps: env steps to play.
        seed: of the random actions and of the episodes.

    Raises:
        UserError: one line with the first thing that breaks the contract.
    """
    for method in METHODS:
        if not callable(inspect.getattr_static(env, method, None)):
            raise UserError(f"method {method} is missing; see envs/multiagentenv.py")
    report = CheckReport(info=_read_info(env))
    takes_seed = "seed" in inspect.signature(env.reset).parameters and repeatable(env)
    number = 0
    while report.steps < steps or number < 2:
        first = _play(env, report, seed + number if takes_seed else None, number)
        if takes_seed:
            _play(env, report, seed + number + 1, number + 1)
            again = _play(env, report, seed + number, number)
            _compare(first, again, seed + number)
            report.repeated += 1
        number += 1
    return report


def repeatable(env: Any) -> bool:
    """Return whether an env (or its class) says that an episode follows from its seed alone."""
    return not hasattr(env, "repeatable") or bool(env.repeatable)


def _read_info(env: MultiAgentEnv) -> EnvInfo:
    said = env.get_env_info()
    values = {}
    for key in ("n_agents", "n_actions", "obs_shape", "state_shape", "episode_limit"):
        value = said.get(key) if isinstance(said, dict) else None
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise UserError(f"get_env_info()[{key!r}] is {value!r}, expected an int >= 1")
        values[key] = int(value)
    return EnvInfo(**values)


def _play(env: MultiAgentEnv, report: CheckReport, seed: int | None, actions_seed: int) -> Episode:
    """Play one episode with random available actions and check every step of it."""
    generator, info, episode = np.random.default_rng(actions_seed), report.info, Episode()
    env.reset(seed=seed) if seed is not None else env.reset()
    over, reward = False, 0.0
    while True:
        obs = _array(env.get_obs(), (info.n_agents, info.obs_shape), "get_obs")
        state = _array(env.get_state(), (info.state_shape,), "get_state")
        avail = _avail(env.get_avail_actions(), info)
        numbers = np.concatenate([obs.ravel(), state, avail.ravel(), [reward]]).astype(np.float64)
        episode.trace.append(numbers.tobytes())
        if over:
            break
        if episode.steps == info.episode_limit:
            raise UserError(f"the episode goes on after {info.episode_limit} steps, its episode_limit")
        actions = (generator.random(avail.shape) * avail).argmax(1)
        reward, over, episode.truncated = _step(env, actions)
        episode.steps += 1
    report.steps += episode.steps
    report.truncated += episode.truncated
    report.terminated += not episode.truncated
    return episode


def _step(env: MultiAgentEnv, actions: NDArray[np.int64]) -> tuple[float, bool, bool]:
    """Take a step and return (reward, over, truncated)."""
    result: Any = env.step(actions)
    if not isinstance(result, tuple) or len(result) not in (3, 5):
        size = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
        raise UserError(f"step returned {size}, expected (reward, terminated, info)")
    reward, terminated, info = result if len(result) == 3 else (result[1], result[2] or result[3], result[4])
    for what, value in (("reward", reward), ("terminated", terminated)):
        number = np.asarray(value)
        if number.shape != () or number.dtype.kind not in "biuf" or not np.isfinite(number):
            raise UserError(f"step returned {what} {value!r}, expected one finite number for the whole team")
    if not isinstance(info, dict):
        raise UserError(f"step returned info {info!r}, expected a dict")
    truncated = bool(info.get("episode_limit", False)) or (len(result) == 5 and bool(result[3]) and not result[2])
    if truncated and not terminated:
        raise UserError("info['episode_limit'] is true, but step says that the episode goes on")
    return float(reward), bool(terminated), truncated


def _array(value: Any, shape: tuple[int, ...], method: str) -> NDArray[Any]:
    """Return what a method returned as an array of this shape, of finite numbers."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UserError(f"{method} returned rows of unequal length, expected shape {shape}") from error
    if array.shape != shape:
        raise UserError(f"{method} returned shape {array.shape}, expected {shape} (get_env_info says so)")
    if array.dtype.kind not in "biuf":
        raise UserError(f"{method} returned {array.dtype}, expected numbers")
    if not np.isfinite(array).all():
        where = tuple(int(axis) for axis in np.argwhere(~np.isfinite(array))[0])
        raise UserError(f"{method} returned {array[where]} at {where}, expected finite numbers")
    return array


def _avail(value: Any, info: EnvInfo) -> NDArray[Any]:
    avail = _array(value, (info.n_agents, info.n_actions), "get_avail_actions")
    if not np.isin(avail, (0, 1)).all():
        raise UserError(f"get_avail_actions returned {avail[~np.isin(avail, (0, 1))][0]}, expected 0 or 1")
    for agent in np.flatnonzero(~avail.any(1)):
        raise UserError(f"get_avail_actions leaves agent {agent} no action; give it at least one (a no-op)")
    return avail


def _compare(first: Episode, again: Episode, seed: int) -> None:
    same = [a == b for a, b in zip(first.trace, again.trace, strict=False)]
    if not all(same) or len(first.trace) != len(again.trace):
        step = same.index(False) if not all(same) else len(same)
        raise UserError(f"reset(seed={seed}) and the same actions gave another episode, from step {step} on")


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    if not argv or argv[0].startswith("-"):
        print("usage: python -m envs.check ENV [key=value ...]", file=sys.stderr)
        return 1
    try:
        env_args = {}
        for update in argv[1:]:
            key, equals, value = update.partition("=")
            if not equals:
                raise UserError(f"{update!r}: expected key=value")
            env_args[key.removeprefix("env_args.")] = yaml.safe_load(value)
        env = make_env(argv[0], env_args, seed=0)
        try:
            print(f"ok: {argv[0]}: {check_env(env)}")
        finally:
            env.close()
    except UserError as error:
        print(f"{argv[0]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
