"""Recurrent critics: an agent's network with one output."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.agents.n_rnn_agent import NRNNAgent
from pymarl.modules.agents.ns_agent import NRNNNSAgent, NSAgent
from pymarl.modules.critics.critic import Critic
from pymarl.modules.critics.cv import CentralKeys, central_parts
from pymarl.modules.inputs import Inputs
from pymarl.utils.config import PositiveInt


class RNNCritic(Critic):
    """PyMARL2's n_rnn with one output, on what the agent sees (its IPPO).

    It begins each row of a batch anew, also where that is a piece of an episode.

    Attributes:
        network: the class of the network.
    """

    network: ClassVar[type[Agent]] = NRNNAgent

    @dataclass(frozen=True, kw_only=True)
    class Config(NRNNAgent.Config):
        """Keys of rnn_critic; see config/default.yaml."""

        critic_hidden_dim: PositiveInt | None
        obs_last_action: bool
        obs_agent_id: bool

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__(config, info)
        if issubclass(self.network, NSAgent):
            self.sees = tuple(part for part in self.sees if part != "agent_id")
        width = config.critic_hidden_dim or config.rnn_hidden_dim
        spec = AgentSpec(input_shape=self.input_shape, n_actions=self.outputs(), n_agents=info.n_agents)
        self.net = self.network(dataclasses.replace(config, rnn_hidden_dim=width), spec)

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        return ("obs", *["last_action"] * self.config.obs_last_action, *["agent_id"] * self.config.obs_agent_id)

    def unroll(self, inputs: Inputs, counts: Sequence[int]) -> Tensor:
        """Return [R, K]; see Critic.unroll."""
        return self.net.unroll(inputs, counts).outputs

    def heads(self) -> list[nn.Linear]:
        """Return the last layer, or that of each agent's."""
        return [layer for name, layer in self.net.named_modules() if name.split(".")[-1] == "fc2"]


class CVRNNCritic(RNNCritic):
    """RNNCritic on what a cv_critic sees: the state, as a rule."""

    @dataclass(frozen=True, kw_only=True)
    class Config(NRNNAgent.Config, CentralKeys):
        """Keys of cv_rnn_critic; see config/default.yaml."""

        critic_hidden_dim: PositiveInt | None

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        return central_parts(self.config)


class RNNCriticNS(RNNCritic):
    """RNNCritic with weights of each agent's own, which do not see its number."""

    network = NRNNNSAgent


class CVRNNCriticNS(CVRNNCritic):
    """CVRNNCritic with weights of each agent's own, which do not see its number."""

    network = NRNNNSAgent
