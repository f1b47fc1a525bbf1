"""What a run saves: with a full disk, beside another writer, and at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import main
from run_kit import SMALL_HUNT, SRC, models, read, run_folders, run_main, start_main, wait_for_checkpoint
from utils.checkpoint import MANIFEST, files_of, steps_in, verify


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    """Files of up to 400 KiB fit: the first checkpoint, and not those with an optimiser that has made steps."""
    words = (*SMALL_HUNT, "t_max=1100", "save_model_interval=360", "save_buffer=False")
    run = subprocess.run(
        ["bash", "-c", 'ulimit -f 400; exec "$@"', "bash", sys.executable, SRC / "main.py", *words],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    token = models(tmp_path)
    for t in (480, 840, 1200):
        lost = f"NO CHECKPOINT at t_env={t}: cannot write results/models/{token.name}/{t}: File too large; "
        assert lost in run.stdout
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"error: cannot write results/models/{token.name}/1200: File too large; ")
    assert " KiB needed, " in line
    assert sorted(path.name for path in token.iterdir()) == ["120", "config.json", "runs.json"]
    verify(token / "120", *files_of(token / "120"))
    assert read(run_folders(tmp_path)[0], "run.json")["status"] == "FAILED"


def test_a_token_with_a_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start_main(tmp_path, *SMALL_HUNT, "t_max=10000000", "save_model_interval=1000000")
    try:
        wait_for_checkpoint(tmp_path)
        token = models(tmp_path)
        left = token / ".999-abcd1234"
        left.mkdir()
        monkeypatch.chdir(tmp_path)
        before = run_folders(tmp_path)
        assert main.main((*SMALL_HUNT, "t_max=10000000", f"resume={token}")) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: another run is writing to {token}; ")
        assert run_folders(tmp_path) == before
        assert left.exists()
    finally:
        process.kill()
        process.communicate()
    code, _, err = run_main(tmp_path, *SMALL_HUNT, "t_max=200", f"resume={token}")
    assert code == 0, err
    assert not left.exists()


def test_networks_are_saved_at_the_end(tmp_path: Path) -> None:
    code, out, err = run_main(tmp_path, *SMALL_HUNT, "t_max=300", "save_model=False")
    assert code == 0, err
    token = models(tmp_path)
    (step,) = (token / str(t) for t in steps_in(token))
    assert sorted(path.name for path in step.iterdir()) == ["agent.th", MANIFEST, "mixer.th", "opt.th", "run.pt"]
    assert f"The networks are in results/models/{token.name}/{step.name}" in out
    assert read(run_folders(tmp_path)[0], "run.json")["models"] == str(token)
