"""A recurrent agent that explores by the noise of its last layer's weights: noisy nets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.gru_agent import GRUAgent
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.noisy_linear import NoisyLinear
from pymarl.utils.config import PositiveInt


class NoisyRNNAgent(GRUAgent):
    """PyMARL's recurrent agent with a noisy last layer (Fortunato et al. 2018, arXiv:1706.10295).

    As in the paper's DQN, noise is drawn anew for each update, in trained and target network apart, and before each
    action in training, one draw for all agents and envs. Tests act without it.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of fc1's output and of the GRU's state. use_layer_norm: normalise the state before fc2
        (the recurrence sees it unnormalised).
        """

        rnn_hidden_dim: PositiveInt
        use_layer_norm: bool

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.fc2 = NoisyLinear(config.rnn_hidden_dim, spec.n_actions)
        self.layer_norm = nn.LayerNorm(config.rnn_hidden_dim) if config.use_layer_norm else None

    def resample(self, generator: torch.Generator) -> None:
        """Draw the last layer's noise."""
        self.fc2.resample(generator)

    def head(self, inputs: Inputs, states: Tensor) -> Tensor:
        """Return [R, A]; see GRUAgent.head."""
        outputs: Tensor = self.fc2(states if self.layer_norm is None else self.layer_norm(states))
        return outputs
