"""Weighted QMIX: its weights by hand, what trains what, and the matrix that QMIX cannot learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import flat_config, gradients, make_batch, make_learner, matrix_game, scheme_of, train
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.utils.errors import UserError

INFO = EnvInfo(n_agents=2, n_actions=3, obs_shape=2, state_shape=2, episode_limit=4)
SMALL = {"rnn_hidden_dim": 8, "mixing_embed_dim": 8, "hypernet_embed": 8, "central_rnn_hidden_dim": 8,
         "central_mixing_embed_dim": 32}  # fmt: skip
W = 0.25


def wqmix(info: EnvInfo = INFO, alg: str = "cw_qmix", **overrides: Any) -> Any:
    return make_learner(flat_config(alg) | SMALL | overrides, info)


def known_learner(**overrides: Any) -> Any:
    """VDN as Q_tot, and as Q_c the sum of what the central agents say; each agent says its bias at all times."""
    learner = wqmix(mixer="vdn", gamma=0.5, td_lambda=0.0, w=W, **overrides)
    said = {learner.mac.agent: [1.0, 2.0, 4.0], learner.central_agent: [2.0, 0.0, 1.0],
            learner.target_central_agent: [8.0, 3.0, 5.0]}  # fmt: skip
    for agent, bias in said.items():
        for parameter in agent.parameters():
            parameter.data.zero_()
        agent.fc2.bias.data.copy_(torch.tensor(bias))
    for mixer in (learner.central_mixer, learner.target_central_mixer):
        mixer.forward = lambda values, state: values.sum(1)
    return learner


def known_batch() -> EpisodeBatch:
    """One episode of four steps that terminates; agent 0 may not take action 2 before the second step."""
    batch = EpisodeBatch(scheme_of(INFO), {"agents": 2}, 1, 5)
    batch.data["actions"][0, :4, :, 0] = torch.tensor([[2, 2], [0, 1], [0, 2], [1, 1]])
    batch.data["reward"][0, :4, 0] = torch.tensor([2.0, 7.0, 1.0, 3.0])
    batch.data["avail_actions"].fill_(True)
    batch.data["avail_actions"][0, 1, 0, 2] = False
    batch.data["terminated"][0, 3, 0] = True
    batch.set_lengths(torch.tensor([4]))
    return batch


# u* is (2, 2), but (1, 2) before the second step: there Q_c(u*) is 3 + 5 = 8, elsewhere 5 + 5 = 10.
TARGETS = [2 + 0.5 * 8, 7 + 0.5 * 10, 1 + 0.5 * 10, 3.0]
TAKEN = [8.0, 3.0, 5.0, 4.0]  # Q_tot
CENTRAL = [1 + 1, 2 + 0, 2 + 1, 0 + 0]  # Q_c
# CW: greedy; 12 > 8; not greedy and 6 <= 10; neither.  OW: 8 >= 6; 3 < 12; 5 < 6; 4 >= 3.
SHARES = {False: [1.0, 1.0, W, W], True: [W, 1.0, 1.0, W]}


@pytest.mark.parametrize("optimistic", [False, True])
def test_weights_and_losses_by_hand(optimistic: bool) -> None:
    learner = known_learner(hysteretic_qmix=optimistic, qmix_loss=2.0, central_loss=3.0)
    metrics = train(learner, known_batch(), 0, 0).read()
    squares = [(q - y) ** 2 for q, y in zip(TAKEN, TARGETS, strict=True)]
    qmix = sum(share * square for share, square in zip(SHARES[optimistic], squares, strict=True)) / 4
    central = sum((q - y) ** 2 for q, y in zip(CENTRAL, TARGETS, strict=True)) / 4
    assert metrics["qmix_loss"] == pytest.approx(qmix)
    assert metrics["central_loss"] == pytest.approx(central)
    assert metrics["loss_td"] == pytest.approx(2 * qmix + 3 * central)
    assert metrics["w_to_use"] == pytest.approx(sum(SHARES[optimistic]) / 4)
    assert metrics["target_mean"] == pytest.approx(sum(TARGETS) / 4 / 2)
    assert metrics["td_error_abs"] == pytest.approx(sum(square**0.5 for square in squares) / 4)


def test_a_target_equal_to_either_value_is_not_above_it() -> None:
    """OW: Q_tot = y has the weight w. CW: so has y = Q_c(u*), off u*."""
    for optimistic, reward in ((True, 3.0), (False, 8.0)):
        learner, batch = known_learner(hysteretic_qmix=optimistic), known_batch()
        batch.set_lengths(torch.tensor([2]))
        batch.data["terminated"][0, 1, 0] = True
        batch.data["reward"][0, 1, 0] = reward  # Q_tot is 3 there, Q_c(u*) is 8
        assert train(learner, batch, 0, 0).read()["w_to_use"] == pytest.approx((W + (W if optimistic else 1.0)) / 2)


def test_neither_loss_trains_the_others_networks() -> None:
    """The QMIX loss does not reach the central networks, nor the central one the agents and the mixer."""
    seen = {}
    for factors in ((1.0, 1.0), (3.0, 1.0), (1.0, 3.0)):
        learner = wqmix(qmix_loss=factors[0], central_loss=factors[1], grad_norm_clip=1e9)
        train(learner, make_batch([4, 2, 3], INFO), 0, 0)
        seen[factors] = gradients(learner)
    assert len(seen[1.0, 1.0]) == 8 + 14 + 8 + 12
    for name, gradient in seen[1.0, 1.0].items():
        factors = (1.0, 3.0) if name.startswith("central") else (3.0, 1.0)
        torch.testing.assert_close(seen[factors][name], 3 * gradient)
        torch.testing.assert_close(seen[factors[::-1]][name], gradient)


@pytest.mark.parametrize(("alg", "finds"), [("cw_qmix", True), ("ow_qmix", True), ("qmix", False)])
def test_only_weights_find_the_optimum_of_a_matrix_that_is_not_monotone(alg: str, finds: bool) -> None:
    """All joint actions are tried equally often. The best monotone fit whose errors all count alike peaks at a 6."""
    payoff = [[8.0, -12.0, -12.0], [-12.0, 6.0, 0.0], [-12.0, 0.0, 6.0]]
    info, batch = matrix_game(payoff)
    learner = wqmix(info, alg, lr=0.02, optimizer="adam", target_update_interval=1)
    for step in range(100):
        train(learner, batch, 0, step)
    greedy = learner.mac.unroll(batch)[0, 0].argmax(-1).tolist()
    assert (greedy == [0, 0]) == finds, greedy


def test_pymarl2s_folders_train_on_without_central_networks(tmp_path: Any) -> None:
    """PyMARL2 does not save them, so that the averages of its optimiser are of networks that are lost."""
    writer, reader = wqmix(), wqmix(lr=0.25)
    batch = make_batch([3, 2], INFO)
    train(writer, batch, 0, 0)
    writer.save_models(tmp_path)
    for name in ("central_agent.th", "central_mixer.th"):
        (tmp_path / name).unlink()
    assert reader.load_models(tmp_path) == ["central_agent.th", "central_mixer.th", "opt.th"]
    for ours, theirs in zip(reader.mixer.parameters(), writer.mixer.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not reader.optimiser.state_dict()["state"]
    (tmp_path / "mixer.th").unlink()
    with pytest.raises(UserError, match=r"mixer\.th: no such file"):
        reader.load_models(tmp_path)
