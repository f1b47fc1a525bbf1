"""A recurrent network over packed episodes: fc1, relu, GRU cell, and fc2 if there is one.

On the CPU the whole network is one autograd function that works in cache. Activations are feature-major, [H, rows], so
that gates are contiguous; a ones row next to each activation folds every bias, forward and backward, into a product.
Several short time slots make one block, so that everything but the recurrence runs as products of some hundred rows.
On a GPU the recurrence is cuDNN's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from modules.layers.packed import POOL, Block, chunk_rows, plan_chunks, run_chunks

if TYPE_CHECKING:
    from modules.agents.agent import AgentInputs


def unroll_gru(
    inputs: AgentInputs, counts: Sequence[int], fc1: nn.Linear, rnn: nn.GRUCell, fc2: nn.Linear | None
) -> Tensor:
    """Run fc1, relu, GRU cell and fc2 over packed episodes from a zero state.

    Args:
        inputs: R rows, slot-major; slot t holds the first counts[t] rows of slot t-1.
        counts: rows in each slot, non-increasing; they sum to R.
        fc1: E -> H.
        rnn: H -> H.
        fc2: H -> A, or None to get the states themselves.

    Returns:
        [R, A] outputs, or [R, H] states, in the order of the inputs. Not differentiable with respect to `inputs`.
    """
    counts = [count for count in counts if count]
    if inputs.obs.device.type != "cpu":
        return _unroll_library(inputs, counts, fc1, rnn, fc2)
    layers = (fc1.weight, fc1.bias, rnn.weight_ih, rnn.bias_ih, rnn.weight_hh, rnn.bias_hh)
    head = (None, None) if fc2 is None else (fc2.weight, fc2.bias)
    out: Tensor = _UnrollGRU.apply(_Data.of(inputs), counts, torch.is_grad_enabled(), *layers, *head)
    return out


def _unroll_library(
    inputs: AgentInputs, counts: Sequence[int], fc1: nn.Linear, rnn: nn.GRUCell, fc2: nn.Linear | None
) -> Tensor:
    """The same through torch's packed GRU (cuDNN on a GPU)."""
    x = inputs.linear(fc1).relu_()
    hidden = x.new_zeros(1, counts[0], rnn.hidden_size)
    weights = [rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh]
    # data, batch sizes, state, weights, has biases, layers, dropout, training, bidirectional
    states = torch._VF.gru(x, torch.tensor(counts), hidden, weights, True, 1, 0.0, torch.is_grad_enabled(), False)[0]
    return states if fc2 is None else fc2(states)


class _Data(NamedTuple):
    """obs [R, O]; hot [K, R] int64: for each of K one-hots the row of a block's one-hot part to set; hot_rows of it."""

    obs: Tensor
    hot: Tensor | None
    hot_rows: int

    @classmethod
    def of(cls, inputs: AgentInputs) -> _Data:
        """One-hot part: a row for "no last action", A actions, N ids."""
        index, rows = [], 0
        if inputs.last_action is not None:
            index.append(inputs.last_action + 1)
            rows = 1 + inputs.n_actions
        if inputs.agent_id is not None:
            index.append(inputs.agent_id + rows)
            rows += inputs.n_agents
        return cls(inputs.obs, torch.stack(index) if index else None, rows)


