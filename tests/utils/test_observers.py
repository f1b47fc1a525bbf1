"""sacred's run folder: what a beat costs and leaves, what a kill leaves, and a disk that is full or gone."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sacred.observers import FileStorageObserver

from pymarl.utils import info as info_files
from pymarl.utils.errors import UserError
from pymarl.utils.info import alive, read_info
from pymarl.utils.observers import RunFolder, Throttle

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 600_000)
SRC = Path(__file__).resolve().parents[2] / "src"


class Life:
    """A run as sacred's observers see it."""

    def __init__(self, directory: Path, observer: Any = None) -> None:
        self.observer = observer or RunFolder(directory)
        self.info: dict[str, Any] = {}
        self.new: dict[str, dict[str, list[Any]]] = {}
        self.text = ""
        self.beats = 0
        info = {"base_dir": str(SRC), "sources": [], "name": "test"}
        self.observer.started_event(info, "main", {"hostname": "here"}, MOMENT, {"seed": 1}, {}, None)

    @property
    def folder(self) -> Path:
        return Path(self.observer.dir)

    def log(self, key: str, value: float, t: int) -> None:
        self.info.setdefault(f"{key}_T", []).append(t)
        self.info.setdefault(key, []).append(value)
        new = self.new.setdefault(key, {"steps": [], "values": [], "timestamps": []})
        for part, item in (("steps", t), ("values", value), ("timestamps", MOMENT + timedelta(seconds=t))):
            new[part].append(item)

    def beat(self) -> None:
        self.beats += 1
        self.observer.log_metrics(self.new, self.info)
        self.new = {}
        self.observer.heartbeat_event(self.info, self.text, MOMENT + timedelta(seconds=10 * self.beats), None)

    def end(self) -> None:
        self.beat()
        self.observer.completed_event(MOMENT, None)

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(), parse_constant=strict)


def strict(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def seldom(life: Life) -> Life:
    """Let info.json be written whole once, and then at the end alone."""
    life.beat()
    life.observer._pace._next = math.inf
    return life


def test_the_files_are_those_of_sacred(tmp_path: Path) -> None:
    ours = Life(tmp_path / "ours")
    theirs = Life(tmp_path / "theirs", FileStorageObserver(tmp_path / "theirs"))
    for life in (ours, theirs):
        for t in range(5):
            life.log("loss", t / 3, t)
            life.log("won", float(t), t)
            life.beat()
        life.end()
    for name in ("info.json", "metrics.json", "config.json"):
        assert ours.read(name) == theirs.read(name), name
    assert ours.read("run.json")["status"] == "COMPLETED"
    assert len((ours.folder / "info.json").read_text().splitlines()) == 4 + 2  # a key to a line


def test_a_beat_writes_what_is_new_and_the_whole_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(tmp_path)
    whole: list[str] = []
    monkeypatch.setattr("pymarl.utils.observers.write_lines", lambda path, lines: whole.append(path.name))
    seldom(life)
    for t in range(2000):
        life.log("loss", 0.5, t)
    life.beat()
    size = (life.folder / "info.jsonl").stat().st_size
    life.log("loss", 0.25, 2000)
    life.beat()
    life.beat()
    added = (life.folder / "info.jsonl").read_bytes()[size:].splitlines()
    assert [json.loads(line) for line in added] == [
        {"at": 2000, "key": "loss", "values": [0.25]},
        {"at": 2000, "key": "loss_T", "values": [2000]},
    ]
    assert whole == ["metrics.json"]
    life.end()
    assert whole == ["metrics.json", "info.json", "metrics.json"]


def test_the_whole_files_take_a_hundredth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [0.0], []

    def write() -> None:
        written.append(now[0])
        now[0] += 0.5

    monkeypatch.setattr("pymarl.utils.observers.time.monotonic", lambda: now[0])
    pace = Throttle()
    while now[0] < 200:
        pace.write(write)
        now[0] += 10
    assert written == [0, 50.5, 101, 151.5]


def test_what_was_printed_is_filtered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = sys.modules["pymarl.utils.observers"].apply_backspaces_and_linefeeds  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "pymarl.utils.observers.apply_backspaces_and_linefeeds", lambda text: seen.append(text) or real(text)
    )
    for keep in (False, True):
        life = Life(tmp_path / str(keep))
        life.observer.keep_output = keep
        kept = ""
        seen.clear()
        for new in ("one\n", "tw\bwo\nthr", "ee\nfour\r", "FIVE\nsix"):
            kept = life.observer.filter_output(kept + new)
            life.beat()
        assert seen[-1] == "four\rFIVE\nsix"
        assert (life.folder / "cout.txt").read_text() == "one\ntwo\nthree\nFIVE\n"
        life.end()
        assert (life.folder / "cout.txt").read_text() == "one\ntwo\nthree\nFIVE\nsix"
        assert kept == ("one\ntwo\nthree\nFIVE\nsix" if keep else "six")


