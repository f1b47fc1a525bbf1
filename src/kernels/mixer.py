"""QMIX's mixer as an autograd function; see mixing.py."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pymarl.kernels import mixing
from pymarl.kernels.layout import Block, Layout, Part
from pymarl.kernels.mixing import BLOCK, MixGradients, MixRows, MixSizes, MixWeights
from pymarl.kernels.packing import Sums, padded
from pymarl.kernels.rows import PAD
from pymarl.kernels.strips import Lease, one_thread, run_tasks

TASK_ROWS = 4096
"""Most rows of one task, which has sums of gradients of its own."""


class Hypernetworks(NamedTuple):
    """Weight and bias of each layer; all read the state [S]. Y is the width of the hidden layers of w1 and w2.

    Attributes:
        w1: S -> Y, Y -> N * E.
        b1: S -> E.
        w2: S -> Y, Y -> E.
        b2: S -> E, E -> 1.
    """

    w1: tuple[Tensor, Tensor, Tensor, Tensor]
    b1: tuple[Tensor, Tensor]
    w2: tuple[Tensor, Tensor, Tensor, Tensor]
    b2: tuple[Tensor, Tensor, Tensor, Tensor]


class _Packed:
    """The hypernetworks' weights as the kernels take them."""

    def __init__(self, n: int, params: Sequence[Tensor]) -> None:
        s, e, y = params[W1A].shape[1], params[B1].shape[0], params[W1A].shape[0]
        self.sizes = MixSizes(s, n, padded(e), padded(y))
        self._memory, addresses = _layout(self.sizes, e, y).fill(params)
        del addresses["b1"]
        self.weights = MixWeights(**addresses)


W1A, W1A_B, W1B, W1B_B, B1, B1_B, W2A, W2A_B, W2B, W2B_B, B2A, B2A_B, B2B, B2B_B = range(14)
"""Numbers of the parameters in Hypernetworks."""


@lru_cache(maxsize=64)
def _layout(sizes: MixSizes, embed: int, hidden: int) -> Layout:
    """Return where the parameters go in mixing.MixWeights; `embed` and `hidden` are E and Y without padding."""
    s, n, e, y = sizes
    parts = {
        "first": Part(s, 2 * y + e, panels=True), "b1": Part(s, e, panels=True),  # right behind it
        "first_bias": Part(1, 2 * y + 2 * e), "w1": Part(y, n * e, panels=True), "w1_bias": Part(n, e),
        "w1_back": Part(n * e, y, panels=True), "w2": Part(y, e, panels=True), "w2_bias": Part(1, e),
        "w2_back": Part(e, y, panels=True), "b2": Part(1, e), "b2_bias": Part(1, 1), "zeros": Part(1, y),
    }  # fmt: skip
    firsts = ((W1A, W1A_B, hidden, 0), (W2A, W2A_B, hidden, y), (B2A, B2A_B, embed, 2 * y))
    return Layout(parts, [
        *(Block("first", param, s, width, 1, s, to_column=at) for param, _, width, at in firsts),
        Block("b1", B1, s, embed, 1, s),
        *(Block("first_bias", bias, 1, width, 0, 1, to_column=at) for _, bias, width, at in firsts),
        Block("first_bias", B1_B, 1, embed, 0, 1, to_column=2 * y + e),
        *(Block("w1", W1B, hidden, embed, 1, hidden, agent * embed * hidden, 0, agent * e) for agent in range(n)),
        *(Block("w1_back", W1B, embed, hidden, hidden, 1, agent * embed * hidden, agent * e) for agent in range(n)),
        Block("w1_bias", W1B_B, n, embed, embed, 1),
        Block("w2", W2B, hidden, embed, 1, hidden), Block("w2_back", W2B, embed, hidden, hidden, 1),
        Block("w2_bias", W2B_B, 1, embed, 0, 1), Block("b2", B2B, 1, embed, 0, 1), Block("b2_bias", B2B_B, 1, 1, 0, 1),
    ])  # fmt: skip


