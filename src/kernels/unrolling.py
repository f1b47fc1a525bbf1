"""The recurrent network over packed sequences as an autograd function: weights in, addresses to the kernels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pymarl.kernels import recurrent
from pymarl.kernels.network import Layers, Packed
from pymarl.kernels.packing import Sums, address, columns, is_within, padded
from pymarl.kernels.records import Ends, Gradients, Rows, Sizes, Strip
from pymarl.kernels.rows import PAD
from pymarl.kernels.strips import Lease, StripPlan, one_thread, plan_strips, run_tasks


class Given(NamedTuple):
    """What does not change a layer's shape: see `unroll`."""

    places: Tensor | None
    one_hots: list[tuple[Tensor, int]]
    counts: list[int]
    eps: tuple[float, float]
    outputs: bool
    states: bool
    keep: bool


class _Run:
    """One unroll: what its strips read and write."""

    def __init__(self, given: Given, packed: Packed, features: Tensor, hidden: Tensor) -> None:
        self.given, self.packed, self.features, self.hidden = given, packed, features, hidden
        sizes = packed.sizes
        self.plan = plan_strips(given.counts)
        hots, row = [], 0
        for index, width in given.one_hots:
            hots.append((index.data_ptr(), row, width))
            row += width
        self._hots = np.array(hots or [(0, 0, 0)], dtype=np.int64)
        places = given.places
        self.rows = Rows(
            features.data_ptr(), 0 if places is None else places.data_ptr(), self._hots.ctypes.data, hidden.data_ptr()
        )
        self.strips = [Strip(len(p.first), p.first.ctypes.data, p.sizes.ctypes.data) for p in self.plan]
        top = max(int(p.sizes[0]) for p in self.plan)
        self.scratch = top * max(2 * sizes.h + sizes.a_padded, padded(sizes.o)) + padded(sizes.o)
        self.memory = [self._activations(p) for p in self.plan]
        self.starts = np.cumsum([0, *self.memory])
        self.lease = Lease(int(self.starts[-1])) if given.keep else None

    def _activations(self, plan: StripPlan) -> int:
        """Return the floats that a strip's activations take."""
        slot = (6 + self.packed.sizes.norm_in) * self.packed.sizes.h
        return slot * int(plan.sizes.sum()) if self.given.keep else (slot + self.packed.sizes.h) * int(plan.sizes[0])

    def forward(self, threads: int) -> tuple[Tensor | None, Tensor | None]:
        """Return outputs [R, A] and states [R, h], None for what is not wanted."""
        given, sizes, count = self.given, self.packed.sizes, sum(self.given.counts)
        outputs = self.features.new_empty(count, sizes.a) if given.outputs else None
        states = self.features.new_empty(count, sizes.h) if given.states else None
        lease = self.lease or Lease(sum(self.memory))
        scratch = Lease(self.scratch * len(self.strips))

        def task(number: int) -> None:
            recurrent.forward(
                self.strips[number], sizes, self.packed.weights, self.rows, given.keep,
                lease.address + 4 * int(self.starts[number]), scratch.address + 4 * number * self.scratch,
                address(outputs), address(states),
            )  # fmt: skip

        run_tasks(task, len(self.strips), threads)
        return outputs, states

    def backward(self, ends: Ends, threads: int) -> dict[str, Tensor]:
        """Write what `ends` asks for; return the weights' gradients by their names in records.Gradients."""
        sizes, table = self.packed.sizes, max(self.packed.table_rows, 1)
        h, a, lease = sizes.h, sizes.a, self.lease
        assert lease is not None
        sums = Sums(
            Gradients, len(self.strips), obs=(sizes.o, h), table=(table, h), bias=(h,), inp=(h, 3 * h), rec=(h, 3 * h),
            gates=(4 * h,), head=(a, h), head_bias=(a,), in_weight=(h,), in_bias=(h,), out_weight=(h,), out_bias=(h,),
        )  # fmt: skip
        top = max(int(p.sizes[0]) for p in self.plan)
        own = top * (6 * h + 2 * PAD) + self.scratch
        scratch = Lease(own * len(self.strips))

        def task(number: int) -> None:
            recurrent.backward(
                self.strips[number], sizes, self.packed.weights, self.rows,
                lease.address + 4 * int(self.starts[number]), scratch.address + 4 * number * own, ends, sums.of(number),
            )  # fmt: skip

        run_tasks(task, len(self.strips), threads)
        return sums.total()


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, given: Given, features: Tensor, hidden: Tensor, *params: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        detached = [None if p is None else p.detach() for p in params]
        with one_thread() as threads:
            packed = Packed(detached, len(given.one_hots), given.eps, features.shape[1], ctx.needs_input_grad[1])
            width, h = packed.sizes.width, packed.sizes.h
            run = _Run(given, packed, features.detach().contiguous(), columns(hidden.detach(), h).contiguous())
            outputs, states = run.forward(threads)
        if given.keep:
            ctx.save_for_backward(features, hidden, *params)
            ctx.run = run
        ctx.set_materialize_grads(False)
        return outputs, None if states is None else states[:, :width]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor | None, d_states: Tensor | None) -> tuple[Tensor | None, ...]:
        features, hidden, *params = ctx.saved_tensors  # also checks that none has changed since
        run, h = ctx.run, ctx.run.packed.sizes.h
        outputs = None if d_outputs is None else d_outputs.contiguous()
        states = None if d_states is None else columns(d_states, h).contiguous()
        d_features = (
            torch.empty_like(features, memory_format=torch.contiguous_format) if ctx.needs_input_grad[1] else None
        )
        d_hidden = hidden.new_empty(hidden.shape[0], h) if ctx.needs_input_grad[2] else None
        with one_thread() as threads:
            grads = run.backward(Ends(*map(address, (outputs, states, d_features, d_hidden))), threads)
            ours = parameter_gradients(grads, run.packed.sizes, run.packed.table_rows)
        wanted = [None if param is None else ours[number] for number, param in enumerate(params)]
        return None, d_features, None if d_hidden is None else d_hidden[:, : hidden.shape[1]], *wanted


