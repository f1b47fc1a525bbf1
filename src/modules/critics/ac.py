"""Critics of what each agent observes."""

from __future__ import annotations

from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic


class ACCritic(MLPCritic):
    """Three layers on an agent's observation and number (IA2C, IPPO), under EPyMARL's parameter names."""

    sees = ("obs", "agent_id")


class ACCriticNS(NSMLPCritic):
    """ACCritic with weights of each agent's own, which do not see its number."""

    shared = ACCritic
    Config = ACCritic.Config
