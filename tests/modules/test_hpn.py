"""HPN's agent: what permutes and what stays, healers, absent entities, other sizes, the authors' numbers."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hpn_kit import ALLY, ENEMY, FIRST_TARGET, KEYS, Battle, View, make_agent, make_one_hots, make_view
from pymarl.envs.specs import Block, EntityLayout
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.agents.hpns_rnn_agent import HPNSRNNAgent
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.utils.errors import UserError

BATTLE = Battle(agents=4, enemies=6)
HEALING = Battle(agents=4, enemies=5, healers=True)
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def play(agent: HPNSRNNAgent, views: list[View], way: str) -> tuple[Tensor, Tensor]:
    """Return outputs [T, R, A] and states [T, R, H] of some steps, by `forward`, `act` or `unroll`."""
    rows = len(views[0].obs)
    if way == "unroll":
        inputs = Inputs(features=torch.cat([view.obs for view in views]))
        run = agent.unroll(inputs, [rows] * len(views), states=True)
        assert run.states is not None
        return run.outputs.detach().unflatten(0, (-1, rows)), run.states.detach().unflatten(0, (-1, rows))
    hidden, outputs, states = agent.init_hidden(rows), [], []
    for view in views:
        out, hidden = (agent if way == "forward" else agent.act)(view.inputs(), hidden)
        outputs.append(out.detach())
        states.append(hidden.detach())
    return torch.stack(outputs), torch.stack(states)


def close(got: Any, expected: Any) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-6)


each_way = pytest.mark.parametrize("way", ["forward", "act", "unroll"])


@each_way
def test_attack_values_permute_with_the_enemies_and_nothing_else_changes(way: str) -> None:
    agent, views = make_agent(BATTLE), [make_view(BATTLE, seed=seed) for seed in range(3)]
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    outputs, states = play(agent, views, way)
    permuted, after = play(agent, [view._replace(enemies=view.enemies[:, order]) for view in views], way)
    close(after, states)
    close(permuted[..., :FIRST_TARGET], outputs[..., :FIRST_TARGET])
    close(permuted[..., FIRST_TARGET:], outputs[..., FIRST_TARGET:][..., order])
    assert (outputs[..., FIRST_TARGET:].std(-1) > 1e-2).all(), "enemies that differ have values that differ"


@each_way
def test_nothing_changes_with_the_order_of_the_allies(way: str) -> None:
    agent, views = make_agent(BATTLE), [make_view(BATTLE, seed=seed) for seed in range(3)]
    outputs, states = play(agent, views, way)
    permuted, after = play(agent, [view._replace(allies=view.allies[:, [2, 0, 1]]) for view in views], way)
    close((permuted, after), (outputs, states))
    changed, _ = play(agent, [view._replace(allies=view.allies + 1) for view in views], way)
    assert not torch.allclose(changed, outputs), "allies do matter"


@each_way
def test_healers_aim_at_allies_by_their_numbers(way: str) -> None:
    """Agents 0 and 2 heal: their targets' values are those of the ally with that number, whoever else there is."""
    agent, teams, n = make_agent(HEALING), 3, HEALING.agents
    view = make_view(HEALING, teams, healers=(0, 2))
    outputs, _ = play(agent, [view], way)
    targets = outputs[0, :, FIRST_TARGET:].unflatten(0, (teams, n))  # [teams, N, 5]
    assert not targets[:, 0, [0, 4]].any(), "nobody heals itself, or an agent that there is not"
    assert not targets[:, 2, [2, 4]].any()
    assert targets[:, [0, 2]].bool().sum() == teams * 2 * 3
    order = [2, 0, 1]  # of the three allies that each sees
    permuted, _ = play(agent, [view._replace(allies=view.allies[:, order])], way)
    after = permuted[0, :, FIRST_TARGET:].unflatten(0, (teams, n))
    for healer in (0, 2):
        others = [number for number in range(n) if number != healer]
        close(after[:, healer, others], targets[:, healer, others][:, order])
    close(after[:, [1, 3]], targets[:, [1, 3]])
    swapped, _ = play(agent, [view._replace(enemies=view.enemies.flip(1))], way)
    after = swapped[0, :, FIRST_TARGET:].unflatten(0, (teams, n))
    close(after[:, [1, 3]], targets[:, [1, 3]].flip(-1))
    close(after[:, [0, 2]], targets[:, [0, 2]])


def test_some_agents_alone_know_their_numbers() -> None:
    agent, view = make_agent(HEALING), make_view(HEALING, 3, healers=(0, 2))
    rows = torch.arange(12).view(3, 4)[:, [2, 3]].flatten()
    some = dataclasses.replace(Inputs(features=view.obs[rows]), agents=(2, 3))
    close(agent.unroll(some, [6]).outputs, agent.unroll(view.inputs(), [12]).outputs[rows])


