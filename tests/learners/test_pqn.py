"""PQN: lambda returns of pieces by hand, and what an update is made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import flat_config, make_batch, make_learner, scheme_of
from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.modules.agents.agent import Unrolled
from pymarl.modules.mixers.mixer import MixerInputs
from pymarl.modules.mixers.vdn import VDNMixer

LENGTHS = [5, 1, 8, 3]
GAMMA, LAMBDA = 0.5, 0.25
ONE = EnvInfo(n_agents=1, n_actions=2, obs_shape=1, state_shape=1, episode_limit=8)


def pqn(info: EnvInfo | None = None, **overrides: Any) -> Any:
    small = {"rnn_hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6, "epochs": 2, "minibatches": 2}
    return make_learner(flat_config("pqn_vdn") | small | overrides, **({} if info is None else {"info": info}))


def pieces(lengths: list[int], terminated: list[bool], rewards: list[float]) -> EpisodeBatch:
    """Return pieces of one agent with these rewards in every row."""
    batch = EpisodeBatch(scheme_of(ONE), {"agents": 1}, len(lengths), max(lengths) + 1)
    for row, (length, ends) in enumerate(zip(lengths, terminated, strict=True)):
        batch.data["reward"][row, :length, 0] = torch.tensor(rewards[:length])
        batch.data["terminated"][row, length - 1] = ends
        batch.data["avail_actions"][row, : length + 1] = True
    batch.set_lengths(torch.tensor(lengths))
    return batch


def test_lambda_returns_by_hand() -> None:
    """Every step of a piece that is cut, of one that terminates, of one at a time limit, and of one at both at once.

    The state before step t is worth 10 (t + 1) to whoever acts greedily; a time limit is a cut, and an end that is both
    is an end.
    """
    learner = pqn(ONE, gamma=GAMMA, td_lambda=LAMBDA)
    batch = pieces([4, 4, 2, 3], [False, True, False, True], [1.0, 2.0, 3.0, 4.0])
    value = 10.0 * torch.arange(1.0, 6.0)[None, :, None, None].expand(4, 5, 1, 1)
    q = torch.cat([value - 7.0, value], -1)  # the second action is the greedy one
    packed = batch.packing.pack(q.contiguous())
    learner.mac.unroll_packed = lambda batch, states: Unrolled(packed, None)
    cut3 = 4 + 0.5 * 50  # the last step of a cut piece knows of nothing but the state behind it
    cut2 = 3 + 0.5 * (0.75 * 40 + 0.25 * cut3)
    cut1 = 2 + 0.5 * (0.75 * 30 + 0.25 * cut2)
    cut0 = 1 + 0.5 * (0.75 * 20 + 0.25 * cut1)
    end3 = 4.0
    end2 = 3 + 0.5 * (0.75 * 40 + 0.25 * end3)
    end1 = 2 + 0.5 * (0.75 * 30 + 0.25 * end2)
    end0 = 1 + 0.5 * (0.75 * 20 + 0.25 * end1)
    limit1 = 2 + 0.5 * 30
    limit0 = 1 + 0.5 * (0.75 * 20 + 0.25 * limit1)
    both2 = 3.0
    both1 = 2 + 0.5 * (0.75 * 30 + 0.25 * both2)
    both0 = 1 + 0.5 * (0.75 * 20 + 0.25 * both1)
    expected = [[cut0, cut1, cut2, cut3], [end0, end1, end2, end3], [limit0, limit1, 0, 0], [both0, both1, both2, 0]]
    torch.testing.assert_close(learner.targets(batch)[..., 0], torch.tensor(expected))


def test_targets_are_those_of_the_networks_that_have_acted() -> None:
    """All updates of a collect descend to the same targets, which the first of them must not move."""
    learner = pqn()
    batch = make_batch(LENGTHS)
    expected, seen = learner.targets(batch), []
    learner.update = lambda part, targets, update=learner.update: seen.append(targets) or update(part, targets)
    learner.train(Sample(batch=batch), 0, 0)
    assert [len(targets) for targets in seen] == [2, 2, 2, 2]
    for epoch in (seen[:2], seen[2:]):
        both = torch.cat(epoch)
        rows = [int((expected == row).flatten(1).all(1).nonzero()[0]) for row in both]
        assert sorted(rows) == [0, 1, 2, 3], "each piece once in each epoch"
    assert not torch.equal(learner.targets(batch), expected), "the networks have moved"


def test_one_update_is_that_of_a_td_loss() -> None:
    learner, batch = pqn(epochs=1, minibatches=1), make_batch(LENGTHS)
    steps, targets = batch.transitions(), learner.targets(batch)
    q = learner.mac.unroll(batch)[:, :-1].gather(-1, steps.actions).squeeze(-1).sum(-1, keepdim=True)
    error = (q - targets) * steps.mask
    metrics = learner.train(Sample(batch=batch), 0, 0).read()
    assert metrics["loss_td"] == pytest.approx(0.5 * error.pow(2).sum().item() / sum(LENGTHS), rel=1e-5)
    assert metrics["td_error_abs"] == pytest.approx(error.abs().sum().item() / sum(LENGTHS), rel=1e-5)


@pytest.mark.parametrize(("anneal", "t_env", "share"), [(True, 0, 1.0), (True, 75, 0.25), (False, 75, 1.0)])
def test_lr_falls_to_zero_at_t_max(anneal: bool, t_env: int, share: float) -> None:
    learner = pqn(lr_anneal=anneal, t_max=100, lr=0.01)
    learner.train(Sample(batch=make_batch(LENGTHS)), t_env, 0)
    assert learner.optimiser.torch_optimiser.param_groups[0]["lr"] == pytest.approx(0.01 * share)


def test_the_mixers_value_of_greedy_actions_is_what_is_bootstrapped() -> None:
    learner, batch = pqn(mixer="nmix", td_lambda=0.0), make_batch(LENGTHS, terminated=False)
    steps = batch.transitions()
    run = learner.unroll(batch)
    best = run.outputs.masked_fill(~batch.packed("avail_actions"), -1e9).argmax(-1)
    value = batch.packing.unpack(learner.value(batch, run, best).value)[:, 1:]
    expected = (steps.reward + learner.config.gamma * value) * steps.mask
    torch.testing.assert_close(learner.targets(batch), expected.detach())


def test_a_mixer_may_read_the_agents_hidden_states() -> None:
    class Reading(VDNMixer):
        needs_states = True

        def mix(self, inputs: MixerInputs) -> torch.Tensor:
            assert inputs.states is not None
            return super().mix(inputs) + inputs.states.sum((1, 2)).unsqueeze(1)

    learner, batch = pqn(), make_batch(LENGTHS)
    learner.mixer = Reading(learner.mixer.config, learner.info)
    run = learner.mac.unroll_packed(batch, states=True)
    plain = run.outputs.gather(-1, batch.packed_actions().unsqueeze(-1)).sum((1, 2))
    value = learner.value(batch, learner.unroll(batch), batch.packed_actions()).value
    torch.testing.assert_close(value.squeeze(1), plain + run.states.sum((1, 2)))
    learner.train(Sample(batch=batch), 0, 0)
