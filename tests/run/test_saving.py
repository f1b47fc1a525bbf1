"""What a run saves: with a full disk, beside another writer, and at its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pymarl import main
from pymarl.run.training import Training
from pymarl.utils.checkpoint import BUFFER_FILE, MANIFEST, files_of, steps_in, verify
from run_kit import SMALL_HUNT, SRC, models, own_module, read, run_folders, run_main, start_main, wait_for_checkpoint


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
        time.sleep(0.5)  # until the save, which takes away what others have left, is over
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
    assert f"networks   results/models/{token.name}/{step.name}\n" in out
    assert read(run_folders(tmp_path)[0], "run.json")["models"] == str(token)


OWN_ENV = """
from fake_envs import RandomWalk


class Own(RandomWalk):
    def __init__(self, seed, bonus=0.0, spoilt=10**9):
        super().__init__(seed=seed)
        self.bonus, self.spoilt, self.steps = bonus, spoilt, 0

    def step(self, actions):
        reward, terminated, info = super().step(actions)
        self.steps += 1
        return (reward + self.bonus if self.steps < self.spoilt else 1e300), terminated, info
"""


@pytest.fixture
def own_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return words that train on an env of the user's own."""
    own_module(tmp_path, monkeypatch, "own_env", OWN_ENV)
    monkeypatch.chdir(tmp_path)
    return ["--config=iql", "with", "env=own_env:Own", "runner=episode", "batch_size_run=1", "batch_size=4", "seed=1",
           "buffer_size=16", "test_nepisode=1", "t_max=200", "rnn_hidden_dim=8"]  # fmt: skip


def test_a_resume_names_what_was_left_out(
    own_env: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*own_env, "env_args.bonus=7.0"]) == 0
    capsys.readouterr()
    assert main.main([*own_env, f"resume={models(tmp_path)}"]) == 1
    expected = "error: resume: the run had env_args.bonus=7.0, and this one has no such key; write it, too"
    assert capsys.readouterr().err.splitlines() == [expected]


def test_what_was_learned_until_a_loss_diverges_is_saved(
    own_env: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*own_env, "env_args.spoilt=150", "save_final=False"]) == 1
    assert "expected a finite number" in capsys.readouterr().err
    token = models(tmp_path)
    (step,) = steps_in(token)
    verify(token / str(step), *files_of(token / str(step)))
    agent = torch.load(token / str(step) / "agent.th", weights_only=True)
    assert all(bool(tensor.isfinite().all()) for tensor in agent.values())


def test_the_end_of_a_run_that_was_stopped_keeps_its_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With save_model=False a stop saves the buffer, and the end after a resume as well: it can go on exactly."""
    monkeypatch.chdir(tmp_path)
    words = [*SMALL_HUNT, "save_model=False"]
    iterate = Training.iterate

    def stopped_once(training: Training) -> None:
        iterate(training)
        if training.episode == 8:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "iterate", stopped_once)
        assert main.main([*words, "t_max=100000"]) == 130
    token = models(tmp_path)
    assert main.main([*words, "t_max=600", f"resume={token}"]) == 0
    assert (token / str(steps_in(token)[-1]) / BUFFER_FILE).is_file()
