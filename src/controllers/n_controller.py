"""PyMARL2's controller: the agent's outputs as they are."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pymarl.controllers.basic_controller import BasicMAC, Outputs


class NMAC(BasicMAC):
    """BasicMAC for whoever works on raw outputs: Q-values, or with `pi_logits` logits, without a softmax.

    Selectors that sample from logits (gumbel) and learners that want log-probabilities go with it.
    """

    @staticmethod
    def outputs(config: Any) -> Outputs:
        """Return what the outputs are."""
        return "q" if config.agent_output_type == "q" else "logits"

    def policy(self, outputs: Tensor, avail_actions: Tensor) -> Tensor:
        """Return `outputs` unchanged."""
        return outputs
