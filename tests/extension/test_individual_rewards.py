"""Independent Q-learners on an env with a reward for each agent; a mixer has no use for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymarl import main
from run_kit import error_line, numbers, run_folders

OWN = ("with", "seed=7", "env=own_rewards:OwnRewards", "env_workers=1", "runner=parallel", "batch_size_run=8")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent))


def test_each_agent_learns_from_its_own_reward() -> None:
    """Agent 0 earns its action's number, agent 1 loses it: greedy play is 2 and 0, which their sum alone hides."""
    short = ["t_max=800", "lr=0.01", "test_interval=400", "epsilon_anneal_time=400", "rnn_hidden_dim=8",
             "target_update_interval_or_tau=0.1"]  # fmt: skip
    assert main.main(["--config=epymarl/iql", *OWN, *short]) == 0
    info = numbers(run_folders(Path.cwd())[-1])
    assert info["test_agent_0_return_mean"][-1] == 2.0
    assert info["test_agent_1_return_mean"][-1] == 0.0


@pytest.mark.parametrize("alg", ["epymarl/vdn", "epymarl/qmix_ns", "qmix"])
def test_a_mixer_wants_one_reward(alg: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_line(capsys, Path.cwd(), f"--config={alg}", *OWN)
    assert "trains on one reward for the team, but this env gives one to each of 2 agents" in line
    assert line.endswith("write env_args.common_reward=True, or mixer=None")
