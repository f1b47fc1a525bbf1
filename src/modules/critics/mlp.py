"""Critics of three layers: shared by all agents, or one for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.critics.critic import Critic
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.stacked import stack
from pymarl.utils.config import PositiveInt


class MLPCritic(Critic):
    """fc1, relu, fc2, relu, fc3, shared by all agents; as a rule on the state and the agent's number.

    Args:
        config, info: as for Critic.
        of_one: it is one agent's alone, and does not see its number.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of a critic of three layers; see config/default.yaml."""

        critic_hidden_dim: PositiveInt | None
        rnn_hidden_dim: PositiveInt

    def __init__(self, config: Any, info: EnvInfo, *, of_one: bool = False) -> None:
        super().__init__(config, info)
        if of_one:
            self.sees = tuple(part for part in self.sees if part != "agent_id")
        hidden = config.critic_hidden_dim or config.rnn_hidden_dim
        self.fc1 = nn.Linear(self.input_shape, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, self.outputs())

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, K]; see Critic.forward."""
        values: Tensor = self.fc3(self.fc2(inputs.linear(self.fc1).relu()).relu())
        return values

    def heads(self) -> list[nn.Linear]:
        """Return its last layer."""
        return [self.fc3]


class NSMLPCritic(Critic):
    """One MLPCritic per agent, computed as one. Rows are of whole teams; agents are not told apart by a number.

    Attributes:
        shared: the class of each agent's critic, of which `critics` holds one for each.
    """

    shared: ClassVar[type[MLPCritic]]

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__(config, info)
        self.critics = nn.ModuleList(self.shared(config, info, of_one=True) for _ in range(info.n_agents))
        self.sees = cast(MLPCritic, self.critics[0]).sees

    def outputs(self) -> int:
        """Return K, that of each agent's."""
        return cast(MLPCritic, self.critics[0]).outputs()

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, K]; see Critic.forward."""
        return cast(Tensor, stack(list(self.critics))(inputs))

    def heads(self) -> list[nn.Linear]:
        """Return the last layer of each agent's."""
        return [head for critic in self.critics for head in cast(MLPCritic, critic).heads()]
