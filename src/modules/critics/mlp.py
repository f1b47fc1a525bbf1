"""A critic of three layers, shared by all agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.critics.critic import Critic
from pymarl.modules.inputs import Inputs
from pymarl.utils.config import PositiveInt


class MLPCritic(Critic):
    """fc1, relu, fc2, relu, fc3 on the state and the agent's id: the centralised critic of MAPPO and MAA2C."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """critic_hidden_dim: width of both hidden layers."""

        critic_hidden_dim: PositiveInt

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__(config, info)
        hidden = config.critic_hidden_dim
        self.fc1 = nn.Linear(self.input_shape, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, self.outputs())

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, K]; see Critic.forward."""
        values: Tensor = self.fc3(self.fc2(inputs.linear(self.fc1).relu()).relu())
        return values
