"""Envs by name. Nothing is imported before it is asked for, so each env's packages stay optional."""

from __future__ import annotations

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "env",
    {
        "skirmish": "pymarl.envs.skirmish.replay.film:SkirmishWithReplays",
        "sc2": "pymarl.envs.sc2.env:SC2Env",
        "sc2v2": "pymarl.envs.sc2.env:SC2v2Env",
        "stag_hunt": "pymarl.envs.stag_hunt.env:StagHunt",
        "one_step_matrix_game": "pymarl.envs.one_step_matrix_game:OneStepMatrixGame",
        "matrix_games": "pymarl.envs.matrix_games:MatrixGame",
        "gymma": "pymarl.envs.gymma:GymmaEnv",
        "pettingzoo": "pymarl.envs.pettingzoo:PettingZooEnv",
        "mpe_opponent": "pymarl.envs.mpe_opponent:MpeOpponentEnv",
        "overcooked": "pymarl.envs.overcooked:OvercookedEnv",
        "jaxmarl": "pymarl.envs.jaxmarl:JaxMarlEnv",
        "vmas": "pymarl.envs.vmas:VmasEnv",
        "smaclite": "pymarl.envs.smaclite:SMACliteEnv",
    },
)
