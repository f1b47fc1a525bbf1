"""Skirmish's numbers are SMAC's: unmodified SMAC plays against the stand-in, skirmish the same battles by itself.

The long form is `python benchmarks/conformance.py`: all maps, 20 episodes each, every option. SMAC_EPISODES=n makes the
tests here as long.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import sc2_standin  # noqa: F401  # isort: skip  # chooses protobuf's backend
from sc2_standin.conformance import OPTIONS, compare
from sc2_standin.fixtures import sc2path

try:
    from smac.env import StarCraft2Env
except ImportError as error:
    pytest.skip(f"oxwhirl/smac is not installed ({error}); ./install_sc2.sh installs it", allow_module_level=True)

pytestmark = pytest.mark.sc2
__all__ = ["sc2path"]

EPISODES = int(os.environ.get("SMAC_EPISODES", "2"))
ALL_OBS = "obs_last_action, obs_pathing_grid, obs_terrain_height, obs_timestep_number, obs_instead_of_state"
"""Options that show more, all at once."""


@pytest.mark.parametrize(
    ("map_name", "option"),
    [
        ("3m", "defaults"),
        ("MMM", ALL_OBS),
        ("2s3z", "reward_negative_scale"),
        ("corridor", "obs_own_health"),
        ("bane_vs_bane", "reward_sparse"),
        ("2c_vs_64zg", "obs_pathing_grid"),
        ("1c3s5z", "step_mul"),
    ],
)
def test_smac_sees_what_skirmish_says(sc2path, monkeypatch, map_name, option):
    everything = dict.fromkeys(ALL_OBS.split(", "), True)
    monkeypatch.setitem(OPTIONS, ALL_OBS, everything)
    report = compare(map_name, option, EPISODES, seed=3)
    assert report.episodes == EPISODES
    assert report.steps >= 10 * EPISODES
    assert not report.differences, report.first
    assert report.float64 == 0


def test_a_difference_is_seen(sc2path, monkeypatch):
    """The comparison itself: one seed off, and almost nothing agrees."""
    monkeypatch.setattr("sc2_standin.conformance.episode_seed", lambda seed, k: np.uint64(seed + 1))
    report = compare("3m", "defaults", 1, seed=3)
    assert {"obs", "state"} & set(report.differences)


def test_smac_launches_finds_its_map_and_saves_a_replay(sc2path):
    env = StarCraft2Env(map_name="3m", replay_prefix="kept", seed=1)
    try:
        env.reset()
        env.step([1, 1, 1])
        assert env.max_reward == 365
        env.save_replay()
        assert [path.name.startswith("kept_") for path in (sc2path / "Replays").iterdir()] == [True]
    finally:
        env.close()