@each_way
@pytest.mark.parametrize("battle", [BATTLE, HEALING])
def test_absent_entities_are_zeros_and_add_nothing(battle: Battle, way: str) -> None:
    """The same weights, for a larger battle in which nobody stands in the places that are added."""
    larger = Battle(battle.agents + 2, battle.enemies + 3, battle.healers)
    small, large = make_agent(battle), make_agent(larger)
    large.load_state_dict(small.state_dict())
    teams = 3
    view = make_view(battle, teams, healers=(1,))
    outputs, states = play(small, [view, view], way)
    wide = View(
        view.move, torch.cat([view.enemies, view.enemies.new_zeros(len(view.move), 3, 5)], 1),
        torch.cat([view.allies, view.allies.new_zeros(len(view.move), 2, 4)], 1), view.own,
    )  # fmt: skip
    nobody = View(*(part.new_zeros(teams, 2, *part.shape[1:]) for part in wide))
    both = View(
        *(torch.cat([a.unflatten(0, (teams, -1)), b], 1).flatten(0, 1) for a, b in zip(wide, nobody, strict=True))
    )
    got, after = play(large, [both, both], way)
    kept = torch.arange(teams * larger.agents).view(teams, -1)[:, : battle.agents].flatten()
    close(after[:, kept], states)
    count = FIRST_TARGET + min(battle.enemies, battle.agents if battle.healers else battle.enemies)
    close(got[:, kept, :count], outputs[..., :count])
    assert got.isfinite().all()


@pytest.mark.parametrize("hyper", [16, 32, 6])
@pytest.mark.parametrize("one_hots", [False, True])
@pytest.mark.parametrize("battle", [BATTLE, HEALING])
def test_folded_gradients_are_those_of_the_paper(battle: Battle, one_hots: bool, hyper: int) -> None:
    """`unroll` folds the hypernetworks, with kernels or without; `forward` lets them write every entity's weights."""
    agent = make_agent(battle, hpn_hyper_dim=hyper, obs_agent_id=one_hots, obs_last_action=one_hots)
    views = [make_view(battle, seed=seed, healers=(1, 3)) for seed in range(3)]
    for view in views:
        view.enemies[::3, 1], view.allies[1::3, 0] = 0.0, 0.0
    hots = make_one_hots(battle, teams=12) if one_hots else ()
    inputs = Inputs(features=torch.cat([view.obs for view in views]), one_hots=hots)
    results = []
    for unroll in (Agent.unroll, HPNSRNNAgent.unroll):
        agent.zero_grad()
        out = unroll(agent, inputs, [16, 16, 16]).outputs
        out.square().mean().backward()
        results.append(
            {"out": out, **{name: p.grad.clone() for name, p in agent.named_parameters() if p.grad is not None}}
        )
    assert results[0].keys() == results[1].keys() == {"out", *(name for name, _ in agent.named_parameters())}
    for name, expected in results[0].items():
        assert expected.any(), name
        scale = expected.abs().max().item()
        torch.testing.assert_close(results[1][name], expected, rtol=0, atol=1e-5 * scale, msg=name)


