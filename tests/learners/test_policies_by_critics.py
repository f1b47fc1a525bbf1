"""What COMA, LICA and VMIX have in common: padding, peaked policies, targets by hand, who waits for whom on a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from device_kit import THERE, Watched
from learner_kit import flat_config, gradients, make_batch, make_learner, scheme_of, spoil_padding
from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.utils.errors import UserError

METHODS = ("coma", "epymarl/coma", "epymarl/coma_ns", "lica", "vmix")
LENGTHS = [5, 1, 8, 3]
SMALL = {"rnn_hidden_dim": 8, "critic_hidden_dim": 6, "mixing_embed_dim": 4, "hypernet_embed": 5}
ONE = EnvInfo(n_agents=1, n_actions=2, obs_shape=1, state_shape=1, episode_limit=8)
each_method = pytest.mark.parametrize("method", METHODS)


def make(method: str, info: EnvInfo | None = None, device: str = "cpu", **keys: Any) -> Any:
    flat = flat_config(method) | SMALL | keys
    return make_learner(flat, **({} if info is None else {"info": info}), device=device)


def update(learner: Any, batch: EpisodeBatch) -> dict[str, float]:
    result: dict[str, float] = learner.train(Sample(batch=batch), 0, 0).read()
    return result


def mixed_batch(**keys: Any) -> EpisodeBatch:
    return make_batch(LENGTHS, terminated=[True, False, False, True], **keys)


@each_method
def test_padding_and_the_last_slots_action_cannot_change_an_update(method: str) -> None:
    """Longer padding, NaN in it, and whatever stands where no action was taken."""
    longer = mixed_batch(slots=max(LENGTHS) + 6)
    batches = [mixed_batch(), longer, spoil_padding(longer), mixed_batch()]
    rows = torch.arange(len(LENGTHS))
    batches[-1].data["actions"][rows, batches[-1].lengths] = 4
    learners = [make(method) for _ in batches]
    reference, *others = (update(*pair) for pair in zip(learners, batches, strict=True))
    assert len(reference) >= 8
    for other, learner in zip(others, learners[1:], strict=True):
        assert other == pytest.approx(reference, rel=1e-5, abs=1e-7)
        for name, gradient in gradients(learner).items():
            torch.testing.assert_close(gradient, gradients(learners[0])[name], rtol=1e-4, atol=1e-6)


@each_method
@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_a_peaked_policy_gives_no_nan(method: str, epsilon: float) -> None:
    """Logits thousands apart, and actions taken that they give no probability: NaN in PyMARL2's and EPyMARL's."""
    learner = make(method, epsilon_start=epsilon, epsilon_finish=epsilon)
    last = [part for name, part in learner.mac.agent.named_modules() if name.endswith(("fc2", "fc3"))]
    with torch.no_grad():
        for layer in last:
            layer.weight.mul_(5000.0 if layer.out_features > 1 else 1.0)
    policy = learner.policy(mixed_batch())
    taken = policy.log_probs[learner.acting(mixed_batch()) > 0]
    assert (taken < -20).sum() > 5 or epsilon
    assert all(abs(value) < 1e9 for value in update(learner, mixed_batch()).values())
    assert all(parameter.isfinite().all() for parameter in learner.parameters())


@each_method
def test_the_policy_that_learns_is_the_one_that_acted(method: str) -> None:
    """Epsilon included, among available actions alone."""
    learner, batch = make(method, epsilon_start=0.5, epsilon_finish=0.5), mixed_batch()
    log_pi = learner.policy(batch).log_pi
    outputs = learner.mac.unroll_packed(batch).outputs
    avail = batch.packed("avail_actions")
    acted = learner.mac.action_selector.distribution(outputs, avail, 0)
    torch.testing.assert_close(log_pi.exp(), acted)
    torch.testing.assert_close(log_pi.exp().sum(-1), torch.ones(avail.shape[:2]))
    floor = (log_pi.exp() >= 0.5 / avail.sum(-1, keepdim=True) - 1e-6)[avail].all()
    assert bool(floor) or method == "lica"  # which samples from logits


def ends(rewards: list[float]) -> EpisodeBatch:
    """Return one agent's episodes that are cut, end, are cut early, and end where the limit is, too."""
    lengths, terminated = [4, 4, 2, 3], [False, True, False, True]
    batch = EpisodeBatch(scheme_of(ONE), {"agents": 1}, len(lengths), max(lengths) + 1)
    for row, length in enumerate(lengths):
        batch.data["reward"][row, :length, 0] = torch.tensor(rewards[:length])
        batch.data["terminated"][row, length - 1] = terminated[row]
        batch.data["avail_actions"][row, : length + 1] = True
    batch.set_lengths(torch.tensor(lengths))
    return batch


def targets_of(learner: Any, batch: EpisodeBatch) -> Tensor:
    """Return what a learner's value is fitted to where slot t is worth 10 (t + 1), [B, T-1]."""
    value = 10.0 * torch.arange(1.0, batch.max_seq_length + 1)[None, :, None].expand(batch.batch_size, -1, -1)
    return learner.targets(batch, batch.packing.pack(value.contiguous()))[..., 0]


