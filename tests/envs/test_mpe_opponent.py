"""MPE with one side played: who is shown, what the opponents do, EPyMARL's networks and their moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pymarl.envs import opponents
from pymarl.envs.opponents import DOWN, LEFT, RIGHT, UP
from pymarl.envs.single import make_env
from pymarl.tools import epymarl_opponent
from pymarl.utils.errors import UserError

TAG, ADVERSARY = "mpe2:simple_tag_v3", "mpe2:simple_adversary_v3"


def make(key: str = TAG, **env_args: Any) -> Any:
    pytest.importorskip("mpe2")
    return make_env("mpe_opponent", {"key": key, **env_args}, seed=0)


def episode(env: Any, seed: int, policy: Any) -> tuple[float, list[Any]]:
    """Return the team's return and all observations."""
    env.reset(seed=seed)
    total, over, seen = 0.0, False, [env.get_obs()]
    while not over:
        reward, over, _ = env.step([policy(obs) for obs in env.get_obs()])
        total += reward
        seen.append(env.get_obs())
    return total, seen


def chase(obs: Any) -> int:
    return opponents.towards(obs[12:14])  # where simple_tag's prey is, seen from a chaser


@pytest.mark.parametrize(("key", "agents", "obs"), [(TAG, 3, 16), (ADVERSARY, 2, 10)])
def test_the_team_alone_is_shown(key: str, agents: int, obs: int) -> None:
    info = make(key).get_env_info()
    assert (info["n_agents"], info["obs_shape"], info["state_shape"]) == (agents, obs, agents * obs)


def test_chance_of_the_opponent_follows_from_the_seed() -> None:
    env = make(opponent="random")
    first, other = episode(env, 3, chase)[1], episode(env, 4, chase)[1]
    again = episode(env, 3, chase)[1]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("key", "policy", "opponent"), [(TAG, chase, 40), (ADVERSARY, lambda obs: opponents.towards(obs[:2]), 15)]
)
def test_the_script_is_worth_more_than_chance(key: str, policy: Any, opponent: float) -> None:
    """The team's mean return over eight episodes, its policy being greedy: the script leaves it less."""
    returns = {}
    for kind in ("scripted", "random"):
        env = make(key, opponent=kind)
        returns[kind] = np.mean([episode(env, seed, policy)[0] for seed in range(8)])
    assert returns["scripted"] < returns["random"] - opponent


@pytest.mark.parametrize(
    ("place", "chaser", "move"),
    [
        ((0, 0), (0.3, 0.1), LEFT),
        ((0, 0), (-0.1, -0.3), UP),
        ((0, 0.95), (0.0, -0.5), DOWN),  # the wall is nearer than the chaser
        ((-0.95, 0), (0.5, 0.0), RIGHT),
    ],
)
def test_prey_flees_and_stays_in_the_field(place: Any, chaser: Any, move: int) -> None:
    obs = np.array([0, 0, *place, 5, 5, 5, 5, *chaser, 3, 3, 3, 3], float)  # velocity, place, 2 landmarks, 3 chasers
    assert opponents.prey(3, 1)(obs) == move


def test_the_adversary_goes_where_somebody_else_is() -> None:
    landmarks, others = [[1.0, 0.2], [0.1, -1.0]], [[-0.5, -0.5], [0.9, 0.3]]
    assert opponents.guesser(2)(np.ravel([*landmarks, *others])) == RIGHT
    others = [[-0.5, -0.5], [0.1, -0.9]]
    assert opponents.guesser(2)(np.ravel([*landmarks, *others])) == DOWN


def outputs_of(network: nn.ModuleDict, observations: torch.Tensor) -> torch.Tensor:
    rows = network["in_fn"](observations)
    return network["fc3"](network["fc2"](network["fc1"](rows).relu()).relu())


def saved_like_epymarls(folder: Path, obs_size: int = 14) -> tuple[Path, nn.ModuleDict]:
    """Write a file as EPyMARL's prey_params.pt; return it and its last agent's network."""
    torch.manual_seed(0)
    layers = {
        "in_fn": nn.BatchNorm1d(obs_size), "fc1": nn.Linear(obs_size, 32), "fc2": nn.Linear(32, 32),
        "fc3": nn.Linear(32, 5),
    }  # fmt: skip
    network = nn.ModuleDict(layers)
    layers["in_fn"].running_mean.uniform_(-1, 1)
    layers["in_fn"].running_var.uniform_(0.5, 2)
    network.eval()
    with torch.no_grad():  # so that no move is far better than the others everywhere
        layers["fc3"].bias -= outputs_of(network, torch.randn(200, obs_size)).mean(0)
    path = folder / "prey_params.pt"
    others = {"policy": nn.Linear(2, 2).state_dict()}
    torch.save({"agent_params": [others, {"policy": network.state_dict()}]}, path)
    return path, network


def test_a_network_of_epymarls_acts_as_in_torch_under_mpe2s_names_of_moves(tmp_path: Path) -> None:
    path, network = saved_like_epymarls(tmp_path)
    assert epymarl_opponent.main([str(path), str(tmp_path / "prey.npz")]) == 0
    act = opponents.network(tmp_path / "prey.npz", 14)
    observations = np.random.default_rng(0).normal(size=(200, 14))
    outputs = outputs_of(network, torch.tensor(observations, dtype=torch.float32)).argmax(1).tolist()
    assert set(outputs) >= {1, 2, 3, 4}
    # The first MPE counts right, left, up, down from 1 on; mpe2 left, right, down, up.
    assert [act(obs) for obs in observations] == [[0, RIGHT, LEFT, UP, DOWN][output] for output in outputs]


def test_a_network_for_other_observations_is_refused(tmp_path: Path) -> None:
    path, _ = saved_like_epymarls(tmp_path, obs_size=8)
    epymarl_opponent.main([str(path), str(tmp_path / "prey.npz")])
    with pytest.raises(UserError, match="observes 8 numbers, the opponent 14"):
        make(opponent=str(tmp_path / "prey.npz"))


@pytest.mark.parametrize(
    ("env_args", "said"),
    [
        ({"opponent": "scrypted"}, "env_args.opponent='scrypted': expected scripted, frozen, random, or a file"),
        ({"key": "mpe2:simple_spread_v3"}, "expected one of mpe2:simple_tag_v3, mpe2:simple_adversary_v3"),
        ({"env_kwargs": {"num_agent_neighbors": 1}}, "the scripted opponent sees everyone"),
    ],
)
def test_what_does_not_fit_is_said(env_args: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make(**env_args)


@pytest.mark.parametrize("name", ["other.pt", "prey_params.pt"])
def test_another_file_is_refused_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text("no weights")
    assert epymarl_opponent.main([str(tmp_path / name), str(tmp_path / "out.npz")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()
