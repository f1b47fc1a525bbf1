"""Central critics: of the state."""

from __future__ import annotations

from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic


class CVCriticNS(NSMLPCritic):
    """MLPCritic with weights of each agent's own, which do not see its number."""

    shared = MLPCritic
    Config = MLPCritic.Config
