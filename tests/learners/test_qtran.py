"""QTRAN-base and QTRAN-alt: slow oracles of their losses, what trains what, and what they have learned of a matrix."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from learner_kit import SMALL, flat_config, gradients, make_batch, make_learner, matrix_game, spoil_padding, train
from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers.qtran import JointInputs
from pymarl.utils.errors import UserError

MIXERS = ["qtran_base", "qtran_alt"]
ARCHS = ["qtran_paper", "coma_critic"]
LENGTHS = [5, 1, 3]


def qtran(mixer: str = "qtran_base", info: EnvInfo = SMALL, seed: int = 0, **overrides: Any) -> Any:
    keys = {"rnn_hidden_dim": 8, "mixing_embed_dim": 16, "grad_norm_clip": 1e9, "opt_loss": 0.5, "nopt_min_loss": 2.0}
    return make_learner(flat_config("qtran") | keys | {"mixer": mixer} | overrides, info, seed)


def joint_of(mixer: Any, states: Any, actions: Any, state: Any) -> tuple[float, float]:
    """Return Q_jt and V of one step and one joint action."""
    q = torch.zeros(1, *states.shape[:1], SMALL.n_actions)
    joint = mixer(JointInputs(q, q > -1, torch.tensor([actions]), state[None], states[None]))
    return joint.q.item(), joint.v.item()


def greedy_of(q: Any, avail: Any) -> list[int]:
    return [
        max((a for a in range(len(row)) if free[a]), key=lambda a: row[a]) for row, free in zip(q, avail, strict=True)
    ]


def slow_losses(learner: Any, batch: Any) -> dict[str, float]:
    """Return the means of the three squared errors, from one step, agent and action after the other."""
    unpack, config = batch.packing.unpack, learner.config
    with torch.no_grad():
        run, target = (mac.unroll_packed(batch, states=True) for mac in (learner.mac, learner.target_mac))
        q, states, target_q, target_states = map(unpack, (run.outputs, run.states, target.outputs, target.states))
        errors: dict[str, list[float]] = {"td_loss": [], "opt_loss": [], "nopt_loss": []}
        for row, length in enumerate(batch.lengths.tolist()):
            for t in range(length):
                avail, state = batch["avail_actions"][row, t].tolist(), batch["state"][row, t]
                own, says = q[row, t].tolist(), states[row, t]
                taken = batch["actions"][row, t, :, 0].tolist()
                joint, v = joint_of(learner.mixer, says, taken, state)
                target_value = batch["reward"][row, t].item()
                if not batch["terminated"][row, t]:
                    choosing = (q if config.double_q else target_q)[row, t + 1].tolist()
                    best = greedy_of(choosing, batch["avail_actions"][row, t + 1].tolist())
                    after = (target_states[row, t + 1], best, batch["state"][row, t + 1])
                    target_value += config.gamma * joint_of(learner.target_mixer, *after)[0]
                errors["td_loss"].append(joint - target_value)
                best = greedy_of(own, avail)
                best_joint, _ = joint_of(learner.mixer, says, best, state)
                errors["opt_loss"].append(sum(map(max_of, own, avail)) - best_joint + v)
                if type(learner.mixer).__name__ == "QTranBase":
                    errors["nopt_loss"].append(min(value_of(own, taken) - joint + v, 0.0))
                    continue
                squares = []
                for agent in range(SMALL.n_agents):
                    slack = []
                    for action in (a for a in range(SMALL.n_actions) if avail[agent][a]):
                        other = [*taken[:agent], action, *taken[agent + 1 :]]
                        slack.append(value_of(own, other) - joint_of(learner.mixer, says, other, state)[0] + v)
                    squares.append(min(slack) ** 2)
                errors["nopt_loss"].append((sum(squares) / len(squares)) ** 0.5)
    assert len(errors["nopt_loss"]) == sum(LENGTHS)
    assert type(learner.mixer).__name__ == "QTranAlt" or 0 < errors["nopt_loss"].count(0.0) < sum(LENGTHS)
    return {name: sum(error**2 for error in each) / len(each) for name, each in errors.items()}


def max_of(q: list[float], free: list[bool]) -> float:
    return max(value for value, can in zip(q, free, strict=True) if can)


def value_of(q: list[list[float]], actions: list[int]) -> float:
    return sum(row[action] for row, action in zip(q, actions, strict=True))


@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize(("mixer", "arch"), list(itertools.product(MIXERS, ARCHS)))
def test_losses_equal_a_slow_oracle(mixer: str, arch: str, double_q: bool) -> None:
    """Episodes of unequal length, of which one ends and two are cut; garbage in the padding of what is trained on."""
    learner, other = (qtran(mixer, qtran_arch=arch, double_q=double_q, seed=seed) for seed in (0, 1))
    learner.target_mac.load_state_dict(other.mac.state_dict())
    learner.target_mixer.load_state_dict(other.mixer.state_dict())
    learner.mixer.V[-1].bias.data -= 0.3  # so that the sum lies below Q_jt in some steps and above it in others
    batch = make_batch(LENGTHS, terminated=[False, True, False])
    expected = slow_losses(learner, batch)
    assert min(expected.values()) > 0.01
    metrics = train(learner, spoil_padding(batch), 0, 0).read()
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    total = expected["td_loss"] + 0.5 * expected["opt_loss"] + 2.0 * expected["nopt_loss"]
    assert metrics["loss_td"] == pytest.approx(total, rel=1e-5)


def test_an_unavailable_action_cannot_be_the_tightest() -> None:
    """Q_jt of an action that an agent cannot take may be anything."""
    learner = qtran("qtran_alt", qtran_arch="coma_critic")
    batch = make_batch(LENGTHS)
    taken = learner.inputs(batch, learner.mac)
    joint = learner.mixer(taken)
    q = taken.q.masked_fill(~taken.avail_actions, -1e6)
    for own in (taken, taken._replace(q=q)):
        errors = learner.mixer.nopt_error(own, joint)[: batch.packing.counts[0]]
        assert errors.abs().max() < 100


@pytest.mark.parametrize("mixer", MIXERS)
def test_each_loss_trains_what_the_paper_says(mixer: str) -> None:
    """Q_jt's networks learn from rewards alone; the agents' last layer and V from being held to Q_jt alone."""
    seen = {}
    for factors in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        learner = qtran(mixer, opt_loss=factors[0], nopt_min_loss=factors[1])
        learner.mixer.V[-1].bias.data -= 1.0
        train(learner, make_batch(LENGTHS), 0, 0)
        seen[factors] = gradients(learner)
    alone = seen.pop((0.0, 0.0))
    of_joint = [name for name in alone if name.startswith(("mixer.Q", "mixer.action_encoding"))]
    held = [name for name in alone if name.startswith(("agent.fc2", "mixer.V"))]
    shared = set(alone) - {*of_joint, *held}
    assert (len(of_joint), len(held), len(shared)) == (10, 8, 6)
    assert all(alone[name].abs().sum() > 0 for name in {*of_joint, *shared}), "the TD loss trains hidden states, too"
    assert not any(alone[name].any() for name in held)
    for both in seen.values():
        assert all(torch.equal(both[name], alone[name]) for name in of_joint)
        assert all(both[name].any() for name in held)
        assert all(not torch.equal(both[name], alone[name]) for name in shared)


@pytest.mark.parametrize("mixer", MIXERS)
def test_the_sum_equals_the_joint_value_at_the_optimum_and_bounds_it_elsewhere(mixer: str) -> None:
    """In a matrix that no monotone value can hold, with every joint action tried equally often."""
    payoff = torch.tensor([[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]])
    info, batch = matrix_game(payoff.tolist())
    wide = {"qtran_arch": "coma_critic", "rnn_hidden_dim": 16, "mixing_embed_dim": 64}
    learner = qtran(mixer, info, lr=0.01, opt_loss=1.0, nopt_min_loss=1.0, **wide)
    for step in range(250):
        train(learner, batch, 0, step)
    with torch.no_grad():
        seen = JointInputs(*(part[:9] for part in learner.inputs(batch, learner.mac)))  # slot 0 of all, in their order
        joint = learner.mixer(seen)
    assert seen.q.argmax(-1).tolist() == [[0, 0]] * 9
    torch.testing.assert_close(joint.q.view(3, 3), payoff, atol=0.1, rtol=0)
    slack = (seen.q_sum() + joint.v - joint.q).view(3, 3)
    assert abs(slack[0, 0].item()) < 0.1
    assert slack.min() > -0.1
    assert slack[0, 1:].min() > 1, "the sum is another function than the joint value"
    if mixer == "qtran_alt":  # some action of each agent touches it, whatever the other does
        assert max(slack.amin(0).abs().max(), slack.amin(1).abs().max()) < 0.1


@pytest.mark.parametrize("arch", ARCHS)
def test_what_is_idle_gets_no_gradient_and_all_else_does(arch: str) -> None:
    learner = qtran(qtran_arch=arch)
    train(learner, make_batch(LENGTHS), 0, 0)
    without = {name for name, parameter in learner.mixer.named_parameters() if parameter.grad is None}
    assert without == learner.mixer.idle
    assert len(without) == (0 if arch == "qtran_paper" else 4)


def test_an_agent_without_such_hidden_states_is_refused() -> None:
    with pytest.raises(UserError, match=r"rnn_hidden_dim=8 numbers, but this agent's have 0; write agent=rnn"):
        qtran(agent="ff")
    assert qtran(agent="ff", qtran_arch="coma_critic") is not None
