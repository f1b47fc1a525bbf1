"""What a critic is."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.inputs import Inputs, input_shape


class Critic(nn.Module):
    """Base of all critics. A subclass writes `forward` and says what it sees, as `sees` or, if keys decide, in `parts`.

    Attributes:
        sees: parts of its input, names of components.inputs.

    Args:
        config: the subclass's Config, or None if it reads no keys.
        info: of the env.
    """

    sees: tuple[str, ...] = ("state", "agent_id")

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.sees = self.parts()

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        return type(self).sees

    @property
    def input_shape(self) -> int:
        """E, the length of a dense input row."""
        return input_shape(self.sees, self.info)

    def outputs(self) -> int:
        """Return K, the number of values of a row."""
        return 1

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, K], values of R rows: of a state, or of each action in it."""
        raise NotImplementedError
