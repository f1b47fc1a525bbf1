"""The agent contract: what a controller feeds it and what a learner asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pymarl.modules.inputs import Inputs
from pymarl.utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """What an agent network is built for.

    Attributes:
        input_shape: E, length of a dense input row.
        n_actions: A, number of outputs per agent.
        n_agents: N.
        entities: the entities that an observation is made of (an EntityLayout); None if it is just numbers.
    """

    input_shape: int
    n_actions: int
    n_agents: int
    entities: Any = None


class Unrolled(NamedTuple):
    """What an agent says of R packed rows.

    Attributes:
        outputs: [R, A] q values or logits.
        states: [R, H], the hidden state after each row's step; None if not asked for.
    """

    outputs: Tensor
    states: Tensor | None


class Agent(nn.Module):
    """The network of all agents. A new one writes `__init__`, `init_hidden` and `forward`.

    A faster `act` or `unroll` must be the same network as `forward`: it may stand in for layers that are exactly
    torch's own (see layers/plain.py), and leaves anything else to the general ones here.

    Attributes:
        needs_entities: it can only be built for an env that has an entity layout.
        transfers: no weight depends on how many agents, entities or actions there are: weights trained on one map play,
            and go on training, on another.
        mixes_agents: a row's outputs depend on the rows of its whole team in the same slot, not on its own alone.
        heads: parts that `forward` leaves out: what else it can say of its states, when a learner asks for that.

    Args:
        config: an instance of the class's own `Config`.
        spec: what it is built for.

    Raises:
        UserError: it needs entities and there are none.
    """

    needs_entities: ClassVar[bool] = False
    transfers: bool = False
    mixes_agents: ClassVar[bool] = False
    heads: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__()
        if self.needs_entities and spec.entities is None:
            raise UserError(
                f"{type(self).__name__} looks at the entities of an observation, but this env does not say which there "
                "are; let its get_env_info() return an 'entity_layout' (EntityLayout of pymarl.envs.specs), or write "
                "agent=n_rnn"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give a class with a `forward` of its own the general `unroll` and `act`, unless it brings them too.

        Inherited ones were written for another `forward` and would train or play a different network.
        """
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__:
            for name in ("unroll", "act"):
                if name not in cls.__dict__:
                    setattr(cls, name, getattr(Agent, name))

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, H], the state before the first step, on the network's device. H may be 0."""
        raise NotImplementedError

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            inputs: of R rows.
            hidden: [R, H], the state after the step before.

        Returns:
            [R, A] outputs (q values or logits) and [R, H], the state after this step.
        """
        raise NotImplementedError

    def resample(self, generator: torch.Generator) -> None:
        """Draw anew what its weights are disturbed with, if they are: before each update and each step of training."""

    def act(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without gradient: `forward`, for which a class may have a faster way."""
        with torch.no_grad():
            out, hidden = self(inputs, hidden)
            return out, hidden

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole sequences. This one loops over `forward`; a fast one may replace it.

        Args:
            inputs: of all time slots, packed: slot 0's rows, slot 1's rows, ... Slot t holds the first counts[t] of
                slot t-1's rows, those whose sequences have not ended.
            counts: rows in each slot, non-increasing; they sum to R.
            hidden: [counts[0], H], the states before slot 0; `init_hidden` if None.
            states: also return the states.

        Returns:
            Outputs and states in the order of the inputs, differentiable with respect to weights, features and hidden.

        Raises:
            ValueError: `hidden` has another number of rows.
        """
        hidden = self._initial(counts, hidden)
        outputs, after, start = [], [], 0
        for count in counts:
            if not count:
                break
            out, hidden = self(inputs.rows(slice(start, start + count)), hidden[:count])
            outputs.append(out)
            after.append(hidden)
            start += count
        return Unrolled(torch.cat(outputs), torch.cat(after) if states else None)

    def _initial(self, counts: Sequence[int], hidden: Tensor | None) -> Tensor:
        """Return the states before slot 0, [counts[0], H]."""
        if hidden is None:
            return self.init_hidden(counts[0])
        if hidden.shape[0] != counts[0]:
            raise ValueError(f"expected hidden states of {counts[0]} rows, those of slot 0, got {list(hidden.shape)}")
        return hidden
