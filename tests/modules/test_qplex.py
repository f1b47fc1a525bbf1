"""QPLEX: the best joint action is made of the agents' own, and payoffs that no monotone mixer represents are fitted."""

import itertools

import pytest
import torch
from torch import nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers.mixer import MixerInputs
from pymarl.modules.mixers.nmix import Mixer
from pymarl.modules.mixers.qplex import QPLEXMixer
from pymarl.modules.mixers.qplex_qatten import QPLEXQattenMixer

N, A, S = 3, 4, 6
INFO = EnvInfo(n_agents=N, n_actions=A, obs_shape=2, state_shape=S, episode_limit=2)
DUPLEX = {
    "num_kernel": 3, "adv_hypernet_layers": 2, "adv_hypernet_embed": 8, "is_adv_attention": True, "is_minus_one": True,
    "is_stop_gradient": True, "weighted_head": True, "hypernet_embed": 8,
}  # fmt: skip
ATTENTION = {"mixing_embed_dim": 4, "n_head": 2, "attend_reg_coef": 0.1, "state_bias": True, "nonlinear": False,
             "agent_own_state_size": 2}  # fmt: skip
VARIANTS = [
    {}, {"is_minus_one": False}, {"weighted_head": False}, {"is_adv_attention": False}, {"is_stop_gradient": False},
    {"adv_hypernet_layers": 1}, {"adv_hypernet_layers": 3, "num_kernel": 10},
]  # fmt: skip
each_variant = pytest.mark.parametrize("changed", VARIANTS, ids=str)


def build(info=INFO, seed=0, **changed):
    torch.manual_seed(seed)
    return QPLEXMixer(QPLEXMixer.Config(**{**DUPLEX, **changed}), info).double()


def of_joint_actions(table, avail, state):
    """Return every available joint action and the mixer's inputs for it, from Q-values [N, A]."""
    choices = [avail[agent].nonzero()[:, 0].tolist() for agent in range(len(table))]
    joint = torch.tensor(list(itertools.product(*choices)))  # [P, N]
    q = table.gather(1, joint.T).T
    best = table.masked_fill(~avail, -torch.inf).amax(1).expand_as(q)
    return joint, MixerInputs(q, best, joint, state.expand(len(joint), -1))


@pytest.mark.parametrize("cls", [QPLEXMixer, QPLEXQattenMixer])
@each_variant
def test_the_best_joint_action_is_made_of_the_agents_own_best_ones(cls, changed):
    checked = 0
    for seed in range(12):
        torch.manual_seed(seed)
        keys = DUPLEX | changed | (ATTENTION if cls is QPLEXQattenMixer else {})
        mixer = cls(cls.Config(**keys), INFO).double()
        with torch.no_grad():
            for weight in mixer.si_weight.parameters():
                weight *= 4.0  # lambda far from what it starts with
        table, avail = torch.randn(N, A, dtype=torch.float64), torch.rand(N, A) < 0.8
        avail[:, 0] |= ~avail.any(1)
        joint, x = of_joint_actions(table, avail, torch.randn(1, S, dtype=torch.float64))
        best = joint[mixer(x).value[:, 0].argmax()]
        assert best.tolist() == table.masked_fill(~avail, -torch.inf).argmax(1).tolist()
        checked += len(joint)
    assert checked > 12 * 8


HARD = torch.tensor([[12.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]], dtype=torch.float64)
"""The harder of PyMARL2's one-step matrix games."""


