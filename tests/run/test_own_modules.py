"""A user's own agent, mixer, learner or run: what is well runs, a mistake is one line with his own lines below."""

from __future__ import annotations

from pathlib import Path

import pytest

import run_kit
from pymarl import main

MODULE = """
from pymarl.learners.nq_learner import NQLearner
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.mixers.vdn import VDNMixer


class ReadsItsParameters(RNNAgent):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.spread = float(next(self.parameters()).detach().numpy().std())


class Raises(RNNAgent):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        raise ValueError("a mistake at its building")


class TakesOne(RNNAgent):
    def __init__(self, config):
        super().__init__(config, None)


class Forward(RNNAgent):
    def act(self, *args, **kwargs):
        raise ValueError("a mistake in acting")


class BadLoss(NQLearner):
    def loss(self, *args, **kwargs):
        raise ValueError("a mistake in the loss")


def takes_none():
    pass
"""
JOB = ["--config=vdn", "--env-config=one_step_matrix_game", "with", "t_max=60", "batch_size=4", "buffer_size=8",
       "test_nepisode=2", "batch_size_run=2"]  # fmt: skip


@pytest.fixture(autouse=True)
def _own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_kit.own_module(tmp_path, monkeypatch, "own_parts", MODULE)
    monkeypatch.chdir(tmp_path)


def test_an_agent_that_reads_its_parameters_trains(tmp_path: Path) -> None:
    assert main.main([*JOB, "agent=own_parts:ReadsItsParameters"]) == 0
    assert run_kit.read(run_kit.run_folders(tmp_path)[0], "run.json")["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("word", "says", "below"),
    [
        ("agent=own_parts:Raises", "in __init__: ValueError: a mistake at its building", "raise ValueError"),
        ("agent=own_parts:Forward", "in act: ValueError: a mistake in acting", "raise ValueError"),
        ("learner=own_parts:BadLoss", "in loss: ValueError: a mistake in the loss", "raise ValueError"),
        ("agent=own_parts:TakesOne", "own_parts:TakesOne takes (config), but ..., ... is handed to it", ""),
        ("run=own_parts:takes_none", "own_parts:takes_none takes (), but ..., ..., ... is handed to it", ""),
    ],
)
def test_a_mistake_in_it_is_one_line(word: str, says: str, below: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*JOB, word]) == 1
    err = capsys.readouterr().err
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert says in line
    details = err[err.index(line) + len(line) :]
    assert below in details
    assert str(run_kit.SRC) not in details


OWN_ENV = """
from fake_envs import RandomWalk


class Typed(RandomWalk):
    def __init__(self, type="easy", seed=0):
        super().__init__(seed=seed)
"""


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("type=hard", "unknown key 'type'; did you mean 'env_args.type'?"),  # of PyMARL2's Qatten at the top level
        ("env_args.seed=5", "env_args.seed=5: the run's seed gives each env its own; write seed=5"),
        ("learner=collections:OrderedDict", "learner='collections:OrderedDict': expected a class derived from"),
    ],
)
def test_keys_of_an_own_env(
    word: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_kit.own_module(tmp_path, monkeypatch, "own_env", OWN_ENV)
    assert says in run_kit.error_line(capsys, tmp_path, "--config=iql", "with", "env=own_env:Typed", word)
