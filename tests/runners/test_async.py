"""async_collect: what is played ahead, with which weights, and what becomes of a collector that is killed."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from learner_kit import flat_config
from process_kit import exists
from pymarl import main
from pymarl.envs.faults import EnvError
from pymarl.run.config import Classes, RunConfig
from pymarl.run.fit import check_choices
from pymarl.run.parts import Parts, build_local_runner, build_parts, build_runner
from pymarl.runners.async_runner import AsyncRunner
from pymarl.runners.player import BrokenTooOften
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError
from run_kit import (
    SMALL_HUNT,
    children_with,
    error_line,
    kill_and_resume,
    models,
    numbers,
    own_module,
    run_folders,
    start_main,
)
from runner_kit import assert_same, learn, play

QUIET = logging.getLogger("test_async")
Make = Callable[..., Parts]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Parts] = []

    def build(*, ahead: bool, **keys: Any) -> Parts:
        flat = flat_config(
            "qmix", env="fake_envs:RandomWalk", seed=3,
            runner="parallel", batch_size_run=3, env_workers=1, rnn_hidden_dim=8,
            use_cuda=False, buffer_size=40, batch_size=8, async_collect=ahead, epsilon_anneal_time=100,
            **{"env_args": {}, **keys},
        )  # fmt: skip
        config = build_config(RunConfig, flat, {})
        torch.manual_seed(1)
        runner = build_runner(flat, config, QUIET) if ahead else build_local_runner(flat, {}, QUIET)
        made.append(build_parts(flat, config, runner, QUIET))
        return made[-1]

    yield build
    for parts in made:
        parts.runner.close_env()


@pytest.mark.parametrize("keys", [{}, {"rollout_steps": 5}], ids=["episodes", "pieces"])
def test_a_batch_comes_from_the_weights_of_when_it_was_begun(make: Make, keys: dict[str, Any]) -> None:
    """Beside a runner that does not play ahead, and plays batch k + 1 before the weights change a k-th time."""
    plain, ahead = make(ahead=False, **keys), make(ahead=True, **keys)
    assert isinstance(ahead.runner, AsyncRunner)
    assert_same(play(ahead), play(plain))
    for _ in range(4):
        ahead.runner.run_ahead()
        before = ahead.runner.t_env
        learn(ahead)
        assert ahead.runner.t_env == before
        expected = play(plain)
        learn(plain)
        assert_same(play(ahead), expected)
        assert ahead.runner.t_env == plain.runner.t_env
        assert ahead.runner.episodes == plain.runner.episodes
        assert ahead.mac.action_selector.epsilon == plain.mac.action_selector.epsilon < 1


def test_a_test_has_the_weights_of_its_moment_and_leaves_what_is_ahead(make: Make) -> None:
    plain, ahead = make(ahead=False), make(ahead=True)
    assert_same(play(ahead), play(plain))
    ahead.runner.run_ahead()
    learn(ahead)
    expected = play(plain)
    learn(plain)
    for _ in range(2):
        assert_same(play(ahead, test_mode=True), play(plain, test_mode=True))
    assert_same(play(ahead), expected)
    assert_same(play(ahead), play(plain))


def test_weights_are_sent_where_they_have_changed(make: Make) -> None:
    ahead = make(ahead=True)
    assert isinstance(ahead.runner, AsyncRunner)
    sent: list[bool] = []
    remote = ahead.runner._workers[0].remote
    send = remote.send

    def spy(method: str, *arguments: Any) -> None:
        sent.append(arguments[0].weights is not None)
        send(method, *arguments)

    remote.send = spy  # type: ignore[method-assign]
    for _ in range(2):
        play(ahead)
    learn(ahead)
    for _ in range(2):
        play(ahead, test_mode=True)
    assert sent == [True, False, True, False]


def collector(parts: Parts) -> psutil.Process:
    """Return the collector's process."""
    assert isinstance(parts.runner, AsyncRunner)
    return psutil.Process(parts.runner._workers[0].remote.pid)  # type: ignore[attr-defined]


