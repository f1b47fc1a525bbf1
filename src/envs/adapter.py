"""One row of a batch: a PyMARL env, seeded, checked and written into the arrays that a runner reads."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs import REGISTRY
from pymarl.envs.actions import handed_over
from pymarl.envs.contract import check_methods, numeric_info, read_info, read_observations, read_stats, read_step
from pymarl.envs.multiagentenv import EnvArrays, EpisodeBroken, ReplayError, env_seed
from pymarl.utils.config import build_config, config_class
from pymarl.utils.errors import UserError

EnvArgs = Mapping[str, Any]


def constructor_seeds(seed: int, batch_size: int) -> list[int]:
    """Return one seed below 2**32 per env; no two envs share a stream, and env i's does not depend on `batch_size`."""
    children = np.random.SeedSequence(seed).spawn(batch_size)
    return [int(child.generate_state(1)[0]) for child in children]


class EnvAdapter:
    """Drives one `MultiAgentEnv` as one row of a batch.

    A class with a nested Config is built as `cls(config, seed=seed)`, any other as `cls(**env_args, seed=seed)`.
    `reset` gets the episode's seed if it takes one; `step` may return PyMARL's (reward, terminated, info) or
    EPyMARL's (obs, reward, terminated, truncated, info). What an env returns is checked against what it says of
    itself, and numbers that are not finite are refused. `EpisodeBroken` from `reset` or `step` breaks the episode:
    `last_info` is then {"broken": why}.

    Args:
        name: the env's registry name, or `module:Class`.
        env_args: its options.
        origin: key -> where its value was set, for messages.
        seed: for the constructor.

    Raises:
        UserError: unknown env or option, missing package, an env that cannot be seeded or describes itself wrongly.
    """

    def __init__(self, name: str, env_args: EnvArgs, origin: Mapping[str, str], seed: int) -> None:
        self.name = name
        self.env = _build(name, env_args, origin, seed)
        check_methods(name, self.env)
        self._takes_seed = _accepts(self.env.reset, "seed")
        self.info = read_info(name, self.env.get_env_info())
        self._arrays: EnvArrays | None = None
        self._row = 0
        self.last_info: dict[str, Any] = {}

    @property
    def answer_seconds(self) -> float | None:
        """Return how long the env says that a reset or a step may take, None if it does not say."""
        return float(self.env.answer_seconds) if hasattr(self.env, "answer_seconds") else None

    def bind(self, arrays: EnvArrays, row: int) -> None:
        """Write into this row of `arrays` from now on."""
        self._arrays, self._row = arrays, row
        self._fields = self.info.with_role("observation")
        self._shown = {field.name: vars(arrays)[field.name][row] for field in self._fields}

    def reset(self, seed: int) -> bool:
        """Start an episode and write obs, state and avail_actions; tell whether it broke."""
        assert self._arrays is not None
        self._arrays.broken[self._row] = False
        try:
            if self._takes_seed:
                self.env.reset(seed=env_seed(seed))
            else:
                self.env.reset()
        except EpisodeBroken as error:
            return self._break(error)
        self._observe()
        return False

    def _break(self, error: EpisodeBroken) -> bool:
        arrays, row = self._arrays, self._row
        assert arrays is not None
        arrays.broken[row] = True
        arrays.terminated[row] = arrays.truncated[row] = False
        self.last_info = {"broken": str(error)}
        return True

    def step(self, actions: NDArray[np.int64]) -> bool:
        """Take one step, write everything, return whether the episode is over (`last_info` is then its info)."""
        try:
            result = self.env.step(handed_over(actions))
        except EpisodeBroken as error:
            return self._break(error)
        reward, over, truncated, info = read_step(self.name, result, self.info.n_rewards)
        arrays, row = self._arrays, self._row
        assert arrays is not None
        arrays.reward[row] = reward
        arrays.terminated[row] = over and not truncated
        arrays.truncated[row] = over and truncated
        self._observe()
        if over:
            self.last_info = numeric_info(info)
        return over

    def _observe(self) -> None:
        for field, array in read_observations(self.name, self.env, self._fields).items():
            self._shown[field][...] = array

    def get_stats(self) -> dict[str, float]:
        """Return the env's statistics; {} if it keeps none."""
        if not hasattr(self.env, "get_stats"):
            return {}
        try:
            return read_stats(self.name, self.env.get_stats())
        except NotImplementedError:  # PyMARL's base class
            return {}

    def save_replay(self, directory: Path) -> list[Path]:
        """Save a replay; an env whose `save_replay` takes a `directory` is told where. Return the files it names."""
        refusal = f"env {self.name!r} has no replays; run it without save_replay"
        if not hasattr(self.env, "save_replay"):
            raise UserError(refusal)
        try:
            takes_directory = _accepts(self.env.save_replay, "directory")
            saved = self.env.save_replay(directory=directory) if takes_directory else self.env.save_replay()
        except NotImplementedError as error:
            raise UserError(refusal) from error
        if saved is None:
            return []
        return [Path(path) for path in ([saved] if isinstance(saved, (str, Path)) else saved)]

    def close(self) -> None:
        """Close the env."""
        close_env(self.env)


def close_env(env: Any) -> None:
    """Close an env, if it has anything to close."""
    if hasattr(env, "close"):
        with suppress(NotImplementedError):  # PyMARL's base class
            env.close()


def save_replays(envs: Iterable[EnvAdapter], directory: Path) -> tuple[list[Path], list[str]]:
    """Save a replay of each env; return the files, and why there is none of others. UserError if they have none."""
    saved, errors = [], []
    for env in envs:
        try:
            saved += env.save_replay(directory)
        except ReplayError as error:
            errors.append(str(error))
    return saved, errors


def all_or_error(saved: list[Path], errors: list[str]) -> list[Path]:
    """Return the files of `save_replays`. ReplayError if there are errors."""
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ReplayError(f"{errors[0]}{more}", saved)
    return saved


def _build(name: str, env_args: EnvArgs, origin: Mapping[str, str], seed: int) -> Any:
    """Return the env's instance, seeded."""
    env_class = REGISTRY[name]
    config = config_class(env_class)
    if config is not None:
        return env_class(build_config(config, env_args, origin, "env_args."), seed=seed)
    kwargs = dict(env_args)
    if "seed" in kwargs:
        raise UserError(
            f"env_args.seed={kwargs['seed']!r}: the run's seed gives each env its own; write seed={kwargs['seed']!r}"
        )
    if _accepts(env_class, "seed"):
        kwargs["seed"] = seed
    else:
        check_methods(name, env_class, ["reset"])
        if not _accepts(env_class.reset, "seed"):
            raise UserError(f"env {name!r} cannot be seeded: let its __init__ or its reset take `seed`")
    try:
        inspect.signature(env_class).bind(**kwargs)
    except TypeError as error:
        raise UserError(f"env {name!r} does not accept these env_args: {error}") from error
    return env_class(**kwargs)


def _accepts(function: Any, keyword: str) -> bool:
    """Return whether a call may name `keyword`."""
    parameters = inspect.signature(function).parameters
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
