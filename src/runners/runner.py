"""What every runner promises: `run` plays and returns a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.envs.specs import EnvInfo
from pymarl.runners.player import EpisodeRecord, Tell
from pymarl.runners.seeds import Phase
from pymarl.utils.config import NonNegativeInt, PositiveInt, Seconds


class Runner:
    """Plays `batch_size_run` episodes at once, one in each row, and counts the env steps of training.

    With `rollout_steps` training plays pieces of that many steps a row, which go on where the last ones ended.

    Args:
        config: the class's Config.
        origin: "env_args.<key>" -> where it was set, for messages.
        tell: is told, in one line, of every episode that broke and is played once more, or begins anew.

    Attributes:
        local: the runner that plays where this one only lets others play; None: it plays itself.
        acts_on: kind of the device on which copies of the controller act; None: it acts with the one it is given.
        batch_size: rows.
        t_env: env steps of all training so far.
        episodes: records of the episodes that ended in the last `run`.
    """

    local: ClassVar[type[Runner] | None] = None
    acts_on: ClassVar[str | None] = None

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of every runner; see config/default.yaml."""

        env: str
        env_args: dict[str, Any]
        seed: int
        batch_size_run: PositiveInt
        rollout_steps: PositiveInt | None
        env_workers: PositiveInt | None
        max_restarts: NonNegativeInt
        env_timeout: Seconds | None

    batch_size: int

    @classmethod
    def check_config(cls, config: Any) -> None:
        """Raise UserError if values of its Config do not go together; nothing has been started yet."""

    def __init__(self, config: Any, origin: Mapping[str, str], tell: Tell) -> None:
        self.config, self.origin, self.tell = config, origin, tell
        self.t_env = 0
        self.episodes: list[EpisodeRecord] = []

    def get_env_info(self) -> EnvInfo:
        """Return what the env says of itself."""
        raise NotImplementedError

    @property
    def restarts(self) -> int:
        """How many episodes broke so far and were played once more."""
        raise NotImplementedError

    @property
    def longest(self) -> int:
        """Slots of the longest row that `run` returns in training."""
        return (self.config.rollout_steps or self.get_env_info().episode_limit) + 1

    @property
    def plays_pieces(self) -> bool:
        """Tell whether training's rows are pieces, which keep what they began with."""
        return self.config.rollout_steps is not None

    def setup(self, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, mac: Any) -> None:
        """Take the controller that acts, and allocate what is recorded (on the CPU, wherever the mac computes)."""
        raise NotImplementedError

    def run(self, test_mode: bool = False, phase: Phase | None = None) -> EpisodeBatch:
        """Play. What breaks (the game failed) is played once more, from its start.

        Args:
            test_mode: act greedily, whole episodes; t_env and training's episodes and seeds stay as they are.
            phase: whose seeds to use; by default "test" in test mode, else "train".

        Returns:
            A batch that is the runner's own: valid until the next `run`, so copy what is to be kept. A row is an
            episode, or in training with `rollout_steps` a piece of one. The slot after its last transition holds the
            observation that followed. Where that transition is not `terminated` the row was truncated there.

        Raises:
            BrokenTooOften: an episode broke more than max_restarts times.
            EnvUserError: an episode did not end within the env's episode_limit.
        """
        raise NotImplementedError

    def run_ahead(self) -> None:
        """Begin the next `run` of training now, with the networks as they are, if this is a runner that plays ahead.

        What the last run returned is left alone by that.
        """

    def close_env(self) -> None:
        """Free what the envs hold."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return all that later runs depend on, but for the networks."""
        raise NotImplementedError

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; episodes under way are played again with the actions that they had."""
        raise NotImplementedError