def test_weights_depend_on_no_number_unless_agents_or_actions_have_vectors_of_their_own() -> None:
    shapes = [
        {name: value.shape for name, value in make_agent(battle).state_dict().items()}
        for battle in (BATTLE, Battle(9, 2), Battle(2, 1))
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    assert make_agent(BATTLE).transfers
    for keys in ({"obs_agent_id": True}, {"obs_last_action": True}):
        assert not make_agent(BATTLE, **keys).transfers


def test_two_heads_of_the_same_weights_are_one() -> None:
    """A mean of heads, whatever their learned shares are."""
    two, one = make_agent(BATTLE), make_agent(BATTLE, hpn_head_num=1)
    state = {name: value for name, value in two.state_dict().items() if "unify" not in name}
    for name, width in (("hyper_enemy.2", ENEMY), ("hyper_ally.2", ALLY)):
        for kind in ("weight", "bias"):
            rows = two.get_parameter(f"{name}.{kind}").detach()
            read = rows[: width * 2 * 16].unflatten(0, (width, 2, 16))  # [F, K, H, ...]
            aims = rows[width * 2 * 16 :].unflatten(0, (-1, 2))  # [H + 1, K, ...], or of nothing
            read[:, 1], aims[:, 1] = read[:, 0], aims[:, 0]
            state[f"{name}.{kind}"] = torch.cat([read[:, 0].flatten(0, 1), aims[:, 0]])
    one.load_state_dict(state)
    close(play(two, [make_view(BATTLE)], "unroll"), play(one, [make_view(BATTLE)], "unroll"))


NO_LAYOUT = AgentSpec(input_shape=30, n_actions=9, n_agents=3)


def test_what_it_cannot_look_at_is_one_line() -> None:
    config = HPNSRNNAgent.Config(**KEYS)
    with pytest.raises(UserError, match=r"looks at the entities.*return an 'entity_layout'.*or write agent=n_rnn"):
        HPNSRNNAgent(config, NO_LAYOUT)
    spec = dataclasses.replace(NO_LAYOUT, entities=BATTLE.layout, input_shape=100)
    with pytest.raises(UserError, match=r"expected inputs of 49 features, got 100; write mac=basic_mac"):
        HPNSRNNAgent(config, spec)
    alone = EntityLayout(obs=(Block("own", 1, 2), Block("move", 1, 4)), state=(), first_target=9)
    with pytest.raises(UserError, match=r"have blocks of either, got own, move; write another agent"):
        HPNSRNNAgent(config, dataclasses.replace(NO_LAYOUT, entities=alone, input_shape=6))


def test_an_env_of_ones_own_may_have_entities_and_no_targets() -> None:
    """All actions aim at nothing, and there are no enemies: a layout of a user's."""
    layout = EntityLayout(obs=(Block("own", 1, 2), Block("allies", 3, 4)), state=(), first_target=5)
    assert layout.problem(5) == ""
    spec = AgentSpec(input_shape=14, n_actions=5, n_agents=4, entities=layout)
    agent = HPNSRNNAgent(HPNSRNNAgent.Config(**KEYS), spec)
    obs = torch.randn(8, 14, generator=torch.Generator().manual_seed(0))
    moved = torch.cat([obs[:, :2], obs[:, 2:].unflatten(1, (3, 4))[:, [1, 2, 0]].flatten(1)], 1)
    outputs = [agent.unroll(Inputs(features=each), [8]).outputs for each in (obs, moved)]
    assert outputs[0].shape == (8, 5)
    close(*outputs)


with gzip.open(FIXTURES / "hpn_numbers.pt.gz") as file:
    RECORDED = torch.load(file, weights_only=True)


def load_maker() -> Any:
    """Return the module that measures pymarl3."""
    spec = importlib.util.spec_from_file_location("make_hpn_numbers", FIXTURES / "make_hpn_numbers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = load_maker()


def check_equal(name: str, numbers: dict[str, Any]) -> None:
    """Compare values of targets that there are, and gradients, with the authors'."""
    battle, keys = MAKER.made(MAKER.CASES[name])
    agent = make_agent(battle, **keys)
    agent.load_state_dict(numbers["weights"])
    expected = numbers["values"]  # [T, R, A]
    one_hots = []
    if keys["obs_agent_id"]:
        hots = [make_one_hots(battle, MAKER.TEAMS, seed=step) for step in range(MAKER.STEPS)]
        actions = [hot[0].index.clamp(min=0) if step else hot[0].index * 0 - 1 for step, hot in enumerate(hots)]
        one_hots = [
            OneHot(torch.cat(actions), battle.n_actions),
            OneHot(torch.cat([h[1].index for h in hots]), battle.agents),
        ]
    inputs = Inputs(features=torch.cat([view.obs for view in MAKER.seen(battle)]), one_hots=tuple(one_hots))
    values = agent.unroll(inputs, [expected.shape[1]] * MAKER.STEPS).outputs.view_as(expected)
    there = expected > -1e6
    assert there.all() == (not battle.healers)
    torch.testing.assert_close(values[there], expected[there], rtol=1e-5, atol=1e-6)
    (values.square().sum() / values.numel()).backward()
    assert numbers["gradients"].keys() == dict(agent.named_parameters()).keys()
    for parameter, gradient in numbers["gradients"].items():
        scale = max(gradient.abs().max().item(), 1e-6)
        got = agent.get_parameter(parameter).grad
        torch.testing.assert_close(got, gradient, rtol=0, atol=1e-5 * scale, msg=parameter)


@pytest.mark.parametrize("name", RECORDED)
def test_values_and_gradients_equal_the_authors(name: str) -> None:
    check_equal(name, RECORDED[name])


@pytest.mark.skipif("PYMARL3_DIR" not in os.environ, reason="PYMARL3_DIR names no checkout of pymarl3")
def test_values_and_gradients_equal_a_checkouts() -> None:
    cases = MAKER.measure(Path(os.environ["PYMARL3_DIR"]))
    assert cases.keys() == RECORDED.keys()
    for name, numbers in cases.items():
        check_equal(name, numbers)
