"""The code in docs/extending.md runs as it is written there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs_kit import ROOT, files_shown
from pymarl import main
from run_kit import models, read, run_folders

FILES = files_shown(ROOT / "docs" / "extending.md")
SHORT = ("with", "seed=1", "t_max=120", "batch_size=8", "buffer_size=32", "batch_size_run=4", "test_nepisode=2",
         "rnn_hidden_dim=8", "mixing_embed_dim=4", "hypernet_embed=4", "learner_log_interval=1")  # fmt: skip
MATRIX = "--env-config=one_step_matrix_game"


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        monkeypatch.setitem(sys.modules, name[:-3], main)  # so that each test imports its own
        del sys.modules[name[:-3]]


@pytest.mark.parametrize(
    "words",
    [
        ("--config=qmix", MATRIX, *SHORT, "mixer=weighted_sum:WeightedSum"),
        ("--config=qmix", MATRIX, *SHORT, "agent=residual_agent:ResidualAgent"),
        ("--config=qmix", MATRIX, *SHORT, "learner=hysteretic:HystereticLearner", "beta_negative=0.3"),
        ("--config=qmix", *SHORT, "env=my_env:Corridor", "env_args.length=5", "t_max=300"),
        ("--config=qmix", MATRIX, *SHORT, "buffer=latest_buffer:LatestBuffer"),
    ],
    ids=lambda words: next(word for word in words if ":" in word),
)
def test_it_trains(words: tuple[str, ...], tmp_path: Path) -> None:
    assert main.main(words) == 0
    assert read(run_folders(tmp_path)[0], "run.json")["status"] == "COMPLETED"
    assert len(read(run_folders(tmp_path)[0], "info.json")["loss_td"]) > 3
    assert models(tmp_path).is_dir()


def test_the_env_passes_the_check(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pymarl.envs.check", "my_env:Corridor", "length=5"], cwd=tmp_path, text=True,
        capture_output=True, check=False, env={"PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_takes_40_lines_at_most() -> None:
    assert len(FILES) == 5
    for name, text in FILES.items():
        code = [line for line in text.splitlines() if line.strip()]
        assert len(code) <= 40, (name, len(code))
