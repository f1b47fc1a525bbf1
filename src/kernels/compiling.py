"""Compiling ahead: numba compiles at the first call and keeps the result beside the sources, or in its own cache."""

from __future__ import annotations

import torch

from pymarl.kernels import choices, padding, scan
from pymarl.kernels.looking import aim, pool
from pymarl.kernels.mixer import Hypernetworks, mix
from pymarl.kernels.network import Layers
from pymarl.kernels.packing import FLOATS
from pymarl.kernels.stamp import SOURCES
from pymarl.kernels.step import Step, step
from pymarl.kernels.unrolling import unroll
from pymarl.utils.jit import Compiled


def prepare() -> None:
    """Compile the kernels unless that has been done, and say so: whoever waits wants to know."""
    with Compiled("kernels", step, *SOURCES).once("the CPU kernels", "about 20 seconds") as needed:
        if needed:
            _use_each_once()


def _use_each_once() -> None:
    """Call every kernel on the smallest of networks."""

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(shape, **FLOATS, requires_grad=True)

    rnn = (zeros(3, 1), zeros(3, 1), zeros(3), zeros(3))
    layers = Layers((zeros(1, 1), zeros(1)), rnn, (zeros(1, 1), zeros(1)))
    x = torch.zeros(1, 1, **FLOATS)
    q, _ = unroll(x, None, [], [1], x, layers, outputs=True, states=False)
    first = (zeros(1, 1), zeros(1), zeros(1, 1), zeros(1))
    assert q is not None
    mix(q, x, Hypernetworks(first, (zeros(1, 1), zeros(1)), first, first)).sum().backward()
    Step(layers, 1, [], 1)(x, [], x)
    layer, encoder = zeros(1, 17), (zeros(16, 1), zeros(16))
    (pool(x, [(x[None], *encoder)]).sum() + aim(layer, x[None], *encoder).sum()).backward()
    mask = torch.ones(1, 1, dtype=torch.bool, device="cpu")
    choices.greedy(x, mask)
    choices.epsilon_greedy(x, mask, torch.zeros(1, 2, **FLOATS), 0.5)
    choices.all_finite(x, mask)
    scan.accumulate(x[None], x[None])
    padding.pad([[x]], [1])
