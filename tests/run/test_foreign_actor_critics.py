"""Files of actor-critic methods of PyMARL, PyMARL2 and EPyMARL: what they leave to their code, and names of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_foreign_keys import taken

from pymarl.run.foreign import take_foreign
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge

PYMARLS_COMA = """
action_selector: multinomial
epsilon_start: .5
epsilon_finish: .01
buffer_size: 8
batch_size: 8
env_args: {state_last_action: False}
target_update_interval: 200
critic_lr: 0.0005
td_lambda: 0.8
agent_output_type: pi_logits
learner: coma_learner
critic_q_fn: coma
critic_train_mode: seq
q_nstep: 0
"""
OF_COMA = ("critic", "critic_hidden_dim", "obs_individual_obs", "critic_updates", "entropy_coef", "optimizer")
OWN = """
entropy: 0.09
optimizer: rmsprop
critic: coma_critic_ns
critic_hidden_dim: 32
critic_updates: batch
"""
EPYMARLS_COMA = """
action_selector: soft_policies
mask_before_softmax: True
target_update_interval_or_tau: 200
obs_last_action: False
obs_individual_obs: False
agent_output_type: pi_logits
learner: coma_learner
entropy_coef: 0.001
q_nstep: 10
critic_type: coma_critic
"""


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (PYMARLS_COMA, ("coma_critic", 128, True, "slots", 0.0, "rmsprop")),
        (PYMARLS_COMA + "entropy: 0.09", ("coma_critic", 128, True, "slots", 0.09, "adam")),  # PyMARL2's
        (PYMARLS_COMA + OWN, ("coma_critic_ns", 32, True, "batch", 0.09, "rmsprop")),
        (EPYMARLS_COMA, ("coma_critic", None, False, "batch", 0.001, "adam")),
        (EPYMARLS_COMA.rstrip() + "_ns", ("coma_critic_ns", None, False, "batch", 0.001, "adam")),
    ],
)
def test_what_a_file_leaves_to_the_code_that_it_is_for(text: str, values: tuple[Any, ...], tmp_path: Path) -> None:
    """One learner's name, three projects' code: a file's own keys tell which, and go before what these bring."""
    layers, notes = taken(tmp_path, text)
    assert tuple(layers.values[key] for key in OF_COMA) == values
    assert "state_last_action" not in layers.values["env_args"], "stag_hunt has none"
    assert any(note.startswith("learner='coma_learner' of") and " brings " in note for note in notes)


def test_our_own_files_say_all_themselves() -> None:
    for alg in ("coma", "epymarl/coma", "epymarl/coma_ns", "lica", "vmix"):
        layers = merge(alg, "stag_hunt", {"seed": 1})
        before = dict(layers.values)
        assert take_foreign(layers) == []
        differing = {key for key, value in before.items() if layers.values[key] != value}
        assert differing <= {"target_update_interval"}, "which gives way to EPyMARL's key for the same"


def test_epymarls_soft_policies_sample_without_epsilon_in_tests_too(tmp_path: Path) -> None:
    values = taken(tmp_path, EPYMARLS_COMA)[0].values
    kept = [values[key] for key in ("action_selector", "epsilon_start", "epsilon_finish", "test_greedy")]
    assert kept == ["multinomial", 0.0, 0.0, False]
    values = taken(tmp_path, EPYMARLS_COMA, test_greedy=True, epsilon_start=0.5)[0].values
    assert (values["test_greedy"], values["epsilon_start"]) == (True, 0.5)


def test_what_an_algorithms_file_says_to_an_env_without_the_key(tmp_path: Path) -> None:
    text = "env_args: {state_last_action: %s}"
    layers, notes = taken(tmp_path, text % False, "skirmish")
    assert layers.get("env_args.state_last_action") is False
    assert not [note for note in notes if "state_last_action" in note]
    layers, notes = taken(tmp_path, text % False)
    assert layers.get("env_args.state_last_action") is None
    assert [note for note in notes if "env_args.state_last_action=False of" in note]
    with pytest.raises(UserError, match=r"unknown key 'env_args\.state_last_action'"):
        taken(tmp_path, text % True)


@pytest.mark.parametrize("alg", ["coma", "vmix", "dop", "fmac"])
def test_states_hold_no_last_actions_where_an_env_can_leave_them_out(alg: str) -> None:
    layers = merge(alg, "skirmish", {"seed": 1})
    assert take_foreign(layers) == []
    assert layers.get("env_args.state_last_action") is False
    layers = merge(alg, "stag_hunt", {"seed": 1})
    assert take_foreign(layers) == []
    assert "state_last_action" not in layers.values["env_args"]


PYMARL2S_VMIX = """
action_selector: multinomial
learner: policy_gradient_v2
mixer: qmix
agent_output_type: pi_logits
lam: 0.95
ent_coef: 0.02
vf_coef: 0.1
optim: rmsprop
mac: ppo_mac
agent: rnn_ppo
"""
PYMARL2S_LICA = """
action_selector: gumbel
mac: lica_mac
agent_output_type: pi_logits
learner: lica_learner
lica_mixing_embed_dim: 48
hypernet_layers: 2
hypernet_embed_dim: 32
critics_update_num: 1
entropy_coef: 0.03
critic: lica
"""


def test_pymarl2s_vmix_and_lica(tmp_path: Path) -> None:
    values = taken(tmp_path, PYMARL2S_VMIX)[0].values
    kept = [values[key] for key in ("learner", "mac", "agent", "mixer", "entropy_coef", "optimizer")]
    assert kept == ["vmix_learner", "basic_mac", "rnn_ppo", "qmix", 0.02, "rmsprop"]
    values = taken(tmp_path, PYMARL2S_LICA)[0].values
    kept = [values[key] for key in ("mac", "critic", "mixing_embed_dim", "hypernet_embed", "optimizer")]
    assert kept == ["n_mac", "lica", 48, 32, "adam"]
    assert (values["adaptive_entropy"], values["entropy_coef"]) == (True, 0.03)
