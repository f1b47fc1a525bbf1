"""Runners: what they record, that both play the same episodes, and that evaluation touches nothing of training."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fake_mac import FakeMAC
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.batched import SerialEnvs
from pymarl.envs.multiagentenv import env_seed
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.player import BrokenTooOften
from pymarl.runners.seeds import EpisodeSeeds
from pymarl.utils.errors import UserError
from runner_kit import make_runner

NAME = "fake_envs:RandomWalk"


@pytest.fixture
def reasons() -> list[str]:
    """Why episodes of the runners that `build` made have broken."""
    return []


@pytest.fixture
def build(reasons: list[str]) -> Iterator[Any]:
    made: list[LocalRunner] = []

    def make(kind: str, batch_size: int = 1, env: str = NAME, mac: Any = None, **kw: Any) -> LocalRunner:
        options = {key: kw.pop(key) for key in ("env_workers", "max_restarts", "in_process", "with_probs") if key in kw}
        mac = mac or FakeMAC(with_probs=options.get("with_probs", False))
        made.append(make_runner(kind, env, kw, mac, batch_size, tell=reasons.append, **options))
        return made[-1]

    yield make
    for runner in made:
        runner.close_env()


def copy(batch: EpisodeBatch) -> dict[str, Any]:
    return {key: tensor.clone() for key, tensor in batch.data.items()} | {"lengths": batch.lengths.clone()}


def play(runner: LocalRunner, runs: int) -> None:
    for _ in range(runs):
        runner.run()


def assert_same(left: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    assert left.keys() == right.keys()
    for key, tensor in left.items():
        assert torch.equal(tensor, right[key]), key


@pytest.mark.parametrize(("kind", "rows"), [("episode", 1), ("parallel", 3)])
def test_each_agents_own_rewards_reach_the_batch(build: Any, kind: str, rows: int) -> None:
    runner = build(kind, rows, "fake_envs:NativeRewards", n_rewards=2)
    batch = runner.run()
    assert batch["reward"].shape == (rows, 4, 2)
    assert batch["actions"].any()
    earned = batch["actions"][..., 0] * torch.tensor([1.0, 2.0])
    assert torch.equal(batch["reward"], earned)
    for row, record in enumerate(runner.episodes):
        own = earned[row].sum(0).tolist()
        assert record.ret == sum(own)
        assert record.info == {"won": 1.0, "agent_0_return": own[0], "agent_1_return": own[1]}


@pytest.mark.parametrize(("kind", "rows"), [("episode", 1), ("parallel", 3)])
def test_the_teams_reward_is_the_sole_one(build: Any, kind: str, rows: int) -> None:
    """RandomWalk's reward is the first of OwnRewards; its record says nothing of agents."""
    own, team = build(kind, rows, "fake_envs:OwnRewards"), build(kind, rows)
    assert torch.equal(own.run()["reward"][..., :1], team.run()["reward"])
    for with_own, record in zip(own.episodes, team.episodes, strict=True):
        assert with_own.info["agent_0_return"] == record.ret
        assert with_own.info.keys() - record.info.keys() == {"agent_0_return", "agent_1_return"}
        assert record.info.keys() == {"sum", "won"}


def test_only_the_parallel_runner_reads_env_workers(build: Any) -> None:
    assert isinstance(build("episode", env_workers=1).env, SerialEnvs)
    for workers in (1, 3, 4):
        assert len(build("parallel", 4, env_workers=workers).env._processes) == workers


@pytest.mark.parametrize("in_process", [True, False])
def test_parallel_with_one_row_equals_episode(build: Any, in_process: bool) -> None:
    episode, parallel = build("episode"), build("parallel", in_process=in_process)
    for test_mode in (False, True, False, False):
        assert_same(copy(episode.run(test_mode)), copy(parallel.run(test_mode)))
        assert episode.episodes == parallel.episodes
    assert episode.state_dict() == parallel.state_dict()
    assert episode.t_env > 0


def test_rows_play_the_episodes_that_one_row_plays_in_turn(build: Any) -> None:
    parallel, episode = build("parallel", 4), build("episode")
    rows = copy(parallel.run(test_mode=True))
    for row in range(4):
        alone = copy(episode.run(test_mode=True))
        assert episode.episodes == [parallel.episodes[row]]
        assert_same({key: tensor[0] for key, tensor in alone.items()}, {key: t[row] for key, t in rows.items()})
    assert len(set(rows["lengths"].tolist())) > 1