class _Weights(NamedTuple):
    """Layers as the blocks use them; a bias is one more column, which meets the ones row.

    Attributes:
        obs: [H, O], fc1's part for the observation.
        hot: [H, hot_rows + 1], its part for the one-hots, then fc1's bias.
        inp: [3H, 1 + H], gates n, r, z from [1; x].
        rec_rz: [2H, H], gates r, z from h.
        rec_n: [H, 1 + H], the recurrent part of gate n from [1; h].
        rec: [3H, H], gates r, z, n from h.
        out: [A, 1 + H] from [1; h], or None.
    """

    obs: Tensor
    hot: Tensor
    inp: Tensor
    rec_rz: Tensor
    rec_n: Tensor
    rec: Tensor
    out: Tensor | None

    @classmethod
    def of(cls, data: _Data, params: Sequence[Tensor | None]) -> _Weights:
        w1, b1, w_ih, b_ih, w_hh, b_hh, w2, b2 = params
        assert w1 is not None and b1 is not None and w_ih is not None and b_ih is not None
        assert w_hh is not None and b_hh is not None
        width, h = data.obs.shape[1], w1.shape[0]
        none = data.hot_rows - (w1.shape[1] - width)  # 1 if there is a row for "no last action"
        b_rz = b_ih[: 2 * h] + b_hh[: 2 * h]
        inp = torch.cat([torch.cat([b_ih[2 * h :], b_rz])[:, None], torch.cat([w_ih[2 * h :], w_ih[: 2 * h]])], dim=1)
        return cls(
            obs=w1[:, :width],
            hot=torch.cat([w1.new_zeros(h, none), w1[:, width:], b1[:, None]], dim=1),
            inp=inp,
            rec_rz=w_hh[: 2 * h],
            rec_n=torch.cat([b_hh[2 * h :, None], w_hh[2 * h :]], dim=1),
            rec=w_hh,
            out=None if w2 is None or b2 is None else torch.cat([b2[:, None], w2], dim=1),
        )

    def gradients(self) -> _Weights:
        """Return zeros for the gradients of obs, hot, inp, rec (as [3H, 1 + H], gates r, z, n) and out."""
        rec = self.rec.new_zeros(self.rec.shape[0], self.rec.shape[1] + 1)
        obs, hot, inp = torch.zeros_like(self.obs), torch.zeros_like(self.hot), torch.zeros_like(self.inp)
        out = None if self.out is None else torch.zeros_like(self.out)
        return _Weights(obs=obs, hot=hot, inp=inp, rec_rz=rec, rec_n=rec, rec=rec, out=out)


class _Layout(NamedTuple):
    """Rows of a block's memory: one-hots, ones, x, gates n r z, recurrent part of n, ones, h."""

    hot: int
    h: int

    @property
    def x(self) -> int:
        return self.hot + 1

    @property
    def n(self) -> int:
        return self.x + self.h

    @property
    def state(self) -> int:
        """The ones row before h."""
        return self.n + 4 * self.h

    @property
    def rows(self) -> int:
        return self.state + 1 + self.h


