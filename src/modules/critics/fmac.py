"""The critic of FACMAC and RIIT: each agent's value of its own action, to be mixed."""

from __future__ import annotations

from dataclasses import dataclass

from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic


class FMACCritic(MLPCritic):
    """Q_i(o_i, a_i), of one-hots or of what relaxes them; parameter names and columns are PyMARL2's."""

    @dataclass(frozen=True, kw_only=True)
    class Config(MLPCritic.Config):
        """Keys of what it sees beside observation and action; see config/default.yaml."""

        obs_agent_id: bool

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        return ("obs", *["agent_id"] * self.config.obs_agent_id, "actions")


class FMACNSCritic(NSMLPCritic):
    """One FMACCritic per agent."""

    shared = FMACCritic
    Config = FMACCritic.Config
