"""Pareto-AC: what agents count on the others to do, by hand, and that nothing but what was played counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from learner_kit import SMALL, flat_config, gradients, make_batch, make_learner, matrix_game, spoil_padding, train
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.masking import some_available
from pymarl.learners.values import at_steps

ALGS = ["epymarl/pac_ns", "epymarl/pac_dcg_ns"]
LENGTHS = [5, 1, 8, 3]
PENALTY = [[-100.0, 0.0, 10.0], [0.0, 2.0, 0.0], [10.0, 0.0, -100.0]]
LOGITS = {"mac": "n_mac", "action_selector": "gumbel", "test_greedy": True}
each_alg = pytest.mark.parametrize("alg", ALGS)


def learner_of(alg: str, info: Any = SMALL, **keys: Any) -> Any:
    return make_learner(flat_config(alg, **{"rnn_hidden_dim": 8, **keys}), info)


def mixed_batch(**kwargs: Any) -> EpisodeBatch:
    return make_batch(LENGTHS, terminated=[True, False, False, True], **kwargs)


def say(critic: Any, payoff: list[list[float]]) -> None:
    """Make a PACCriticNS of two agents say Q_i = payoff[a_0][a_1], which is symmetric, in every state."""
    count = len(payoff)
    with torch.no_grad():
        for agent, net in enumerate(critic.critics):
            for parameter in net.parameters():
                parameter.zero_()
            other = net.fc1.weight.shape[1] - (1 + agent) * count  # the block of agent 1 - `agent`
            net.fc1.weight[:count, other : other + count] = torch.eye(count)
            net.fc2.weight[:count, :count] = torch.eye(count)
            net.fc3.weight[:, :count] = torch.tensor(payoff)


def penalty_game(alg: str = ALGS[0], **keys: Any) -> tuple[Any, EpisodeBatch]:
    """Return a learner whose critics know the penalty game, and one episode of each joint action."""
    info, batch = matrix_game(PENALTY)
    learner = learner_of(alg, info, entropy_coef=0.0, final_entropy_coef=None, **keys)
    say(learner.critic, PENALTY)
    learner.copy_targets()
    return learner, batch


def test_in_the_penalty_game_the_maximum_is_the_pareto_one() -> None:
    """Beside a partner that plays at random action 1 is best (0.67 against -30); beside a willing one it is not."""
    learner, batch = penalty_game()
    v = learner.state_values(batch, learner.state_value)[:, 0].detach()
    advantages, _ = learner.learn_values(learner.with_last_actions(batch))
    expected = torch.tensor([10.0, 2.0, 10.0])[batch["actions"][:, 0, :, 0].long()]  # [9, 2]
    torch.testing.assert_close(advantages[:, 0] + v, expected)


def test_less_optimism_prefers_what_the_others_do() -> None:
    """Of the two best outcomes, whose maximum is the same, the one in which the partner plays its part."""
    learner, batch = penalty_game(optimism=0.9)
    v = learner.state_values(batch, learner.state_value)[:, 0].detach()
    advantages, _ = learner.learn_values(learner.with_last_actions(batch))
    joint = batch["actions"][:, 0, :, 0].long()  # [9, 2]
    played = torch.tensor(PENALTY)[joint[:, 0], joint[:, 1]].unsqueeze(-1)
    best = torch.tensor([10.0, 2.0, 10.0])[joint]
    torch.testing.assert_close(advantages[:, 0] + v, 0.9 * best + 0.1 * played)


@each_alg
def test_without_optimism_an_action_is_worth_what_it_was_beside_the_others_own(alg: str) -> None:
    learner, paper = learner_of(alg, optimism=0.0), learner_of(alg)
    batch = learner.with_last_actions(mixed_batch())
    with torch.no_grad():
        v, joint = learner.state_values(batch, learner.state_value)[:, :-1], batch.packed_actions()
        if hasattr(learner, "graph"):
            q = learner.graph(batch, learner.critic).value(joint).unsqueeze(-1)
        else:
            inputs = packed_inputs(batch, learner.critic.sees, SMALL, learner.device)
            q = learner.critic(inputs).view(*joint.shape, -1).gather(-1, joint.unsqueeze(-1)).squeeze(-1)
    filled = batch.transitions().mask.expand_as(v)
    (found, _), (best, _) = (each.learn_values(batch) for each in (learner, paper))
    torch.testing.assert_close((found + v) * filled, at_steps(batch, q) * filled)
    assert ((best - found) * filled).min() >= -1e-5, "no joint action is better than the best"
    assert ((best - found) * filled).max() > 0.01


def test_it_leaves_the_safe_action_of_the_penalty_game() -> None:
    """Where the mean payoff beside a random partner would have it the only one."""
    learner, batch = penalty_game(lr=0.01, **LOGITS)
    before = learner.log_pi(batch).exp()[0]
    for _ in range(40):
        train(learner, batch, 0, 0)
    after = learner.log_pi(batch).exp()[0]
    assert (after[:, 1] < 0.5 * before[:, 1]).all()
    assert (after[:, [0, 2]].sum(-1) > 0.8).all()


def targets_by_hand(learner: Any, batch: EpisodeBatch, best: torch.Tensor, row: int, t: int, agent: int) -> float:
    """Return r + gamma r' + ... + gamma^n M of one step, `best` being [B, T, N]."""
    length, gamma, n = int(batch.lengths[row]), learner.config.gamma, learner.config.q_nstep
    stop = min(t + n, length)
    total = sum(gamma ** (k - t) * batch["reward"][row, k, 0].item() for k in range(t, stop))
    ended = stop == length and bool(batch["terminated"][row, length - 1, 0])
    return total + (0.0 if ended else gamma ** (stop - t) * best[row, stop, agent].item())


