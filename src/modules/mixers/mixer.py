"""What a mixer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo


class MixerInputs(NamedTuple):
    """What a mixer may look at, on P rows (one row is one time step of one episode).

    Attributes:
        q: [P, N], each agent's Q-value of the action to be mixed.
        q_max: [P, N], each agent's largest Q-value over its available actions; None unless the mixer `needs_q_max`.
        actions: [P, N] int64, the actions that `q` belongs to.
        state: [P, S].
        states: [P, N, H], the agents' hidden states; None unless the mixer `needs_states`.
    """

    q: Tensor
    q_max: Tensor | None
    actions: Tensor
    state: Tensor
    states: Tensor | None = None


class Mixed(NamedTuple):
    """What a mixer makes of P rows.

    Attributes:
        value: [P, 1], the team's Q-values.
        penalty: [P, 1], added to the loss of the rows' transitions (QPLEX's regulariser), or None.
        metrics: what else is to be logged, averaged over the rows' transitions: name -> [P, 1] without gradient.
    """

    value: Tensor
    penalty: Tensor | None = None
    metrics: Mapping[str, Tensor] = {}


class BaseMixer(nn.Module):
    """Base of all mixers. A subclass writes `mix` and declares the keys it reads in a nested `Config`.

    Attributes:
        monotone: raising one agent's q never lowers the output. True must hold for every input.
        needs_q_max: `mix` reads `inputs.q_max`; the learner computes it only then.
        needs_states: `mix` reads `inputs.states`, likewise.
        idle: names of parameters that change no output and get no gradient: PyMARL2's files hold them.

    Args:
        config: the subclass's Config, or None if it reads no keys.
        info: of the env: n_agents N, n_actions A, state_shape S, entities.
    """

    monotone: bool = True
    needs_q_max: bool = False
    needs_states: bool = False

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.n_agents, self.n_actions, self.state_shape = info.n_agents, info.n_actions, info.state_shape
        self.idle: set[str] = set()

    def forward(self, inputs: MixerInputs) -> Mixed:
        """Return what `mix` makes of inputs. Raises ValueError if one has not the shape declared above."""
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
        if self.needs_states and inputs.states is None:
            raise ValueError(f"{type(self).__name__}: expected states, got None")
        mixed = self.mix(inputs)
        return mixed if isinstance(mixed, Mixed) else Mixed(mixed)

    def mix(self, inputs: MixerInputs) -> Tensor | Mixed:
        """Return the team's Q-values, [P, 1], alone or with a penalty, for inputs of the right shapes."""
        raise NotImplementedError

    def names_in(self, *modules: str) -> set[str]:
        """Return the names of all parameters of these parts of it."""
        return {name for name, _ in self.named_parameters() if name.split(".")[0] in modules}


def weighted_sum(q: Tensor, weights: Tensor) -> Tensor:
    """Return [P, E]: each row's q [P, N] times its own weights [P, N, E].

    Elementwise, because a batched product of matrices this small spends its time on calling each of them.
    """
    return (q.unsqueeze(-1) * weights).sum(dim=1)
