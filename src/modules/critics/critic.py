"""What a critic is."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.inputs import Inputs


class Critic(nn.Module):
    """Base of all critics. A subclass writes `forward` and says what it sees.

    Attributes:
        sees: parts of its input, names of components.inputs.

    Args:
        config: the subclass's Config, or None if it reads no keys.
        info: of the env.
    """

    sees: ClassVar[tuple[str, ...]] = ("state", "agent_id")

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__()
        self.config, self.info = config, info

    @property
    def input_shape(self) -> int:
        """E, the length of a dense input row."""
        return sum(self.info.width(name) for name in self.sees)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, K], values of R rows: K is 1 for a state's value, A for one of each action."""
        raise NotImplementedError
