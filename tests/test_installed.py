"""The wheel in an environment of its own: the command trains, plays and makes a page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import pymarl
from run_kit import models, run_folders
from wheel_kit import build, sources

LEAST = ("env_args.map_name=3m", "t_max=100", "batch_size_run=2", "batch_size=2", "minibatches=1", "test_nepisode=2",
         "rnn_hidden_dim=8", "seed=1")  # fmt: skip


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel beside what it needs, which is not installed anew; return the command."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "env", with_pip=False)
    python = place / "env" / "bin" / "python"
    wheel = build("wheel", place / "wheel")
    words = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(place / "env")}))
    (site / "shared.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    take_compiled(site)
    return python.parent / "pymarl"


def take_compiled(site: Path) -> None:
    """Give the installed sources, which are the same, the dates of ours and numba's cache: compiling takes a minute."""
    for name, path in sources().items():
        shutil.copystat(path, site / name)
        cache = path.parent / "__pycache__"
        for compiled in [each for end in ("nbi", "nbc", "compiled") for each in cache.glob(f"*.{end}")]:
            (site / name).parent.joinpath("__pycache__").mkdir(exist_ok=True)
            shutil.copy2(compiled, (site / name).parent / "__pycache__")


def run(command: Path, directory: Path, *words: str) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(command), *words], cwd=directory, text=True, capture_output=True, check=False,
        env=clean | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_version(command: Path, tmp_path: Path) -> None:
    assert run(command, tmp_path, "--version") == f"pymarl {pymarl.__version__}\n"


def test_from_training_to_a_page(command: Path, tmp_path: Path) -> None:
    said = run(command, tmp_path, "train", "--config=pqn_vdn", "--env-config=skirmish", "with", *LEAST)
    token = models(tmp_path).relative_to(tmp_path)
    assert f"pymarl evaluate {token}" in said
    (folder,) = run_folders(tmp_path)
    told = json.loads((folder / "run.json").read_text())
    assert told["command_line"] == f"pymarl train --config=pqn_vdn --env-config=skirmish with {' '.join(LEAST)}"
    assert (told["commit"], told["versions"]["pymarl"]) == (None, pymarl.__version__)
    assert told["experiment"]["base_dir"].endswith("site-packages/pymarl")

    run(command, tmp_path, "evaluate", str(token), "save_replay=True", "test_nepisode=1", "batch_size_run=1")
    (replay,) = (tmp_path / "results" / "replays").glob("3m_*.npz")
    run(command, tmp_path, "replay", str(replay))
    assert "<canvas" in replay.with_suffix(".html").read_text()