GAMMA, LAMBDA = 0.5, 0.25


@pytest.mark.parametrize("method", ["coma", "lica"])
def test_lambda_targets_by_hand(method: str) -> None:
    """A cut episode bootstraps from what lies behind its last step, one that ends does not, at the limit or before."""
    learner = make(method, ONE, gamma=GAMMA, td_lambda=LAMBDA)

    def chain(last: float, count: int) -> list[float]:
        """Return targets backwards from the last of `count` steps: r + gamma ((1 - lambda) V' + lambda G')."""
        targets = [last]
        for t in range(count - 2, -1, -1):
            targets.insert(0, (t + 1) + 0.5 * (0.75 * 10 * (t + 2) + 0.25 * targets[0]))
        return targets + [0.0] * (4 - count)

    expected = [chain(4 + 0.5 * 50, 4), chain(4.0, 4), chain(2 + 0.5 * 30, 2), chain(3.0, 3)]
    assert expected[2] == [1 + 0.5 * (0.75 * 20 + 0.25 * 17.0), 17.0, 0.0, 0.0]
    targets = targets_of(learner, ends([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(targets, torch.tensor(expected))


def test_n_step_targets_by_hand() -> None:
    """Two rewards and the value behind them, where the episode has not ended before."""
    learner = make("epymarl/coma", ONE, gamma=GAMMA, q_nstep=2)
    expected = [
        [1 + 0.5 * 2 + 0.25 * 30, 2 + 0.5 * 3 + 0.25 * 40, 3 + 0.5 * 4 + 0.25 * 50, 4 + 0.5 * 50],
        [1 + 0.5 * 2 + 0.25 * 30, 2 + 0.5 * 3 + 0.25 * 40, 3 + 0.5 * 4, 4.0],
        [1 + 0.5 * 2 + 0.25 * 30, 2 + 0.5 * 30, 0.0, 0.0],
        [1 + 0.5 * 2 + 0.25 * 30, 2 + 0.5 * 3, 3.0, 0.0],
    ]
    targets = targets_of(learner, ends([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(targets, torch.tensor(expected))


PAYOFF = torch.tensor([[1.0, 0.0, 2.0], [0.0, 5.0, 3.0], [2.0, 3.0, 1.0]])
TWO = EnvInfo(n_agents=2, n_actions=3, obs_shape=1, state_shape=1, episode_limit=1)


@pytest.mark.parametrize(("method", "lr"), [("coma", 0.03), ("vmix", 0.03), ("lica", 0.005)])
def test_it_finds_the_best_joint_action_of_a_game_of_one_step(method: str, lr: float) -> None:
    """What it plays, it learns from; in the end nearly all of the policy is on the best joint action.

    LICA's critic has to be ahead of the agents, who climb it between the actions that it has seen.
    """
    keys = {"lr": lr, "critic_lr": 0.03, "target_update_interval": 5, "entropy_coef": 0.01}
    learner = make(method, TWO, **keys, epsilon_start=0.1, epsilon_finish=0.1)
    batch = EpisodeBatch(scheme_of(TWO), {"agents": 2}, 64, 2)
    for name in ("obs", "state", "avail_actions"):
        batch.data[name].fill_(1)
    batch.data["terminated"][:, 0] = True
    generator = torch.Generator().manual_seed(1)
    for _ in range(80):
        batch.set_lengths(torch.ones(64, dtype=torch.int64))
        probs = batch.packing.unpack(learner.policy(batch).log_pi.detach().exp())[:, 0]  # [B, N, A]
        chosen = torch.multinomial(probs.flatten(0, 1), 1, generator=generator).view(64, 2)
        batch.data["actions"][:, 0, :, 0] = chosen
        batch.data["reward"][:, 0, 0] = PAYOFF[chosen[:, 0], chosen[:, 1]]
        batch.set_lengths(torch.ones(64, dtype=torch.int64))
        learner.train(Sample(batch=batch), 0, 0)
    probs = batch.packing.unpack(learner.policy(batch).log_pi.detach().exp())[0, 0]
    assert (probs[:, 1] > 0.8).all(), probs


@each_method
def test_an_update_waits_for_nothing(method: str) -> None:
    """On a GPU losses and norms are fetched, two numbers for each step, and nobody waits for them."""
    learner = make(method, device="meta")
    batch = make_batch(LENGTHS).to(THERE)
    with Watched() as seen:
        learner.train(Sample(batch=batch), 0, 0)
    steps = {"coma": max(LENGTHS) + 1, "vmix": 1}.get(method, 2)
    assert seen.waits == []
    assert seen.fetches == [(2,)] * steps


@pytest.mark.parametrize(
    ("method", "keys", "says"),
    [
        ("coma", {"critic": "cv_critic"}, "write critic=coma_critic or critic=coma_critic_ns"),
        ("vmix", {"mixer": "qplex"}, "write mixer=qmix, nmix, vdn or None"),
        ("coma", {"target_update_interval": None}, "targets would never follow"),
    ],
)
def test_what_does_not_fit_is_one_line(method: str, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        make(method, **keys)
    assert "\n" not in str(error.value)
