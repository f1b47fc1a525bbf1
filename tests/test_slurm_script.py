"""The script in docs/slurm.md, as it is written there: cut off when its time is up, queued again, played to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import slurm_stand_in as slurm
from docs_kit import ROOT, files_shown
from launch_kit import WORDS as SHORT
from run_kit import SRC, numbers, read, run_folders, run_main, wait_for_checkpoint

SCRIPT = files_shown(ROOT / "docs" / "slurm.md")["run.sbatch"]
WORDS = ("--config=qmix", "--env-config=one_step_matrix_game", "with", *SHORT, "t_max=1500", "seed=1")


@pytest.mark.nightly
def test_a_job_whose_time_is_up_goes_on(tmp_path: Path) -> None:
    whole, here = tmp_path / "whole", tmp_path / "here"
    (here / ".venv" / "bin").mkdir(parents=True)
    whole.mkdir()
    (here / "src").symlink_to(SRC)
    (here / ".venv" / "bin" / "activate").write_text(f"export PATH={Path(sys.executable).parent}:$PATH\n")
    assert run_main(whole, *WORDS, "save_model=True")[0] == 0
    script, found = re.subn(r"^words=\(.*\)$", lambda _: f"words=({' '.join(WORDS)})", SCRIPT, flags=re.MULTILINE)
    assert found == 1
    (here / "run.sbatch").write_text(script)
    environment = os.environ | slurm.install(tmp_path / "slurm") | {"SLURM_SUBMIT_DIR": str(here)}
    subprocess.run(["sbatch", "run.sbatch"], cwd=here, env=environment, check=True)
    wait_for_checkpoint(here)
    os.kill(int((tmp_path / "slurm" / "1.pid").read_text()), signal.SIGTERM)  # as --signal=B:TERM does
    deadline = time.monotonic() + 200
    while slurm.state(tmp_path / "slurm", 1) not in ("COMPLETED", "FAILED"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert slurm.state(tmp_path / "slurm", 1) == "COMPLETED"
    first, second = run_folders(here)
    assert [read(folder, "run.json")["status"] for folder in (first, second)] == ["INTERRUPTED", "COMPLETED"]
    assert numbers(second) == numbers(run_folders(whole)[0])
