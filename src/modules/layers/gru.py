"""A recurrent network over packed episodes: fc1, relu, GRU cell, and fc2 if there is one.

On the CPU the whole network is one autograd function that works in cache; on a GPU the recurrence is cuDNN's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.gru_chunk import GRUChunk, GRUData, GRUWeights, Layout
from pymarl.modules.layers.packed import POOL, Lease, one_thread, plan_chunks, run_chunks


def unroll_gru(
    inputs: Inputs,
    counts: Sequence[int],
    fc1: nn.Linear,
    rnn: nn.GRUCell,
    fc2: nn.Linear | None,
    hidden: Tensor,
) -> Tensor:
    """Run fc1, relu, GRU cell and fc2 over packed sequences.

    Args:
        inputs: R rows, slot-major; slot t holds the first counts[t] rows of slot t-1.
        counts: rows in each slot, non-increasing; they sum to R.
        fc1: E -> H.
        rnn: H -> H.
        fc2: H -> A, or None to get the states themselves.
        hidden: [counts[0], H], the states before slot 0.

    Returns:
        [R, A] outputs, or [R, H] states, in the order of the inputs; differentiable with respect to the weights,
        the features and `hidden`.
    """
    counts = [count for count in counts if count]
    if inputs.features.device.type != "cpu":
        return _unroll_library(inputs, counts, fc1, rnn, fc2, hidden)
    layers = (fc1.weight, fc1.bias, rnn.weight_ih, rnn.bias_ih, rnn.weight_hh, rnn.bias_hh)
    head = (None, None) if fc2 is None else (fc2.weight, fc2.bias)
    keep = torch.is_grad_enabled()
    with one_thread() as threads:
        data = GRUData.of(inputs)
        out: Tensor = _UnrollGRU.apply(data, counts, keep, threads, inputs.features, hidden, *layers, *head)
    return out


def _unroll_library(
    inputs: Inputs, counts: Sequence[int], fc1: nn.Linear, rnn: nn.GRUCell, fc2: nn.Linear | None, hidden: Tensor
) -> Tensor:
    """The same through torch's packed GRU (cuDNN on a GPU)."""
    x = inputs.linear(fc1).relu_()
    before = hidden.unsqueeze(0).contiguous()  # [1, counts[0], H]
    weights = [rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh]
    # data, batch sizes, state, weights, has biases, layers, dropout, training, bidirectional
    states = torch._VF.gru(x, torch.tensor(counts), before, weights, True, 1, 0.0, torch.is_grad_enabled(), False)[0]
    return states if fc2 is None else fc2(states)


class _UnrollGRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        data: GRUData,
        counts: list[int],
        keep: bool,
        threads: int,
        features: Tensor,
        hidden: Tensor,
        *params: Tensor | None,
    ) -> Tensor:
        weights = GRUWeights.of(data, [None if param is None else param.detach() for param in params])
        plan = plan_chunks(counts)
        layout = Layout(data.hot_rows, weights.rec.shape[1])
        sizes = [
            layout.rows * (sum(b.stride for b in blocks) if keep else 2 * max(b.stride for b in blocks))
            for blocks in plan
        ]
        lease = Lease(POOL, sum(sizes), data.obs.dtype)
        memory = zip(plan, lease.memory.split(sizes), strict=True)
        chunks = [GRUChunk(data, weights, blocks, part, keep, hidden.detach()) for blocks, part in memory]
        out = data.obs.new_empty(data.obs.shape[0], layout.h if weights.out is None else weights.out.shape[0])
        run_chunks(lambda index: chunks[index].forward(out), len(chunks), threads)
        if keep:
            ctx.save_for_backward(features, hidden, *params)
            ctx.chunks, ctx.lease, ctx.data = chunks, lease, data
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        features, hidden, *params = ctx.saved_tensors  # also checks that none has changed since
        grad = grad_out.contiguous()
        grad_obs = torch.empty_like(features) if ctx.needs_input_grad[4] else None
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[5] else None
        with one_thread() as threads:
            grads = run_chunks(
                lambda index: ctx.chunks[index].backward(grad, grad_obs, grad_hidden), len(ctx.chunks), threads
            )
            return (None, None, None, None, grad_obs, grad_hidden, *_parameter_gradients(grads, params, ctx.data))


def _parameter_gradients(chunks: list[GRUWeights], params: Sequence[Any], data: GRUData) -> list[Tensor | None]:
    """Return the gradients in the order of the parameters, summed over chunks."""
    total = chunks[0]
    for other in chunks[1:]:
        for mine, theirs in ((total.obs, other.obs), (total.hot, other.hot), (total.inp, other.inp)):
            mine += theirs
        total.rec.add_(other.rec)
        if total.out is not None and other.out is not None:
            total.out.add_(other.out)
    h = total.obs.shape[0]
    none = data.hot_rows - (params[0].shape[1] - data.obs.shape[1])
    inp = torch.cat([total.inp[:, h:], total.inp[:, :h]], dim=1)  # r, z, n
    head = (None, None) if total.out is None else (total.out[:, 1:].contiguous(), total.out[:, 0].contiguous())
    return [
        torch.cat([total.obs, total.hot[:, none:-1]], dim=1),
        total.hot[:, -1].contiguous(),
        inp[1:].t().contiguous(),
        inp[0],
        total.rec[1:].t().contiguous(),
        total.rec[0],
        *head,
    ]
