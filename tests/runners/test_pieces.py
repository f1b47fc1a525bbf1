"""Pieces of episodes: joined they are the episodes, and whatever is computed on them says so."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from fake_envs import RandomWalk
from fake_mac import FakeMAC
from learner_kit import flat_config
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.returns import gae, td_lambda_targets
from pymarl.envs.multiagentenv import env_seed
from pymarl.run.config import Classes, RunConfig
from pymarl.run.parts import Parts, build_local_runner, build_parts
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.player import EpisodeRecord
from pymarl.utils.config import build_config
from runner_kit import make_runner

NAME, ROWS, STEPS = "fake_envs:RandomWalk", 3, 5
QUIET = logging.getLogger("test_pieces")


@pytest.fixture
def build() -> Iterator[Any]:
    made: list[LocalRunner] = []

    def make(rows: int = ROWS, steps: int | None = STEPS, env: str = NAME, **kw: Any) -> LocalRunner:
        options = {key: kw.pop(key) for key in ("max_restarts",) if key in kw}
        kind = "episode" if rows == 1 else "parallel"
        made.append(make_runner(kind, env, kw, FakeMAC(), rows, in_process=True, rollout_steps=steps, **options))
        return made[-1]

    yield make
    for runner in made:
        runner.close_env()


def run_some(runner: LocalRunner, times: int) -> tuple[list[EpisodeBatch], list[EpisodeRecord]]:
    batches, records = [], []
    for _ in range(times):
        batches.append(runner.run())
        records += runner.episodes
    return batches, records


def joined(batches: list[EpisodeBatch], rows: int) -> list[list[tuple[EpisodeBatch, int]]]:
    """Return the pieces of each env row in the order of time: a row's pieces make up `STEPS` steps of each batch."""
    lanes: list[list[tuple[EpisodeBatch, int]]] = [[] for _ in range(rows)]
    for batch in batches:
        lane, steps = 0, 0
        for index, length in enumerate(batch.lengths.tolist()):
            lanes[lane].append((batch, index))
            steps += length
            if steps == STEPS:
                lane, steps = lane + 1, 0
        assert (lane, steps) == (rows, 0), "every row has played all its steps"
    return lanes


@pytest.mark.parametrize("rows", [1, ROWS])
def test_joined_pieces_are_what_the_env_did(build: Any, rows: int) -> None:
    runner = build(rows)
    batches, records = run_some(runner, 12)
    assert runner.t_env == 12 * rows * STEPS
    firsts = {first_obs(record.seed): record for record in records}
    finished = cuts = 0
    for lane in joined(batches, rows):
        replayed: Replay | None = None
        for batch, index in lane:
            starts = (batch["start_action"][index] == -1).all()
            if starts:
                record = firsts.get(batch["obs"][index, 0].numpy().tobytes())
                replayed = None if record is None else Replay(record)  # None: it had not ended after the last call
            if replayed is not None:
                cuts += not starts
                finished += replayed.compare(batch, index)
    assert finished == len(records) > 5
    assert cuts > rows


def first_obs(seed: int) -> bytes:
    env = RandomWalk()
    env.reset(env_seed(seed))
    return np.array(env.get_obs(), np.float32).tobytes()