def test_the_batch_holds_what_the_env_did(build: Any) -> None:
    """Replay the recorded actions in a bare env; every slot and statistic must come out again, padding must be 0."""
    from fake_envs import RandomWalk

    runner = build("parallel", 4, in_process=True)
    ends = set()
    for _ in range(6):
        batch = runner.run()
        for row, record in enumerate(runner.episodes):
            env, rewards, over, t = RandomWalk(), [], False, 0
            env.reset(env_seed(record.seed))
            while True:
                np.testing.assert_array_equal(batch["obs"][row, t], np.array(env.get_obs()))
                np.testing.assert_array_equal(batch["state"][row, t], env.get_state())
                np.testing.assert_array_equal(batch["avail_actions"][row, t], env.get_avail_actions())
                if over:
                    break
                reward, over, info = env.step(batch["actions"][row, t, :, 0].numpy())
                rewards.append(reward)
                t += 1
            truncated = "episode_limit" in info
            assert batch["reward"][row, :t, 0].tolist() == torch.tensor(rewards).tolist()
            assert batch["terminated"][row, :, 0].tolist() == [i == t - 1 and not truncated for i in range(9)]
            assert (record.length, record.truncated, batch.lengths[row]) == (t, truncated, t)
            assert record.ret == pytest.approx(sum(rewards), abs=1e-12)
            assert record.info == {key: float(value) for key, value in info.items() if key != "text"}
            assert not any(tensor[row, t + 1 :].any() for tensor in batch.data.values())
            assert not any(batch[key][row, t].any() for key in ("actions", "reward", "terminated"))
            ends.add(truncated)
    assert ends == {True, False}


def test_t_env_counts_training_steps_only(build: Any) -> None:
    runner = build("parallel", 3, in_process=True)
    total = 0
    for test_mode in (False, True, False):
        runner.mac.calls.clear()
        runner.run(test_mode)
        assert {(call["t_env"], call["test_mode"]) for call in runner.mac.calls} == {(total, test_mode)}
        assert [call["t_ep"] for call in runner.mac.calls] == list(range(max(e.length for e in runner.episodes)))
        assert sum(call["rows"] for call in runner.mac.calls) == sum(e.length for e in runner.episodes)
        total += 0 if test_mode else sum(e.length for e in runner.episodes)
        assert runner.t_env == total


def test_evaluation_leaves_training_as_it_was(build: Any) -> None:
    plain, tested = build("episode"), build("episode")
    for turn in range(4):
        assert_same(copy(plain.run()), copy(tested.run()))
        tested.run(test_mode=True)
        tested.run(test_mode=True, phase="evaluate" if turn % 2 else "test")
    assert torch.equal(plain.mac.generator.get_state(), tested.mac.generator.get_state())


def test_resume_equals_never_stopping(build: Any) -> None:
    runner, resumed = build("parallel", 2, in_process=True), build("parallel", 2, in_process=True)
    runner.run()
    runner.run(test_mode=True)
    resumed.load_state_dict(runner.state_dict())
    resumed.mac.generator.set_state(runner.mac.generator.get_state())
    assert_same(copy(runner.run()), copy(resumed.run()))
    assert runner.episodes == resumed.episodes
    assert runner.t_env == resumed.t_env


def test_probs_are_stored_where_the_scheme_has_them(build: Any) -> None:
    runner = build("parallel", 2, in_process=True, with_probs=True)
    batch = runner.run()
    mask = batch.transitions().mask  # [B, T-1, 1]
    torch.testing.assert_close(batch["probs"].sum(-1)[:, :-1], mask.expand(-1, -1, 2))
    assert not batch["probs"][~batch["avail_actions"]].any()


@pytest.mark.parametrize("kind", ["episode", "parallel"])
def test_an_episode_that_does_not_end_stops_the_run(build: Any, kind: str) -> None:
    runner = build(kind, trouble="endless", episode_limit=2)
    with pytest.raises(UserError, match=f"env '{NAME}': an episode goes on after episode_limit=2 steps"):
        play(runner, 20)


def test_the_episode_runner_plays_one_row(build: Any) -> None:
    with pytest.raises(UserError, match=r"batch_size_run=2.*runner=parallel"):
        build("episode", 2)


@pytest.mark.parametrize("kind", ["episode", "parallel"])
def test_replays(build: Any, kind: str, tmp_path: Path) -> None:
    assert build(kind, env="fake_envs:WithReplays").save_replay(tmp_path) == list(tmp_path.iterdir())
    with pytest.raises(UserError, match="has no replays"):
        build(kind).save_replay(tmp_path)


