"""COMA's critic: what each action of one agent is worth, given the actions that the others take."""

from __future__ import annotations

from dataclasses import dataclass

from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic


class COMACritic(MLPCritic):
    """fc1, relu, fc2, relu, fc3 on the state, what all others do, and the agent's number: [R, A], one row per agent.

    With obs_individual_obs it sees the agent's observation, with obs_last_action everybody's last action, too.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(MLPCritic.Config):
        """Keys of coma and coma_ns; see config/default.yaml."""

        obs_individual_obs: bool
        obs_last_action: bool

    def parts(self) -> tuple[str, ...]:
        """Return what it sees, in PyMARL's order."""
        own, last = ["obs"] * self.config.obs_individual_obs, ["joint_last_action"] * self.config.obs_last_action
        return ("state", *own, "others_actions", *last, "agent_id")

    def outputs(self) -> int:
        """Return A: a value of each action."""
        return self.info.n_actions


class COMANSCritic(NSMLPCritic):
    """COMACritic with weights of each agent's own."""

    shared, Config = COMACritic, COMACritic.Config