class _Chunk:
    """One chunk's forward and backward pass.

    Args:
        data: of the whole sequence.
        weights: of the network.
        blocks: of this chunk.
        memory: a vector for the activations of all blocks, or, if `keep` is false, of two.
        keep: backward will come.
    """

    def __init__(self, data: _Data, weights: _Weights, blocks: list[Block], memory: Tensor, keep: bool) -> None:
        self.obs, self.weights, self.blocks, self.memory, self.keep = data.obs, weights, blocks, memory, keep
        self.layout = _Layout(data.hot_rows, weights.rec.shape[1])
        self.hot = None if data.hot is None else data.hot.index_select(1, chunk_rows(blocks))
        self.first = memory.new_zeros(1 + self.layout.h, blocks[0].slots[0][1])  # [1; h] before the first slot
        self.first[0] = 1
        self.largest = max(block.width for block in blocks)

    def _view(self, index: int, rows: int, count: int, col: int, size: int) -> Tensor:
        """Return [count, size]: rows `rows` .. of block `index`, columns `col` .. ."""
        block = self.blocks[index]
        start = block.start if self.keep else index % 2 * self.largest
        offset = self.memory.storage_offset() + start * self.layout.rows + rows * block.width + col
        return self.memory.as_strided((count, size), (block.width, 1), offset)

    def _before(self, index: int, slot: int) -> Tensor:
        """Return [1 + H, columns of the slot], [1; h] before this slot."""
        size = self.blocks[index].slots[slot][1]
        if slot:
            return self._view(index, self.layout.state, 1 + self.layout.h, self.blocks[index].slots[slot - 1][0], size)
        if index:
            col = self.blocks[index - 1].slots[-1][0]
            return self._view(index - 1, self.layout.state, 1 + self.layout.h, col, size)
        return self.first

    def forward(self, out: Tensor) -> None:
        """Write this chunk's rows of `out` [R, A]."""
        for index in range(len(self.blocks)):
            self._inputs(index)
            for slot in range(len(self.blocks[index].slots)):
                self._step(index, slot)
            self._head(index, out)

    def _inputs(self, index: int) -> None:
        """x = relu(fc1(inputs)) and its part of the gates, for a whole block."""
        layout, weights, block = self.layout, self.weights, self.blocks[index]
        width = block.width
        hot = self._view(index, 0, layout.hot + 1, 0, width)
        hot.zero_()
        if self.hot is not None:
            hot.scatter_(0, self.hot[:, block.start : block.start + width], 1.0)
        hot[layout.hot].fill_(1.0)
        self._view(index, layout.state, 1, 0, width).fill_(1.0)
        for row, col, size in block.pieces:
            torch.mm(weights.obs, self.obs[row : row + size].t(), out=self._view(index, layout.x, layout.h, col, size))
        self._view(index, layout.x, layout.h, 0, width).addmm_(weights.hot, hot).relu_()
        x1 = self._view(index, layout.hot, 1 + layout.h, 0, width)
        torch.mm(weights.inp, x1, out=self._view(index, layout.n, 3 * layout.h, 0, width))

    def _step(self, index: int, slot: int) -> None:
        """One step of the GRU: h' = (1 - z) * n + z * h."""
        h, base = self.layout.h, self.layout.n
        col, size = self.blocks[index].slots[slot]
        before = self._before(index, slot)
        state = before[1:]
        self._view(index, base + h, 2 * h, col, size).addmm_(self.weights.rec_rz, state).sigmoid_()
        recurrent = self._view(index, base + 3 * h, h, col, size)
        torch.mm(self.weights.rec_n, before, out=recurrent)
        gate = self._view(index, base, h, col, size)
        gate.addcmul_(self._view(index, base + h, h, col, size), recurrent).tanh_()
        update = self._view(index, base + 2 * h, h, col, size)
        torch.lerp(gate, state, update, out=self._view(index, self.layout.state + 1, h, col, size))

    def _head(self, index: int, out: Tensor) -> None:
        """fc2 for a whole block."""
        for row, col, size in self.blocks[index].pieces:
            if self.weights.out is None:
                out[row : row + size].copy_(self._view(index, self.layout.state + 1, self.layout.h, col, size).t())
            else:
                states = self._view(index, self.layout.state, 1 + self.layout.h, col, size)
                torch.mm(states.t(), self.weights.out.t(), out=out[row : row + size])

    def backward(self, grad_out: Tensor) -> _Weights:
        """Return this chunk's gradients (in the form of _Weights.gradients) for `grad_out` [R, A]."""
        h = self.layout.h
        grads = self.weights.gradients()
        widest = self.blocks[0].slots[0][1]
        carry = self.memory.new_empty(h * widest)  # gradient of the state, from later slots
        scratch = self.memory.new_empty(5 * h * self.largest)
        size_after = 0
        for index in reversed(range(len(self.blocks))):
            width = self.blocks[index].width
            grad_states = scratch[: h * width].view(h, width)
            grad_gates = scratch[h * width : 5 * h * width].view(4 * h, width)  # n, r, z, recurrent part of n
            self._head_backward(index, grad_out, grad_states, grads)
            for slot in reversed(range(len(self.blocks[index].slots))):
                self._step_backward(index, slot, grad_states, grad_gates, carry, size_after, grads)
                size_after = self.blocks[index].slots[slot][1]
            self._inputs_backward(index, grad_states, grad_gates, grads)
        return grads

    def _head_backward(self, index: int, grad_out: Tensor, grad_states: Tensor, grads: _Weights) -> None:
        h = self.layout.h
        for row, col, size in self.blocks[index].pieces:
            grad = grad_out[row : row + size]
            if self.weights.out is None or grads.out is None:
                grad_states[:, col : col + size].copy_(grad.t())
            else:
                torch.mm(self.weights.out[:, 1:].t(), grad.t(), out=grad_states[:, col : col + size])
                grads.out.addmm_(grad.t(), self._view(index, self.layout.state, 1 + h, col, size).t())

    def _step_backward(
        self, index: int, slot: int, grad_states: Tensor, grad_gates: Tensor, carry: Tensor, after: int, grads: _Weights
    ) -> None:
        h, base = self.layout.h, self.layout.n
        col, size = self.blocks[index].slots[slot]
        width = self.blocks[index].width
        before = self._before(index, slot)
        n, r, z, recurrent = (self._view(index, base + k * h, h, col, size) for k in range(4))
        grad = grad_states[:, col : col + size]
        if after:
            grad[:, :after].add_(carry[: h * after].view(h, after))
        d_n, d_r, d_z, d_recurrent = (
            grad_gates.as_strided((h, size), (width, 1), grad_gates.storage_offset() + k * h * width + col)
            for k in range(4)
        )
        direct = torch.mul(grad, z, out=carry[: h * size].view(h, size))
        grad.sub_(direct)  # (1 - z) * grad
        torch.sub(before[1:], n, out=d_z).mul_(z).mul_(grad)  # (h - n) * z * (1 - z) * grad
        torch.mul(grad, n, out=d_r)
        torch.addcmul(grad, d_r, n, value=-1, out=d_n)  # (1 - n^2) * (1 - z) * grad
        torch.mul(d_n, r, out=d_recurrent)
        torch.mul(d_recurrent, recurrent, out=d_r)
        d_r.addcmul_(d_r, r, value=-1)  # recurrent * r * (1 - r) * d_n
        rzn = grad_gates[h:, col : col + size]
        direct.addmm_(self.weights.rec.t(), rzn)
        grads.rec.addmm_(rzn, before.t())

    def _inputs_backward(self, index: int, grad_x: Tensor, grad_gates: Tensor, grads: _Weights) -> None:
        layout, h, block = self.layout, self.layout.h, self.blocks[index]
        nrz = grad_gates[: 3 * h]
        grads.inp.addmm_(nrz, self._view(index, layout.hot, 1 + h, 0, block.width).t())
        torch.mm(self.weights.inp[:, 1:].t(), nrz, out=grad_x)
        x = self._view(index, layout.x, h, 0, block.width)
        grad_x.mul_(torch.sign(x, out=x))  # relu
        grads.hot.addmm_(grad_x, self._view(index, 0, layout.hot + 1, 0, block.width).t())
        for row, col, size in block.pieces:
            grads.obs.addmm_(grad_x[:, col : col + size], self.obs[row : row + size])


