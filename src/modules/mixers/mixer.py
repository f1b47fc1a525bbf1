"""What a mixer is."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn


class MixerInputs(NamedTuple):
    """What a mixer may look at, on P rows (one row is one time step of one episode).

    Attributes:
        q: [P, N], each agent's Q-value of the action to be mixed.
        q_max: [P, N], each agent's largest Q-value over its available actions; None unless the mixer `needs_q_max`.
        actions: [P, N] int64, the actions that `q` belongs to.
        state: [P, S].
    """

    q: Tensor
    q_max: Tensor | None
    actions: Tensor
    state: Tensor


class BaseMixer(nn.Module):
    """Base of all mixers. A subclass writes `mix` and declares the keys it reads in a nested `Config`.

    Attributes:
        monotone: raising one agent's q never lowers the output. True must hold for every input.
        needs_q_max: `mix` reads `inputs.q_max`; the learner computes it only then.

    Args:
        config: the subclass's Config, or None if it reads no keys.
        n_agents: N.
        n_actions: A.
        state_shape: S.
    """

    monotone: bool = True
    needs_q_max: bool = False

    def __init__(self, config: Any, n_agents: int, n_actions: int, state_shape: int) -> None:
        super().__init__()
        self.config = config
        self.n_agents = n_agents
        self.n_actions = n_actions
        self.state_shape = state_shape

    def forward(self, inputs: MixerInputs) -> Tensor:
        """Return the team's Q-values, [P, 1]. Raises ValueError if an input has not the shape declared above."""
        rows = inputs.q.shape[0]
        expected = {
            "q": (rows, self.n_agents),
            "actions": (rows, self.n_agents),
            "state": (rows, self.state_shape),
        }
        if self.needs_q_max:
            expected["q_max"] = (rows, self.n_agents)
        for name, shape in expected.items():
            value = getattr(inputs, name)
            if value is None or tuple(value.shape) != shape:
                got = None if value is None else list(value.shape)
                raise ValueError(f"{type(self).__name__}: expected {name} {list(shape)}, got {got}")
        return self.mix(inputs)

    def mix(self, inputs: MixerInputs) -> Tensor:
        """Return the team's Q-values, [P, 1], for inputs of the right shapes."""
        raise NotImplementedError


def weighted_sum(q: Tensor, weights: Tensor) -> Tensor:
    """Return [P, E]: each row's q [P, N] times its own weights [P, N, E].

    Elementwise, because a batched product of matrices this small spends its time on calling each of them.
    """
    return (q.unsqueeze(-1) * weights).sum(dim=1)
