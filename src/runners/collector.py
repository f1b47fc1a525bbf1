"""What plays elsewhere, in another process or on another machine, for a `RemoteRunner`.

It holds a runner with envs and a controller of its own. What it is asked for is a method's name and plain arguments,
and all that a run depends on comes back with what was played: should the collector be lost, another one goes on from
there.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.specs import EnvInfo
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.player import EpisodeRecord
from pymarl.runners.seeds import Phase, Share
from pymarl.utils.seeding import global_state, seed_everything, set_global_state


class Start(NamedTuple):
    """What a collector is made of.

    Attributes:
        runner: its class.
        config: of the runner.
        origin: see Runner.
        share: what it plays of the run's episodes.
    """

    runner: type[LocalRunner]
    config: Any
    origin: Mapping[str, str]
    share: Share


class Order(NamedTuple):
    """What is to be played.

    Attributes:
        version: of the weights to act with.
        weights: {name: array} of the controller; None: those that it has are of this version.
        t_env: env steps of training so far.
        test_mode, phase: see Runner.run.
    """

    version: int
    weights: dict[str, NDArray[Any]] | None
    t_env: int
    test_mode: bool
    phase: Phase | None


@dataclass(frozen=True)
class Played:
    """What came of an order.

    Attributes:
        data: {key: [rows, slots, ...] or [rows, ...]}, padded to the longest row.
        lengths: [rows] transitions.
        episodes: records of those that ended.
        restarts: episodes that broke so far.
        told: a line for each that broke in this order.
        state: of the collector, after it.
    """

    data: dict[str, NDArray[Any]]
    lengths: NDArray[np.int64]
    episodes: list[EpisodeRecord]
    restarts: int
    told: list[str]
    state: dict[str, Any]


class Failure(NamedTuple):
    """An exception of a collector, and its traceback."""

    error: Exception
    trace: str


class Collector:
    """Plays what it is told to, on one thread of torch. Arguments as `Start`."""

    def __init__(self, start: Start) -> None:
        torch.set_num_threads(1)  # acting is too small to be shared, and the other cores have their own work
        torch.set_flush_denormal(True)
        seed_everything(start.share.seed(start.config.seed))  # which envs in this process may draw from
        self._told: list[str] = []
        self._runner = start.runner(start.config, start.origin, self._told.append, share=start.share)
        self._version = -1

    def info(self) -> EnvInfo:
        """Return what the env says of itself."""
        return self._runner.get_env_info()

    def setup(self, recorded: tuple[Any, Any, Any], mac: bytes) -> dict[str, Any]:
        """Take scheme, groups and preprocess, and a pickled controller on the CPU; return the state to begin with."""
        self._mac = pickle.loads(mac)
        self._runner.setup(*recorded, self._mac)
        return self._state()

    def play(self, order: Order) -> Played:
        """Play. Raises what `Runner.run` does."""
        if order.weights is not None:
            self._mac.load_state_dict({key: torch.from_numpy(array) for key, array in order.weights.items()})
            self._version = order.version
        if order.version != self._version:
            raise ValueError(f"weights of version {order.version} are wanted, those here are {self._version}")
        self._runner.t_env = order.t_env
        self._told.clear()
        batch = self._runner.run(order.test_mode, order.phase)
        return Played(
            data=_cropped(batch),
            lengths=batch.lengths.numpy(),
            episodes=self._runner.episodes,
            restarts=self._runner.restarts,
            told=list(self._told),
            state=self._state(),
        )

    def _state(self) -> dict[str, Any]:
        return {
            "runner": self._runner.state_dict(),
            "selector": self._mac.action_selector.state_dict(),
            "global_rng": global_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> list[str]:
        """Go on where a state was taken; return a line for each episode that cannot, and begins anew."""
        self._told.clear()
        self._runner.load_state_dict(state["runner"])
        self._mac.action_selector.load_state_dict(state["selector"])
        set_global_state(state["global_rng"])
        return list(self._told)

    def close(self) -> None:
        """Close the envs."""
        self._runner.close_env()


def _cropped(batch: EpisodeBatch) -> dict[str, NDArray[Any]]:
    """Return what a batch holds, up to its longest row, as contiguous arrays."""
    slots = int(batch.lengths.max()) + 1 if len(batch.lengths) else 1
    fields = batch.fields
    return {
        key: np.ascontiguousarray(array if fields[key].const else array[:, :slots])
        for key, array in ((key, tensor.numpy()) for key, tensor in batch.data.items())
    }


def answer(collector: Collector, method: str, arguments: tuple[Any, ...]) -> Any:
    """Return what a method returns, or what it raised as a Failure that can be sent."""
    try:
        return getattr(collector, method)(*arguments)
    except Exception as error:
        return failure(error)


def failure(error: Exception) -> Failure:
    """Return an exception as what can be sent: itself, if it comes out of a pickle as it was."""
    trace = "".join(traceback.format_exception(error))
    try:
        same = str(pickle.loads(pickle.dumps(error))) == str(error)
    except Exception:
        same = False
    return Failure(error if same else RuntimeError(trace), trace)
