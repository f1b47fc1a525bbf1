"""Controllers: inputs from a batch, hidden states, unroll against forward, refusals and target copies."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agent_kit import LAYOUT
from learner_kit import flat_config
from pymarl.components.action_selectors import EpsilonGreedyActionSelector
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers import REGISTRY
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.modules.agents import REGISTRY as AGENTS
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError

B, T, N, A, O = 5, 7, 3, 4, 6  # noqa: E741
INFO = EnvInfo(
    n_agents=N, n_actions=A, obs_shape=O, state_shape=2, episode_limit=T - 1,
    entity_layout=dataclasses.replace(LAYOUT, first_target=A - 2),
)  # fmt: skip
FLAT = flat_config(
    rnn_hidden_dim=8,
    epsilon_start=1.0,
    epsilon_finish=0.0,
    epsilon_anneal_time=100,
    test_noise=0.0,
    gain=0.01,
    hpn_hyper_dim=4,
    hpn_head_num=2,
)


def make_mac(name: str = "n_mac", agent: str = "rnn", **extra: Any) -> BasicMAC:
    flat = FLAT | extra
    cls = REGISTRY[name]
    config = build_config(cls.Config, flat, {})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AGENTS[agent](build_config(AGENTS[agent].Config, flat, {}), cls.agent_spec(config, INFO))
    selector = EpsilonGreedyActionSelector(
        build_config(EpsilonGreedyActionSelector.Config, flat, {}), torch.Generator().manual_seed(0)
    )
    mac: BasicMAC = cls(config, network, selector, INFO)
    return mac


def make_batch() -> EpisodeBatch:
    generator = torch.Generator().manual_seed(1)
    scheme = {
        "state": {"vshape": 2},
        "obs": {"vshape": O, "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.uint8},
        "avail_actions": {"vshape": (A,), "group": "agents", "dtype": torch.bool},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.bool},
    }
    batch = EpisodeBatch(scheme, {"agents": N}, B, T)
    batch.data["obs"].normal_(generator=generator)
    batch.data["actions"].random_(0, A, generator=generator)
    batch.data["avail_actions"].copy_(torch.rand(B, T, N, A, generator=generator) < 0.5)
    batch.data["avail_actions"][..., 0] = True
    batch.set_lengths(torch.tensor([6, 2, 4, 1, 4]))
    return batch


def forward_all(mac: BasicMAC, batch: EpisodeBatch) -> Tensor:
    mac.init_hidden(B)
    return torch.stack([mac.forward(batch, t) for t in range(T)], dim=1)


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(("action", "ident"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("output", ["q", "pi_logits"])
def test_unroll_is_forward_in_the_filled_slots(name: str, agent: str, action: bool, ident: bool, output: str) -> None:
    mac = make_mac(name, agent, obs_last_action=action, obs_agent_id=ident, agent_output_type=output)
    batch = make_batch()
    unrolled = mac.unroll(batch)
    filled = batch["filled"].squeeze(-1)
    assert filled.sum() == 22
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            expected = forward_all(mac, batch)
        torch.testing.assert_close(unrolled[filled], expected[filled], rtol=1e-5, atol=1e-6)
    assert not unrolled[~filled].any()


def test_inputs_are_pymarls() -> None:
    mac, batch = make_mac(), make_batch()
    mac.init_hidden(B)
    onehot = torch.nn.functional.one_hot(batch.data["actions"][..., 0].long(), A)
    for t in range(T):
        last = onehot[:, t - 1] if t else torch.zeros(B, N, A)
        expected = torch.cat([batch["obs"][:, t], last, torch.eye(N).expand(B, N, N)], dim=-1)
        assert torch.equal(mac.step_inputs(batch, t).dense(), expected.flatten(0, 1))
    assert expected.shape[-1] == mac.agent_spec(mac.config, INFO).input_shape


def test_packed_inputs_are_shared_with_the_target_and_follow_the_batch() -> None:
    mac, batch = make_mac(), make_batch()
    target = copy.deepcopy(mac)
    with torch.no_grad():
        first = mac.unroll_packed(batch).outputs
        made = {key: id(value) for key, value in batch.derived.items()}
        assert sum(key[0] == "inputs" for key in made) == 1
        assert torch.equal(target.unroll_packed(batch).outputs, first)
        assert {key: id(value) for key, value in batch.derived.items()} == made, "made once for both"
        batch.data["obs"].mul_(2)
        batch.set_lengths(batch.lengths)  # what a runner does when it fills its batch anew
        second = mac.unroll_packed(batch).outputs
        assert not torch.equal(second, first)
        batch.update({"obs": torch.zeros_like(batch["obs"])}, mark_filled=False)  # was: the old outputs again
        assert not torch.equal(mac.unroll_packed(batch).outputs, second)


def test_pi_logits_masks_before_softmax() -> None:
    batch = make_batch()
    raw = forward_all(make_mac("basic_mac"), batch)
    masked = forward_all(make_mac("basic_mac", agent_output_type="pi_logits"), batch)
    plain = forward_all(make_mac("basic_mac", agent_output_type="pi_logits", mask_before_softmax=False), batch)
    avail = batch["avail_actions"]
    assert not masked[~avail].any()
    expected = (raw.exp() * avail) / (raw.exp() * avail).sum(-1, keepdim=True)
    torch.testing.assert_close(masked, expected)
    torch.testing.assert_close(plain, raw.softmax(-1))
    assert torch.equal(forward_all(make_mac("n_mac", agent_output_type="pi_logits"), batch), raw)


@pytest.mark.parametrize("bs", [slice(None), [4, 1], np.array([0, 3])])
@pytest.mark.parametrize("test_mode", [False, True])
def test_select_actions(bs: Any, test_mode: bool) -> None:
    mac, batch = make_mac(), make_batch()
    expected = forward_all(mac, batch)
    mac.init_hidden(B)
    for t in range(T):
        actions = mac.select_actions(batch, t, t_env=100, bs=bs, test_mode=test_mode)  # epsilon is 0
        masked = expected[:, t].masked_fill(~batch["avail_actions"][:, t], -torch.inf)
        assert torch.equal(actions, masked.argmax(-1)[bs])
        assert mac.agent.training is not test_mode
        assert not actions.requires_grad
    actions = mac.select_actions(batch, 0, t_env=0, bs=bs)
    assert batch["avail_actions"][:, 0][bs].gather(-1, actions.unsqueeze(-1)).all()


def test_a_test_episode_leaves_training_draws_as_they_were() -> None:
    plain, disturbed = make_mac(), make_mac()
    batch = make_batch()
    disturbed.init_hidden(B)
    for t in range(T):
        disturbed.select_actions(batch, t, 0, test_mode=True)
    for mac in (plain, disturbed):
        mac.init_hidden(B)
    for t in range(T):
        assert torch.equal(plain.select_actions(batch, t, 0), disturbed.select_actions(batch, t, 0))


def test_no_available_action_names_the_place() -> None:
    mac, batch = make_mac(), make_batch()
    batch.data["avail_actions"][3, 2, 1] = False
    mac.init_hidden(B)
    mac.select_actions(batch, 2, 0, bs=[0, 1, 2, 4])  # rows that do not run are not looked at
    with pytest.raises(UserError, match=r"^env 3, agent 1, step 2: no action is available"):
        mac.select_actions(batch, 2, 0, bs=[4, 3])
    with pytest.raises(UserError, match=r"^env 3, agent 1, step 2: no action"):
        mac.select_actions(batch, 2, 0)


@pytest.mark.parametrize("t_env", [0, 100])
def test_nan_names_the_place(t_env: int) -> None:
    mac, batch = make_mac(), make_batch()
    batch.data["obs"][2, 4, 1, 0] = torch.nan
    mac.init_hidden(B)
    mac.select_actions(batch, 4, t_env, bs=[0, 1])
    mac.init_hidden(B)
    with pytest.raises(UserError, match=r"^env 2, agent 1, step 4: the agent's output is NaN"):
        mac.select_actions(batch, 4, t_env, bs=np.array([1, 2]))


def test_target_copy_is_frozen_and_apart() -> None:
    mac, batch = make_mac(), make_batch()
    target = copy.deepcopy(mac).requires_grad_(False)
    assert target.action_selector is mac.action_selector
    before = target.unroll_packed(batch).outputs
    with torch.no_grad():
        for param in mac.parameters():
            param.add_(0.1)
    assert torch.equal(target.unroll_packed(batch).outputs, before)
    target.load_state_dict(mac.state_dict())
    assert torch.equal(target.unroll_packed(batch).outputs, mac.unroll_packed(batch).outputs.detach())
    mac.init_hidden(B)
    assert target.hidden_states is None
    assert mac.to("cpu") is mac


@pytest.mark.parametrize("agent", ["rnn", "n_rnn", "ff", "rnn_ns", "att_rnn", "conv_agent"])
@pytest.mark.parametrize("names", [["obs", "last_action", "state"], ["obs", "agent_id", "last_action"], ["joint_obs"]])
def test_a_mac_with_other_inputs_acts_with_what_it_trains(agent: str, names: list[str]) -> None:
    """Was: acting built PyMARL's inputs whatever the class said, and the narrower rows met the wider layer silently."""

    class Other(BasicMAC):
        @staticmethod
        def input_names(config: Any) -> list[str]:
            return names

    flat, batch = FLAT | {"agent": agent}, make_batch()
    config = build_config(Other.Config, flat, {})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AGENTS[agent](build_config(AGENTS[agent].Config, flat, {}), Other.agent_spec(config, INFO))
    mac = Other(config, network, make_mac().action_selector, INFO)
    acted = forward_all(mac, batch)
    filled = batch["filled"][..., 0]
    torch.testing.assert_close(acted[filled], mac.unroll(batch)[filled].detach(), rtol=1e-5, atol=1e-6)
