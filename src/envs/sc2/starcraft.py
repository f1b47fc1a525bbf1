"""What the envs of smac and smacv2 have in common: PyMARL's contract over games that may fail."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EpisodeBroken, MultiAgentEnv, ReplayError
from pymarl.envs.sc2.folder import GameFolder
from pymarl.envs.sc2.installation import import_problem, require
from pymarl.envs.sc2.layout import game_layout
from pymarl.envs.sc2.options import StarCraftOptions
from pymarl.envs.smac_stats import smac_stats
from pymarl.envs.specs import EntityLayout, total_size
from pymarl.utils.errors import UserError, closest, message_line, one_line
from pymarl.utils.files import temporary_beside, write_new
from pymarl.utils.protobuf import use_fast_backend

GAME_LOOPS = 524_000
"""A game fails after 2**19 loops (pysc2/env/sc2_env.py, MAX_STEP_COUNT)."""
MARGIN_SECONDS = 30
COUNTED = ("battles_won", "battles_game", "timeouts")
OURS = ("game_timeout", "seed", "capability_config", "capability_configs")
"""Keys that are not handed on as they are."""


class StarCraftEnv(MultiAgentEnv):
    """An env of one of the two packages.

    A game that crashes, hangs, cuts the connection or answers nonsense makes `reset` or `step` raise EpisodeBroken; the
    next `reset` starts another game. Statistics go on.

    `reset` takes a seed for what can be seeded: a game that it starts, and what smacv2 draws. The game's own chance
    goes on from episode to episode, so an episode does not depend on its seed alone.

    Args:
        config: see config/envs/sc2.yaml and sc2v2.yaml.
        seed: of the episodes that `reset` starts without a seed of their own.

    Raises:
        UserError: the game, its map or the package is missing, or an option does not fit.
    """

    own_process = True
    repeatable = False
    package: ClassVar[Literal["smac", "smacv2"]]
    launches: ClassVar[int] = 1
    """How many games a reset may start."""

    class Config(StarCraftOptions):
        """See `StarCraftOptions`."""

    def __init__(self, config: Config, seed: int) -> None:
        self._sc2path = require(self.package, config.map_name)
        os.environ["SC2PATH"] = str(self._sc2path)  # in this process, which is the env's own; pysc2 reads it
        _import_apart(self.package)
        from pymarl.envs.sc2.game import FAILURES, Launch
        from pymarl.envs.sc2.watched import Watched

        self._failures, self._watched = FAILURES, Watched
        self.config, self._generator = config, np.random.default_rng(seed)
        self._counts, self._restarts = dict.fromkeys(COUNTED, 0), 0
        self._max_reward: float | None = None
        self._game: Any = None
        self._options = {key: value for key, value in vars(config).items() if key not in OURS}
        self._folder = GameFolder()
        try:
            self._launch = Launch(self._folder.path, config.game_timeout)
            self._describe()
        except BaseException:
            self._folder.close()
            raise

    @property
    def answer_seconds(self) -> float:
        """Return how long a reset may take: starting a game and beginning in it, and a margin for all else."""
        return 2 * self.launches * self.config.game_timeout + MARGIN_SECONDS

    def _describe(self) -> None:
        """Take over what the package says of the map, from an env of its that never starts a game."""
        from pysc2 import run_configs

        probe = self._make(0)
        try:
            run_configs.get(version=self.config.game_version)
        except Exception as error:  # pysc2 raises ValueErrors and its own for this
            raise UserError(f"env_args.game_version={self.config.game_version!r}: {error}") from error
        self.n_agents, self.episode_limit = int(probe.n_agents), int(probe.episode_limit)
        self.entity_layout = entities = self._layout(probe)
        self._obs_size = int(probe.get_obs_size()) if entities is None else total_size(entities.obs)
        self._state_size = int(probe.get_state_size()) if entities is None else total_size(entities.state)
        self._n_actions = int(probe.get_total_actions())
        probe.kill()

    @abstractmethod
    def _env_class(self) -> tuple[type, Any, Any]:
        """Import the package; return its StarCraft2Env, its function from a map to parameters, and that to all maps."""

    def _layout(self, game: Any) -> EntityLayout | None:
        """Return what observations and the state are made of, None if they hold no entities."""
        return game_layout(self.config, game)

    def _make(self, seed: int) -> Any:
        """Return a new env of the package; its first reset starts a game with this seed."""
        env_class, map_params, known_maps = self._env_class()
        try:
            map_params(self.config.map_name)
        except KeyError as error:
            near = closest(self.config.map_name, known_maps())
            raise UserError(
                f"env_args.map_name={self.config.map_name!r}: {self.package} does not know it{near}"
            ) from error
        made = _watched_class(self._watched, env_class)(**self._options, seed=seed)
        made.launch = self._launch
        return made

    def _begin(self, seed: int) -> None:
        """Start an episode, in a new game if there is none."""
        if self._game is None:
            self._game = self._make(seed)
        self._game.reset()

    def reset(self, seed: int | None = None) -> None:
        """Start an episode. EpisodeBroken if the game fails."""
        own = int(self._generator.integers(2**31)) if seed is None else seed
        if self._game is not None and self._game.loops() > GAME_LOOPS - self.config.step_mul * self.episode_limit:
            self._end_game()
        with self._failing():
            self._begin(own)
        # The package derives it from the units of a game's first episode. A later game shall pay as the first did.
        if self._max_reward is None:
            self._max_reward = self._game.max_reward
        self._game.max_reward = self._max_reward

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Take one step; see `MultiAgentEnv.step`. EpisodeBroken if the game fails."""
        if self._game is None:
            raise RuntimeError("no episode is on; reset the env first")
        timeouts = self._game.timeouts
        with self._failing():
            reward, terminated, info = self._game.step(list(actions))
        return reward, terminated, {**info, "episode_limit": self._game.timeouts > timeouts}

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Make of every failure of the game an EpisodeBroken, and end that game."""
        try:
            yield
        except self._failures as error:
            reason = message_line(error)
            if self._game is not None:
                reason += self._game.exit_reason()
            self._end_game()
            self._restarts += 1
            raise EpisodeBroken(reason) from error

    def _end_game(self) -> None:
        """End the game, if there is one; the next reset starts another."""
        if self._game is not None:
            for key in COUNTED:
                self._counts[key] += vars(self._game)[key]
            self._game.kill()
            self._game = None

    def get_obs(self) -> list[NDArray[Any]]:
        """Return [N, O] observations."""
        obs: list[NDArray[Any]] = self._game.get_obs()
        return obs

    def get_state(self) -> NDArray[np.float32]:
        """Return [S], the state."""
        state: NDArray[np.float32] = self._game.get_state()
        return state

    def get_avail_actions(self) -> list[list[int]]:
        """Return [N, A], the available actions."""
        avail: list[list[int]] = self._game.get_avail_actions()
        return avail

    def get_obs_size(self) -> int:
        """Return O."""
        return self._obs_size

    def get_state_size(self) -> int:
        """Return S."""
        return self._state_size

    def get_total_actions(self) -> int:
        """Return A."""
        return self._n_actions

    def get_stats(self) -> dict[str, float]:
        """Return SMAC's statistics over all games; `restarts` is how many of them failed."""
        live = {} if self._game is None else vars(self._game)
        won, games, timeouts = (self._counts[key] + (live[key] if live else 0) for key in COUNTED)
        return smac_stats(won=won, games=games, timeouts=timeouts, restarts=self._restarts)

    def save_replay(self, directory: Path = Path("results/replays")) -> list[Path]:
        """Save all that the game has played since it was started, and return the file.

        It is [] if that is nothing: the game before has failed, or its worker, whose place a new env has taken. Other
        envs' replays shall not be lost for that.

        Args:
            directory: where to, unless env_args.replay_dir says otherwise.

        Raises:
            ReplayError: the game does not answer, or the file cannot be written.
        """
        where = f"no replay of {self.config.map_name}"
        target = self._replay_file(directory)
        if self._game is None or not self._game.loops():
            return []
        try:
            data = self._game.replay()
        except self._failures as error:
            reason = message_line(error) + self._game.exit_reason()
            self._end_game()
            raise ReplayError(f"{where}: {reason}") from error
        if not data:
            raise ReplayError(f"{where}: the game's answer is empty")
        try:
            return [write_new(target, data)]
        except OSError as error:
            raise ReplayError(f"{where}: cannot write {target}: {error.strerror or error}") from error

    def _replay_file(self, directory: Path) -> Path:
        """Return the name of a replay that is saved now. ReplayError if env_args.replay_dir is no place for it."""
        name = f"{self.config.replay_prefix or self.config.map_name}_{datetime.now(UTC):%Y-%m-%d-%H-%M-%S}.SC2Replay"
        given = self.config.replay_dir
        if not given:
            return directory.absolute() / name
        try:
            target = self._sc2path / "Replays" / Path(given).expanduser() / name
            with temporary_beside(target) as file:
                file.touch()
        except (OSError, RuntimeError) as error:  # RuntimeError: ~somebody whom nobody knows
            raise ReplayError(f"env_args.replay_dir={given!r}: cannot write there: {error}") from error
        return target

    def close(self) -> None:
        """End the game. Calling it again does nothing."""
        try:
            if self._game is not None:
                self._game.close()
        finally:
            self._game = None
            self._folder.close()


@functools.cache  # the package's atexit handler keeps its envs, and so their classes, for ever
def _watched_class(watched: type, env_class: type) -> type:
    return type("StarCraft2Env", (watched, env_class), {})


def _import_apart(package: str) -> None:
    """Refuse to import both packages into one process, and import what they need."""
    other = {"smac": "smacv2", "smacv2": "smac"}[package]
    if f"{other}.env" in sys.modules:
        raise UserError(
            f"{package} cannot be used in a process that has imported {other}: both register their maps with pysc2 "
            "under the same names; use another process"
        )
    try:
        use_fast_backend()
        importlib.import_module(f"{package}.env.starcraft2")  # reads no command line, and pysc2 needs that it was read
    except Exception as error:  # whatever a package raises that is too old, too new or broken
        raise UserError(import_problem(package, one_line(error))) from error