class _Run:
    """One call: its rows in tasks, each of some blocks."""

    def __init__(self, q: Tensor, state: Tensor, params: Sequence[Tensor], keep: bool) -> None:
        self.packed = _Packed(q.shape[1], params)
        self.q, self.state, self.keep = q.contiguous(), state.contiguous(), keep
        _, n, e, y = self.packed.sizes
        self.line = 2 * y + 4 * e + n * e  # what is kept of a row
        self.tasks = 1 if len(q) < 4 * BLOCK else 4 * -(-len(q) // (4 * TASK_ROWS))
        self.edges = [number * len(q) // self.tasks for number in range(self.tasks + 1)]
        self.lease = Lease(self.line * (len(q) if keep else self.tasks * BLOCK))

    def forward(self, threads: int) -> Tensor:
        """Return y [P, 1]."""
        y = self.q.new_empty(len(self.q), 1)
        rows = MixRows(self.state.data_ptr(), self.q.data_ptr(), y.data_ptr(), 0)

        def task(number: int) -> None:
            at = self.edges[number] if self.keep else number * BLOCK
            mixing.forward(
                self.edges[number], self.edges[number + 1], self.keep, self.packed.sizes, self.packed.weights, rows,
                self.lease.address + 4 * self.line * at,
            )  # fmt: skip

        run_tasks(task, self.tasks, threads)
        return y

    def backward(self, grad: Tensor, threads: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the gradient of q, and those of the weights by their names in MixGradients."""
        s, n, e, y = self.packed.sizes
        f, d_q = 2 * y + 2 * e, torch.empty_like(self.q)
        sums = Sums(
            MixGradients, self.tasks, first=(s, f), first_bias=(f,), w1=(y, n * e), w1_bias=(n * e,), w2=(y, e),
            w2_bias=(e,), b2=(e,), b2_bias=(1,),
        )  # fmt: skip
        own = BLOCK * (n * e + e + f + 2 * PAD)
        scratch = Lease(own * self.tasks)
        rows = MixRows(self.state.data_ptr(), self.q.data_ptr(), grad.data_ptr(), d_q.data_ptr())

        def task(number: int) -> None:
            low, high = self.edges[number : number + 2]
            mixing.backward(
                low, high, self.packed.sizes, self.packed.weights, rows, self.lease.address + 4 * self.line * low,
                scratch.address + 4 * own * number, sums.of(number),
            )  # fmt: skip

        run_tasks(task, self.tasks, threads)
        return d_q, sums.total()


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, keep: bool, q: Tensor, state: Tensor, *params: Tensor) -> Tensor:
        with one_thread() as threads:
            run = _Run(q.detach(), state.detach(), [param.detach() for param in params], keep)
            y = run.forward(threads)
        if keep:
            ctx.save_for_backward(*params)
            ctx.run = run
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        params = ctx.saved_tensors  # also checks that none has changed since
        with one_thread() as threads:
            d_q, sums = ctx.run.backward(grad.contiguous(), threads)
            return None, d_q, None, *_parameter_gradients(sums, params, ctx.run.packed.sizes)


def _parameter_gradients(sums: dict[str, Tensor], params: Sequence[Tensor], sizes: MixSizes) -> list[Tensor]:
    """Return the gradients in the order and layout of the parameters."""
    width, hidden = params[4].shape[0], params[0].shape[0]  # E, Y
    _, n, e, y = sizes
    places = ((0, hidden), (y, hidden), (2 * y, width), (2 * y + e, width))  # of w1, w2, b2, b1 in the first layers
    firsts = [(sums["first"][:, at : at + size].t(), sums["first_bias"][at : at + size]) for at, size in places]
    w1 = sums["w1"].view(y, n, e)[:hidden, :, :width].permute(1, 2, 0).flatten(0, 1)
    return [
        *firsts[0], w1, sums["w1_bias"].view(n, e)[:, :width].flatten(), *firsts[3],
        *firsts[1], sums["w2"][:hidden, :width].t(), sums["w2_bias"][:width],
        *firsts[2], sums["b2"][None, :width], sums["b2_bias"],
    ]  # fmt: skip


def mix(q: Tensor, state: Tensor, networks: Hypernetworks) -> Tensor:
    """Return QMIX's team value [P, 1] of q [P, N], differentiably in q and the weights.

    It is elu(q . |w1| + b1) . |w2| + b2, where the hypernetworks write w1 [N, E], b1 [E], w2 [E] and b2 for each row.

    Args:
        q: [P, N] float32 on the CPU.
        state: [P, S] likewise.
        networks: the hypernetworks.

    Raises:
        ValueError: the sizes do not fit each other, or a type is another.
    """
    if len(q) != len(state) or state.shape[1] != networks.b1[0].shape[1]:
        raise ValueError(f"expected a state of [{len(q)}, {networks.b1[0].shape[1]}], got {list(state.shape)}")
    e, y = networks.b1[0].shape[0], networks.w1[0].shape[0]
    wanted = [(y,), (q.shape[1] * e, y), (q.shape[1] * e,), (y,), (e, y), (e,), (e,), (1, e), (1,)]
    given = [networks.w1[1], *networks.w1[2:], networks.w2[1], *networks.w2[2:], networks.b2[1], *networks.b2[2:]]
    if [tuple(tensor.shape) for tensor in given] != wanted:
        raise ValueError(f"hypernetworks for q of {q.shape[1]} agents expected: {wanted}")
    params = [tensor for layers in networks for tensor in layers]
    if any(tensor.dtype != torch.float32 for tensor in (q, state, *params)):
        raise ValueError("expected float32")
    mixed: Tensor = _Mix.apply(torch.is_grad_enabled(), q, state, *params)
    return mixed
