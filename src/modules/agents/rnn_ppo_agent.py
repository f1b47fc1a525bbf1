"""PyMARL2's recurrent agent with two heads: a policy, and what the agent holds a state to be worth."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.rnn_agent import RNNAgent


class RNNPPOAgent(RNNAgent):
    """RNNAgent, whose outputs are the policy's logits, with a value head fc3 on the same hidden state.

    Acting never computes the values; a learner asks for them with the hidden states of an unrolled batch.
    """

    heads = ("fc3",)
    Config = RNNAgent.Config

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.fc3 = nn.Linear(config.rnn_hidden_dim, 1)

    def values(self, states: Tensor) -> Tensor:
        """Return [...], each agent's value, for hidden states [..., H] after its step."""
        return cast(Tensor, self.fc3(states)).squeeze(-1)