def fitted(mixer):
    """Return the joint values [3, 3] after a regression of mixer and Q-values on HARD, and the greedy actions."""
    table = nn.Parameter(torch.tensor([[1.0, 0.0, 0.0]] * 2, dtype=torch.float64))  # greedy where it should end
    optimiser = torch.optim.Adam([table, *mixer.parameters()], lr=0.1, fused=True)
    joint = torch.cartesian_prod(torch.arange(3), torch.arange(3))  # [9, 2]
    state = torch.ones(9, 2, dtype=torch.float64)
    for _ in range(250):
        q, best = table.gather(1, joint.T).T, table.amax(1).expand(9, -1)
        values = mixer(MixerInputs(q, best, joint, state)).value[:, 0]
        loss = (values - HARD.flatten()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return values.detach().view(3, 3), table.argmax(1).tolist()


GAME = EnvInfo(n_agents=2, n_actions=3, obs_shape=2, state_shape=2, episode_limit=1)


def test_it_represents_a_payoff_that_qmix_cannot():
    values, greedy = fitted(build(GAME, num_kernel=4, adv_hypernet_embed=32, weighted_head=False))
    assert greedy == [0, 0]
    assert (values - HARD).abs().max() < 0.5
    config = Mixer.Config(mixing_embed_dim=32, hypernet_embed=64, qmix_pos_func="abs", qmix_pos_func_beta=1.0,
                          use_orthogonal=False)  # fmt: skip
    values, _ = fitted(Mixer(config, GAME).double())
    assert (values - HARD).abs().max() > 5.0


def slow_lambda(mixer, state, actions):
    """Return lambda [N] of one row by a loop over the kernels."""
    nets, total = mixer.si_weight, torch.zeros(N, dtype=torch.float64)
    seen = torch.cat([state, torch.eye(A, dtype=torch.float64)[actions].flatten()])
    for key, agents, action in zip(nets.key_extractors, nets.agents_extractors, nets.action_extractors, strict=True):
        total += key(state).abs() * torch.sigmoid(agents(state)) * torch.sigmoid(action(seen))
    return total


def random_inputs(rows=5):
    g = torch.Generator().manual_seed(1)
    q, rise = torch.randn(rows, N, generator=g).double(), torch.rand(rows, N, generator=g).double()
    rise[0, 0] = 0.0  # one greedy action
    state, actions = torch.randn(rows, S, generator=g).double(), torch.randint(A, (rows, N), generator=g)
    return MixerInputs(q, q + rise, actions, state)


@pytest.mark.parametrize("changed", [v for v in VARIANTS if v.get("is_adv_attention", True)], ids=str)
def test_its_value_one_by_one(changed):
    mixer, x = build(**changed), random_inputs()
    with torch.no_grad():
        got = mixer(x)
        for row in range(len(x.q)):
            lam = slow_lambda(mixer, x.state[row], x.actions[row]) + (not mixer.config.is_minus_one)
            weight, bias = mixer.hyper_w_final(x.state[row]).abs(), mixer.V(x.state[row])
            if not mixer.config.weighted_head:
                weight, bias = torch.ones(N), torch.zeros(N)
            q, best = weight * x.q[row] + bias, weight * x.q_max[row] + bias
            assert got.value[row].item() == pytest.approx((best + lam * (q - best)).sum().item(), abs=1e-8)
    assert got.metrics["hit_prob"][:, 0].tolist() == pytest.approx([1 / 3, 0, 0, 0, 0])


def test_lambda_without_attention():
    mixer, x = build(is_adv_attention=False), random_inputs()
    with torch.no_grad():
        seen = torch.cat([x.state, nn.functional.one_hot(x.actions, A).flatten(1)], 1)
        lam = mixer.si_weight.key(seen).abs() * mixer.si_weight.action(seen).sigmoid()
        weight, bias = mixer.hyper_w_final(x.state).abs(), mixer.V(x.state)
        expected = (weight * x.q_max + bias + lam * weight * (x.q - x.q_max)).sum(1, keepdim=True)
        torch.testing.assert_close(mixer(x).value, expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize("stop", [True, False])
def test_who_learns_from_what(stop):
    """With is_stop_gradient an agent's gradient is its weight alone; without, lambda times that, as the value rises."""
    mixer, x = build(is_stop_gradient=stop), random_inputs()
    q, q_max = x.q.requires_grad_(), x.q_max.requires_grad_()
    mixer(x._replace(q=q, q_max=q_max)).value.sum().backward()
    weight = mixer.hyper_w_final(x.state).abs().detach()
    lam = torch.stack([slow_lambda(mixer, s, a) for s, a in zip(x.state, x.actions, strict=True)]).detach()
    torch.testing.assert_close(q.grad, weight if stop else lam * weight, rtol=1e-8, atol=0)
    if stop:
        assert q_max.grad is None
    else:
        torch.testing.assert_close(q_max.grad, (1 - lam) * weight, rtol=1e-8, atol=1e-12)
    assert all(p.grad.abs().sum() > 0 for p in mixer.si_weight.parameters())


def test_parameter_names_are_pymarl2s():
    names = [name for name, _ in build(num_kernel=2).named_parameters()]
    nets = ["hyper_w_final", "V"]
    nets += [f"si_weight.{x}_extractors.{kernel}" for x in ("key", "agents", "action") for kernel in (0, 1)]
    assert names == [f"{net}.{layer}.{p}" for net in nets for layer in (0, 2) for p in ("weight", "bias")]
    assert "si_weight.key_extractors.1.weight" in dict(build(adv_hypernet_layers=1).named_parameters())
    assert "si_weight.key_extractors.1.4.weight" in dict(build(adv_hypernet_layers=3).named_parameters())
