"""Stag hunt: agents on a grid that have to catch stags together. Batched, compiled with numba."""

from pymarl.envs.stag_hunt.env import StagHunt

__all__ = ["StagHunt"]
