"""What files of actors and critics from EPyMARL and PyMARL2 are taken as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_foreign_keys import taken

from pymarl.run.foreign import take_foreign
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge

EPYMARL_MAPPO_NS = """
action_selector: "soft_policies"
mask_before_softmax: True
runner: "parallel"
buffer_size: 10
batch_size_run: 10
batch_size: 10
target_update_interval_or_tau: 200
lr: 0.0003
obs_agent_id: False
obs_last_action: False
obs_individual_obs: False
mac: "non_shared_mac"
agent: "rnn_ns"
agent_output_type: "pi_logits"
learner: "ppo_learner"
entropy_coef: 0.01
use_rnn: False
standardise_returns: False
standardise_rewards: True
q_nstep: 5
critic_type: "cv_critic_ns"
epochs: 4
eps_clip: 0.2
add_value_last_step: True
"""
PYMARL2_IPPO = """
action_selector: "multinomial"
epsilon_start: .0
epsilon_finish: .0
runner: "parallel"
buffer_size: 64
batch_size_run: 8
batch_size: 64
accumulated_episodes: 8
mac: 'basic_mac'
agent: 'n_rnn'
critic_coef: 0.5
entropy: 0.02
mini_epochs: 8
save_probs: True
agent_output_type: "pi_logits"
learner: "ppo_learner"
use_value_norm: True
"""


def values(tmp_path: Path, text: str, *names: str, **updates: Any) -> list[Any]:
    read = taken(tmp_path, text, **updates)[0].values
    return [read[name] for name in names]


def test_epymarls_mappo(tmp_path: Path) -> None:
    """What stands in its code comes with critic_type, and its selector samples in tests."""
    kept = {"critic": "cv_critic_ns", "returns": "n_step", "critic_coef": 2.0, "minibatches": 1, "optimizer": "adam",
            "action_selector": "multinomial", "epsilon_start": 0.0, "epsilon_finish": 0.0, "test_greedy": False,
            "agent": "ff_ns", "mac": "basic_mac", "standardise_advantages": False}  # fmt: skip
    layers, notes = taken(tmp_path, EPYMARL_MAPPO_NS)
    assert {key: layers.values[key] for key in kept} == kept
    assert [note for note in notes if "soft_policies" in note and "test_greedy=False" in note]
    assert [note for note in notes if "critic_type" in note and "brings" in note and "returns='n_step'" in note]


def test_what_a_key_brings_gives_way_to_what_is_said_beside_it_or_above(tmp_path: Path) -> None:
    names = ("returns", "critic_coef", "test_greedy", "optimizer")
    assert values(tmp_path, EPYMARL_MAPPO_NS, *names) == ["n_step", 2.0, False, "adam"]
    beside = EPYMARL_MAPPO_NS + "returns: td_lambda\ntest_greedy: True\n"
    assert values(tmp_path, beside, *names) == ["td_lambda", 2.0, True, "adam"]
    above = {"critic_coef": 1.0, "test_greedy": True, "optimizer": "rmsprop"}
    assert values(tmp_path, EPYMARL_MAPPO_NS, *names, **above) == ["n_step", 1.0, True, "rmsprop"]
    assert values(tmp_path, EPYMARL_MAPPO_NS, "critic", critic="ac_critic_ns") == ["ac_critic_ns"]


def test_what_no_part_reads_is_not_brought(tmp_path: Path) -> None:
    layers, _ = taken(tmp_path, EPYMARL_MAPPO_NS.replace("ppo_learner", "actor_critic_learner"))
    assert layers.values["minibatches"] == 4
    assert layers.values["returns"] == "n_step"


def test_pymarl2s_ippo(tmp_path: Path) -> None:
    kept = {"critic": "rnn_critic", "share_optimiser": True, "critic_coef": 0.5, "entropy_coef": 0.02, "epochs": 8,
            "minibatches": 1, "normalise_values": True, "value_clip": 0.2, "adaptive_entropy": True,
            "standardise_advantages": True, "optimizer": "adam", "returns": "gae", "buffer": None}  # fmt: skip
    layers, _ = taken(tmp_path, PYMARL2_IPPO)
    assert {key: layers.values[key] for key in kept} == kept


def test_pymarl2s_values_are_clipped_as_its_ratios_are(tmp_path: Path) -> None:
    assert values(tmp_path, PYMARL2_IPPO + "eps_clip: 0.05\n", "eps_clip", "value_clip") == [0.05, 0.05]
    assert values(tmp_path, PYMARL2_IPPO + "eps_clip: 0.05\nvalue_clip: 0.3\n", "value_clip") == [0.3]
    assert values(tmp_path, PYMARL2_IPPO, "value_clip", eps_clip=0.1) == [0.1]


@pytest.mark.parametrize(
    ("text", "above", "batch_size"),
    [
        (PYMARL2_IPPO, {}, 8),
        (PYMARL2_IPPO, {"batch_size": 64}, 64),
        (PYMARL2_IPPO, {"batch_size_run": 4}, 8),
        (PYMARL2_IPPO.replace("accumulated_episodes: 8", ""), {"batch_size_run": 4}, 4),
        (PYMARL2_IPPO.replace("buffer_size: 64", "buffer_size: 8"), {}, 64),
        (PYMARL2_IPPO.replace("buffer_size: 64", ""), {}, 64),
        ("learner: lica_learner\naction_selector: gumbel\nmac: lica_mac\nagent_output_type: pi_logits\n"
         "runner: parallel\nbuffer_size: 128\nbatch_size_run: 8\nbatch_size: 32\n", {}, 8),
        (EPYMARL_MAPPO_NS, {}, 10),
        ("learner: nq_learner\nrunner: parallel\nbuffer_size: 5000\nbatch_size_run: 8\nbatch_size: 128\n", {}, 128),
    ],
)  # fmt: skip
def test_as_many_updates_as_where_a_file_draws_from_a_ring(
    text: str, above: dict[str, Any], batch_size: int, tmp_path: Path
) -> None:
    """PyMARL2 draws batch_size of the last buffer_size episodes after each collect; here each is learned from once."""
    layers, notes = taken(tmp_path, text, **above)
    assert layers.values["batch_size"] == batch_size
    told = [note for note in notes if f"taken as batch_size={batch_size}, for as many updates as there" in note]
    assert len(told) == ("batch_size" not in above and f"batch_size: {batch_size}\n" not in text)


def test_epymarls_maddpg_samples_what_the_others_do(tmp_path: Path) -> None:
    text = "learner: maddpg_learner\nmac: maddpg_mac\ncritic_type: maddpg_critic\nagent_output_type: pi_logits\n"
    assert values(tmp_path, text, "others_actions", "action_selector") == ["sampled", "gumbel"]
    assert values(tmp_path, text + "others_actions: taken\n", "others_actions") == ["taken"]
    for alg in ("maddpg", "maddpg_ns"):
        layers = merge(f"epymarl/{alg}", "stag_hunt", {})
        take_foreign(layers)
        assert layers.values["others_actions"] == "taken", "the paper's, as our file says"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("add_value_last_step: False", "leave it out"),
        ("critic_type: big_critic", r"unknown critic 'big_critic'.*cv_critic"),
        ("critic: ac_critic", "critic_type='cv_critic_ns' of .* contradicts critic='ac_critic' beside it"),
        ("mini_epochs: 3", "mini_epochs=3 of .* contradicts epochs=4 beside it"),
    ],
)
def test_what_is_refused_in_one_line(changed: str, message: str, tmp_path: Path) -> None:
    key = changed.split(":")[0]
    text = "\n".join(line for line in EPYMARL_MAPPO_NS.splitlines() if not line.startswith(key + ":"))
    with pytest.raises(UserError, match=message) as error:
        taken(tmp_path, f"{text}\n{changed}\n")
    assert "\n" not in str(error.value)