def parameter_gradients(grads: dict[str, Tensor], sizes: Sizes, table_rows: int) -> list[Tensor]:
    """Return the gradients in the order and layout of the parameters: fc1, norm_in, rnn, norm_out, fc2."""
    h, width, a = sizes.h, sizes.width, sizes.a
    n, r, z, recurrent_n = grads["gates"].view(4, h)[:, :width]
    table = grads["table"][:table_rows]

    def weight(name: str, order: Sequence[int]) -> Tensor:
        gates = grads[name].view(h, 3, h)[:width, order, :width]  # [H, 3, H]
        return gates.permute(1, 2, 0).reshape(3 * width, width)

    return [
        torch.cat([grads["obs"], table])[:, :width].t(), grads["bias"][:width],
        grads["in_weight"][:width], grads["in_bias"][:width],
        weight("inp", [1, 2, 0]), weight("rec", [0, 1, 2]), torch.cat([r, z, n]), torch.cat([r, z, recurrent_n]),
        grads["out_weight"][:width], grads["out_bias"][:width],
        grads["head"][:, :width], grads["head_bias"][:a],
    ]  # fmt: skip


def unroll(
    features: Tensor, places: Tensor | None, one_hots: Sequence[tuple[Tensor, int]], counts: Sequence[int],
    hidden: Tensor, layers: Layers, *, outputs: bool, states: bool,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """Run fc1, relu, GRU cell and fc2 over packed sequences, differentiably.

    Args:
        features: [X, O].
        places: [R] int64, packed row r has features[places[r]]; None: features[r].
        one_hots: index [R] int64, -1 for none, and width of each; fc1's columns for them follow those of the features.
        counts: rows in each slot, non-increasing; they sum to R.
        hidden: [counts[0], H], the states before slot 0.
        layers: the network.
        outputs: the outputs are wanted.
        states: the states are wanted.

    Returns:
        [R, A] outputs of fc2 and [R, H] states after each row's step, None for what is not wanted; differentiable
        with respect to the weights, the features (without `places`) and `hidden`.

    Raises:
        ValueError: numbers of rows do not fit, or an index is out of its range.
    """
    counts = [count for count in counts if count]
    _check(features, places, one_hots, counts, hidden)
    _check_layers(features.shape[1] + sum(size for _, size in one_hots), hidden, layers)
    contiguous = [(hot.contiguous(), width) for hot, width in one_hots]
    places = None if places is None else places.contiguous()
    given = Given(places, contiguous, counts, layers.eps(), outputs, states, torch.is_grad_enabled())
    results: tuple[Tensor | None, Tensor | None] = _Unroll.apply(given, features, hidden, *layers.params())
    return results


def _check(
    features: Tensor,
    places: Tensor | None,
    one_hots: Sequence[tuple[Tensor, int]],
    counts: Sequence[int],
    hidden: Tensor,
) -> None:
    """Raise ValueError if a kernel would read beyond what it is given."""
    if any(index is not None and index.dtype != torch.int64 for index in (places, *(hot for hot, _ in one_hots))):
        raise ValueError("expected indices of int64")
    if features.dtype != torch.float32 or hidden.dtype != torch.float32:
        raise ValueError(f"expected features and states of float32, got {features.dtype} and {hidden.dtype}")
    if places is not None and features.requires_grad:
        raise ValueError("features that are read by their places have no gradient; gather them first")
    if not counts:
        raise ValueError("counts: there are no rows")
    rows = sum(counts)
    own = features.shape[0] if places is None else places.shape[0]
    if own != rows or hidden.shape[0] != counts[0] or any(hot.shape[0] != rows for hot, _ in one_hots):
        raise ValueError(
            f"expected {rows} rows of inputs and {counts[0]} of hidden states, got {own} and {len(hidden)}"
        )
    if any(later > earlier for earlier, later in itertools.pairwise(counts)):
        raise ValueError("counts: a slot has more rows than the one before")
    for index, low, high in [(places, 0, features.shape[0]), *((hot, -1, width) for hot, width in one_hots)]:
        if index is not None and not is_within(index, low, high):
            raise ValueError(f"an index from {int(index.min())} to {int(index.max())}; expected {low} .. {high - 1}")


def _check_layers(width: int, hidden: Tensor, layers: Layers) -> None:
    """Raise ValueError if the network is not for inputs of this width and these hidden states, or not of float32."""
    if width != layers.fc1[0].shape[1]:
        raise ValueError(f"inputs of width {width} for a layer of {layers.fc1[0].shape[1]}")
    h = layers.fc1[0].shape[0]
    if hidden.shape[1:] != (h,):
        raise ValueError(f"expected hidden states of {h}, got {list(hidden.shape[1:])}")
    if any(param is not None and param.dtype != torch.float32 for param in layers.params()):
        raise ValueError("expected weights of float32")
