"""What playing whole episodes and playing pieces of them share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.envs.batched import env_name
from pymarl.envs.contract import numeric_info
from pymarl.envs.multiagentenv import BatchedEnv
from pymarl.utils.errors import UserError

LONGEST_PAUSE = 15
"""Seconds before episodes that have broken often are tried again; a request to stop waits as long."""

Tell = Callable[[str], None]


class BrokenTooOften(UserError):
    """An episode broke again and again."""


class ActingMAC(Protocol):
    """The half of a controller that a runner needs.

    Attributes:
        hidden_states: [B, N, H] after the last slot; None before `init_hidden`.
    """

    hidden_states: Any

    def init_hidden(self, batch_size: int) -> None:
        """Forget everything; B episodes start."""

    def restart(self, rows: NDArray[np.int64]) -> None:
        """Let new episodes start in some rows, at the next slot."""

    def select_actions(self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any, test_mode: bool) -> Any:
        """Return actions [len(bs), N] int64 at slot t_ep of rows bs; with {key: what the scheme stores} if it does."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """What came of one episode.

    Attributes:
        seed: of the episode; native envs get it as it is, any other env gets `envs.multiagentenv.env_seed(seed)`.
        ret: undiscounted sum of the rewards, over agents too if each has its own, in env units.
        length: env steps.
        truncated: only the clock ended it.
        info: the numbers in the last step's info; with individual rewards EPyMARL's agent_<i>_return, each agent's own.
    """

    seed: int
    ret: float
    length: int
    truncated: bool
    info: Mapping[str, float]


class Player:
    """Steps a batched env with a controller and records what happens.

    Args:
        env: B rows.
        scheme, groups, preprocess: of what is recorded.
        slots: T of the batch in which it is.
        mac: acts.
        max_restarts: times in a row that an episode may break.
        tell: is told of each that does.

    Attributes:
        restarts: how many episodes broke so far and were played once more.
    """

    pause_seconds: ClassVar[float] = 1.0
    """Before what broke twice in a row is tried again; then 3 times as long, 7, ...: things may mend."""

    def __init__(
        self, env: BatchedEnv, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, slots: int,
        mac: ActingMAC, max_restarts: int, tell: Tell,
    ) -> None:  # fmt: skip
        self.env, self.mac, self.max_restarts, self.tell = env, mac, max_restarts, tell
        self.batch_size = env.batch_size
        self.batch = EpisodeBatch(scheme, groups, self.batch_size, slots, preprocess)
        self.views = {key: self.batch.numpy(key) for key in self.batch.data}
        self.stored = [key for key in ("probs",) if key in scheme]
        self._actions = self.views["actions"][..., 0]  # [B, T, N]
        self.observations = [field.name for field in env.info.with_role("observation")]
        self._observed = [(self.views[key], vars(env.arrays)[key]) for key in self.observations]
        self.restarts = 0

    def record_observations(self, index: Any, t: int) -> None:
        """Write what rows `index` see now into slot t."""
        for view, array in self._observed:
            view[index, t] = array[index]

    def act(self, index: Any, t: int, t_env: int, test_mode: bool) -> NDArray[np.int64]:
        """Return the actions of rows `index` in slot t, and record them and what else acting keeps."""
        actions = self.mac.select_actions(self.batch, t_ep=t, t_env=t_env, bs=index, test_mode=test_mode)
        if self.stored:
            actions, kept = actions
            for key in self.stored:
                self.views[key][index, t] = _numpy(kept[key])
        chosen = _numpy(actions)
        self._actions[index, t] = chosen
        return chosen

    def note_time(self, batch: EpisodeBatch, t_env: int) -> None:
        """Write when all rows of a batch were acted in, if that is kept."""
        if "acted_at" in batch.data:
            batch.data["acted_at"].fill_(t_env)

    def note_broken(self, rows: NDArray[np.int64], broke: NDArray[np.int64], rounds: int) -> None:
        """Count that these rows' episodes broke, tell, and wait a while if it is not the first time in a row.

        BrokenTooOften if one has broken more than max_restarts times in a row, `broke` [B], or if others break instead
        of it, in more rounds than would be the most if each had its own.
        """
        reasons = {row: f"row {row}: {self.env.episode_info(row)['broken']}" for row in rows.tolist()}
        self.restarts += len(reasons)
        for reason in reasons.values():
            self.tell(f"An episode broke and is played again; {reason}")
        for row, reason in reasons.items():
            if broke[row] > self.max_restarts or rounds > max(1, self.max_restarts) * self.batch_size:
                raise BrokenTooOften(
                    f"env {env_name(self.env)!r}: an episode could not be played to its end, with max_restarts="
                    f"{self.max_restarts}; the last time: {reason}"
                )
        time.sleep(min(self.pause_seconds * (2 ** min(rounds - 1, 10) - 1), LONGEST_PAUSE))

    def record(self, row: int, seed: int, returns: NDArray[np.float64], length: int) -> EpisodeRecord:
        """Return what came of the episode that has just ended in a row; `returns` [R] is the sum of its rewards."""
        return EpisodeRecord(
            seed=seed,
            ret=float(returns.sum()),
            length=length,
            truncated=bool(self.env.arrays.truncated[row]),
            info=numeric_info(self.env.episode_info(row)) | _agent_returns(returns),
        )


def _agent_returns(returns: NDArray[np.float64]) -> dict[str, float]:
    """Return each agent's own return by EPyMARL's name; {} if the team has one reward."""
    return {f"agent_{i}_return": value for i, value in enumerate(returns.tolist())} if len(returns) > 1 else {}


def _numpy(tensor: Tensor) -> NDArray[Any]:
    return tensor.cpu().numpy()
