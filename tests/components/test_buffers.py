"""EpisodeBatch, its packing, and both replay buffers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pymarl.components.buffers.buffer import Clock, Sample
from pymarl.components.buffers.on_off import OnOffBuffer
from pymarl.components.buffers.prioritized import PrioritizedReplayBuffer
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.components.buffers.rollout import RolloutBuffer
from pymarl.components.episode_batch import EpisodeBatch, smallest_integer
from pymarl.components.transforms import OneHot
from pymarl.utils.errors import UserError

GROUPS = {"agents": 2}
PREPROCESS = {"actions": ("actions_onehot", [OneHot(3)])}
SCHEME: dict[str, Any] = {
    "state": {"vshape": 4},
    "obs": {"vshape": (5,), "group": "agents"},
    "actions": {"vshape": (1,), "group": "agents", "dtype": torch.uint8},
    "avail_actions": {"vshape": (3,), "group": "agents", "dtype": torch.bool},
    "reward": {"vshape": (1,)},
    "terminated": {"vshape": (1,), "dtype": torch.bool},
}
SLOTS = 7


def episodes(lengths: list[int], first: int = 0) -> EpisodeBatch:
    """Return a batch whose episode k is filled with the number first + k, and its padding with 99."""
    batch = EpisodeBatch(SCHEME, GROUPS, len(lengths), SLOTS, PREPROCESS)
    for row, length in enumerate(lengths):
        for key in ("state", "obs", "reward"):
            batch.data[key][row] = 99
            batch.data[key][row, : length + 1] = first + row
        batch.data["terminated"][row, length - 1] = True
    batch.set_lengths(torch.tensor(lengths))
    return batch


def buffer(size: int, cls: type[ReplayBuffer] = ReplayBuffer, seed: int = 0, **keys: Any) -> Any:
    config = cls.Config(
        **{"batch_size": 1, "updates_per_collect": 1, "accumulated_episodes": None, "buffer_size": size,
           "buffer_max_gib": 1} | keys
    )  # fmt: skip
    return cls(config, SCHEME, GROUPS, SLOTS, PREPROCESS, np.random.default_rng(seed))


def prioritised(size: int, alpha: float = 1.0, beta: float = 1.0) -> Any:
    return buffer(size, PrioritizedReplayBuffer, per_alpha=alpha, per_beta=beta, t_max=1000)


def feed(replay: Any, indices: Any, priorities: torch.Tensor) -> None:
    """Let a learner give these episodes priorities."""
    sample = Sample(batch=replay.gather([replay.episodes[0]]), indices=indices)
    replay.feedback(sample, SimpleNamespace(priorities=priorities))


def ids(batch: EpisodeBatch) -> list[int]:
    return batch["reward"][:, 0, 0].int().tolist()


def test_update_marks_slots_as_pymarl_does() -> None:
    batch = EpisodeBatch(SCHEME, GROUPS, 3, SLOTS, PREPROCESS)
    assert not batch["filled"].any()
    batch.update({"obs": np.ones((3, 2, 5))}, ts=0)
    batch.update({"actions": [[[1], [2]], [[0], [1]]]}, bs=[0, 2], ts=0, mark_filled=False)
    batch.update({"obs": np.full((2, 2, 5), 3.0)}, bs=[0, 2], ts=1)
    assert batch.lengths.tolist() == [1, 0, 1]
    assert batch["filled"][:, :3, 0].tolist() == [[True, True, False], [True, False, False], [True, True, False]]
    assert batch["actions_onehot"][0, 0].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert batch["obs"][2, 1].eq(3).all()


def test_transitions_leave_out_the_last_observation() -> None:
    steps = episodes([3, 6]).transitions()
    assert steps.mask[..., 0].tolist() == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]]
    assert steps.terminated[0, 2, 0] == 1
    assert steps.actions.dtype == torch.int64


def test_packing_is_time_major_and_longest_first() -> None:
    batch = episodes([2, 5, 2])
    assert batch.packing.counts == [3, 3, 3, 1, 1, 1, 0]
    assert batch.packing.order.tolist() == [1, 0, 2]
    packed = batch.packing.pack(batch["reward"])
    assert packed[:, 0].tolist() == [1, 0, 2] * 3 + [1] * 3
    unpacked = batch.packing.unpack(packed)
    filled = batch["filled"]
    assert torch.equal(unpacked, batch["reward"] * filled)


def test_packing_follows_new_lengths() -> None:
    batch = episodes([2, 5])
    assert len(batch.packing.index) == 9
    batch.set_lengths(torch.tensor([1, 1]))
    assert len(batch.packing.index) == 4


def test_slices_keep_lengths_true() -> None:
    part = episodes([2, 5, 6])[1:, 2:5]
    assert (part.batch_size, part.max_seq_length, part.lengths.tolist()) == (2, 3, [2, 2])
    assert episodes([2, 5])[0, 4:].lengths.tolist() == [-1]


@pytest.mark.parametrize(("largest", "dtype"), [(17, torch.uint8), (256, torch.int16), (70_000, torch.int32)])
def test_smallest_integer(largest: int, dtype: torch.dtype) -> None:
    assert smallest_integer(largest) == dtype


def test_the_ring_drops_the_oldest() -> None:
    replay = buffer(3, batch_size=3)
    replay.insert_episode_batch(episodes([1, 2]))
    assert not list(replay.samples(Clock(0, 2)))
    replay.insert_episode_batch(episodes([3, 4], first=2))
    assert sorted(ids(replay.sample(3, Clock(0, 0)).batch)) == [1, 2, 3]


def test_episodes_are_stored_at_their_length_and_padded_with_zeros() -> None:
    replay = buffer(4)
    replay.insert_episode_batch(episodes([1, 4]))
    assert [len(episode["obs"]) for episode in replay.episodes] == [2, 5]
    batch = replay.sample(2, Clock(0, 0)).batch
    assert batch.max_seq_length == 5
    assert batch["obs"][0, 2:].eq(0).all()
    assert batch["obs"][1].eq(1).all()


def test_stored_episodes_do_not_share_memory_with_the_runner() -> None:
    replay, batch = buffer(1), episodes([4])
    replay.insert_episode_batch(batch)
    batch.data["obs"].fill_(7)
    assert replay.sample(1, Clock(0, 0)).batch["obs"].eq(0).all()


def test_sampling_is_without_replacement_and_uniform() -> None:
    replay = buffer(10)
    replay.insert_episode_batch(episodes([1] * 10))
    counts = np.zeros(10)
    for _ in range(2000):
        drawn = ids(replay.sample(3, Clock(0, 0)).batch)
        assert len(set(drawn)) == 3
        counts[drawn] += 1
    assert counts.min() > 500  # 600 expected, spread 20
    assert counts.max() < 700


def test_a_buffer_too_large_for_its_limit_is_refused() -> None:
    with pytest.raises(UserError, match=r"buffer_size=100000000 episodes of 7 slots need up to .* GiB"):
        buffer(100_000_000)


@pytest.mark.parametrize("make", [lambda: buffer(5), lambda: prioritised(5, 0.6, 0.4)])
def test_a_restored_buffer_goes_on_alike(make: Any) -> None:
    replay, twin = make(), make()
    replay.insert_episode_batch(episodes([1, 4, 2, 6]))
    replay.insert_episode_batch(episodes([3, 3], first=4))
    feed(replay, np.array([0, 3]), torch.tensor([4.0, 0.5]))
    replay.sample(3, Clock(100, 0))
    twin.load_state_dict(replay.state_dict())
    for source in (replay, twin):
        source.insert_episode_batch(episodes([5], first=6))
    for _ in range(5):
        ours, theirs = replay.sample(3, Clock(200, 0)), twin.sample(3, Clock(200, 0))
        assert ids(ours.batch) == ids(theirs.batch)
        assert torch.equal(ours.batch["obs"], theirs.batch["obs"])
        assert ours.weights is None or torch.equal(ours.weights, theirs.weights)


def test_priorities_decide_how_often_an_episode_is_drawn() -> None:
    replay = prioritised(4)
    replay.insert_episode_batch(episodes([1] * 4))
    feed(replay, np.arange(4), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    counts = np.bincount(np.concatenate([replay.sample(2, Clock(0, 0)).indices for _ in range(5000)]), minlength=4)
    assert np.abs(counts / 10_000 - np.array([0.1, 0.2, 0.3, 0.4])).max() < 0.02


def test_importance_weights() -> None:
    """With beta 1 a weight is (1 / P) over the largest one: p = 1, 2, 4 gives 1, 1/2, 1/4."""
    replay = prioritised(3)
    replay.insert_episode_batch(episodes([1] * 3))
    feed(replay, np.arange(3), torch.tensor([1.0, 2.0, 4.0]))
    sample = replay.sample(3, Clock(0, 0))
    expected = torch.tensor([1.0, 0.5, 0.25])[torch.from_numpy(sample.indices)]
    assert torch.allclose(sample.weights, expected, atol=1e-5)


def test_beta_rises_to_one() -> None:
    replay = prioritised(3, beta=0.4)
    assert [round(replay.beta(t), 6) for t in (0, 500, 1000, 2000)] == [0.4, 0.7, 1.0, 1.0]


def test_a_new_episode_gets_the_largest_priority() -> None:
    replay = prioritised(3)
    replay.insert_episode_batch(episodes([1, 1]))
    feed(replay, np.arange(2), torch.tensor([0.1, 5.0]))
    replay.insert_episode_batch(episodes([1], first=2))
    assert replay.priorities == pytest.approx([0.1, 5.0, 5.0], rel=1e-4)


def test_replay_samples_as_often_and_when_its_keys_say() -> None:
    replay = buffer(8, batch_size=2, updates_per_collect=3, accumulated_episodes=4)
    replay.insert_episode_batch(episodes([1, 4, 2]))
    assert [len(list(replay.samples(Clock(0, count)))) for count in (3, 4, 6, 8)] == [0, 3, 0, 3]


def test_a_batch_that_can_never_be_drawn_is_refused() -> None:
    with pytest.raises(UserError, match="batch_size=9 episodes can never be drawn from buffer_size=8"):
        buffer(8, batch_size=9)


def rollout(batch_size: int) -> RolloutBuffer:
    config = RolloutBuffer.Config(batch_size=batch_size, buffer_max_gib=1)
    return RolloutBuffer(config, SCHEME, GROUPS, SLOTS, PREPROCESS, np.random.default_rng(0))


def test_a_rollout_is_given_once_when_there_is_enough() -> None:
    fresh = rollout(4)
    fresh.insert_episode_batch(episodes([1, 2, 3]))
    assert not list(fresh.samples(Clock(0, 3)))
    twin = rollout(4)
    twin.load_state_dict(fresh.state_dict())
    for one in (fresh, twin):
        one.insert_episode_batch(episodes([5, 1, 2], first=3))
        (sample,) = one.samples(Clock(0, 6))
        assert ids(sample.batch) == [0, 1, 2, 3, 4, 5]
        assert sample.batch.lengths.tolist() == [1, 2, 3, 5, 1, 2]
        assert sample.indices is sample.weights is sample.replayed is None
        assert not list(one.samples(Clock(0, 6)))


def test_on_off_gives_a_replayed_batch_beside_the_fresh_one() -> None:
    config = OnOffBuffer.Config(batch_size=2, buffer_max_gib=1, off_batch_size=3, off_buffer_size=10)
    both, twin = (OnOffBuffer(config, SCHEME, GROUPS, SLOTS, PREPROCESS, np.random.default_rng(0)) for _ in range(2))
    both.insert_episode_batch(episodes([1, 2]))
    (first,) = both.samples(Clock(0, 2))
    assert first.replayed is None, "two episodes are fewer than three"
    twin.load_state_dict(both.state_dict())
    drawn = []
    for one in (both, twin):
        one.insert_episode_batch(episodes([3, 4], first=2))
        (second,) = one.samples(Clock(0, 4))
        assert ids(second.batch) == [2, 3]
        assert set(ids(second.replayed)) <= {0, 1, 2, 3}
        drawn.append(ids(second.replayed))
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


def test_on_off_gives_the_newest_episodes_of_every_collect_in_the_order_they_came() -> None:
    """PyMARL2 gives uniform ones instead where its ring begins anew."""
    config = OnOffBuffer.Config(batch_size=4, buffer_max_gib=1, off_batch_size=2, off_buffer_size=6)
    both = OnOffBuffer(config, SCHEME, GROUPS, SLOTS, PREPROCESS, np.random.default_rng(0))
    given = []
    for first in range(0, 20, 2):
        both.insert_episode_batch(episodes([1, 2], first=first))
        given += [ids(sample.batch) for sample in both.samples(Clock(0, first + 2))]
    assert given == [list(range(first, first + 4)) for first in range(0, 18, 2)]
    both.insert_episode_batch(episodes([1, 2, 3, 4, 5], first=20))
    (sample,) = both.samples(Clock(0, 25))
    assert ids(sample.batch) == [20, 21, 22, 23, 24], "more than batch_size in one collect are all given"


@pytest.mark.parametrize("key", ["batch_size", "off_batch_size"])
def test_on_off_refuses_a_batch_that_can_never_be_drawn(key: str) -> None:
    keys = {"batch_size": 2, "off_batch_size": 2, "buffer_max_gib": 1, "off_buffer_size": 4} | {key: 5}
    with pytest.raises(UserError, match=f"{key}=5 episodes can never be drawn from off_buffer_size=4"):
        OnOffBuffer(OnOffBuffer.Config(**keys), SCHEME, GROUPS, SLOTS, PREPROCESS, np.random.default_rng(0))


def test_what_is_constant_over_an_episode_has_no_slots() -> None:
    scheme = {**SCHEME, "start": {"vshape": (2,), "group": "agents", "episode_const": True}}
    batch = EpisodeBatch(scheme, GROUPS, 3, SLOTS, PREPROCESS)
    batch.data["start"][:] = torch.arange(3.0)[:, None, None]
    batch.set_lengths(torch.tensor([2, 5, 1]))
    assert batch[1:, :4]["start"][:, 0, 0].tolist() == [1.0, 2.0]
    with pytest.raises(IndexError, match="without its first slots"):
        batch[:, 1:]
    config = RolloutBuffer.Config(batch_size=3, buffer_max_gib=1)
    one, twin = (RolloutBuffer(config, scheme, GROUPS, SLOTS, None, np.random.default_rng(0)) for _ in range(2))
    one.insert_episode_batch(batch[:2])
    twin.load_state_dict(one.state_dict())
    twin.insert_episode_batch(batch[2])
    (sample,) = twin.samples(Clock(0, 3))
    assert sample.batch["start"].shape == (3, 2, 2)
    assert sample.batch["start"][:, 1, 1].tolist() == [0.0, 1.0, 2.0]
    assert one.gib(1) * 2**30 == sum(field.bytes_of(SLOTS) for field in batch.fields.values())


def test_derived_inputs_are_gone_when_slots_are_written() -> None:
    batch = episodes([2, 3])
    batch.derived["inputs"] = "old"
    batch.update({"obs": np.ones((2, 2, 5))}, ts=0, mark_filled=False)
    assert not batch.derived
