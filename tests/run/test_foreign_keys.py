"""Keys of other PyMARLs are taken as what they are here, refused, or harmless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pymarl.run.check import check
from pymarl.run.config import all_keys
from pymarl.run.foreign import table, take_foreign
from pymarl.utils.errors import UserError
from pymarl.utils.layers import Layers, merge


def taken(tmp_path: Path, text: str, env: str = "stag_hunt", **updates: Any) -> tuple[Layers, list[str]]:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    layers = merge(str(path), env, {"seed": 1} | updates)
    notes = take_foreign(layers)
    check(layers)
    return layers, notes


EPYMARL_IQL = """
epsilon_anneal_time: 200000
evaluation_epsilon: 0.0
buffer_size: 5000
target_update_interval_or_tau: 200
hidden_dim: 128
obs_individual_obs: False
standardise_returns: False
standardise_rewards: True
use_rnn: True
mixer:
name: "iql"
"""


def test_epymarls_iql_is_taken_as_what_it_is_here(tmp_path: Path) -> None:
    layers, notes = taken(tmp_path, EPYMARL_IQL)
    assert (layers.values["rnn_hidden_dim"], layers.values["agent"]) == (128, "rnn")
    assert layers.values["standardise_rewards"] is True
    assert (layers.values["target_update_interval_or_tau"], layers.values["target_update_interval"]) == (200, None)
    assert any("hidden_dim=128 of" in note and "is taken as rnn_hidden_dim=128" in note for note in notes)
    assert [note for note in notes if "write optimizer=adam" in note and "evaluation_epsilon" in note]
    assert [note for note in notes if "write grad_norm_clip=5" in note]


def test_epymarls_agents_without_shared_weights(tmp_path: Path) -> None:
    layers, notes = taken(tmp_path, "{mac: non_shared_mac, agent: rnn_ns, use_rnn: False}")
    assert (layers.values["mac"], layers.values["agent"]) == ("basic_mac", "ff_ns")
    assert any("agent='ff_ns'" in note for note in notes)
    assert taken(tmp_path, "{mac: non_shared_mac, agent: rnn_ns, use_rnn: True}")[0].values["agent"] == "rnn_ns"


def test_of_two_ways_to_say_when_targets_follow_the_higher_holds(tmp_path: Path) -> None:
    def both(text: str, **updates: Any) -> tuple[Any, Any]:
        values = taken(tmp_path, text, **updates)[0].values
        return values["target_update_interval"], values["target_update_interval_or_tau"]

    assert both("lr: 0.1") == (200, None)
    assert both("target_update_interval_or_tau: 0.01") == (None, 0.01)
    assert both("target_update_interval_or_tau: 0.01", target_update_interval=50) == (50, None)
    assert both("target_update_interval: 50", target_update_interval_or_tau=3) == (None, 3)
    with pytest.raises(UserError, match=r"target_update_interval=50 of .* contradicts .*_or_tau=3 beside it; keep one"):
        both("{target_update_interval: 50, target_update_interval_or_tau: 3}")
    _, notes = taken(tmp_path, "target_update_interval: 50", target_update_interval_or_tau=3)
    assert any("target_update_interval=50 of" in note and "gives way to" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "updates", "key", "value"),
    [
        ("hidden_dim: 32", {}, "rnn_hidden_dim", 32),
        ("rnn_hidden_dim: 128", {"hidden_dim": 32}, "rnn_hidden_dim", 32),
        ("hidden_dim: 128", {"rnn_hidden_dim": 32}, "rnn_hidden_dim", 32),
        ("{hidden_dim: 32, rnn_hidden_dim: 32}", {}, "rnn_hidden_dim", 32),
        ("use_rnn: False", {}, "agent", "ff"),
        ("use_rnn: False", {"use_rnn": True}, "agent", "rnn"),
        ("{use_rnn: True, agent: n_rnn}", {}, "agent", "n_rnn"),
        ("use_rnn: True", {"agent": "ff"}, "agent", "ff"),
        ("evaluation_epsilon: 0.1", {}, "test_noise", 0.1),
        ("agent: mlp", {}, "agent", "ff"),
        ("{learner: nq_learner, mac: conv_mac, agent: conv_agent}", {}, "mac", "basic_mac"),
        ("common_reward: True", {}, "common_reward", True),
        ("use_wandb: True", {"use_wandb": False}, "use_wandb", False),
        ("critic_coef: 0.5", {}, "critic_coef", 0.5),
    ],
)
def test_the_higher_layer_wins(text: str, updates: dict[str, Any], key: str, value: Any, tmp_path: Path) -> None:
    assert taken(tmp_path, text, **updates)[0].get(key) == value


def test_what_epymarl_hands_to_the_env(tmp_path: Path) -> None:
    layers, _ = taken(tmp_path, "reward_scalarisation: mean", "gymma")
    assert layers.get("env_args.reward_scalarisation") == "mean"


def test_individual_rewards_are_the_envs_affair(tmp_path: Path) -> None:
    layers, _ = taken(tmp_path, "common_reward: False", "gymma")
    assert layers.get("env_args.common_reward") is False
    for env in ("skirmish", "sc2", "stag_hunt", "one_step_matrix_game"):
        with pytest.raises(UserError, match=r"this env gives the team one reward; write common_reward=True"):
            taken(tmp_path, "common_reward: False", env)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{hidden_dim: 128, rnn_hidden_dim: 64}", "contradicts rnn_hidden_dim=64"),
        ("hidden_dim: big", "it is rnn_hidden_dim here"),
        ("{use_rnn: True, agent: ff}", r"write agent=rnn or agent=ff \(rnn_ns, ff_ns\) instead"),
        ("use_wandb: True", "Weights & Biases is not supported"),
        ("render: True", "save_replay=True"),
        ("common_reward: False", "write common_reward=True"),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        taken(tmp_path, text)


def test_the_table_names_keys_that_exist() -> None:
    targets = {entry.target for entry in table().values() if entry.target and "." not in entry.target}
    assert targets <= set(all_keys())
    assert len(targets) >= 5
    assert not set(table()) & set(all_keys())
