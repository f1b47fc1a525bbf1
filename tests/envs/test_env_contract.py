"""What every registered env promises, on its shipped options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl.envs import REGISTRY
from pymarl.envs.batched import make_batched_env, needs_process
from pymarl.envs.check import check_env, repeatable
from pymarl.envs.contract import check_arrays, check_info
from pymarl.envs.multiagentenv import BatchedEnv
from pymarl.envs.sc2.installation import package_problem
from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge
from sc2_standin.fixtures import sc2path  # noqa: F401

ROWS = 3
WITHOUT_CHANCE = {"one_step_matrix_game", "matrix_games", "overcooked"}
STATELESS = {"matrix_games"}  # nothing is seen there
SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def game(request: pytest.FixtureRequest) -> None:
    """Let the stand-in be StarCraft II where pysc2 is there to start it."""
    if package_problem("pysc2") is None:
        request.getfixturevalue("sc2path")


def make(name: str, batch_size: int = ROWS) -> BatchedEnv:
    """Return the env with its shipped options; skip if a package that it needs is missing."""
    layers = merge(None, name, {})
    try:
        return make_batched_env(name, layers.values["env_args"], batch_size, 0, layers.origin, in_process=True)
    except UserError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))


def actions_of(env: BatchedEnv, generator: np.random.Generator) -> np.ndarray:
    """Return [B, N] random available actions; every row gets the same draw, so its actions do not depend on others."""
    avail = env.arrays.avail_actions
    return (generator.random(avail.shape[1:]) * avail).argmax(-1)


def play(env: BatchedEnv, seeds: list[int], one_by_one: bool = False) -> list[list[np.ndarray]]:
    """Play an episode in each row; return what each row showed. `one_by_one` steps the last row first."""
    rows, generator = np.arange(len(seeds)), np.random.default_rng(0)
    env.reset(rows, np.array(seeds, np.uint64))
    seen: list[list[np.ndarray]] = [[] for _ in rows]
    active = rows
    while active.size:
        actions = actions_of(env, generator)
        for part in [active[i : i + 1] for i in range(active.size)][::-1] if one_by_one else [active]:
            env.step(actions, part)
        a: Any = env.arrays
        for row in active:
            shown = (a.obs, a.state, a.avail_actions, a.reward, a.terminated, a.truncated)
            seen[row].append(np.concatenate([np.ravel(array[row]).astype(np.float64) for array in shown]))
        active = active[~(a.terminated | a.truncated)[active]]
    return seen


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", REGISTRY)
def test_specs_hold_until_one_of_the_two_endings(name: str) -> None:
    env = make(name)
    i, a, generator = env.info, env.arrays, np.random.default_rng(0)
    check_info(name, i)
    env.reset(np.arange(ROWS), np.arange(ROWS).astype(np.uint64))
    active, steps = np.arange(ROWS), 0
    while active.size:
        check_arrays(name, i, vars(a), range(ROWS))
        assert a.obs[active].any(axis=(1, 2)).all() == (name not in STATELESS)
        env.step(actions_of(env, generator), active)
        steps += 1
        assert steps <= i.episode_limit
        check_arrays(name, i, vars(a), range(ROWS))
        for row in active[(a.terminated | a.truncated)[active]]:
            assert bool(env.episode_info(row)["episode_limit"]) == bool(a.truncated[row])
        active = active[~(a.terminated | a.truncated)[active]]
    env.close()


@pytest.mark.parametrize("name", REGISTRY)
def test_an_episode_depends_on_its_seed_alone(name: str) -> None:
    if not repeatable(REGISTRY[name]):
        pytest.skip("the env says of itself that its episodes do not")
    env = make(name)
    first = play(env, [5, 6, 2**64 - 1])
    again = play(env, [5, 6, 2**64 - 1])  # after another episode, in the same rows
    apart = play(env, [5, 6, 2**64 - 1], one_by_one=True)
    for row in range(ROWS):
        assert same(first[row], again[row])
        assert same(first[row], apart[row])
    swapped = play(env, [6, 5, 7])
    assert same(first[0], swapped[1])  # seed 5, in another row
    if name not in WITHOUT_CHANCE:
        assert not same(first[0], first[1])
    env.close()


@pytest.mark.parametrize("name", REGISTRY)
def test_an_episode_does_not_depend_on_the_batch(name: str) -> None:
    alone, batch = make(name, 1), make(name, ROWS)
    single = play(alone, [9])[0]
    assert same(single, play(batch, [9, 10, 11])[0])
    alone.close()
    batch.close()


@pytest.mark.parametrize("name", REGISTRY)
def test_pymarls_api_passes_the_check(name: str) -> None:
    make(name, 1).close()
    if needs_process(name):
        command = [sys.executable, "-m", "pymarl.envs.check", name]
        said = subprocess.run(command, cwd=SRC, capture_output=True, text=True, timeout=100)
        assert (said.returncode, said.stdout[:4]) == (0, "ok: "), said.stderr
        return
    env = make_env(name, {}, seed=0)
    report = check_env(env, steps=200)
    assert report.steps >= 200
    assert report.repeated >= 2
    assert report.terminated + report.truncated >= 6
    env.close()
