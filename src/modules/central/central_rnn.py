"""Weighted QMIX's central agent: a recurrent network that says a vector of each action instead of a value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.utils.config import PositiveInt


class CentralRNNAgent(RNNAgent):
    """RNNAgent with central_action_embed outputs for each action, [R, A * K], an action's K beside each other."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """central_rnn_hidden_dim: width as rnn_hidden_dim is RNNAgent's. central_action_embed: K."""

        central_rnn_hidden_dim: PositiveInt
        central_action_embed: PositiveInt

    def __init__(self, config: Config, spec: AgentSpec) -> None:
        outputs = spec.n_actions * config.central_action_embed
        narrow = RNNAgent.Config(rnn_hidden_dim=config.central_rnn_hidden_dim)
        super().__init__(narrow, dataclasses.replace(spec, n_actions=outputs))
