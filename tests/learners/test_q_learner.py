"""Losses worked by hand, on networks whose Q-values are known because only the last bias is not zero."""

import pytest
import torch

from learner_kit import flat_config, make_learner, scheme_of, train
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.multiagentenv import EnvInfo

INFO = EnvInfo(n_agents=2, n_actions=3, obs_shape=2, state_shape=2, episode_limit=2)


def known_learner(q, target_q, **overrides):
    """VDN (or none) whose networks say q and target_q for every agent at all times."""
    learner = make_learner(flat_config(rnn_hidden_dim=4, gamma=0.5, **overrides), INFO)
    for mac, bias in ((learner.mac, q), (learner.target_mac, target_q)):
        with torch.no_grad():
            for parameter in mac.parameters():
                parameter.zero_()
            mac.agent.fc2.bias.copy_(torch.tensor(bias))
    return learner


def known_batch(terminated):
    """One episode of two steps. Agent 0 takes actions 0, 1, agent 1 takes 1, 2; rewards 1, 2; all but one action
    available: agent 1 may not take action 0 in the last slot, agent 0 not action 2 in the middle one."""
    batch = EpisodeBatch(scheme_of(INFO), {"agents": 2}, 1, 3)
    batch.data["actions"][0, :2, :, 0] = torch.tensor([[0, 1], [1, 2]])
    batch.data["reward"][0, :2, 0] = torch.tensor([1.0, 2.0])
    batch.data["avail_actions"].fill_(True)
    batch.data["avail_actions"][0, 2, 1, 0] = False
    batch.data["avail_actions"][0, 1, 0, 2] = False
    batch.data["terminated"][0, 1, 0] = terminated
    batch.set_lengths(torch.tensor([2]))
    return batch


Q = [1.0, 2.0, 4.0]
TARGET = [8.0, 3.0, 5.0]
# Q-values of the actions taken: agent 0 says 1 then 2, agent 1 says 2 then 4; teams 3 then 6.
# Target network after step 0 (middle slot): agent 0 without action 2, agent 1 free; after step 1: agent 0 free,
# agent 1 without action 0.
#   its own maxima:            8 + 8 = 16,  8 + 5 = 13
#   judged for Q's choices:    agent 0 picks action 1 (3), agent 1 picks 2 (5): 8;  both pick 2: 5 + 5 = 10


@pytest.mark.parametrize(
    ("double_q", "terminated", "targets"),
    [
        (False, False, [1 + 0.5 * 16, 2 + 0.5 * 13]),
        (False, True, [1 + 0.5 * 16, 2.0]),
        (True, False, [1 + 0.5 * 8, 2 + 0.5 * 10]),
        (True, True, [1 + 0.5 * 8, 2.0]),
    ],
)
def test_vdn_by_hand(double_q, terminated, targets):
    learner = known_learner(Q, TARGET, learner="q_learner", mixer="vdn", double_q=double_q)
    metrics = train(learner, known_batch(terminated), 0, 0).read()
    errors = [3 - targets[0], 6 - targets[1]]
    assert metrics["loss_td"] == pytest.approx(0.5 * (errors[0] ** 2 + errors[1] ** 2) / 2)
    assert metrics["td_error_abs"] == pytest.approx((abs(errors[0]) + abs(errors[1])) / 2)
    assert metrics["q_taken_mean"] == pytest.approx((3 + 6) / 2 / 2)  # per transition and agent
    assert metrics["target_mean"] == pytest.approx(sum(targets) / 2 / 2)


def test_independent_agents_by_hand():
    learner = known_learner(Q, TARGET, learner="q_learner", mixer=None, double_q=True)
    metrics = train(learner, known_batch(terminated=False), 0, 0).read()
    # Targets: after step 0 agent 0 sees 1 + 1.5, agent 1 1 + 2.5; after step 1 both 2 + 2.5.
    errors = [1 - 2.5, 2 - 3.5, 2 - 4.5, 4 - 4.5]
    assert metrics["loss_td"] == pytest.approx(0.5 * sum(e**2 for e in errors) / 4)
    assert metrics["td_error_abs"] == pytest.approx(sum(map(abs, errors)) / 4)


@pytest.mark.parametrize("terminated", [False, True])
def test_td_lambda_by_hand(terminated):
    learner = known_learner(Q, TARGET, learner="nq_learner", mixer="vdn", td_lambda=0.5, q_lambda=False)
    metrics = train(learner, known_batch(terminated), 0, 0).read()
    last = 2.0 if terminated else 2 + 0.5 * 10
    first = 1 + 0.5 * (0.5 * 8 + 0.5 * last)
    assert metrics["loss_td"] == pytest.approx(0.5 * ((3 - first) ** 2 + (6 - last) ** 2) / 2)


@pytest.mark.parametrize("terminated", [False, True])
def test_q_lambda_by_hand(terminated):
    learner = known_learner(Q, TARGET, learner="nq_learner", mixer="vdn", td_lambda=0.5, q_lambda=True)
    batch = known_batch(terminated)
    batch.data["actions"][0, 1, 0, 0] = 0  # not the greedy one
    metrics = train(learner, batch, 0, 0).read()
    # Target network: actions taken in step 1, 8 + 5 = 13; greedy ones there, 8, and after it, 10. Q says 1 + 4 = 5 now.
    last = 2.0 if terminated else 2 + 0.5 * 10
    first = 1 + 0.5 * (8 + 0.5 * (last - 13))
    assert metrics["loss_td"] == pytest.approx(0.5 * ((3 - first) ** 2 + (5 - last) ** 2) / 2)


@pytest.mark.parametrize("q_lambda", [False, True])
def test_lambda_zero_is_double_q_learning(q_lambda):
    one_step = known_learner(Q, TARGET, learner="q_learner", mixer="vdn", double_q=True)
    many_steps = known_learner(Q, TARGET, learner="nq_learner", mixer="vdn", td_lambda=0.0, q_lambda=q_lambda)
    batch = known_batch(terminated=False)
    assert train(one_step, batch, 0, 0).read() == train(many_steps, batch, 0, 0).read()
