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
from run_kit import run_folders


def test_a_launch_that_is_cut_off_and_called_again_gives_the_numbers_of_single_runs(tmp_path: Path) -> None:
    """A run is killed with -9, then the launch is interrupted; the second call goes on, the third has nothing to do."""
    alone, launched = (tmp_path / name for name in ("alone", "launched"))
    for folder in (alone, launched):
        folder.mkdir()
    words = (*WORDS, "t_max=2000")
    process = start_launch(launched, *GRID, "with", *words)
    wait_for(launched, "results/models/*/*/run.pt")
    runs_of(launched)[0].send_signal(signal.SIGKILL)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "The same command plays what is missing." in out
    assert runs_of(launched) == []
    code, out, err = run_launch(launched, *GRID, "with", *words)
    assert (code, out.splitlines()[-1]) == (0, "2 done"), out + err
    before = len(run_folders(launched))
    code, out, _ = run_launch(launched, *GRID, "with", *words)
    assert (code, len(run_folders(launched))) == (0, before)
    check_numbers(alone, launched, words)


def test_what_fails_has_its_line(tmp_path: Path) -> None:
    code, out, err = run_launch(tmp_path, *GRID[:2], "with", "t_max=100", "buffer_max_gib=0.0000001")
    assert code == 1, err
    assert re.search(r"^failed +qmix one_step_matrix_game seed 1: error: .*buffer_max_gib", out, re.MULTILINE)
    assert out.splitlines()[-2:] == ["1 failed", "The same command plays what is missing."]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--configs=qmixx", "--env-configs=skirmish"), "error: qmixx skirmish seed 1: no config 'qmixx'"),
        (("--env-configs=skirmish",), "error: launch.py: no configs; name one at least, such as qmix"),
        ((*GRID, "--at-once=0"), "error: --at-once=0: expected 1 or more"),
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
