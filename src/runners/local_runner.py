"""A runner that plays in envs of its own; how: episodes.py and pieces.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.envs.batched import env_name, make_batched_env, needs_process
from pymarl.envs.multiagentenv import BatchedEnv, EnvInfo
from pymarl.runners.episodes import EpisodePlayer
from pymarl.runners.pieces import BEGINNINGS, PiecePlayer
from pymarl.runners.player import ActingMAC, Tell
from pymarl.runners.runner import Runner
from pymarl.runners.seeds import WHOLE, EpisodeSeeds, Phase, Share
from pymarl.utils.errors import UserError

LARGEST_SEED = 2**64 - 1


class LocalRunner(Runner):
    """Plays in envs of its own, one row each; processes that it starts step them, not more.

    With `rollout_steps` tests play whole episodes in an env of their own.

    Args:
        config: the class's Config.
        origin: "env_args.<key>" -> where it was set, for messages.
        tell: is told at once, in one line, of every episode that broke and is played once more, or begins anew.
        share: what it plays of the run's episodes.
        trial: build one env alone, and in a process of its own where such are used: to try out a config.

    Raises:
        UserError: an env cannot be made; see `make_batched_env`.
    """

    in_process: ClassVar[bool]

    def __init__(
        self,
        config: Any,
        origin: Mapping[str, str] = {},
        tell: Tell = lambda reason: None,
        *,
        share: Share = WHOLE,
        trial: bool = False,
    ) -> None:
        self.check_config(config)
        super().__init__(config, origin, tell)
        self._trial, self._share = trial, share
        self.batch_size = 1 if trial else share.rows(config.batch_size_run)
        self.seeds = EpisodeSeeds(config.seed, share)
        self._envs: list[BatchedEnv] = []
        self.env = self._make_env()

    def _make_env(self) -> BatchedEnv:
        c, trial = self.config, self._trial
        env = make_batched_env(
            c.env, c.env_args, self.batch_size, self._share.seed(c.seed), self.origin, self.in_process and not trial,
            None if trial else c.env_workers, revive=c.max_restarts > 0 and not trial, timeout=c.env_timeout,
        )  # fmt: skip
        self._envs.append(env)
        return env

    def get_env_info(self) -> EnvInfo:
        """Return what the env says of itself."""
        return self.env.info

    @property
    def restarts(self) -> int:
        """How many episodes broke so far and were played once more."""
        return sum(player.restarts for player in (self._episodes, self._pieces) if player is not None)

    def setup(self, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, mac: ActingMAC) -> None:
        """Take the controller that acts, and allocate what is recorded (on the CPU, wherever the mac computes)."""
        self.mac, self._recorded = mac, (scheme, groups, preprocess)
        whole = {key: entry for key, entry in scheme.items() if key not in BEGINNINGS}
        self._pieces: PiecePlayer | None = None  # made when it is first needed, and so not to evaluate
        self._episodes = EpisodePlayer(self.env, whole, groups, preprocess, mac, self.config.max_restarts, self.tell)

    def _piece_player(self) -> PiecePlayer:
        """Return what plays training's pieces, in an env of its own."""
        if self._pieces is None:
            assert self.config.rollout_steps is not None
            self._pieces = PiecePlayer(
                self._make_env(), *self._recorded, self.mac, self.config.max_restarts, self.tell,
                self.config.rollout_steps, lambda count: self.seeds.draw("train", count),
                replayable=not needs_process(self.config.env),
            )  # fmt: skip
        return self._pieces

    def run(self, test_mode: bool = False, phase: Phase | None = None) -> EpisodeBatch:
        """Play; see Runner.run."""
        drawn = self.seeds.state_dict()
        try:
            if self.plays_pieces and not test_mode:
                batch, self.episodes = self._piece_player().play(self.t_env)
            else:
                seeds = self.seeds.draw(phase or ("test" if test_mode else "train"), self.batch_size)
                batch, self.episodes = self._episodes.play(seeds, self.t_env, test_mode)
        except BaseException:
            self.seeds.load_state_dict(drawn)  # nothing of these episodes is kept
            raise
        if not test_mode:
            self.t_env += int(batch.lengths.sum())
        return batch

    def try_out(self) -> None:
        """Start an episode and take a step, where that starts no game. UserError if an agent has no action."""
        if needs_process(self.config.env):
            return
        row = np.zeros(1, np.int64)
        self.env.reset(row, np.full(1, LARGEST_SEED, np.uint64))
        stuck = np.flatnonzero(~self.env.arrays.avail_actions[0].any(-1))
        if len(stuck):
            raise UserError(
                f"env {self.config.env!r}: agent {stuck[0]} has no available action after reset; "
                f"get_avail_actions must leave one"
            )
        self.env.step(self.env.arrays.avail_actions.argmax(-1), row)

    @property
    def replay_of_episode(self) -> bool:
        """Tell whether a replay holds a row's last episode, rather than all that was played until then."""
        return self.env.replay_of_episode

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Save a replay of what each row of the tests has played; see `BatchedEnv`. UserError if there are none."""
        try:
            return self.env.save_replay(directory, rows, values)
        except NotImplementedError as error:
            raise UserError(f"env {env_name(self.env)!r} has no replays; run it without save_replay") from error

    def close_env(self) -> None:
        """Free what the envs hold."""
        for env in self._envs:
            env.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the counters of env steps, episodes and restarts, and of pieces the episodes under way."""
        pieces = {} if self._pieces is None else self._pieces.state_dict()
        return {"t_env": self.t_env, "episodes": self.seeds.state_dict(), "restarts": self.restarts, "pieces": pieces}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; see Runner."""
        self.t_env = state["t_env"]
        self._episodes.restarts = state["restarts"]
        self.seeds.load_state_dict(state["episodes"])
        if self.plays_pieces and not self._trial:
            self._piece_player().load_state_dict(state["pieces"])