def test_what_a_killed_collector_was_playing_is_played_again(make: Make) -> None:
    plain, ahead = make(ahead=False), make(ahead=True)
    told: list[str] = []
    ahead.runner.tell = told.append
    assert_same(play(ahead), play(plain))
    collector(ahead).suspend()
    ahead.runner.run_ahead()
    learn(ahead)
    collector(ahead).kill()
    expected = play(plain)
    learn(plain)
    assert_same(play(ahead), expected)
    assert_same(play(ahead), play(plain))
    assert told == [
        "the collecting process was killed by SIGKILL (out of memory?); another one plays its episodes again"
    ]
    assert ahead.runner.restarts == 1


def test_without_restarts_a_killed_collector_ends_the_run(make: Make) -> None:
    ahead = make(ahead=True, max_restarts=0)
    play(ahead)
    collector(ahead).kill()
    with pytest.raises(BrokenTooOften, match=r"was killed by SIGKILL .* with max_restarts=0"):
        play(ahead)
    assert ahead.runner.state_dict()["collectors"], "it can be saved, and go on before what was lost"


def test_what_an_env_raises_is_raised_here_with_its_own_traceback(make: Make) -> None:
    ahead = make(ahead=True, env_args={"trouble": "raise"})
    with pytest.raises(EnvError, match="failed in row 0 during step") as caught:
        play(ahead)
    assert "fake_envs.py" in caught.value.details
    assert "collector.py" in str(caught.value.__cause__)


def test_an_env_that_cannot_be_made_leaves_no_process() -> None:
    flat = flat_config("qmix", env="fake_envs:RandomWalk", env_args={"no": 1}, runner="parallel", seed=1,
                       async_collect=True)  # fmt: skip
    with pytest.raises(UserError, match="no"):
        build_runner(flat, build_config(RunConfig, flat, {}), QUIET)
    assert children_with("collector_process") == []


AHEAD = (*SMALL_HUNT, "runner=parallel", "async_collect=True")


@pytest.mark.nightly
def test_resume_equals_never_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was played ahead is in the checkpoint, also in that of a run's end; and the run can be repeated."""

    def run_here(name: str, *words: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        assert main.main((*AHEAD, *words)) == 0  # in this process, which has torch already
        return folder

    broken = tmp_path / "broken"
    broken.mkdir()
    kill_and_resume(broken, AHEAD, 1200)
    seen = numbers(run_folders(run_here("whole"))[0])
    assert numbers(run_folders(broken)[-1]) == seen
    ended = run_here("ended", "t_max=600")
    run_here("ended", f"resume={models(ended)}")
    assert numbers(run_folders(ended)[-1]) == seen
    assert seen["gradient_steps"][-1] > 3


def test_a_killed_run_leaves_no_process(tmp_path: Path) -> None:
    process = start_main(tmp_path, *AHEAD, "t_max=10000000", "save_model=False")
    try:
        while "Recent Stats" not in (process.stdout.readline() if process.stdout else "Recent Stats"):
            assert process.poll() is None
        children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert children
        os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while any(map(exists, children)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(exists, children))
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_is_for_the_run_alone(tmp_path: Path) -> None:
    """The whole group gets it, as from a terminal; the run ends as it does without async_collect."""
    process = start_main(tmp_path, *AHEAD, "t_max=10000000", "save_model=False")
    try:
        while "Recent Stats" not in (process.stdout.readline() if process.stdout else "Recent Stats"):
            assert process.poll() is None
        for child in psutil.Process(process.pid).children():
            child.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_an_agent_that_cannot_be_sent_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
from pymarl.modules.agents.rnn_agent import RNNAgent
class Agent(RNNAgent):
    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.f = lambda x: x
"""
    own_module(tmp_path, monkeypatch, "unsent", text)
    monkeypatch.chdir(tmp_path)
    words = ("--config=qmix", "--env-config=one_step_matrix_game", "with", "runner=parallel", "agent=unsent:Agent")
    line = error_line(capsys, tmp_path, *words, "async_collect=True")
    assert "a controller with agent Agent cannot go to another process" in line
    assert "async_collect=False" in line
    assert not (tmp_path / "results").exists()


def test_only_replay_can_have_it() -> None:
    for buffer, refused in (("rollout", True), ("replay", False)):
        flat = flat_config("qmix", env="fake_envs:RandomWalk", seed=1, async_collect=True, buffer=buffer)
        with pytest.raises(UserError, match=r"buffer='rollout' .* async_collect=False") if refused else nullcontext():
            check_choices(build_config(RunConfig, flat, {}), Classes.of(flat), flat)
