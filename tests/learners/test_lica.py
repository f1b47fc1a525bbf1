"""LICA: the critic of soft joint actions, whose gradient trains the agents alone, and the entropy that adapts."""

from __future__ import annotations

import pytest
import torch
from test_policies_by_critics import make, mixed_batch, update

from learner_kit import SMALL, make_batch
from pymarl.components.inputs import packed_inputs
from pymarl.modules.inputs import Inputs


def test_the_critic_by_a_slow_oracle() -> None:
    """Loops over rows, agents and actions; and the same of one-hot rows from a batch."""
    critic = make("lica").critic.double()
    n, a, e = SMALL.n_agents, SMALL.n_actions, critic.config.mixing_embed_dim
    state, probs = torch.randn(4, SMALL.state_shape).double(), torch.rand(4, n, a).double()
    for row in range(4):
        s = state[row]
        w1, w2 = critic.hyper_w_1(s).view(n, a, e), critic.hyper_w_final(s)
        hidden = [critic.hyper_b_1(s)[k] for k in range(e)]
        for i in range(n):
            for j in range(a):
                hidden = [hidden[k] + probs[row, i, j] * w1[i, j, k] for k in range(e)]
        value = sum(max(hidden[k].item(), 0.0) * w2[k] for k in range(e)) + critic.hyper_b_2(s)[0]
        torch.testing.assert_close(critic.value(state, probs.flatten(1))[row, 0], value)
        alone = critic(Inputs(features=torch.cat([s, probs[row].flatten()])[None]))
        torch.testing.assert_close(alone[0, 0], value)


def test_the_critic_reads_the_rows_of_a_batch() -> None:
    critic, batch = make("lica").critic, make_batch([3, 2])
    rows = critic(packed_inputs(batch, critic.sees, SMALL, torch.device("cpu"))).view(-1, SMALL.n_agents)
    one_hots = torch.nn.functional.one_hot(batch.packed("actions")[..., 0].long(), SMALL.n_actions).flatten(1).float()
    torch.testing.assert_close(rows, critic.value(batch.packed("state"), one_hots).expand(-1, SMALL.n_agents))


def test_nothing_is_monotone_in_it() -> None:
    critic = make("lica").critic
    state, probs = torch.randn(64, SMALL.state_shape), torch.rand(64, 15).requires_grad_()
    (slope,) = torch.autograd.grad(critic.value(state, probs).sum(), probs)
    assert (slope > 0).any()
    assert (slope < 0).any()


@pytest.mark.parametrize("peaked", [1.0, 30.0])
def test_the_entropys_gradient_is_c_grad_log_h(peaked: float) -> None:
    """Whatever H is: the term's value is c, its gradient that of c log H."""
    learner, batch = make("lica", entropy_coef=0.07), mixed_batch()
    with torch.no_grad():
        learner.mac.agent.fc2.weight.mul_(peaked)
    entropy = learner.policy(batch).entropy
    mask = learner.acting(batch)
    mean = (entropy * mask).sum() / mask.sum()
    weights = list(learner.mac.agent.parameters())
    expected = torch.autograd.grad(0.07 * mean.log(), weights, retain_graph=True)
    bonus = learner.entropy_bonus(entropy, mask)
    assert bonus.item() == pytest.approx(0.07)
    for ours, right in zip(torch.autograd.grad(bonus, weights), expected, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-5, atol=1e-7)
        assert right.abs().sum() > 0


def test_the_policy_climbs_the_critic_that_has_just_learned() -> None:
    """The actor's loss is minus the updated critic's mean at the old policy; the critic gets no gradient of it."""
    learner, batch = make("lica", critic_lr=0.1), mixed_batch()
    learner.with_last_actions = lambda batch, probs: batch
    probs = learner.policy(batch).log_pi.exp().detach()
    kept = {}
    learner.fit = lambda *args, fit=learner.fit: (fit(*args), kept.update(
        {name: parameter.grad.clone() for name, parameter in learner.critic.named_parameters()}))[0]  # fmt: skip
    said = update(learner, batch)["mix_loss"]
    value = batch.packing.unpack(learner.critic.value(batch.packed("state"), probs.flatten(1)))[:, :-1]
    mask = batch.transitions().mask
    assert said == pytest.approx(-((value * mask).sum() / mask.sum()).item(), rel=1e-5)
    assert all(torch.equal(p.grad, kept[name]) for name, p in learner.critic.named_parameters())
    assert all(parameter.requires_grad for parameter in learner.critic.parameters())
