"""DOP's critic: each agent's values of all its actions, to be mixed (Wang et al. 2020, arXiv:2007.12322)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic
from pymarl.modules.inputs import Inputs


class DOPCritic(MLPCritic):
    """Q_i(s, o_i, .), the plain sum of a value and of one number per action; parameter names are PyMARL2's."""

    sees = ("state", "obs", "agent_id")

    def __init__(self, config: Any, info: EnvInfo, *, of_one: bool = False) -> None:
        super().__init__(config, info, of_one=of_one)
        self.fc_v = nn.Linear(self.fc2.out_features, 1)

    def outputs(self) -> int:
        """Return A."""
        return self.info.n_actions

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, A]; see Critic.forward."""
        hidden = self.fc2(inputs.linear(self.fc1).relu()).relu()
        values: Tensor = self.fc3(hidden) + self.fc_v(hidden)
        return values


class DOPNSCritic(NSMLPCritic):
    """One DOPCritic per agent."""

    shared = DOPCritic
    Config = DOPCritic.Config
