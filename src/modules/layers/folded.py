"""A network over entities with its hypernetworks folded: the same numbers for a fraction of the work.

A hypernetwork's last layer is linear, and so is all that is done with what it writes. It need therefore not be written
for every entity: with its hidden layer e(x), what is read of all entities is one linear layer over the sums of e(x) x^T
and of x, and what aiming at x is worth is e(x) times one linear layer over the agent's state, plus another.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.entities import Seen
from pymarl.modules.layers.entity_hypernetwork import EntityHypernetwork, Merger
from pymarl.modules.layers.gru import GRUNetwork, GRUStep
from pymarl.modules.layers.plain import linear_layers
from pymarl.utils.compiled import fit_kernels, kernels


class Folded(NamedTuple):
    """A hypernetwork as the layers that it comes to; C is the width of its hidden layer e.

    Attributes:
        encoder: weight [C, F] and bias [C] of e, followed by a relu.
        reads: [F * C + F, H], of a layer over what is pooled: sums over x of e(x) x^T, [F, C], and of x.
        aims: weight [C + 1, H] and bias [C + 1] of a layer over the agent's state, which says for what e(x) counts and
            what is added; None where nothing aims.
    """

    encoder: tuple[Tensor, Tensor]
    reads: Tensor
    aims: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, net: EntityHypernetwork, readers: Merger, aimers: Merger | None) -> Folded:
        """Fold a hypernetwork of plain layers and the mergers of its heads."""
        first, last = cast("list[nn.Linear]", linear_layers(net))
        width, heads, hidden = net.sizes
        rows = torch.cat([last.weight, last.bias.unsqueeze(1)], dim=1).t()  # [C + 1, all that is written]
        read = readers(rows[:, : net.reads].unflatten(1, (width, heads, hidden)))  # [C + 1, F, H]
        reads = torch.cat([read[:-1].transpose(0, 1).flatten(0, 1), read[-1]])
        if aimers is None:
            return cls((first.weight, first.bias), reads, None)
        weights, bias = rows[:, net.reads :].split([hidden * heads, heads], dim=1)
        weight = aimers(weights.unflatten(1, (hidden, heads, 1)))[..., 0]
        return cls((first.weight, first.bias), reads, (weight, aimers(bias.unsqueeze(-1))[..., 0]))

    def fits_kernels(self, *tensors: Tensor) -> bool:
        """Return whether there are kernels for entities like these."""
        return len(self.encoder[1]) % 16 == 0 and fit_kernels(*tensors, *self.encoder)

    def pooled(self, entities: Tensor) -> Tensor:
        """Return [R, F * C + F] of entities [R, M, F]."""
        return torch.cat([(entities.transpose(1, 2) @ self._encoded(entities)).flatten(1), entities.sum(1)], dim=1)

    def aimed(self, layer: Tensor, entities: Tensor) -> Tensor:
        """Return [R, M], the values of aiming at entities [R, M, F]; `layer` [R, C + 1] is what `aims` says."""
        if self.fits_kernels(layer, entities) and not entities.requires_grad:
            return kernels.aim(layer, entities, *self.encoder)
        return (self._encoded(entities) @ layer[:, :-1, None]).squeeze(-1) + layer[:, -1:]

    def _encoded(self, entities: Tensor) -> Tensor:
        return F.linear(entities, *self.encoder).relu()  # [R, M, C]


class FoldedNetwork(NamedTuple):
    """What an agent of plain layers comes to: encoders of entities, and a recurrent network over what is pooled."""

    sides: dict[str, Folded]
    gru: GRUNetwork

    def read(self, seen: Seen, inputs: Inputs) -> Inputs:
        """Return the inputs of `gru`: an agent's own features and what is pooled of the entities."""
        given = [(entities, self.sides[name]) for name, entities in seen.entities.items()]
        if all(side.fits_kernels(entities) for entities, side in given) and not seen.own.requires_grad:
            features = kernels.pool(seen.own, [(entities, *side.encoder) for entities, side in given])
        else:
            features = torch.cat([seen.own, *(side.pooled(entities) for entities, side in given)], dim=1)
        return Inputs(features=features, one_hots=inputs.one_hots, agents=inputs.agents)

    def aimed(self, out: Tensor, seen: Seen) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the values of aiming at nothing, and at each entity, of what `gru` has put out."""
        aims = {name: side for name, side in self.sides.items() if side.aims is not None}
        widths = [len(side.encoder[1]) + 1 for side in aims.values()]
        normal, *layers = out.split([out.shape[1] - sum(widths), *widths], dim=1)
        values = {
            name: side.aimed(layer, seen.entities[name])
            for (name, side), layer in zip(aims.items(), layers, strict=True)
        }
        return normal, values


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
