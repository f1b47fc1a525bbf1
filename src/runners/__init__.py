"""Runners by name: they step envs and fill a batch with episodes."""

from __future__ import annotations

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "runner",
    {
        "episode": "pymarl.runners.episode_runner:EpisodeRunner",
        "parallel": "pymarl.runners.parallel_runner:ParallelRunner",
        "ray": "pymarl.runners.ray_runner:RayRunner",
    },
)
