"""Envs by name. Nothing is imported before it is asked for, so each env's packages stay optional."""

from __future__ import annotations

from utils.registry import Registry

REGISTRY = Registry(
    "env",
    {
        "skirmish": "envs.skirmish.env:Skirmish",
        "sc2": "envs.sc2.env:SC2Env",
        "sc2v2": "envs.sc2.env:SC2v2Env",
        "stag_hunt": "envs.stag_hunt.env:StagHunt",
        "one_step_matrix_game": "envs.one_step_matrix_game:OneStepMatrixGame",
        "gymma": "envs.gymma:GymmaEnv",
        "pettingzoo": "envs.pettingzoo:PettingZooEnv",
    },
)
