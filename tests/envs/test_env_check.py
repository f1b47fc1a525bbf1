"""`check_env` is quiet on a sound env and names each fault of a broken one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pymarl.envs.batched import SerialEnvs
from pymarl.envs.check import check_env, main, parse_env_args
from pymarl.envs.multiagentenv import MultiAgentEnv
from pymarl.utils.errors import UserError
from worker_kit import play, start


class Sound(MultiAgentEnv):
    """Two agents count to three, or to two if the first one chooses action 1 all the way."""

    n_agents, episode_limit = 2, 3

    def __init__(self, seed: int = 0) -> None:
        self.unseeded = np.random.default_rng(seed)

    def reset(self, seed: int | None = None) -> None:
        self.t, self.ones = 0, 0
        self.start = float(np.random.default_rng(seed).random())

    def step(self, actions: Any) -> Any:
        self.t += 1
        self.ones += int(actions[0] == 1)
        terminated = self.t == 2 and self.ones == 2
        return 1.5, terminated or self.t == 3, {"episode_limit": self.t == 3}

    def get_obs(self) -> Any:
        return [[self.start, self.t], [self.start, self.t]]

    def get_state(self) -> Any:
        return [self.start, self.t, 0.0]

    def get_avail_actions(self) -> Any:
        return [[1, 1], [1, 0]]

    def get_obs_size(self) -> int:
        return 2

    def get_state_size(self) -> int:
        return 3

    def get_total_actions(self) -> int:
        return 2


class NoSeed(Sound):
    def reset(self) -> None:  # type: ignore[override]
        super().reset(seed=0)


def test_a_sound_env_passes() -> None:
    report = check_env(Sound(), steps=60)
    assert report.steps >= 60
    assert report.terminated > 0
    assert report.truncated > 0
    assert report.repeated == (report.terminated + report.truncated) / 3
    assert "cannot be repeated" in str(check_env(NoSeed(), steps=20))


FAULTS: list[tuple[str, Any, str]] = [
    ("get_obs", lambda env: [[0, 0, 0]] * 2, r"get_obs returned shape \(2, 3\) of int64, expected shape \(2, 2\)"),
    ("get_obs", lambda env: [[0, 0], [0]], "get_obs returned list of unequal rows"),
    ("get_obs", lambda env: [["a", "b"]] * 2, "get_obs returned shape .* of <U1, expected .* of numbers"),
    ("get_obs", lambda env: [[0, 0], [0, np.nan]], r"get_obs returned nan at \(1, 1\)"),
    ("get_obs", lambda env: {}["x"], r"failed in row 0 during reset: KeyError: 'x'"),
    ("get_state", lambda env: [0.0], r"get_state returned shape \(1,\) of float64, expected shape \(3,\)"),
    ("get_avail_actions", lambda env: [[1, 1], [0, 0]], "leaves agent 1 no action"),
    ("get_avail_actions", lambda env: [[1, 2], [1, 0]], "returned 2, expected 0 or 1"),
    ("get_avail_actions", lambda env: [[1, 0.5], [-0.0, 1.0]], "returned 0.5, expected 0 or 1"),
    ("get_env_info", lambda env: {"n_agents": 2}, r"get_env_info\(\)\['n_actions'\] is missing, expected an int"),
    ("get_env_info", lambda env: None, "get_env_info returned None, expected a dict"),
    ("get_env_info", lambda env: 1 / 0, "failed in row 0 during get_env_info: ZeroDivisionError"),
    ("step", lambda env, actions: (1.0, False), "step returned 2 values"),
    ("step", lambda env, actions: [1.0, False, {}], "step returned list"),
    ("step", lambda env, actions: ([1.0, 2.0], False, {}), r"step returned reward shape \(2,\) of float64"),
    ("step", lambda env, actions: (np.inf, False, {}), "step returned reward inf"),
    ("step", lambda env, actions: ("1", False, {}), "step returned reward '1'"),
    ("step", lambda env, actions: (1.0, [True, True], {}), "step returned terminated"),
    ("step", lambda env, actions: (1.0, True, [1]), "step returned info shape .*, expected a dict"),
    ("step", lambda env, actions: (1.0, False, {"episode_limit": True}), "says that the episode goes on"),
    ("step", lambda env, actions: (1.0, False, None), "goes on after 3 steps"),
    ("step", lambda env, actions: env.nothing, "failed in row 0 during step: AttributeError: 'Broken' object has no"),
    ("step", lambda env, actions: exit(3), r"failed in row 0 during step: it ended the program by sys.exit\(3\)"),
    ("get_state", lambda env: env.unseeded.random(3), r"reset\(seed=0\) and the same actions gave another episode"),
    ("step", None, "method step is missing"),
]


@pytest.mark.parametrize(("method", "fault", "message"), FAULTS)
def test_each_fault_is_named_in_one_line(method: str, fault: Any, message: str) -> None:
    broken = type("Broken", (Sound,), {method: fault})()
    with pytest.raises(UserError, match=message) as caught:
        check_env(broken)
    assert "\n" not in str(caught.value)


def test_values_of_the_command_read_as_in_the_runs_files() -> None:
    words = ["a=1e-1", "env_args.b=2024-01-31", "c=[1, 2E3]", "d={e: yes}"]
    assert parse_env_args(words) == {"a": 0.1, "b": "2024-01-31", "c": [1, 2000.0], "d": {"e": True}}


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["one_step_matrix_game", "map_name=one_step_matrix_game_hard"]) == 0
    assert capsys.readouterr().out.startswith("ok: one_step_matrix_game: 2 agents, 3 actions")
    assert main(["one_step_matrix_game", "map_name=chess"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["no_such_env"]) == 1
    assert "unknown env 'no_such_env'" in capsys.readouterr().err
    assert main(["stag_hunt", "n_agents"]) == 1
    assert "expected key=value" in capsys.readouterr().err
    for words, expected in (
        (["stag_hunt", "n_agents=[1"], "n_agents='[1': the value is not YAML"),
        (["stag_hunt", "n_agents=" + "[" * 2000], "the value is not YAML"),
        (["stag_hunt", "n_agent=3"], "unknown key 'env_args.n_agent'; did you mean 'n_agents'?"),
        (["fake_envs:RandomWalk", "colour=3"], "does not accept these env_args"),
        (["os:getcwd"], "expected a class"),
        (["no_such_module:X"], "put its folder on PYTHONPATH"),
    ):
        assert main(words) == 1
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert expected in err


@pytest.mark.parametrize(("at", "action"), [(-1, "start"), (0, "reset"), (2, "step")])
def test_the_command_shows_what_a_run_shows(at: int, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"trouble": "raise", "at": at}
    assert main(["fake_envs:RandomWalk", *(f"{key}={value}" for key, value in words.items())]) == 1
    said = capsys.readouterr().err
    with pytest.raises(UserError) as caught:
        play(start(SerialEnvs, batch_size=1, **words), [1])
    assert said == f"error: {caught.value}\n{caught.value.details}\n"
    assert f"during {action}: ZeroDivisionError: planted fault" in said
    assert "in _misbehave" in said
