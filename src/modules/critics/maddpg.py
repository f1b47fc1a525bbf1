"""MADDPG's critics: each agent's value of what all agents do (Lowe et al. 2017, arXiv:1706.02275)."""

from __future__ import annotations

from dataclasses import dataclass

from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic


class MADDPGCritic(MLPCritic):
    """Q_i(s, a_1 .. a_N), of one-hots or of what relaxes them; parameter names and columns are EPyMARL's."""

    @dataclass(frozen=True, kw_only=True)
    class Config(MLPCritic.Config):
        """Keys of what it sees beside state and actions; see config/default.yaml."""

        obs_individual_obs: bool
        obs_last_action: bool
        obs_agent_id: bool

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        c = self.config
        seen = {"obs": c.obs_individual_obs, "last_action": c.obs_last_action, "agent_id": c.obs_agent_id}
        return ("state", *(part for part, wanted in seen.items() if wanted), "joint_actions")


class MADDPGNSCritic(NSMLPCritic):
    """One MADDPGCritic per agent."""

    shared = MADDPGCritic
    Config = MADDPGCritic.Config
