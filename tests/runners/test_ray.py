"""runner=ray: what workers play, weights by version, and what becomes of workers and machines that are lost."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from learner_kit import flat_config
from process_kit import exists
from pymarl.envs.faults import EnvError
from pymarl.run.config import RunConfig
from pymarl.run.parts import Parts, build_parts, build_runner
from pymarl.runners.ray_runner import RayCollector, RayRunner
from pymarl.runners.remote_runner import RemoteRunner
from pymarl.utils.checkpoint import steps_in
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError
from pymarl.utils.ray_cluster import Cluster, worker_environment
from run_kit import SMALL_HUNT, error_line, models, numbers, run_folders, run_main, start_main, wait_for_checkpoint
from runner_kit import assert_same, learn, play

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install -r requirements-dev.txt"
)

QUIET = logging.getLogger("test_ray")
SOON = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 300, "health_check_timeout_ms": 1000,
        "health_check_failure_threshold": 3}  # fmt: skip
Make = Callable[..., Parts]


@pytest.fixture(scope="module", autouse=True)
def _open() -> Iterator[None]:
    """Let no ray have a token: it would be written to the home folder, and be wanted of all later clusters here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """Yield a cluster with one machine, to which a test may add more: raylets here, each as if it were one."""
    from ray import cluster_utils

    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False, "_system_config": SOON}
    )
    yield cluster
    cluster.shutdown()


@pytest.fixture
def make(machines: Any) -> Iterator[Make]:
    made: list[Parts] = []

    def build(runner: str, **keys: Any) -> Parts:
        flat = flat_config(
            "qmix", seed=3, runner=runner, batch_size_run=4, env_workers=1, rnn_hidden_dim=8, use_cuda=False,
            buffer_size=40, batch_size=8, epsilon_start=0.0, epsilon_finish=0.0,
            **{"env": "fake_envs:RandomWalk", "env_args": {}, "ray_address": machines.address, **keys},
        )  # fmt: skip
        config = build_config(RunConfig, flat, {})
        torch.manual_seed(1)
        made.append(build_parts(flat, config, build_runner(flat, config, QUIET), QUIET))
        return made[-1]

    yield build
    for parts in made:
        parts.runner.close_env()


def remotes(parts: Parts) -> list[Any]:
    assert isinstance(parts.runner, RemoteRunner)
    return [worker.remote for worker in parts.runner._workers]


def pid_of(remote: Any) -> int:
    """Return the process id of a worker, which is in what it is called."""
    found = re.fullmatch(r"the ray worker (\d+) on \S+", remote._place)
    assert found
    return int(found[1])


def test_it_plays_what_the_parallel_runner_plays(make: Make) -> None:
    """Greedy, so that no draw decides: the same batches in the same order, tests between them, and new weights."""
    plain, ray = make("parallel"), make("ray")
    assert isinstance(ray.runner, RayRunner)
    sent: list[tuple[int, bool]] = []
    for number, remote in enumerate(remotes(ray)):
        send = remote.send

        def spy(method: str, order: Any, send: Any = send, number: int = number) -> None:
            sent.append((number, order.weights is not None))
            send(method, order)

        remote.send = spy
    for turn in range(4):
        assert_same(play(ray), play(plain))
        assert ray.runner.episodes == plain.runner.episodes
        assert (ray.runner.t_env, ray.runner.restarts) == (plain.runner.t_env, 0)
        if turn == 1:
            learn(plain)
            learn(ray)
            assert_same(play(ray, test_mode=True), play(plain, test_mode=True))
    assert sent == [(number, turn in (0, 2)) for turn in range(5) for number in (0, 1)]
    assert len({pid_of(remote) for remote in remotes(ray)}) == 2


@pytest.mark.nightly
def test_a_lost_machine_costs_what_was_half_played(make: Make, machines: Any) -> None:
    """A raylet and its worker are killed while both workers play; another machine has the episodes played again."""
    second = machines.add_node(num_cpus=2)
    ray = make("ray", env="fake_envs:Promptly", env_args={"seconds": 0.15}, async_collect=True)
    plain = make("parallel")
    told: list[str] = []
    ray.runner.tell = told.append
    assert_same(play(ray), play(plain))
    here, gone = sorted(remotes(ray), key=lambda remote: psutil.Process(pid_of(remote)).ppid() == raylet(second))
    pids = pid_of(here), pid_of(gone)
    ray.runner.run_ahead()
    time.sleep(0.3)
    machines.remove_node(second, allow_graceful=False)
    os.kill(pids[1], signal.SIGKILL)
    assert_same(play(ray), play(plain))
    assert ray.runner.episodes == plain.runner.episodes
    assert ray.runner.restarts == 1
    assert len(told) == 1
    assert re.fullmatch(rf"the ray worker {pids[1]} on \S+ is lost: .*; another one plays its episodes again", told[0])
    assert pid_of(here) == pids[0]
    assert not exists(pids[1])


def raylet(node: Any) -> int:
    """Return the process id of a machine's raylet."""
    (started,) = node.all_processes["raylet"]
    pid: int = started.process.pid
    return pid


class NeverStarts:
    """Stands in for ray: the first worker that it is asked for never starts, as on a machine that is gone."""

    def __init__(self) -> None:
        self.exceptions = importlib.import_module("ray.exceptions")
        self.begun = 0

    def remote(self, **options: Any) -> Any:
        return lambda actor: SimpleNamespace(remote=self.begin)

    def begin(self, *arguments: Any) -> Any:
        self.begun += 1
        method = SimpleNamespace(remote=partial(lambda *call: call, self.begun))
        return SimpleNamespace(place=method, call=method)

    def get(self, answer: tuple[Any, ...], timeout: float | None = None) -> Any:
        if answer[0] == 1:
            raise self.exceptions.ActorDiedError
        return answer


