"""Which runs the doctor calls dead, what it says of them, and what it mends."""

from __future__ import annotations

import json
import platform
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pymarl.tools import doctor
from pymarl.tools.dead_runs import dead_runs
from pymarl.utils.info import Journal


def make_run(results: Path, number: int, *, seconds: float = 5, host: str = "", **entries: Any) -> Path:
    """Write the folder of a run that was last heard so many seconds ago; nobody holds it."""
    folder = results / "sacred" / "3m" / "qmix" / str(number)
    folder.mkdir(parents=True)
    heard = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=seconds)
    entry = {"status": "RUNNING", "heartbeat": heard.isoformat(), "host": {"hostname": host or platform.node()}}
    (folder / "run.json").write_text(json.dumps(entry | entries))
    (folder / "config.json").write_text("{}")
    (folder / "info.json").write_text('{"loss": [0.5], "loss_T": [1]}')
    lines = [{"at": 1, "key": "loss", "values": [0.25]}, {"at": 1, "key": "loss_T", "values": [2]}]
    (folder / "info.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"at": 2, "ke')
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_the_dead_are_named(tmp_path: Path) -> None:
    held = make_run(tmp_path, 1, seconds=10**6)
    journal = Journal(held / "info.jsonl")
    make_run(tmp_path, 2, status="COMPLETED")
    killed = make_run(tmp_path, 3)
    make_run(tmp_path, 4, host="another")  # whose locks may not reach this machine
    silent = make_run(tmp_path, 5, host="another", seconds=700)
    before = make_run(tmp_path, 6)
    (before / "info.jsonl").unlink()  # a run of an earlier version
    old = make_run(tmp_path, 7, seconds=700)
    (old / "info.jsonl").unlink()
    never = make_run(tmp_path, 8, heartbeat=None)
    dead, broken = dead_runs(tmp_path)
    assert [record.folder for record in dead] == [killed, silent, old, never]
    assert broken == []
    journal.close()
    assert dead_runs(tmp_path)[0][0].folder == held


def test_the_doctor_names_them_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "models" / "qmix__1"
    (token / "1000").mkdir(parents=True)
    (token / "1000" / "run.pt").touch()
    folder = make_run(tmp_path, 1, seconds=7200, models=str(token))
    printed = make_run(tmp_path, 2)
    (printed / "cout.txt").write_text(f"[INFO] Beginning training for 9 timesteps; models in {token}\nmore\n")
    bare = make_run(tmp_path, 3, models=str(tmp_path / "models" / "none"))
    broken = make_run(tmp_path, 4)
    (broken / "run.json").write_text("{")
    before = contents(tmp_path)
    assert doctor.main(["--results", str(tmp_path)]) == 0
    assert contents(tmp_path) == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{folder}: last heard 20")
    assert lines[0].endswith(f" UTC, 2 hours ago; resume={token}")
    assert lines[1].startswith(f"{printed}: ")
    assert lines[1].endswith(f"; resume={token}")
    assert lines[2].startswith(f"{bare}: ")
    assert lines[2].endswith("; it has no checkpoint")
    assert lines[3].startswith(f"cannot be read: {broken / 'run.json'}: broken (")
    assert lines[4] == (
        f"3 of 4 runs in {tmp_path} say RUNNING, but are dead; --mend completes their info.json and writes DIED"
    )


def test_mending_completes_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, held = make_run(tmp_path, 1), make_run(tmp_path, 2)
    journal = Journal(held / "info.jsonl")
    kept = contents(held)
    heard = json.loads((folder / "run.json").read_text())["heartbeat"]
    assert doctor.main(["--results", str(tmp_path), "--mend"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("; now DIED")
    run = json.loads((folder / "run.json").read_text())
    assert (run["status"], run["stop_time"], run["heartbeat"]) == ("DIED", heard, heard)
    assert json.loads((folder / "info.json").read_text()) == {"loss": [0.5, 0.25], "loss_T": [1, 2]}
    assert contents(held) == kept
    journal.close()
    assert [record.folder for record in dead_runs(tmp_path)[0]] == [held]


def test_wrong_words_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--results", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none' / 'sacred'}: no such folder; expected")
    with pytest.raises(SystemExit):
        doctor.main(["--mend"])


def test_thousands_of_runs_are_quick(tmp_path: Path) -> None:
    for number in range(300):
        make_run(tmp_path, number, status="COMPLETED" if number % 3 else "RUNNING")
    started = time.process_time()
    assert len(dead_runs(tmp_path)[0]) == 100
    assert time.process_time() - started < 1