class Replay:
    """An episode played once more in a bare env, piece by piece."""

    def __init__(self, record: EpisodeRecord) -> None:
        self.env, self.record = RandomWalk(), record
        self.env.reset(env_seed(record.seed))
        self.rewards: list[float] = []
        self.last = [-1, -1]

    def compare(self, batch: EpisodeBatch, index: int) -> bool:
        """Take a piece's actions and compare what it holds with what the env does; tell whether the episode ends."""
        length, over, info = int(batch.lengths[index]), False, {}
        assert batch["start_action"][index, :, 0].tolist() == self.last
        for step in range(length):
            assert not over, "an end is a piece's last step"
            np.testing.assert_array_equal(batch["obs"][index, step], np.array(self.env.get_obs()))
            np.testing.assert_array_equal(batch["state"][index, step], self.env.get_state())
            np.testing.assert_array_equal(batch["avail_actions"][index, step], self.env.get_avail_actions())
            self.last = batch["actions"][index, step, :, 0].tolist()
            reward, over, info = self.env.step(self.last)
            self.rewards.append(reward)
            assert batch["reward"][index, step, 0] == np.float32(reward)
            assert batch["terminated"][index, step, 0] == (over and "episode_limit" not in info)
        np.testing.assert_array_equal(batch["obs"][index, length], np.array(self.env.get_obs()))
        assert not batch["obs"][index, length + 1 :].any()
        if over:
            assert (self.record.length, self.record.truncated) == (len(self.rewards), "episode_limit" in info)
            assert self.record.ret == pytest.approx(sum(self.rewards))
        return over


def same(first: EpisodeBatch, second: EpisodeBatch) -> bool:
    keys = [*first.data, "filled"]
    return first.lengths.tolist() == second.lengths.tolist() and all(torch.equal(first[k], second[k]) for k in keys)


def test_tests_leave_pieces_as_they_were(build: Any) -> None:
    plain, tested = build(), build()
    for _ in range(6):
        expected = plain.run()
        got = tested.run()
        assert same(got, expected)
        assert tested.episodes == plain.episodes
        batch = tested.run(test_mode=True)
        assert len(tested.episodes) == ROWS
        assert "start_hidden" not in batch.data
    assert tested.t_env == plain.t_env


def test_a_resumed_runner_goes_on_alike(build: Any) -> None:
    runner = build()
    run_some(runner, 5)
    state, draws = copy.deepcopy(runner.state_dict()), runner.mac.generator.get_state()
    assert any(len(actions) for actions in state["pieces"]["actions"]), "episodes are under way"
    twin = build()
    twin.load_state_dict(state)
    twin.mac.generator.set_state(draws)
    for _ in range(5):
        assert same(runner.run(), twin.run())
        assert runner.episodes == twin.episodes


def test_an_episode_that_cannot_be_played_again_begins_anew(build: Any) -> None:
    runner = build()
    run_some(runner, 5)
    state = copy.deepcopy(runner.state_dict())
    long = max(range(ROWS), key=lambda row: len(state["pieces"]["actions"][row]))
    state["pieces"]["seeds"][long] += 1  # as if the env did not follow its seeds: it ends early, or refuses an action
    state["pieces"]["actions"][long] = state["pieces"]["actions"][long].repeat(20, 1)
    told: list[str] = []
    twin = build()
    twin._piece_player().tell = told.append
    twin.load_state_dict(state)
    batch = twin.run()
    assert told == [f"rows [{long}]: the episode under way came out otherwise, and begins anew"]
    assert int(batch.lengths.sum()) == ROWS * STEPS
    (lane,) = [lane for row, lane in enumerate(joined([batch], ROWS)) if row == long]
    assert (batch["start_action"][lane[0][1]] == -1).all()


def test_a_broken_episode_is_played_again_without_its_half(build: Any) -> None:
    runner = build(2, max_restarts=3)
    env = runner._piece_player().env
    step, count = env.step, 0

    def breaking(actions: Any, rows: Any) -> None:
        nonlocal count
        step(actions, rows)
        count += 1
        if count == 3:
            env.arrays.broken[0] = True

    env.step = breaking
    env.episode_info = lambda row: {"broken": "planted"} if env.arrays.broken[row] else {}
    batch = runner.run()
    assert runner.restarts == 1
    assert int(batch.lengths.sum()) < 2 * STEPS
    assert runner.t_env == int(batch.lengths.sum())
    starts = [index for index in range(batch.batch_size) if (batch["start_action"][index] == -1).all()]
    assert starts == list(range(batch.batch_size)), "what broke, and its half, left no piece"


