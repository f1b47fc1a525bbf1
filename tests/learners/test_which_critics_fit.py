"""Which critics fit which learners: a value of states, or of what the others' actions are, is not any other critic."""

from __future__ import annotations

import re

import pytest

from learner_kit import SMALL, build_part, flat_config, make_learner
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.utils.errors import UserError

OF_ACTIONS = ("coma_critic", "coma_critic_ns", "lica", "maddpg_critic", "maddpg_critic_ns", "fmac", "fmac_ns", "dop",
              "dop_ns", "pac_critic", "pac_critic_ns")  # fmt: skip
NAMES = [name for name in CRITICS if issubclass(CRITICS[name], Critic)]
KEYS = {"rnn_hidden_dim": 8, "critic_hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6}
OF_STATES = [("mappo", "critic"), ("happo", "critic"), ("epymarl/ia2c", "critic"), ("epymarl/pac_ns", "state_value"),
             ("epymarl/pac_dcg_ns", "state_value")]  # fmt: skip


def test_critics_of_actions_are_all_but_those_of_states() -> None:
    assert set(OF_ACTIONS) < set(NAMES)
    assert all(name.startswith(("ac_", "cv_", "rnn_")) for name in set(NAMES) - set(OF_ACTIONS))
    assert build_part(CRITICS["lica"], flat_config() | KEYS, SMALL).outputs() == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("alg", "key"), OF_STATES)
def test_a_value_of_states_knows_no_action(alg: str, key: str, name: str) -> None:
    flat = flat_config(alg) | KEYS | {key: name}
    if name not in OF_ACTIONS:
        assert make_learner(flat)
        return
    with pytest.raises(UserError, match=f"^{key} of .*: .*one value of a state.*write {key}=cv_critic") as error:
        make_learner(flat)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_comas_critic_sees_what_the_others_do(name: str) -> None:
    flat = flat_config("coma") | KEYS | {"critic": name}
    if name in ("coma_critic", "coma_critic_ns", "pac_critic", "pac_critic_ns"):
        assert make_learner(flat)
        return
    with pytest.raises(UserError, match=re.escape("write critic=coma_critic or critic=coma_critic_ns")) as error:
        make_learner(flat)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_dops_critic_says_a_value_of_each_action(name: str) -> None:
    flat = flat_config("dop") | KEYS | {"critic": name}
    if name in ("dop", "dop_ns"):
        assert make_learner(flat)
        return
    with pytest.raises(UserError, match=re.escape("write critic=dop or critic=dop_ns")) as error:
        make_learner(flat)
    assert "\n" not in str(error.value)