class FirstAvailable(FakeMAC):
    """Draws nothing: what it does depends on the episode alone."""

    def select_actions(self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any, test_mode: bool) -> Any:
        return batch["avail_actions"][:, t_ep][bs].int().argmax(-1)


@pytest.mark.parametrize(("kind", "rows", "workers"), [("episode", 1, None), ("parallel", 4, 4), ("parallel", 4, 1)])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_broken_episode_leaves_nothing_behind(
    build: Any, reasons: list[str], kind: str, rows: int, workers: int | None, at: int
) -> None:
    whole = build(kind, rows, mac=FirstAvailable(), env_workers=workers)
    broken = build(
        kind, rows, "fake_envs:Fragile", FirstAvailable(), env_workers=workers, max_restarts=3, breaks=3, at=at
    )
    for test_mode in (False, True, False, False, False, False):
        assert_same(copy(whole.run(test_mode)), copy(broken.run(test_mode)))
        assert whole.episodes == broken.episodes
    assert whole.t_env == broken.t_env > 0
    assert broken.restarts == 3 * rows
    assert len(reasons) == broken.restarts


def test_too_many_broken_episodes_stop_the_run(build: Any, reasons: list[str]) -> None:
    runner = build("parallel", 2, "fake_envs:Fragile", max_restarts=2, breaks=3, at=1)
    before = runner.state_dict()
    with pytest.raises(BrokenTooOften, match=r"with max_restarts=2; the last time: row 0: the game is gone"):
        runner.run()
    assert runner.state_dict() == {**before, "restarts": 6}
    assert reasons == [f"An episode broke and is played again; row {row}: the game is gone" for row in (0, 1)] * 3


def test_only_what_breaks_in_a_row_stops_the_run(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was done loses its episode while another is played again, for which that one's tries do not count."""
    runner = build("parallel", 2, in_process=True, max_restarts=1)
    env, resets, breaks = runner.env, runner.env.reset, [[0], [1], []]

    def reset(rows: Any, seeds: Any) -> None:
        resets(rows, seeds)
        env.arrays.broken[breaks.pop(0)] = True

    pauses: list[float] = []
    monkeypatch.setattr("pymarl.runners.player.time.sleep", pauses.append)
    runner._episodes.pause_seconds = 1.0
    monkeypatch.setattr(env, "reset", reset)
    monkeypatch.setattr(env, "episode_info", lambda _: {"broken": "planted"})
    runner.run()
    assert (breaks, runner.restarts) == ([], 2)
    assert pauses == [0, 1]
    breaks += [[0], [0, 1]]
    with pytest.raises(BrokenTooOften, match="the last time: row 0: planted"):
        runner.run()
    runner._episodes.max_restarts = 9
    breaks[:], pauses[:] = [[0]] * 9 + [[]], []
    runner.run()
    assert pauses == [0, 1, 3, 7, 15, 15, 15, 15, 15]
    runner._episodes.max_restarts = 2
    breaks[:] = [[0], [1]] * 9
    with pytest.raises(BrokenTooOften):
        runner.run()
    assert len(breaks) == 18 - 5


def test_a_killed_worker_costs_its_episodes_only(build: Any, reasons: list[str]) -> None:
    whole, broken = (build("parallel", 4, mac=FirstAvailable(), env_workers=2, max_restarts=n) for n in (0, 1))
    for turn in range(4):
        if turn == 1:
            os.kill(broken.env._processes[1].pid, signal.SIGKILL)
        assert_same(copy(whole.run()), copy(broken.run()))
    assert broken.restarts == 2
    assert all("was killed by SIGKILL" in reason for reason in reasons)


def test_seeds_depend_on_the_episodes_number_alone() -> None:
    one, many = EpisodeSeeds(5), EpisodeSeeds(5)
    many.draw("test", 3)
    singles = [one.draw("train", 1)[0] for _ in range(6)]
    assert [*many.draw("train", 2), *many.draw("train", 4)] == singles
    assert singles[4] == np.random.SeedSequence([5, 0, 4]).generate_state(1, np.uint64)[0]
    everything = [EpisodeSeeds(run).draw(phase, 50) for run in (5, 6) for phase in ("train", "test", "evaluate")]
    assert len(np.unique(np.concatenate(everything))) == 300
    other = EpisodeSeeds(5)
    other.load_state_dict(many.state_dict())
    np.testing.assert_array_equal(other.draw("test", 2), many.draw("test", 2))
