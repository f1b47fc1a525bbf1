"""launch.py as a user calls it: runs on this machine, killed and gone on with."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from launch_kit import GRID, WORDS, check_numbers, run_launch, runs_of, start_launch, wait_for
from pymarl import launch
from pymarl.experiments.local import LocalBackend
from run_kit import called_from, run_folders


def test_a_launch_that_is_cut_off_and_called_again_gives_the_numbers_of_single_runs(tmp_path: Path) -> None:
    """A run is killed with -9, then the launch is interrupted; the second call goes on, the third has nothing to do."""
    alone, launched = (tmp_path / name for name in ("alone", "launched"))
    for folder in (alone, launched):
        folder.mkdir()
    words = (*WORDS, "t_max=2000")
    process = start_launch(launched, *GRID, "with", *words)
    wait_for(launched, "results/models/*/*/run.pt")
    killed = runs_of(launched)[0]
    (seed,) = [int(word.removeprefix("seed=")) for word in killed.cmdline() if word.startswith("seed=")]
    killed.send_signal(signal.SIGKILL)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Stopping: runs save after their episode, none begins" in out
    assert out.splitlines()[-1] == "2 stopped. The same command plays what is missing."
    assert runs_of(launched) == []
    code, out, err = run_launch(launched, *GRID, "with", *words)
    assert (code, out.splitlines()[-2]) == (0, "2 done"), out + err
    assert out.splitlines()[-1] == f"Figures and tables: {called_from(launched, 'report.py')} results/sacred"
    before = len(run_folders(launched))
    code, out, _ = run_launch(launched, *GRID, "with", *words)
    assert (code, len(run_folders(launched))) == (0, before)
    check_numbers(alone, launched, words, (seed,))


def test_what_fails_has_its_line(tmp_path: Path) -> None:
    code, out, err = run_launch(tmp_path, *GRID[:2], "with", "t_max=100", "buffer_max_gib=0.0000001")
    assert code == 1, err
    assert re.search(r"^failed +qmix one_step_matrix_game seed 1: error: .*buffer_max_gib", out, re.MULTILINE)
    assert out.splitlines()[-1] == (
        "1 failed. The same command plays what is missing. What failed has printed into results/launch."
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--configs=qmixx", "--env-configs=skirmish"), "error: qmixx skirmish seed 1: no config 'qmixx'"),
        (("--env-configs=skirmish",), "error: launch.py: no configs; name one at least, such as qmix"),
        ((*GRID, "--at-once=0"), "error: --at-once=0: expected 1 or more"),
        ((*GRID, "t_max=300"), "error: 't_max=300' comes before `with`; write: with t_max=300"),
        (("--config=qmix",), "error: unknown option --config; did you mean '--configs'?; --help lists them"),
        (("--plan=nowhere.yaml",), "nowhere.yaml"),
        (("--plan=x.yaml", "--configs=qmix"), "error: --plan stands alone"),
    ],
)
def test_a_mistake_is_one_line(
    words: tuple[str, ...], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert launch.main(words) == 1
    assert line in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


SLEEPS = "import time; print('at work', flush=True); time.sleep(100)"


def test_a_run_is_begun_once_whoever_begins_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher that was killed leaves runs that have no folder yet; a second launcher leaves them, and their logs."""
    (tmp_path / "main.py").write_text(SLEEPS)
    monkeypatch.setattr("pymarl.experiments.attempt.SRC", tmp_path)
    first = LocalBackend(2, 1, tmp_path / "logs").start((), "run")
    assert first is not None
    try:
        while first.last_line() != "at work":
            time.sleep(0.05)
        assert LocalBackend(2, 1, tmp_path / "logs").start((), "run") is None
        assert first.last_line() == "at work"
    finally:
        first.kill()
    second = LocalBackend(2, 1, tmp_path / "logs").start((), "run")
    assert second is not None, "the first one is gone"
    second.kill()


def test_a_run_that_someone_ends_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.py").write_text("print('Saved results/models/x'); raise SystemExit(130)")
    monkeypatch.setattr("pymarl.experiments.attempt.SRC", tmp_path)
    process = LocalBackend(1, 1, tmp_path / "logs").start((), "run")
    assert process is not None
    while not process.ended():
        time.sleep(0.05)
    assert (process.cut_off(), process.last_line()) == ("", "it was told to end, and has saved")


def test_room_is_what_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Large:
        def memory(self) -> int:
            return 10

    backend = LocalBackend(4, 1, tmp_path)
    running: list[Large] = []
    for free, room in ((0, True), (11, False), (13, True)):
        monkeypatch.setattr("pymarl.experiments.local.available_memory", lambda free=free: free)
        assert backend.has_room(running) == room, "the first run begins in any case"
        running = [Large()]
    assert not backend.has_room([Large()] * 4)