def test_what_never_started_is_asked_for_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray may send a worker to a machine that it does not know to be gone; that is not one more loss."""
    monkeypatch.setattr("pymarl.runners.ray_runner.PAUSE_SECONDS", 0.0)
    start: Any = None
    collector = RayCollector(NeverStarts(), start, 1.0)
    collector.send("info")
    collector.send("play", "order")
    assert [collector.receive(), collector.receive()] == [(2, "info"), (2, "play", "order")]


def test_without_a_free_cpu_core_the_wait_ends(make: Make, machines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    @ray.remote(num_cpus=2)
    class Taken:
        def here(self) -> None:
            pass

    monkeypatch.setattr(RayCollector, "place_seconds", 1.0)
    ray.init(machines.address, log_to_driver=False, logging_level="ERROR")
    try:
        other = Taken.remote()
        ray.get(other.here.remote())
        with pytest.raises(UserError, match="no machine of the ray cluster had 1 free CPU cores within 1 s"):
            make("ray")
        assert ray.is_initialized(), "what the caller has made stays"
    finally:
        ray.shutdown()


def test_what_an_env_raises_is_one_line(make: Make) -> None:
    ray = make("ray", env_args={"trouble": "raise"}, ray_workers=1)
    with pytest.raises(EnvError) as caught:
        play(ray)
    assert str(caught.value).endswith("failed in row 0 during step: ZeroDivisionError: planted fault")
    assert "fake_envs.py" in caught.value.details


def test_what_keeps_it_from_starting_is_one_line(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    with pytest.raises(UserError, match="ray_workers=2 with ray_cpus_per_worker=9 take 18 CPU cores, ray has 2 at"):
        make("ray", ray_cpus_per_worker=9)
    with pytest.raises(UserError, match="nothing answers there"):
        make("ray", ray_address="127.0.0.1:1")
    with pytest.raises(UserError, match="expected HOST:PORT"):
        make("ray", ray_address="auto")
    elsewhere = worker_environment() | {"PYTHONPATH": "/nowhere"}
    monkeypatch.setattr("pymarl.runners.ray_runner.worker_environment", lambda: elsewhere)
    with pytest.raises(UserError, match=r"cannot start: ModuleNotFoundError: No module named .*; every machine needs"):
        make("ray")
    assert not ray.is_initialized()


def test_wrong_values_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = (*SMALL_HUNT, "runner=ray")
    assert "write batch_size_run=6, or" in error_line(capsys, tmp_path, *words, "ray_workers=3")
    foraging = ("--config=iql", "with", "runner=ray", "batch_size_run=4")
    assert "write env_workers=2 or None" in error_line(capsys, tmp_path, *foraging, "env_workers=3")
    monkeypatch.setitem(sys.modules, "ray", None)
    line = error_line(capsys, tmp_path, *words)
    assert line == "error: runner='ray' needs the Python module 'ray', which is not installed; `pip install ray`"


HUNT = (*SMALL_HUNT, "t_max=2400", "runner=ray", "ray_cpus_per_worker=0.5", "async_collect=True")


def processes_of(pid: int) -> dict[int, list[str]]:
    """Return the ids and command lines of a process's descendants."""
    found = {}
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found[child.pid] = child.cmdline()
    return found


def all_end(processes: Iterable[int], seconds: float = 20) -> bool:
    """Tell whether processes end within some seconds; ray's own would take a minute."""
    deadline = time.monotonic() + seconds
    while any(map(exists, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(exists, processes))


@pytest.mark.nightly
def test_resume_equals_never_stopping(machines: Any, tmp_path: Path) -> None:
    """The broken run starts a ray of its own, all of which ends with it; it goes on in the cluster of the whole one."""
    whole, broken, there = tmp_path / "whole", tmp_path / "broken", f"ray_address={machines.address}"
    whole.mkdir()
    broken.mkdir()
    process = start_main(broken, *HUNT)
    wait_for_checkpoint(broken)
    started = processes_of(process.pid)
    process.kill()
    process.communicate()
    assert sum("ray::" in " ".join(commands) for commands in started.values()) >= 3
    assert max(steps_in(models(broken))) < 2400, "the run was over before it was killed"
    assert all_end(started)
    for directory, words in ((whole, HUNT), (broken, (*HUNT, f"resume={models(broken)}"))):
        code, out, err = run_main(directory, *words, there)
        assert code == 0, err
        assert "raylet" not in out + err
    seen = numbers(run_folders(whole)[0])
    assert numbers(run_folders(broken)[-1]) == seen
    assert seen["gradient_steps"][-1] > 3


def test_signals_mean_what_they_did_and_nothing_stays() -> None:
    """Ray has a handler of SIGTERM of its own, which would end a run before it can save."""
    before, handler = processes_of(os.getpid()), signal.getsignal(signal.SIGTERM)
    cluster = Cluster(None)
    try:
        assert signal.getsignal(signal.SIGTERM) == handler
        started = {pid: words for pid, words in processes_of(os.getpid()).items() if pid not in before}
        assert len(started) > 3
    finally:
        cluster.close()
    assert all_end(started)