def parts_with(**keys: Any) -> Parts:
    """Return the parts of a run on RandomWalk in pieces."""
    flat = flat_config(
        "qmix", env=NAME, env_args={}, seed=3, runner="parallel", batch_size_run=ROWS, env_workers=1,
        rollout_steps=STEPS, rnn_hidden_dim=8, use_cuda=False, buffer_size=40, batch_size=8, **keys,
    )  # fmt: skip
    config = build_config(RunConfig, flat, {})
    assert Classes.of(flat).buffer.gives == "replay"
    return build_parts(flat, config, build_local_runner(flat, {}, QUIET), QUIET)


@pytest.mark.parametrize("agent", ["rnn", "n_rnn", "rnn_ns"])
def test_an_unroll_over_pieces_equals_the_unroll_over_the_whole_episode(agent: str) -> None:
    parts = parts_with(agent=agent)
    try:
        batches, _ = run_some(parts.runner, 8)
        compared = 0
        for lane in joined(batches, ROWS):
            whole: list[tuple[EpisodeBatch, int]] = []
            for piece in lane:
                if (piece[0]["start_action"][piece[1]] == -1).all():
                    whole = []
                whole.append(piece)
                if len(whole) > 1:
                    compared += compare(parts, whole)
        assert compared > 5
    finally:
        parts.runner.close_env()


def compare(parts: Parts, pieces: list[tuple[EpisodeBatch, int]]) -> int:
    """Join the pieces of an episode, unroll it from its start, and compare with the unroll of the last piece."""
    first = pieces[0][0]
    lengths = [int(batch.lengths[index]) for batch, index in pieces]
    scheme = {key: entry for key, entry in first.scheme.items() if not entry.get("episode_const")}
    episode = EpisodeBatch(scheme, first.groups, 1, sum(lengths) + 1, first.preprocess)
    start = 0
    for (batch, index), length in zip(pieces, lengths, strict=True):
        for key in scheme:
            episode.data[key][0, start : start + length + 1] = batch.data[key][index, : length + 1]
        start += length
    episode.set_lengths(torch.tensor([sum(lengths)]))
    batch, index = pieces[-1]
    with torch.no_grad():
        expected = parts.mac.unroll(episode)[0, sum(lengths[:-1]) :]
        got = parts.mac.unroll(batch[index : index + 1, : lengths[-1] + 1])[0]
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    return 1


def test_targets_of_pieces_joined_by_their_bootstraps() -> None:
    """An episode of rewards 1, 2, 3, 4 that terminates, cut after two steps; gamma 1/2, lambda 1/2, V 8, 6, 4, 2, 0.

    Whole: G4 = 4; G3 = 3 + (2 + 4) / 4 = 4.5; G2 = 2 + (4 + 4.5) / 4 = 4.125; G1 = 1 + (6 + 4.125) / 4 = 3.53125.
    The second piece alone is the same. The first stops at its cut: G2 = 2 + 4 / 2 = 4, G1 = 1 + (6 + 4) / 4 = 3.5.
    """
    value = torch.tensor([8.0, 6.0, 4.0, 2.0, 0.0])
    reward = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[..., None]
    ends = torch.tensor([[0.0, 0.0], [0.0, 1.0]])[..., None]
    filled = torch.ones(2, 2, 1)
    before, after = value[:4].view(2, 2, 1), value[1:].view(2, 2, 1)
    targets = td_lambda_targets(reward, ends, filled, after, gamma=0.5, td_lambda=0.5)
    assert targets.flatten().tolist() == [3.5, 4.0, 4.5, 4.0]
    got = gae(reward, ends, filled, before, after, gamma=0.5, gae_lambda=0.5)
    # delta = 1 + 3 - 8, 2 + 2 - 6, 3 + 1 - 4, 4 - 2 = -4, -2, 0, 2; A = delta + A_next / 4 within a piece.
    assert got.advantages.flatten().tolist() == [-4.5, -2.0, 0.5, 2.0]
    assert got.returns.flatten().tolist() == [3.5, 4.0, 4.5, 4.0]