def test_a_killed_run_is_read_to_its_last_beat(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.info = {"loss": [0.5] * 30, "loss_T": list(range(30)), "note": "of a resumed run"}
    seldom(life)
    for t in range(30, 50):
        life.log("loss", t / 7, t)
        life.beat()
    life.info["loss_T"].append(50)  # killed between a step and its value
    life.beat()
    with (life.folder / "info.jsonl").open("a") as file:
        file.write('{"at": 50, "key": "lo')
    assert len(life.read("info.json")["loss"]) == 30
    info = read_info(life.folder)
    assert info == {"loss": life.info["loss"], "loss_T": list(range(50)), "note": "of a resumed run"}
    (life.folder / "info.json").unlink()
    assert read_info(life.folder) == info


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("info.json", "{", "info.json: broken"),
        ("info.json", "[1]", "info.json: broken (expected a JSON object, got a list)"),
        ("info.json", "[" * 5000, "info.json: broken"),
        ("info.json", "\udcff", "info.json: broken"),
        ("info.jsonl", "{}\n", "info.jsonl:1: broken"),
        (
            "info.jsonl",
            '{"at": 7, "key": "loss", "values": [1]}\n',
            "info.jsonl:1: values 2 to 7 of 'loss' are missing",
        ),
        ("info.jsonl", '{"at": "x", "key": "loss", "values": 3}\n', "info.jsonl:1: broken"),
        ("info.jsonl", "x\n{}\n", "info.jsonl:1: broken"),
    ],
)
def test_broken_files_are_one_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / "info.json").write_text('{"loss": [1, 2]}')
    (tmp_path / name).write_text(text, errors="surrogateescape")
    with pytest.raises(UserError) as error:
        read_info(tmp_path)
    assert str(tmp_path / says) in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_that_are_none_become_null(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for value in (math.nan, 1.5, math.inf, -math.inf):
        life.log("loss", value, 3)
    life.end()
    assert life.read("info.json")["loss"] == life.read("metrics.json")["loss"]["values"] == [None, 1.5, None, None]
    assert json.loads((life.folder / "info.jsonl").read_text().splitlines()[0], parse_constant=strict)
    assert math.isnan(life.info["loss"][0])  # the run itself, and its checkpoints, keep what it was


def test_values_that_json_does_not_know(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.info |= {"where": Path("/x"), "table": {(1, 2): 3}}
    life.end()
    assert set(life.read("info.json")) == {"where", "table"}


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_once_and_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pymarl.utils.observers.console_logger", lambda: logging.getLogger("test"))
    caplog.set_level("INFO")
    life = seldom(Life(tmp_path))
    life.observer.keep_output = False
    with monkeypatch.context() as disk:
        for module in (
            "pymarl.utils.info.append_whole",
            "pymarl.utils.observers.append_whole",
            "pymarl.utils.files.write_text",
        ):
            disk.setattr(module, full)
        for t in range(3):
            life.log("loss", 0.5, t)
            life.observer.filter_output("a line\n")
            life.beat()
    (told,) = [record.getMessage() for record in caplog.records]
    assert f"cannot write {life.folder}: No space left on device; " in told
    assert "free on its disk; the run goes on" in told
    life.beat()
    assert [record.getMessage() for record in caplog.records][1:] == [
        f"{life.folder}: written again, nothing is missing"
    ]
    assert read_info(life.folder) == life.info
    assert (life.folder / "cout.txt").read_text() == "a line\n" * 3


def test_a_write_that_is_cut_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(info_files.FileIO):
        room = 10**6

        def write(self, data: Any) -> int:
            if self.room == 0:
                full()
            count = super().write(data[: self.room])
            Small.room -= count
            return count

    monkeypatch.setattr(info_files, "FileIO", Small)
    life = seldom(Life(tmp_path))
    life.log("loss", 0.5, 1)
    life.beat()
    before = (life.folder / "info.jsonl").read_bytes()
    Small.room = 20
    life.log("loss", 0.75, 2)
    life.beat()
    assert (life.folder / "info.jsonl").read_bytes() == before
    Small.room = 10**6
    life.beat()
    assert read_info(life.folder) == life.info


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    life = Life(tmp_path / "results")
    life.log("loss", 0.5, 1)
    life.beat()
    shutil.rmtree(life.folder)
    life.log("loss", 0.25, 2)
    life.beat()
    assert read_info(life.folder) == life.read("info.json") == life.info
    assert life.read("config.json") == {"seed": 1}
    assert alive(life.folder)


def test_numbers_that_cannot_be_written_at_the_end_are_saved_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    life = Life(tmp_path / "results" / "sacred" / "3m")
    life.log("loss", 0.5, 1)
    shutil.rmtree(tmp_path / "results")
    assert life.observer.fault is None
    life.end()
    saved = tmp_path / "sacred-3m-1-info.json"
    line = capsys.readouterr().err
    assert line.startswith(f"error: cannot write {life.folder}: No such file or directory; ")
    assert line.endswith(f"; the run's numbers are in {saved}\n")
    assert line.count("\n") == 1
    assert life.observer.fault is not None
    assert json.loads(saved.read_text()) == life.info
    assert not (tmp_path / "results").exists()


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"the run's folder: cannot write .*file/sacred: Not a directory"):
        Life(tmp_path / "file" / "sacred")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_run_holds_its_folder_until_it_ends(tmp_path: Path) -> None:
    life = Life(tmp_path)
    assert alive(life.folder)
    life.end()
    assert alive(life.folder) is False
    (life.folder / "info.jsonl").unlink()
    assert alive(life.folder) is None


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = f"import sys, pathlib; sys.path.insert(0, {str(SRC)!r}); from pymarl.utils.info import Journal; "
    code += f"j = Journal(pathlib.Path({str(tmp_path / 'info.jsonl')!r})); print('held', flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert alive(tmp_path)
    process.kill()
    process.communicate()
    assert alive(tmp_path) is False
