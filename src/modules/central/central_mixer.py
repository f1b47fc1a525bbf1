"""What a central mixer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.utils.config import PositiveInt


class CentralMixer(nn.Module):
    """Base of central mixers: any function of the state and of what the central agents say; not monotone.

    Args:
        config: the subclass's Config.
        info: of the env: n_agents N, state_shape S.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """central_mixing_embed_dim: width of the hidden layers. central_action_embed: K, the central agent's."""

        central_mixing_embed_dim: PositiveInt
        central_action_embed: PositiveInt

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__()
        self.config, self.info = config, info

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        """Return the team's values [P, 1].

        Args:
            values: [P, N, K], the central agents' of the joint action.
            state: [P, S].
        """
        raise NotImplementedError
