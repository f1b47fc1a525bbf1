"""Linear layers with a relu between them."""

from __future__ import annotations

import itertools

from torch import nn


def mlp(*widths: int, last_bias: bool = True) -> nn.Module:
    """Return linear layers from the first width to the last, with a relu between each two; a bare nn.Linear if one."""
    layers: list[nn.Module] = []
    for number, (wide, next_wide) in enumerate(itertools.pairwise(widths), 2):
        layers += [nn.Linear(wide, next_wide, bias=last_bias or number < len(widths)), nn.ReLU()]
    return nn.Sequential(*layers[:-1]) if len(widths) > 2 else layers[0]
