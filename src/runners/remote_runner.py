"""A runner that lets collectors play for it, elsewhere: it sends them the weights and puts together what they play."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.envs.specs import EnvInfo
from pymarl.runners.collector import Failure, Order, Played, Start
from pymarl.runners.joining import join
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.player import BrokenTooOften, EpisodeRecord, Tell
from pymarl.runners.runner import Runner
from pymarl.runners.seeds import Phase, Share
from pymarl.utils.devices import Fetched
from pymarl.utils.errors import UserError, one_line
from pymarl.utils.seeding import torch_generator


class CollectorLost(UserError):
    """A collector's process is gone, or cannot be reached. Says how, in one line."""


class Remote(Protocol):
    """A collector as its runner sees it: calls are sent, and answered in their order."""

    def send(self, method: str, *arguments: Any) -> None:
        """Ask for a method of Collector. If nobody is there, `receive` says so."""

    def receive(self) -> Any:
        """Return the answer to the oldest call that has none yet. CollectorLost if none will come."""

    def close(self) -> None:
        """End it, whatever it does."""


class _RemoteTraceback(Exception):
    """Where it happened, in a collector; shown as the cause of what was raised there."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass
class _Worker:
    """A collector, what the runner knows of it, and the order that it has not answered yet."""

    remote: Remote
    share: Share
    state: dict[str, Any]
    version: int = -1
    restarts: int = 0
    order: Order | None = None


class RemoteRunner(Runner):
    """Lets collectors play, each its share of the rows. Subclasses say where: `start_remote` and `ship`.

    The batch that `run` returns stays as it is, also when the next run is under way.

    A collector that is lost is replaced by another one, which goes on from what was last heard of it: what it was
    playing is played again, from the same seeds and states.

    Args:
        config, origin, tell: see Runner.
        plays: the runner that collectors have.
        workers: how many collectors.
        ahead: `run_ahead` begins the next run of training; its batch comes from the weights of that moment.
    """

    acts_on = "cpu"

    def __init__(
        self, config: Any, origin: Mapping[str, str], tell: Tell, *, plays: type[LocalRunner], workers: int, ahead: bool
    ) -> None:
        super().__init__(config, origin, tell)
        self.batch_size, self._plays, self._ahead = config.batch_size_run, plays, ahead
        self._lost = 0
        self._workers: list[_Worker] = []
        self._collected: EpisodeBatch | None = None  # by `run_ahead`, and not asked for yet
        self._collected_episodes: list[EpisodeRecord] = []
        self._playing = False
        try:
            for number in range(workers):
                share = Share(number, workers)
                self._workers.append(_Worker(self.start_remote(self._start(share)), share, {}))
            for worker in self._workers:
                worker.remote.send("info")
            infos: list[EnvInfo] = [_result(worker.remote) for worker in self._workers]
            self._info = infos[0]
        except BaseException:
            self.close_env()
            raise

    def start_remote(self, start: Start) -> Remote:
        """Start a collector. CollectorLost if there is none to be had."""
        raise NotImplementedError

    def ship(self, weights: dict[str, Any]) -> Any:
        """Return weights as they are sent to collectors, once for all of them."""
        return weights

    def _start(self, share: Share) -> Start:
        return Start(self._plays, self.config, self.origin, share)

    @property
    def restarts(self) -> int:
        """How many episodes broke so far and were played once more, and collectors that were lost."""
        return self._lost + sum(worker.restarts for worker in self._workers)

    def get_env_info(self) -> EnvInfo:
        """Return what the env says of itself."""
        return self._info

    def setup(self, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, mac: Any) -> None:
        """Take the controller that is trained: collectors act with copies of it, on the CPU."""
        self._recorded, self._mac = (scheme, groups, preprocess), mac
        self._version, self._shipped = 0, None  # of the weights that went out last
        self._weights: dict[str, NDArray[Any]] = {}
        for worker in self._workers:
            worker.remote.send("setup", self._recorded, self._copy_for(worker.share))
        for worker in self._workers:
            worker.state = _result(worker.remote)

    def _copy_for(self, share: Share) -> bytes:
        """Return a pickled copy of the controller, which draws from a stream of its own."""
        name = "actions" if share.of == 1 else f"actions {share.first} of {share.of}"
        return copy_to_send(self._mac, torch_generator(self.config.seed, name))

    def run_ahead(self) -> None:
        """Begin the next `run` of training, if this is a runner that plays ahead."""
        if self._ahead and not self._playing and self._collected is None:
            self._send_orders(False, None)
            self._playing = True

    def run(self, test_mode: bool = False, phase: Phase | None = None) -> EpisodeBatch:
        """Play, or return what was played ahead; see Runner.run."""
        self._finish()
        if test_mode:
            self._send_orders(test_mode, phase)
            tested, self.episodes = join([self._played(worker) for worker in self._workers], self._recorded)
            return tested
        if self._collected is None:
            self._send_orders(test_mode, phase)
            self._playing = True
            self._finish()
        assert self._collected is not None
        batch, self._collected = self._collected, None
        self.episodes, self._collected_episodes = self._collected_episodes, []
        self.t_env += int(batch.lengths.sum())
        self._mac.action_selector.epsilon = self._workers[0].state["selector"]["epsilon"]  # for the log
        return batch

    def _finish(self) -> None:
        """Wait for what is being played for training; what its playing raises is raised here."""
        if self._playing:
            self._playing = False
            self._collected, self._collected_episodes = join(
                [self._played(worker) for worker in self._workers], self._recorded
            )

    def _send_orders(self, test_mode: bool, phase: Phase | None) -> None:
        """Tell every collector to play, with the weights as they are."""
        fetched = {key: Fetched(tensor.detach()) for key, tensor in self._mac.state_dict().items()}
        weights = {key: each.get().numpy() for key, each in fetched.items()}
        if not all(np.array_equal(array, self._weights.get(key, ())) for key, array in weights.items()):
            self._weights = {key: array.copy() for key, array in weights.items()}
            self._version, self._shipped = self._version + 1, self.ship(self._weights)
        for worker in self._workers:
            worker.order = Order(self._version, None, self.t_env, test_mode, phase)
            self._send_order(worker)

    def _send_order(self, worker: _Worker) -> None:
        assert worker.order is not None
        weights = self._shipped if worker.version != self._version else None
        worker.version = self._version
        worker.remote.send("play", worker.order._replace(weights=weights))

    def _played(self, worker: _Worker) -> Played:
        """Return what a collector has played; should it be lost, what another one has."""
        for attempt in count():
            try:
                if attempt:
                    self._replace(worker)
                played: Played = _result(worker.remote)
            except CollectorLost as error:
                self._lost += 1
                if attempt >= self.config.max_restarts:
                    raise BrokenTooOften(
                        f"{error}; its episodes could not be played to their end, with max_restarts="
                        f"{self.config.max_restarts}"
                    ) from error
                self.tell(f"{error}; another one plays its episodes again")
            else:
                break
        worker.state, worker.restarts = played.state, played.restarts
        for line in played.told:
            self.tell(line)
        return played

    def _replace(self, worker: _Worker) -> None:
        """Let a new collector play the order of one that is lost."""
        worker.remote.close()
        worker.remote, worker.version = self.start_remote(self._start(worker.share)), -1
        worker.remote.send("setup", self._recorded, self._copy_for(worker.share))
        worker.remote.send("load_state_dict", worker.state)
        _result(worker.remote)
        for line in _result(worker.remote):
            self.tell(line)
        self._send_order(worker)

    def close_env(self) -> None:
        """End the collectors."""
        for worker in self._workers:
            worker.remote.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the collectors' states, and what was played ahead."""
        self._finish()
        batch = self._collected
        ahead = [] if batch is None else [{"data": batch.data, "lengths": batch.lengths}]
        return {
            "t_env": self.t_env,
            "lost": self._lost,
            "collectors": [worker.state for worker in self._workers],
            "ahead": ahead,
            "ahead_episodes": [asdict(record) for record in self._collected_episodes],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; see Runner. ValueError if it had another number of collectors."""
        self._finish()
        if len(state["collectors"]) != len(self._workers):
            raise ValueError(f"{len(state['collectors'])} collectors, expected {len(self._workers)}")
        self.t_env, self._lost = state["t_env"], state["lost"]
        for worker, own in zip(self._workers, state["collectors"], strict=True):
            worker.state, worker.restarts = own, own["runner"]["restarts"]
            worker.remote.send("load_state_dict", own)
        for worker in self._workers:
            for line in _result(worker.remote):
                self.tell(line)
        self._collected = None
        self._collected_episodes = [EpisodeRecord(**record) for record in state["ahead_episodes"]]
        for ahead in state["ahead"]:
            data = {key: tensor.clone() for key, tensor in ahead["data"].items()}
            scheme, groups, preprocess = self._recorded
            rows, slots = data["reward"].shape[:2]
            self._collected = EpisodeBatch(
                scheme, groups, rows, slots, preprocess, data=data, lengths=ahead["lengths"].clone()
            )


def copy_to_send(mac: Any, generator: torch.Generator) -> bytes:
    """Return a pickled copy of a controller, on the CPU, that draws from a generator of its own.

    Raises:
        UserError: it cannot be copied or pickled; own agents may hold what cannot.
    """
    try:
        acting: nn.Module = copy.deepcopy(mac).to("cpu")
        acting.action_selector = mac.action_selector.twin(generator)
        return pickle.dumps(acting)
    except Exception as error:
        raise UserError(
            f"a controller with agent {type(mac.agent).__name__} cannot go to another process ({one_line(error)}); "
            f"mend that, or write runner=parallel async_collect=False"
        ) from error


def local_state(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of the local runner that played: of the first collector, if others played."""
    return state["collectors"][0]["runner"] if "collectors" in state else state


def _result(remote: Remote) -> Any:
    """Return a collector's answer, or raise what it raised."""
    value = remote.receive()
    if isinstance(value, Failure):
        raise value.error from _RemoteTraceback(value.trace)
    return value
