"""Linear layers with a relu between them."""

from __future__ import annotations

import itertools

from torch import nn


def mlp(*widths: int) -> nn.Sequential:
    """Return linear layers from the first width to the last, with a relu between each two of them."""
    layers: list[nn.Module] = []
    for wide, next_wide in itertools.pairwise(widths):
        layers += [nn.Linear(wide, next_wide), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
