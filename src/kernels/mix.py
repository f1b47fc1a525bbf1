"""QMIX's mixer as an autograd function; see mixing.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pymarl.kernels import mixing
from pymarl.kernels.mixing import BLOCK, PAD, MixGradients, MixRows, MixSizes, MixWeights
from pymarl.kernels.packing import Kept, columns, pack, padded
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


def _rows(matrix: Tensor, groups: int, size: int) -> Tensor:
    """Return [groups * size, ...] of [groups * E, ...]: each group padded with zeros."""
    grouped = matrix.unflatten(0, (groups, -1))
    return F.pad(grouped, (0,) * 2 * (matrix.dim() - 1) + (0, size - grouped.shape[1])).flatten(0, 1)


class _Packed:
    """The hypernetworks' weights as the kernels take them."""

    def __init__(self, n: int, params: Sequence[Tensor]) -> None:
        w1a, w1a_b, w1b, w1b_b, b1, b1_b, w2a, w2a_b, w2b, w2b_b, b2a, b2a_b, b2b, b2b_b = params
        e, y = padded(b1.shape[0]), padded(w1a.shape[0])
        self.sizes = MixSizes(b1.shape[1], n, e, y)
        self.kept = at = Kept()
        relus = torch.cat([_rows(w1a, 1, y), _rows(w2a, 1, y), _rows(b2a, 1, e)])
        first = torch.cat([pack(relus.t()), pack(_rows(b1, 1, e).t())])
        first_bias = torch.cat([_rows(w1a_b, 1, y), _rows(w2a_b, 1, y), _rows(b2a_b, 1, e), _rows(b1_b, 1, e)])
        w1, w2 = columns(_rows(w1b, n, e), y), columns(_rows(w2b, 1, e), y)
        self.weights = MixWeights(
            first=at(first), first_bias=at(first_bias),
            w1=at(pack(w1.t())), w1_bias=at(_rows(w1b_b, n, e)), w1_back=at(pack(w1)),
            w2=at(pack(w2.t())), w2_bias=at(_rows(w2b_b, 1, e)), w2_back=at(pack(w2)),
            b2=at(columns(b2b, e)), b2_bias=at(b2b_b), zeros=at(torch.zeros(y)),
        )  # fmt: skip


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, keep: bool, q: Tensor, state: Tensor, *params: Tensor) -> Tensor:
        with one_thread() as threads:
            packed = _Packed(q.shape[1], [param.detach() for param in params])
            q, state = q.detach().contiguous(), state.detach().contiguous()
            s, n, e, y = packed.sizes
            result = q.new_empty(len(q), 1)
            line = 2 * y + 4 * e + n * e
            tasks = 1 if len(q) < 4 * BLOCK else 4 * -(-len(q) // (4 * TASK_ROWS))
            edges = [number * len(q) // tasks for number in range(tasks + 1)]
            lease = Lease(line * (len(q) if keep else tasks * BLOCK))
            rows = MixRows(state.data_ptr(), q.data_ptr(), result.data_ptr(), 0)

            def task(number: int) -> None:
                at = edges[number] if keep else number * BLOCK
                mixing.forward(
                    edges[number], edges[number + 1], keep, packed.sizes, packed.weights, rows,
                    lease.address + 4 * line * at,
                )  # fmt: skip

            run_tasks(task, tasks, threads)
        if keep:
            ctx.save_for_backward(*params)
            ctx.run = (packed, q, state, edges, lease, line)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        params = ctx.saved_tensors  # also checks that none has changed since
        packed, q, state, edges, lease, line = ctx.run
        s, n, e, y = packed.sizes
        f, tasks = 2 * y + 2 * e, len(edges) - 1
        shapes = MixGradients((s, f), (f,), (y, n * e), (n * e,), (y, e), (e,), (e,), (padded(1),))
        with one_thread() as threads:
            grad, d_q = grad.contiguous(), torch.empty_like(q)
            counts = [int(np.prod(shape)) for shape in shapes]
            starts = np.cumsum([0, *counts])
            sums = q.new_zeros(tasks, int(starts[-1]))
            own = BLOCK * (n * e + e + f + 2 * PAD)
            scratch = Lease(own * tasks)
            rows = MixRows(state.data_ptr(), q.data_ptr(), grad.data_ptr(), d_q.data_ptr())

            def task(number: int) -> None:
                first = sums[number].data_ptr()
                mixing.backward(
                    edges[number], edges[number + 1], packed.sizes, packed.weights, rows,
                    lease.address + 4 * line * edges[number], scratch.address + 4 * own * number,
                    MixGradients(*(first + 4 * int(start) for start in starts[:-1])),
                )  # fmt: skip

            run_tasks(task, tasks, threads)
            for number in range(1, tasks):  # in their order, whoever was first
                sums[0] += sums[number]
            parts = [part.view(shape) for part, shape in zip(sums[0].split(counts), shapes, strict=True)]
            return None, d_q, None, *_parameter_gradients(parts, params, packed.sizes)


def _parameter_gradients(parts: Sequence[Tensor], params: Sequence[Tensor], sizes: MixSizes) -> list[Tensor]:
    """Return the gradients in the order and layout of the parameters."""
    first, first_bias, w1, w1_bias, w2, w2_bias, b2, b2_bias = parts
    width, hidden = params[4].shape[0], params[0].shape[0]  # E, Y
    _, n, e, y = sizes
    starts = (0, y, 2 * y, 2 * y + e)  # of w1, w2, b2, b1 in the first layers
    weights = [first[:, at : at + size].t() for at, size in zip(starts, (hidden, hidden, width, width), strict=True)]
    biases = [first_bias[at : at + size] for at, size in zip(starts, (hidden, hidden, width, width), strict=True)]
    w1 = w1.view(y, n, e)[:hidden, :, :width].permute(1, 2, 0).flatten(0, 1)
    return [
        weights[0], biases[0], w1, w1_bias.view(n, e)[:, :width].flatten(), weights[3], biases[3],
        weights[1], biases[1], w2[:hidden, :width].t(), w2_bias[:width],
        weights[2], biases[2], b2[None, :width], b2_bias[:1],
    ]  # fmt: skip


def mix(q: Tensor, state: Tensor, networks: Hypernetworks) -> Tensor:
    """Return QMIX's team value [P, 1] of q [P, N], differentiably in q and the weights.

    It is elu(q . |w1| + b1) . |w2| + b2, where the hypernetworks write w1 [N, E], b1 [E], w2 [E] and b2 for each row.

    Args:
        q: [P, N] float32 on the CPU.
        state: [P, S] likewise.
        networks: the hypernetworks.

    Raises:
        ValueError: the state has another number of rows.
    """
    if len(q) != len(state) or state.shape[1] != networks.b1[0].shape[1]:
        raise ValueError(f"expected a state of [{len(q)}, {networks.b1[0].shape[1]}], got {list(state.shape)}")
    params = [tensor for layers in networks for tensor in layers]
    mixed: Tensor = _Mix.apply(torch.is_grad_enabled(), q, state, *params)
    return mixed