def best_of(learner: Any, batch: EpisodeBatch) -> torch.Tensor:
    """Return [P, N], the target critic's maxima."""
    joint, avail = batch.packed_actions(), some_available(batch.packed("avail_actions"))
    if hasattr(learner, "graph"):
        found: torch.Tensor = learner.target_critic.best(learner.graph(batch, learner.target_critic), joint, avail)
    else:
        inputs = packed_inputs(batch, learner.critic.sees, SMALL, learner.device)
        found = learner.target_critic.best(inputs, joint, avail, learner.generator)
    return found


@each_alg
def test_targets_bootstrap_at_a_time_limit_and_not_behind_a_true_end(alg: str) -> None:
    learner = learner_of(alg, q_nstep=3, gamma=0.9)
    batch = learner.with_last_actions(mixed_batch())
    with torch.no_grad():
        best = batch.packing.unpack(best_of(learner, batch))
    found = learner.returns(batch, best[:, 1:])
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            for agent in range(SMALL.n_agents):
                expected = targets_by_hand(learner, batch, best, row, t, agent)
                assert found[row, t, agent].item() == pytest.approx(expected, abs=1e-5)
    assert best[1, LENGTHS[1]].abs().max() > 0, "a cut episode has a value behind its last step"


@each_alg
def test_padding_and_the_action_of_the_last_slot_change_nothing(alg: str) -> None:
    plain, padded, spoilt = (learner_of(alg) for _ in range(3))
    behind = spoil_padding(mixed_batch(slots=max(LENGTHS) + 5))
    behind.data["actions"][torch.arange(len(LENGTHS)), behind.lengths] = 3
    results = [train(plain, mixed_batch(), 7, 0), train(padded, mixed_batch(slots=max(LENGTHS) + 5), 7, 0),
               train(spoilt, behind, 7, 0)]  # fmt: skip
    for other, result in zip((padded, spoilt), results[1:], strict=True):
        assert result.read() == pytest.approx(results[0].read(), rel=1e-5)
        for name, gradient in gradients(other).items():
            torch.testing.assert_close(gradient, gradients(plain)[name], rtol=1e-4, atol=1e-6)


@each_alg
def test_a_terminal_state_may_offer_nothing(alg: str) -> None:
    batch = mixed_batch()
    batch.data["avail_actions"][0, LENGTHS[0]] = False
    batch.data["avail_actions"][3, LENGTHS[3]] = False
    one, other = learner_of(alg), learner_of(alg)
    assert train(one, batch, 0, 0).read() == pytest.approx(train(other, mixed_batch(), 0, 0).read(), rel=1e-5)


@each_alg
def test_values_of_states_are_saved_and_loaded(alg: str, tmp_path: Path) -> None:
    writer, reader = learner_of(alg), learner_of(alg)
    for seed in range(3):
        train(writer, make_batch(LENGTHS, seed=seed), 0, 0)
    writer.save_models(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert {"agent.th", "critic.th", "state_value.th", "agent_opt.th", "critic_opt.th"} <= files
    reader.load_models(tmp_path)
    pairs = [(writer.state_value, reader.state_value), (writer.critic, reader.critic),
             (writer.critic, reader.target_critic)]  # fmt: skip
    for ours, theirs in pairs:
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, two)


def test_the_entropy_weighs_less_from_update_to_update() -> None:
    learner = learner_of(ALGS[0], t_max=1000)
    weights = [train(learner, mixed_batch(), t, 0).read()["entropy_coef"] for t in (0, 400, 800, 1000)]
    assert weights == pytest.approx([20.0, (20.0 + 0.01) / 2, 0.01, 0.01], rel=1e-6)


def test_a_few_joint_actions_of_many_are_drawn_anew_in_each_update() -> None:
    learner = learner_of(ALGS[0], max_joint_actions=3, lr=1e-12)
    means = [train(learner, mixed_batch(), 0, 0).read()["advantage_mean"] for _ in range(3)]
    exact = train(learner_of(ALGS[0], lr=1e-12), mixed_batch(), 0, 0).read()["advantage_mean"]
    assert len(set(means)) == 3
    assert max(means) <= exact


def test_the_graph_learns_the_mean_of_the_agents_targets() -> None:
    """One value, n targets: the gradient is that of their mean, and the loss is a mean, too."""
    learner, other = learner_of(ALGS[1]), learner_of(ALGS[1])
    loss = train(learner, mixed_batch(), 0, 0).read()["critic_loss"]
    batch = other.with_last_actions(mixed_batch())
    with torch.no_grad():
        best = batch.packing.unpack(best_of(other, batch))[:, 1:]
    targets, mask = other.returns(batch, best), batch.transitions().mask
    q = at_steps(batch, other.graph(batch, other.critic).value(batch.packed_actions()).unsqueeze(-1))
    ((q - targets.mean(-1, keepdim=True)).pow(2) * mask).sum().div(mask.sum()).backward()
    found, expected = (
        {n: g for n, g in gradients(each).items() if n.startswith("critic.")} for each in (learner, other)
    )
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)
    assert loss == pytest.approx((((q - targets).pow(2) * mask).sum() / (3 * mask.sum())).item(), rel=1e-5)
    assert targets.std(-1).max() > 0.01, "the agents' targets differ"


def test_each_agent_may_learn_from_a_reward_of_its_own() -> None:
    """Equal rewards of all agents are the team's."""
    team, own = learner_of(ALGS[0]), learner_of(ALGS[0])
    batch = mixed_batch()
    wide = batch.replaced(reward=batch.data["reward"].expand(-1, -1, SMALL.n_agents))
    assert train(own, wide, 0, 0).read() == pytest.approx(train(team, batch, 0, 0).read(), rel=1e-6)
