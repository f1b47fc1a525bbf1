"""A mixer with a penalty of its own beside the value, as QPLEX and Qatten have them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.mixers.mixer import BaseMixer, Mixed, MixerInputs
from pymarl.utils.config import NonNegativeFloat


class PenaltyMixer(BaseMixer):
    """A sum with weights of the state, whose logits are kept small; q_max, as in QPLEX, gets no weight."""

    needs_q_max = True

    @dataclass(frozen=True, kw_only=True)
    class Config:
        attend_reg_coef: NonNegativeFloat

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        self.logits = nn.Linear(info.state_shape, info.n_agents)

    def mix(self, inputs: MixerInputs) -> Mixed:
        logits = self.logits(inputs.state)  # [P, N]
        assert inputs.q_max is not None
        advantage = (inputs.q - inputs.q_max) * torch.exp(logits)
        value = (inputs.q_max + advantage).sum(-1, keepdim=True)
        return Mixed(value, self.config.attend_reg_coef * logits.pow(2).sum(-1, keepdim=True))
