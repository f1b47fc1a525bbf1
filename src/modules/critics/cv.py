"""Central critics: of the state, and what else a YAML file lets them see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic
from pymarl.modules.inputs import INPUTS_OF_STATES
from pymarl.utils.errors import UserError, closest


@dataclass(frozen=True, kw_only=True)
class CentralKeys:
    """What a central critic sees; see config/default.yaml."""

    critic_inputs: list[str] | None
    obs_individual_obs: bool
    obs_last_action: bool


def central_parts(config: Any) -> tuple[str, ...]:
    """Return what a central critic sees: `critic_inputs`, or as in EPyMARL the state, all observations with
    obs_individual_obs, all last actions with obs_last_action, and the agent's number.

    Raises:
        UserError: `critic_inputs` is empty, or has a name that is none or that of actions, on which a value of states
            cannot depend.
    """
    if config.critic_inputs is None:
        return ("state", *["joint_obs"] * config.obs_individual_obs,
                *["joint_last_action"] * config.obs_last_action, "agent_id")  # fmt: skip
    if not config.critic_inputs:
        raise UserError(
            f"critic_inputs=[]: a critic sees something; write None, or some of {', '.join(INPUTS_OF_STATES)}"
        )
    for name in config.critic_inputs:
        if name not in INPUTS_OF_STATES:
            raise UserError(
                f"critic_inputs={config.critic_inputs}: {name!r} is nothing that a value of states can see"
                f"{closest(name, INPUTS_OF_STATES)} (known: {', '.join(INPUTS_OF_STATES)})"
            )
    return tuple(config.critic_inputs)


class CVCritic(MLPCritic):
    """Three layers on the state and the agent's number, or on more (MAA2C, MAPPO), under EPyMARL's parameter names."""

    @dataclass(frozen=True, kw_only=True)
    class Config(MLPCritic.Config, CentralKeys):
        """Keys of cv_critic; see config/default.yaml."""

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        return central_parts(self.config)


class CVCriticNS(NSMLPCritic):
    """CVCritic with weights of each agent's own, which do not see its number."""

    shared = CVCritic
    Config = CVCritic.Config
