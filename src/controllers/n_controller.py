"""PyMARL2's controller: the agent's outputs as they are."""

from __future__ import annotations

from torch import Tensor

from pymarl.controllers.basic_controller import BasicMAC


class NMAC(BasicMAC):
    """BasicMAC that never turns outputs into probabilities, whatever agent_output_type says."""

    def policy(self, outputs: Tensor, avail_actions: Tensor) -> Tensor:
        """Return `outputs` unchanged."""
        return outputs
