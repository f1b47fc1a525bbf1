"""Env sc2: unmodified smac against the stand-in, through failures, replays and bad options."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl.envs.multiagentenv import EpisodeBroken, ReplayError
from pymarl.envs.sc2.env import SC2Env
from pymarl.envs.sc2.installation import package_problem
from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError
from sc2_standin.faults import VARIABLE
from sc2_standin.fixtures import sc2path  # noqa: F401
from sc2_standin.install import make_sc2path

MISSING = package_problem("smac") or package_problem("pysc2")
pytestmark = [
    pytest.mark.sc2,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
    pytest.mark.usefixtures("sc2path", "temporary"),
]
STOP, SOUTH = 1, 3


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files; empty at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that makes an env, closed at the end, with the faults of its game."""
    made: list[SC2Env] = []

    def build(faults: str = "", **options: Any) -> SC2Env:
        monkeypatch.setenv(VARIABLE, faults)
        env = make_env("sc2", options, seed=0)
        assert isinstance(env, SC2Env)
        made.append(env)
        return env

    yield build
    for env in made:
        env.close()


def play(env: SC2Env, generator: np.random.Generator, steps: int = 10**6) -> dict[str, Any]:
    """Start an episode and play it with random actions to its end, or `steps` long; return the last info."""
    env.reset(seed=int(generator.integers(2**31)))
    info: dict[str, Any] = {}
    for _ in range(steps):
        avail = np.array(env.get_avail_actions())
        _, over, info = env.step((generator.random(avail.shape) * avail).argmax(1))
        if over:
            break
    return info


def children() -> set[int]:
    """Return the processes that this one has started and that run."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in listed if "SC2_x64" in Path(f"/proc/{pid}/cmdline").read_text()}


@pytest.mark.parametrize("options", [{}, {"obs_timestep_number": True, "obs_instead_of_state": True}])
def test_what_the_env_says_of_itself_holds(make: Any, options: dict[str, Any]) -> None:
    env = make(**options)
    assert not children()
    env.reset(seed=3)
    assert np.array(env.get_obs()).shape == (env.n_agents, env.get_obs_size())
    assert env.get_state().shape == (env.get_state_size(),)
    assert np.array(env.get_avail_actions()).shape == (env.n_agents, env.get_total_actions())
    env.close()
    env.close()
    assert not children()


def test_a_time_limit_is_truncated_and_nothing_else_is(make: Any) -> None:
    env = make(map_name="2s_vs_1sc", step_mul=1)
    env.reset()
    for step in range(300):
        _, over, info = env.step([STOP if env.get_avail_actions()[k][STOP] else 0 for k in range(2)])
        assert over == (step == 299)
        assert info["episode_limit"] == over
    assert env.get_stats() == {
        "battles_won": 0, "battles_game": 1, "battles_draw": 1, "win_rate": 0, "timeouts": 1, "restarts": 0
    }  # fmt: skip
    env.reset()
    assert not env.step([STOP, STOP])[2]["episode_limit"]
    assert not play(make(), np.random.default_rng(0))["episode_limit"]


@pytest.mark.parametrize("fault", ["crash", "freeze", "garbage", "error"])
def test_a_broken_episode_is_not_counted_and_the_next_game_is_as_the_first(make: Any, fault: str) -> None:
    env, generator = make(f"{fault}@9", game_timeout=10), np.random.default_rng(0)
    env.reset(seed=7)
    paid = env._game.max_reward
    assert env._game.seed() == 7
    if fault == "freeze":
        env._game._controller._client._timeout = 1
    with pytest.raises(EpisodeBroken) as caught:
        [env.step([STOP] * 3) for _ in range(9)]
    assert "\n" not in str(caught.value)
    assert not children()
    with pytest.raises(RuntimeError, match="reset"):
        env.step([STOP] * 3)
    assert play(env, generator)["episode_limit"] is False
    assert env._game.seed() not in (None, 7)
    assert len(children()) == 1
    assert env._game.max_reward == paid == 365
    stats = env.get_stats()
    assert (stats["battles_game"], stats["restarts"]) == (1, 1)


def test_statistics_go_on_from_game_to_game(make: Any) -> None:
    env, generator = make("every:crash@60"), np.random.default_rng(0)
    whole = broken = won = 0
    while broken < 2:
        try:
            won += play(env, generator)["battle_won"]
            whole += 1
        except EpisodeBroken:
            broken += 1
    assert whole >= 2
    stats = env.get_stats()
    assert (stats["battles_game"], stats["battles_won"], stats["restarts"]) == (whole, won, 2)


def test_a_game_that_does_not_start_breaks_the_episode(make: Any) -> None:
    env = make("launch@1")
    with pytest.raises(EpisodeBroken, match="did not start; the game ended with code 1"):
        env.reset()
    assert not env.get_stats()["battles_game"]
    play(env, np.random.default_rng(0))
    assert env.get_stats()["restarts"] == 1


def test_a_step_in_anothers_game_breaks_the_episode(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two games chose one port, and nothing tells at the start whose game answers."""
    with monkeypatch.context() as patch:
        patch.setattr("pymarl.envs.sc2.game.Process.check", lambda _: None)
        patch.setattr("pymarl.envs.sc2.game.Process._check_port", lambda _: None)
        other, env = make(), make()
        other.reset()
        patch.setattr("portpicker.pick_unused_port", lambda: other._game._sc2_proc.port)
        env.reset()
        env._game._sc2_proc._proc.wait()
    with pytest.raises(EpisodeBroken, match=r"process is gone; the game ended with code 1.*in use"):
        env.step([STOP] * 3)
    env.reset()
    env.step([STOP] * 3)
    assert env.get_stats()["restarts"] == 1


