"""Keys of other PyMARLs are taken as what they are here, refused, or harmless."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymarl.learners import REGISTRY as LEARNERS
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.run.check import check
from pymarl.run.config import all_keys
from pymarl.run.foreign import table, tables, take_foreign
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
    assert (layers.values["optimizer"], layers.values["grad_norm_clip"]) == ("adam", 5)
    assert [note for note in notes if "brings optimizer='adam', grad_norm_clip=5 of the code" in note]
    own, _ = taken(tmp_path, EPYMARL_IQL + "optimizer: rmsprop\n", grad_norm_clip=10)
    assert (own.values["optimizer"], own.values["grad_norm_clip"]) == ("rmsprop", 10)


def test_a_foreign_key_on_the_command_line_brings_nothing(tmp_path: Path) -> None:
    layers, notes = taken(tmp_path, "optimizer: rmsprop", evaluation_epsilon=0.1)
    assert (layers.values["optimizer"], layers.values["grad_norm_clip"]) == ("rmsprop", 10)
    assert layers.values["test_noise"] == 0.1
    assert not [note for note in notes if "brings" in note]


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
        ("{use_wandb: True, wandb_mode: online}", {"use_wandb": False}, "use_wandb", False),  # read as they are there
        ("critic_coef: 0.5", {}, "critic_coef", 0.5),
    ],
)
def test_the_higher_layer_wins(text: str, updates: dict[str, Any], key: str, value: Any, tmp_path: Path) -> None:
    assert taken(tmp_path, text, **updates)[0].get(key) == value


def test_what_epymarl_hands_to_the_env(tmp_path: Path) -> None:
    layers, _ = taken(tmp_path, "reward_scalarisation: mean", "gymma")
    assert layers.get("env_args.reward_scalarisation") == "mean"


PYMARL2_QPLEX = """
runner: parallel
batch_size_run: 8
learner: dmaq_qatten_learner
double_q: True
mixer: dmaq
mixing_embed_dim: 32
hypernet_embed: 64
adv_hypernet_layers: 2
adv_hypernet_embed: 64
td_lambda: 0.6
num_kernel: 4
is_minus_one: True
weighted_head: True
is_adv_attention: True
is_stop_gradient: True
"""


def test_pymarl2s_qplex_is_a_mixer_here_and_brings_its_adam(tmp_path: Path) -> None:
    layers, notes = taken(tmp_path, PYMARL2_QPLEX)
    assert [layers.values[key] for key in ("learner", "mixer", "optimizer")] == ["nq_learner", "qplex", "adam"]
    assert "learner='dmaq_qatten_learner' of " in notes[0]
    assert "is taken as learner='nq_learner', optimizer='adam'" in notes[0]
    assert "mixer='dmaq' of" in notes[1]
    assert "beside learner='nq_learner' is taken as mixer='qplex'" in notes[1]


@pytest.mark.parametrize(
    ("text", "updates", "optimizer"),
    [
        ("{learner: dmaq_qatten_learner, mixer: dmaq, optimizer: rmsprop}", {}, "rmsprop"),
        ("{learner: dmaq_qatten_learner, mixer: dmaq}", {"optimizer": "rmsprop"}, "rmsprop"),
        ("{optimizer: rmsprop, mixer: dmaq}", {"learner": "dmaq_qatten_learner"}, "adam"),
    ],
)
def test_what_a_learner_brings_gives_way_to_what_is_said_beside_it(
    text: str, updates: dict[str, Any], optimizer: str, tmp_path: Path
) -> None:
    layers, _ = taken(tmp_path, text, **updates)
    assert layers.values["optimizer"] == optimizer
    assert layers.values["mixer"] == "qplex"


def test_learners_that_stand_in_for_others_are_ours() -> None:
    learners, names = tables()["learners"], tables()["names"]
    assert {keys.get("learner", name) for name, keys in learners.items()} <= set(LEARNERS)
    assert not {name for name, keys in learners.items() if "learner" in keys} & set(LEARNERS)
    brought = [*learners.values(), *(entry.brings for entry in table().values())]
    assert all(set(keys) <= set(all_keys()) for keys in brought)
    assert {ours for meant in names["mixer"].values() for ours in meant.values()} <= set(MIXERS)


def test_a_name_may_bring_keys_that_its_own_layer_or_a_higher_one_overrules(tmp_path: Path) -> None:
    layers, notes = taken(tmp_path, "{run: on_off, learner: fmac_learner, mac: lica_mac, agent_output_type: pi_logits, "
                          "action_selector: gumbel}")  # fmt: skip
    assert [layers.get(key) for key in ("run", "buffer", "critic", "adaptive_entropy")] == [
        "default", "on_off", "fmac", True,
    ]  # fmt: skip
    assert any("run='on_off' of" in note and "is taken as run='default', buffer='on_off'" in note for note in notes)
    assert any("learner='fmac_learner' of" in note and "brings critic='fmac', adaptive" in note for note in notes)
    logits = "mac: n_mac, agent_output_type: pi_logits, action_selector: gumbel"
    text = f"{{learner: fmac_learner, {logits}, adaptive_entropy: False}}"
    layers, _ = taken(tmp_path, text, run="on_off", buffer="replay")
    assert [layers.get(key) for key in ("run", "buffer", "adaptive_entropy")] == ["default", "replay", False]


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
        ("render: True", "save_replay=True"),
        ("common_reward: False", "write common_reward=True"),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        taken(tmp_path, text)


PYMARL2_WQMIX = """
learner: "max_q_learner"
mixer: "qmix"
double_q: True
hypernet_layers: 2
w: 0.5
hysteretic_qmix: True
central_mac: "basic_central_mac"
central_agent: "central_rnn"
central_mixer: "ff"
lr: 0.001
"""


def test_pymarl2s_weighted_qmix(tmp_path: Path) -> None:
    """Its learner's name is ours, its mixer is PyMARL's QMIX, and Adam stands in its code."""
    layers, _ = taken(tmp_path, PYMARL2_WQMIX)
    kept = {key: layers.values[key] for key in ("learner", "mixer", "optimizer", "w", "hysteretic_qmix")}
    assert kept == {
        "learner": "wqmix_learner", "mixer": "qmix", "optimizer": "adam", "w": 0.5, "hysteretic_qmix": True
    }  # fmt: skip
    layers, _ = taken(tmp_path, PYMARL2_WQMIX, optimizer="rmsprop")
    assert layers.values["optimizer"] == "rmsprop"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("central_mac: my_mac", "leave central_mac out"),
        ("central_agent: central_rnn_big", "unknown central agent 'central_rnn_big'.*central_rnn"),
        ("central_mixer: qmix", r"unknown central mixer 'qmix'.*ff, atten"),
        ("central_loss: 0", "expected .*> 0"),
        ("mixer:", "mixer=None: learner='wqmix_learner' needs one"),
        (
            "mixer: qtran_base",
            "mixer='qtran_base': expected a class derived from pymarl.modules.mixers.mixer.BaseMixer",
        ),
        (
            "{learner: qtran_learner, mixer: vdn}",
            "mixer='vdn': expected a class derived from .*QTranBase; write mixer=qtran_base or qtran_alt with",
        ),
        ("{learner: qtran_learner, mixer: qtran_base, qtran_arch: paper}", "qtran_arch='paper'.*expected"),
    ],
)
def test_weighted_qmix_and_qtran_refuse_in_one_line(changed: str, message: str, tmp_path: Path) -> None:
    text = yaml.safe_dump(yaml.safe_load(PYMARL2_WQMIX) | yaml.safe_load(changed))
    with pytest.raises(UserError, match=message) as error:
        taken(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.skipif("PYMARL2_DIR" not in os.environ, reason="PYMARL2_DIR names no checkout of PyMARL2")
@pytest.mark.parametrize("alg", ["cw_qmix", "ow_qmix", "qtran"])
def test_pymarl2s_own_files_are_ours(alg: str, tmp_path: Path) -> None:
    """Byte for byte as they stand there they set what our file of the name sets."""
    text = Path(os.environ["PYMARL2_DIR"], "src", "config", "algs", f"{alg}.yaml").read_text()
    theirs, ours = taken(tmp_path, text)[0].values, merge(alg, "stag_hunt", {"seed": 1}).values
    differing = {key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]}
    assert differing == set()
    assert theirs.keys() - ours.keys() <= {"central_mac"}


def test_the_table_names_keys_that_exist() -> None:
    targets = {entry.target for entry in table().values() if entry.target and "." not in entry.target}
    assert targets <= set(all_keys())
    assert len(targets) >= 5
    assert not set(table()) & set(all_keys())
