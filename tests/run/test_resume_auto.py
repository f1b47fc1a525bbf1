"""resume=auto: the newest checkpoint of the same config, or a run from the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pymarl import main
from pymarl.run.resume import difference
from pymarl.utils.checkpoint import RUN_FILE
from run_kit import SMALL_HUNT, numbers, read, run_folders


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    return main.main([*SMALL_HUNT, "resume=auto", *words])


def resumed(here: Path) -> str:
    return read(run_folders(here)[-1], "config.json")["resume"]


def test_it_goes_on_with_the_same_config_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("t_max=300") == 0
    assert resumed(here) == "", "there was nothing to go on from"
    (token,) = (here / "results/models").iterdir()
    assert run("t_max=300") == 0
    assert f"{token.relative_to(here)} has reached t_max=300: nothing to do" in capsys.readouterr().out
    assert len(run_folders(here)) == 1
    record = run_folders(here)[0] / "run.json"
    record.write_text(record.read_text().replace("COMPLETED", "RUNNING"))  # killed behind its last checkpoint
    assert run("t_max=300") == 0
    first, second = run_folders(here)
    assert read(second, "run.json")["status"] == "COMPLETED"
    assert numbers(second) == numbers(first)
    half = token / "half.tmp"  # of a run that was killed as it saved
    half.mkdir()
    (half / RUN_FILE).write_text("")
    assert run("t_max=600") == 0
    assert resumed(here) == str(token.relative_to(here))
    assert run("t_max=300", "lr=0.002") == 0
    assert resumed(here) == "", "another lr is another run"


def test_without_a_seed_it_goes_on_with_the_newest(here: Path) -> None:
    assert run("t_max=200", "seed=None") == 0
    assert run("t_max=400", "seed=None") == 0
    first, second = run_folders(here)
    assert read(first, "config.json")["seed"] == read(second, "config.json")["seed"]
    assert resumed(here) != ""


@pytest.mark.parametrize("key", [{"buffer": "prioritized"}, {"lr_anneal": True}, {"final_entropy_coef": 0.0}])
def test_a_schedule_over_t_max_fixes_it(key: dict[str, Any]) -> None:
    free = {"buffer": "replay", "lr_anneal": False, "final_entropy_coef": None}
    assert difference({"t_max": 100, **free}, {"t_max": 200, **free}) == ""
    fixed = free | key
    assert difference({"t_max": 100, **fixed}, {"t_max": 200, **fixed}).startswith("t_max=200, but the run had 100; ")
