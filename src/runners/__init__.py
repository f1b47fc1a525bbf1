"""Runners by name: they step envs and fill a batch with episodes."""

from __future__ import annotations

from utils.registry import Registry

REGISTRY = Registry(
    "runner",
    {
        "episode": "runners.episode_runner:EpisodeRunner",
        "parallel": "runners.parallel_runner:ParallelRunner",
    },
)
