"""A network over entities with its hypernetworks folded: the same numbers for a fraction of the work.

A hypernetwork's last layer is linear, and so is all that is done with what it writes. It need therefore not be written
for every entity: with e(x), its hidden layer and a 1 behind that, what is read of all entities is one linear layer over
sum over x of e(x) times x, and what aiming at x is worth is e(x) times one linear layer over the agent's state.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.entities import Seen
from pymarl.modules.layers.entity_hypernetwork import EntityHypernetwork, Merger
from pymarl.modules.layers.gru import GRUNetwork, GRUStep
from pymarl.modules.layers.plain import linear_layers


class Folded(NamedTuple):
    """A hypernetwork as the layers that it comes to; C is its hidden width and 1.

    Attributes:
        encoder: weight [C, F] and bias [C] of e, followed by a relu.
        reads: [C * F, H], of a layer over `pooled`.
        aims: weight [C, H] and bias [C] of a layer over the agent's state, for `aimed`; None where nothing aims.
    """

    encoder: tuple[Tensor, Tensor]
    reads: Tensor
    aims: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, net: EntityHypernetwork, readers: Merger, aimers: Merger | None) -> Folded:
        """Fold a hypernetwork of plain layers and the mergers of its heads."""
        first, last = linear_layers(net) or ()
        width, heads, hidden = net.sizes
        encoder = F.pad(first.weight, (0, 0, 0, 1)), F.pad(first.bias, (0, 1), value=1.0)
        rows = torch.cat([last.weight, last.bias.unsqueeze(1)], dim=1).t()  # [C, all that is written]
        reads = readers(rows[:, : net.reads].unflatten(1, (width, heads, hidden))).flatten(0, 1)
        if aimers is None:
            return cls(encoder, reads, None)
        weights, bias = rows[:, net.reads :].split([hidden * heads, heads], dim=1)
        weight = aimers(weights.unflatten(1, (hidden, heads, 1)))[..., 0]
        return cls(encoder, reads, (weight, aimers(bias.unsqueeze(-1))[..., 0]))

    def encoded(self, entities: Tensor) -> Tensor:
        """Return e of entities: [R, M, C] of [R, M, F]."""
        return F.linear(entities, *self.encoder).relu()


def pooled(encoded: Tensor, entities: Tensor) -> Tensor:
    """Return [R, C * F], the sum over entities of e(x) times x."""
    return (encoded.transpose(1, 2) @ entities).flatten(1)


def aimed_at(encoded: Tensor, layer: Any) -> Tensor:
    """Return [R, M], e(x) [R, M, C] of each entity times what the layer `Folded.aims` says [R, C]."""
    return (encoded @ layer.unsqueeze(-1)).squeeze(-1)


class FoldedNetwork(NamedTuple):
    """What an agent of plain layers comes to: encoders of entities, and a recurrent network over what is pooled."""

    sides: dict[str, Folded]
    gru: GRUNetwork

    def read(self, seen: Seen, inputs: Inputs) -> tuple[dict[str, Tensor], Inputs]:
        """Return the encoded entities [R, M, C] of each kind, and the inputs of `gru`."""
        encoded = {name: self.sides[name].encoded(entities) for name, entities in seen.entities.items()}
        read = [pooled(encoded[name], entities) for name, entities in seen.entities.items()]
        features = torch.cat([seen.own, *read], dim=1)
        return encoded, Inputs(features=features, one_hots=inputs.one_hots, agents=inputs.agents)

    def aimed(self, out: Tensor, encoded: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the values of aiming at nothing, and at each entity, of what `gru` has put out."""
        names = [name for name, side in self.sides.items() if side.aims is not None]
        widths = [encoded[name].shape[-1] for name in names]
        normal, *layers = out.split([out.shape[1] - sum(widths), *widths], dim=1)
        return normal, {name: aimed_at(encoded[name], layer) for name, layer in zip(names, layers, strict=True)}


class FoldedStep:
    """A folded network for acting, the weights that it was made of, and their stamp."""

    def __init__(self, network: FoldedNetwork, weights: list[Tensor], stamp: list[int]) -> None:
        self.network, self.weights, self.stamp = network, weights, stamp
        self._step: GRUStep | None = None

    def __call__(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and states of a step of the recurrent network."""
        gru = self.network.gru
        if self._step is None or not self._step.is_current(gru, inputs):
            self._step = GRUStep.of(gru, inputs)
        return gru.step(inputs, hidden) if self._step is None else self._step(inputs, hidden)