class _UnrollGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, data: _Data, counts: list[int], keep: bool, *params: Tensor | None) -> Tensor:
        weights = _Weights.of(data, [None if param is None else param.detach() for param in params])
        plan = plan_chunks(counts)
        layout = _Layout(data.hot_rows, weights.rec.shape[1])
        sizes = [
            layout.rows * (sum(b.width for b in blocks) if keep else 2 * max(b.width for b in blocks))
            for blocks in plan
        ]
        memory = POOL.take(sum(sizes), data.obs.dtype)
        parts = memory[: sum(sizes)].split(sizes)
        out = data.obs.new_empty(data.obs.shape[0], layout.h if weights.out is None else weights.out.shape[0])
        chunks = [_Chunk(data, weights, blocks, part, keep) for blocks, part in zip(plan, parts, strict=True)]
        run_chunks(lambda index: chunks[index].forward(out), len(chunks))
        if keep:
            ctx.save_for_backward(*params)
            ctx.chunks, ctx.memory, ctx.data = chunks, memory, data
        else:
            POOL.give(memory)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        params = ctx.saved_tensors  # also checks that no weight has changed since
        if ctx.chunks is None:
            raise RuntimeError("an unroll can be differentiated only once; call unroll again")
        chunks, ctx.chunks = ctx.chunks, None
        grad = grad_out.contiguous()
        grads = run_chunks(lambda index: chunks[index].backward(grad), len(chunks))
        POOL.give(ctx.memory)
        return (None, None, None, *_parameter_gradients(grads, params, ctx.data))


def _parameter_gradients(chunks: list[_Weights], params: Sequence[Tensor | None], data: _Data) -> list[Tensor | None]:
    """Return the gradients in the order of the parameters, summed over chunks."""
    total = chunks[0]
    for other in chunks[1:]:
        for mine, theirs in ((total.obs, other.obs), (total.hot, other.hot), (total.inp, other.inp)):
            mine += theirs
        total.rec.add_(other.rec)
        if total.out is not None and other.out is not None:
            total.out.add_(other.out)
    h = total.obs.shape[0]
    assert params[0] is not None
    none = data.hot_rows - (params[0].shape[1] - data.obs.shape[1])
    inp = torch.cat([total.inp[h:], total.inp[:h]])  # r, z, n
    head = (None, None) if total.out is None else (total.out[:, 1:].contiguous(), total.out[:, 0].contiguous())
    return [
        torch.cat([total.obs, total.hot[:, none:-1]], dim=1),
        total.hot[:, -1].contiguous(),
        inp[:, 1:].contiguous(),
        inp[:, 0].contiguous(),
        total.rec[:, 1:].contiguous(),
        total.rec[:, 0].contiguous(),
        *head,
    ]