def test_games_share_one_class(make: Any) -> None:
    """smac keeps every env until the process ends; a class for each would stay as well."""
    env = make()
    env.reset()
    first = type(env._game)
    env._end_game()
    env.reset()
    assert type(env._game) is first


def test_a_reset_before_the_end_starts_no_second_game(make: Any) -> None:
    env, generator = make(), np.random.default_rng(0)
    play(env, generator, steps=2)
    first, paid = children(), env._game.max_reward
    play(env, generator, steps=2)
    assert children() == first
    assert env._game.max_reward == paid == 365


def test_a_game_is_replaced_before_it_reaches_its_last_loop(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymarl.envs.sc2.starcraft.GAME_LOOPS", 60 * 8 + 100)  # an episode of 3m, and a little
    env, generator = make(), np.random.default_rng(0)
    play(env, generator, steps=5)
    (first,) = children()
    play(env, generator, steps=10)
    assert children() == {first}
    play(env, generator, steps=5)
    assert children() != {first}
    assert env.get_stats()["restarts"] == 0


def test_an_illegal_action_is_an_error_and_no_broken_episode(make: Any) -> None:
    env = make()
    env.reset()
    with pytest.raises(AssertionError):
        env.step([0, 0, 0])


def test_what_is_wrong_with_the_options_is_said_in_one_line(make: Any, sc2path: Path) -> None:  # noqa: F811
    for options, said in [
        ({"seed": 5}, "write seed=5"),
        ({"replay_prefix": "a/b"}, "replay_dir"),
        ({"map_name": "3mm"}, "did you mean '3m'"),
        ({"game_version": "4.6"}, "env_args.game_version='4.6'"),
        ({"game_version": "9.9"}, "env_args.game_version='9.9'"),
        ({"game_timeout": 0}, "expected int >= 1"),
        ({"obs_pathing_grid": True, "move_amount": 1.5}, "write move_amount=2"),
    ]:
        with pytest.raises(UserError, match=said) as caught:
            make(**options)
        assert "\n" not in str(caught.value)
    (sc2path / "Maps" / "SMAC_Maps" / "coridor.SC2Map").write_bytes(b"x")
    with pytest.raises(UserError, match="smac does not know it; did you mean 'corridor'"):
        make(map_name="coridor")


def test_a_package_that_cannot_be_imported_is_one_line(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ModuleNotFoundError("No module named 'portpicker'")

    monkeypatch.setattr("pymarl.envs.sc2.starcraft.use_fast_backend", broken)
    with pytest.raises(UserError, match=r"No module named 'portpicker'; .*install_sc2.sh.*--env-config=skirmish"):
        make()


def test_both_packages_in_one_process_are_refused(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smacv2.env", object())
    with pytest.raises(UserError, match="another process"):
        make()


def test_replays_are_whole_and_never_collide(make: Any, tmp_path: Path) -> None:
    env = make()
    play(env, np.random.default_rng(0), steps=5)
    paths = [path for _ in range(4) for path in env.save_replay(tmp_path / "new" / "replays")]
    assert len(set(paths)) == 4
    assert all(path.name.startswith("3m_2") and path.suffix == ".SC2Replay" for path in paths)
    data = env._game._controller.save_replay()
    assert [path.read_bytes() for path in paths] == [data] * 4
    assert sorted((tmp_path / "new" / "replays").iterdir()) == sorted(paths)


@pytest.mark.parametrize("lost", ["Versions/Base75689/SC2_x64", "Maps/SMAC_Maps/3m.SC2Map"])
def test_a_file_that_is_gone_for_a_while_breaks_episodes(make: Any, sc2path: Path, lost: str) -> None:  # noqa: F811
    env = make("crash@2")
    with pytest.raises(EpisodeBroken):
        play(env, np.random.default_rng(0))
    kept = (sc2path / lost).rename(sc2path / "kept")
    for _ in range(2):
        with pytest.raises(EpisodeBroken, match=f"{Path(lost).name} (is gone|not found)"):
            env.reset()
    kept.rename(sc2path / lost)
    play(env, np.random.default_rng(0))
    assert env.get_stats()["restarts"] == 3


def test_replay_dir_is_tried_before_there_is_anything_to_save(make: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        env = make(replay_dir=str(tmp_path / place))
        with pytest.raises(ReplayError, match=f"env_args.replay_dir='{tmp_path / place}': cannot write"):
            env.save_replay(tmp_path / "unused")
    assert make(replay_dir=str(tmp_path / "new")).save_replay(tmp_path / "unused") == []
    assert not list((tmp_path / "new").iterdir())


def test_replay_dir_is_smacs(
    make: Any,
    sc2path: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = make(replay_prefix="ours")
    play(env, np.random.default_rng(0), steps=2)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, folder in [
        ("mine", sc2path / "Replays" / "mine"), (str(tmp_path / "abs"), tmp_path / "abs"), ("~/x", tmp_path / "x")
    ]:  # fmt: skip
        env.config = replace(env.config, replay_dir=given)
        (path,) = env.save_replay(tmp_path / "unused")
        assert path.parent == folder
        assert path.name.startswith("ours_2")
    assert not (tmp_path / "unused").exists()


def test_a_replay_that_cannot_be_saved_is_an_error_of_one_line(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make()
    play(env, np.random.default_rng(0), steps=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        env.save_replay(tmp_path / "file" / "replays")

    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match="No space left on device"):
            env.save_replay(tmp_path / "full")
    assert not list((tmp_path / "full").iterdir())
    env._game._sc2_proc._proc.kill()
    with pytest.raises(UserError, match="killed by SIGKILL"):
        env.save_replay(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
    play(env, np.random.default_rng(0), steps=2)
    assert env.save_replay(tmp_path / "gone")


def test_without_a_game_there_is_no_replay_and_no_error(make: Any, tmp_path: Path) -> None:
    """An env whose game has just failed, or that takes the place of a killed worker's, stands beside envs with one."""
    env = make("crash@3")
    assert env.save_replay(tmp_path / "new") == []
    with pytest.raises(EpisodeBroken):
        play(env, np.random.default_rng(0))
    assert env.save_replay(tmp_path / "new") == []
    assert not (tmp_path / "new").exists()
    play(env, np.random.default_rng(0), steps=1)
    assert len(env.save_replay(tmp_path / "new")) == 1


def test_without_the_game_the_error_names_the_way_out(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"install_sc2.sh.*--env-config=skirmish"):
        make()
    monkeypatch.setenv("SC2PATH", str(make_sc2path(tmp_path / "few", maps=["8m"])))
    with pytest.raises(UserError, match=r"3m.*install_sc2.sh.*--env-config=skirmish"):
        make()
