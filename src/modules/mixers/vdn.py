"""Value decomposition networks (Sunehag et al. 2018, arXiv:1706.05296): the sum."""

from __future__ import annotations

from torch import Tensor

from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs


class VDNMixer(BaseMixer):
    """The team's Q-value is the sum of the agents'."""

    def mix(self, inputs: MixerInputs) -> Tensor:
        """Return [P, 1]."""
        return inputs.q.sum(dim=-1, keepdim=True)
