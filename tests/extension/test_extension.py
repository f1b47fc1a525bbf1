"""Methods that need nothing of src but its parts: each stands in this folder alone, as module:Class and a YAML.

Each trains on the matrix game, keeps checkpoints, and goes on from one as if it had never stopped.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from learner_kit import spoil_padding
from pymarl import main
from pymarl.components.buffers.buffer import Sample
from pymarl.run.config import RunConfig
from pymarl.run.parts import Parts, build_local_runner, build_parts
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge
from run_kit import models, numbers, run_folders

HERE = Path(__file__).resolve().parent
METHODS = sorted(path.stem for path in HERE.glob("*.yaml"))
SHIPPED = {"coma", "happo", "maddpg", "mappo"}  # src has them, too, and trains them in tests of its own
PLAYED = [pytest.param(name, marks=pytest.mark.nightly) if name in SHIPPED else name for name in METHODS]
COMMON = ("with", "seed=7", "t_max=240", "test_interval=80", "test_nepisode=4", "log_interval=80", "rnn_hidden_dim=16",
          "runner_log_interval=40", "learner_log_interval=8", "save_model=True", "save_model_interval=96",
          "epsilon_anneal_time=150", "target_update_interval=8", "mixing_embed_dim=8")  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))


def words(method: str, *more: str) -> list[str]:
    return [f"--config={HERE / method}.yaml", "--env-config=one_step_matrix_game", *COMMON, *more]


def train(method: str, *more: str) -> dict[str, Any]:
    """Train and return info.json less what depends on the machine."""
    assert main.main(words(method, *more)) == 0
    folder = run_folders(Path.cwd())[-1]
    assert json.loads((folder / "run.json").read_text())["status"] == "COMPLETED"
    return numbers(folder)


def newest(token: Path) -> Path:
    return max((path for path in token.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def test_there_are_as_many_as_the_house_was_built_for() -> None:
    assert len(METHODS) >= 6


@pytest.mark.parametrize("method", PLAYED)
def test_it_trains_and_resumes_as_if_it_had_never_stopped(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(method)
    assert whole["gradient_steps"][-1] > 0
    losses = [key for key in whole if "loss" in key and not key.endswith("_T")]
    assert losses, "a learner says what it minimises"
    assert all(len(set(whole[key])) > 1 for key in losses)
    (tmp_path / "in_two_halves").mkdir()
    monkeypatch.chdir(tmp_path / "in_two_halves")
    train(method, "t_max=120")
    assert train(method, f"resume={models(Path.cwd())}") == whole


@pytest.mark.parametrize("method", PLAYED)
def test_its_networks_load_and_play(method: str) -> None:
    train(method)
    token = models(Path.cwd())
    assert main.main(words(method, f"checkpoint_path={token}", "evaluate=True")) == 0
    files = {
        path.name for path in max(token.iterdir(), key=lambda path: path.name.isdigit() and int(path.name)).iterdir()
    }
    assert "agent.th" in files
    network = {"mappo": "critic.th", "coma": "critic.th", "maddpg": "critic.th", "happo": "critic.th"}
    assert network.get(method, "mixer.th") in files


def test_agents_with_weights_of_their_own_are_updated_one_after_another() -> None:
    """HAPPO's optimisers each hold one agent: no agent's file holds another's averages."""
    train("happo")
    token = models(Path.cwd())
    folder = newest(token)
    agent = torch.load(folder / "agent.th", weights_only=True)
    sizes = {name.split(".")[1] for name in agent}
    assert sizes == {"0", "1"}
    for index in sizes:
        moments = torch.load(folder / f"agent_opt_{index}.th", weights_only=True)["state"]
        assert len(moments) == sum(name.startswith(f"agents.{index}.") for name in agent)


def test_each_agent_learns_from_its_own_reward(capsys: pytest.CaptureFixture[str]) -> None:
    """Agent 0 earns its action's number, agent 1 loses it: greedy play is 2 and 0, which the team's sum alone hides."""
    own = ["env=own_rewards:OwnRewards", "env_workers=1"]
    learn = ["t_max=800", "lr=0.02", "log_interval=800", "test_interval=400", "save_model=False"]
    assert main.main([f"--config={HERE / 'mappo'}.yaml", *COMMON, *own, *learn]) == 0
    info = numbers(run_folders(Path.cwd())[-1])
    assert info["test_agent_0_return_mean"][-1] == 2.0
    assert info["test_agent_1_return_mean"][-1] == 0.0
    assert info["test_return_mean"][-1] == 2.0
    capsys.readouterr()
    assert main.main(["--config=qmix", *COMMON, *own]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "learner='nq_learner' trains on one reward for the team, but this env gives one to each of 2 agents" in line


@pytest.mark.parametrize("method", ["coma", "mappo", "penalty_mixer"])
def test_the_last_slot_and_padding_cannot_change_a_loss(method: str) -> None:
    """What stands behind an episode's last transition has no meaning, and no method may learn from it."""
    seen = []
    for filler in (0, 2):
        parts = build_parts_of(method)
        parts.learner.generator.manual_seed(3)
        batch = parts.runner.run()
        rows = torch.arange(batch.batch_size)
        batch.data["actions"][rows, batch.lengths] = filler
        result = parts.learner.train(Sample(batch=spoil_padding(batch) if filler else batch), 8, 0)
        seen.append({name: value.item() for name, value in result.metrics.items()})
        parts.runner.close_env()
    assert seen[0] == seen[1]


def test_one_minibatch_is_the_whole_sample_in_its_order() -> None:
    """The first update of an epoch sees the policy that acted: ratios are 1 for every episode."""
    parts = build_parts_of("mappo", minibatches=1, epochs=1)
    result = parts.learner.train(Sample(batch=parts.runner.run()), 8, 0)
    parts.runner.close_env()
    assert result.metrics["ratio_spread"].item() < 1e-6


def build_parts_of(method: str, **keys: Any) -> Parts:
    words = {"seed": 7, "rnn_hidden_dim": 16, "mixing_embed_dim": 8, "use_cuda": False, "batch_size": 8} | keys
    words |= {"env_args": {"world_shape": [4, 4], "n_agents": 3, "n_stags": 2, "episode_limit": 10}}
    layers = merge(str(HERE / f"{method}.yaml"), "stag_hunt", words)
    config = build_config(RunConfig, layers.values, {})
    log = logging.getLogger("test_extension")
    torch.manual_seed(7)
    return build_parts(layers.values, config, build_local_runner(layers.values, {}, log), log)


@pytest.mark.parametrize(
    ("method", "words", "says"),
    [
        ("happo", "agent=rnn", "agent='rnn': learner='happo:HAPPOLearner' needs one like rnn_ns or n_rnn_ns or ff_ns"),
        (
            "maddpg",
            "buffer=prioritized",
            "learner='maddpg:MADDPGLearner' gives no priorities; write buffer=replay",
        ),
        ("mappo", "buffer=replay", "buffer='replay' gives episodes drawn from many collects, but"),
        ("coma", "critic=None", "critic=None: learner='coma:COMALearner' needs one"),
        ("mappo", "agent_output_type=q", "action_selector='gumbel' chooses from logits, but"),
    ],
)
def test_parts_that_do_not_fit_are_one_line(
    method: str, words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main.main([f"--config={HERE / method}.yaml", "--env-config=one_step_matrix_game", "with", "seed=1", words]) == 1
    )
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert says in line
    assert not Path("results").exists()
