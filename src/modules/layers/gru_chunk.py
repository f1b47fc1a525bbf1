"""The arithmetic of fc1, relu, GRU cell and fc2 on one chunk of packed rows.

Activations are feature-major, [H, columns], so that gates are contiguous; a ones row next to each activation folds
every bias, forward and backward, into a product. Several short time slots make one block, so that everything but the
recurrence runs as products of some hundred columns, whose operands stay in cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.packed import Block, chunk_rows


class GRUData(NamedTuple):
    """What the recurrence reads.

    Attributes:
        obs: [R, O], the features.
        hot: [K, R] int64, for each of K one-hots the row of a block's one-hot part to set; None without one-hots.
        hot_rows: rows of the one-hot part.
    """

    obs: Tensor
    hot: Tensor | None
    hot_rows: int

    @classmethod
    def of(cls, inputs: Inputs) -> GRUData:
        """One-hot part: a row for -1 (all that have none share it) if there is one, then each one-hot's rows."""
        none = [one_hot.index < 0 for one_hot in inputs.one_hots]
        rows = int(any(bool(mask.any()) for mask in none))
        hot = []
        for one_hot, mask in zip(inputs.one_hots, none, strict=True):
            hot.append((one_hot.index + rows).masked_fill_(mask, 0))
            rows += one_hot.width
        return cls(inputs.features.detach(), torch.stack(hot) if hot else None, rows)


class GRUWeights(NamedTuple):
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
    def of(cls, data: GRUData, params: Sequence[Any]) -> GRUWeights:
        w1, b1, w_ih, b_ih, w_hh, b_hh, w2, b2 = params
        width, h = data.obs.shape[1], w1.shape[0]
        none = data.hot_rows - (w1.shape[1] - width)  # 1 if there is a row for -1
        b_rz = b_ih[: 2 * h] + b_hh[: 2 * h]
        inp = torch.cat([torch.cat([b_ih[2 * h :], b_rz])[:, None], torch.cat([w_ih[2 * h :], w_ih[: 2 * h]])], dim=1)
        return cls(
            obs=w1[:, :width],
            hot=torch.cat([w1.new_zeros(h, none), w1[:, width:], b1[:, None]], dim=1),
            inp=inp,
            rec_rz=w_hh[: 2 * h],
            rec_n=torch.cat([b_hh[2 * h :, None], w_hh[2 * h :]], dim=1),
            rec=w_hh,
            out=None if w2 is None else torch.cat([b2[:, None], w2], dim=1),
        )

    def gradients(self) -> GRUWeights:
        """Return zeros for the gradients of obs, hot, inp and rec (transposed, [1 + H, 3H], a bias first) and out."""
        inp = self.inp.new_zeros(self.inp.shape[1], self.inp.shape[0])
        rec = torch.zeros_like(inp)
        obs, hot = torch.zeros_like(self.obs), torch.zeros_like(self.hot)
        out = None if self.out is None else torch.zeros_like(self.out)
        return GRUWeights(obs=obs, hot=hot, inp=inp, rec_rz=rec, rec_n=rec, rec=rec, out=out)


class Layout(NamedTuple):
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


class GRUChunk:
    """One chunk's forward and backward pass.

    Args:
        data: of the whole sequence.
        weights: of the network.
        blocks: of this chunk.
        memory: a vector for the activations of all blocks, or, if `keep` is false, of two.
        keep: backward will come.
        hidden: [rows of slot 0, H], the states before it, of all chunks.
    """

    def __init__(
        self, data: GRUData, weights: GRUWeights, blocks: list[Block], memory: Tensor, keep: bool, hidden: Tensor
    ) -> None:
        self.obs, self.weights, self.blocks, self.memory, self.keep = data.obs, weights, blocks, memory, keep
        self.layout = Layout(data.hot_rows, weights.rec.shape[1])
        self.hot = None if data.hot is None else data.hot.index_select(1, chunk_rows(blocks))
        row, size = blocks[0].pieces[0].row, blocks[0].slots[0][1]
        self.top = slice(row, row + size)  # this chunk's rows of slot 0
        self.first = memory.new_ones(1 + self.layout.h, size)  # [1; h] before slot 0
        self.first[1:] = hidden[self.top].t()
        self.largest = max(block.stride for block in blocks)

    def _view(self, index: int, rows: int, count: int, col: int, size: int) -> Tensor:
        """Return [count, size]: rows `rows` .. of block `index`, columns `col` .. ."""
        block = self.blocks[index]
        start = block.start if self.keep else index % 2 * self.largest
        offset = self.memory.storage_offset() + start * self.layout.rows + rows * block.stride + col
        return self.memory.as_strided((count, size), (block.stride, 1), offset)

    def _gates(self, index: int, slot: int) -> tuple[Tensor, ...]:
        """Return n, r, z and the recurrent part of n, each [H, columns of the slot]."""
        block, h = self.blocks[index], self.layout.h
        col, size = block.slots[slot]
        start = block.start if self.keep else index % 2 * self.largest
        offset = self.memory.storage_offset() + start * self.layout.rows + self.layout.n * block.stride + col
        return self.memory.as_strided((4, h, size), (h * block.stride, block.stride, 1), offset).unbind()

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
            hot.scatter_(0, self.hot[:, block.first : block.first + width], 1.0)
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
        n, r, z, recurrent = self._gates(index, slot)
        self._view(index, base + h, 2 * h, col, size).addmm_(self.weights.rec_rz, state).sigmoid_()
        torch.mm(self.weights.rec_n, before, out=recurrent)
        n.addcmul_(r, recurrent).tanh_()
        torch.lerp(n, state, z, out=self._view(index, self.layout.state + 1, h, col, size))

    def _head(self, index: int, out: Tensor) -> None:
        """fc2 for a whole block."""
        for row, col, size in self.blocks[index].pieces:
            if self.weights.out is None:
                out[row : row + size].copy_(self._view(index, self.layout.state + 1, self.layout.h, col, size).t())
            else:
                states = self._view(index, self.layout.state, 1 + self.layout.h, col, size)
                torch.mm(states.t(), self.weights.out.t(), out=out[row : row + size])

    def backward(self, grad_out: Tensor, grad_obs: Tensor | None, grad_hidden: Tensor | None) -> GRUWeights:
        """Return this chunk's gradients (in the form of GRUWeights.gradients) for `grad_out` [R, A].

        Those of its rows of obs and of the states before slot 0 are written to `grad_obs` [R, O] and `grad_hidden`.
        """
        h = self.layout.h
        grads = self.weights.gradients()
        widest = self.blocks[0].slots[0][1]
        carry = self.memory.new_empty(h * widest)  # gradient of the state, from later slots
        scratch = self.memory.new_empty(5 * h * self.largest)
        size_after = 0
        for index in reversed(range(len(self.blocks))):
            width, stride = self.blocks[index].width, self.blocks[index].stride
            grad_states = scratch.as_strided((h, width), (stride, 1))
            grad_gates = scratch.as_strided((4 * h, width), (stride, 1), h * stride)  # n, r, z, recurrent part of n
            self._head_backward(index, grad_out, grad_states, grads)
            for slot in reversed(range(len(self.blocks[index].slots))):
                self._step_backward(index, slot, scratch, carry, size_after, grads)
                size_after = self.blocks[index].slots[slot][1]
            self._inputs_backward(index, grad_states, grad_gates, grads, grad_obs)
        if grad_hidden is not None:
            grad_hidden[self.top] = carry.view(h, widest).t()
        return grads

    def _head_backward(self, index: int, grad_out: Tensor, grad_states: Tensor, grads: GRUWeights) -> None:
        h = self.layout.h
        for row, col, size in self.blocks[index].pieces:
            grad = grad_out[row : row + size]
            if self.weights.out is None or grads.out is None:
                grad_states[:, col : col + size].copy_(grad.t())
            else:
                torch.mm(self.weights.out[:, 1:].t(), grad.t(), out=grad_states[:, col : col + size])
                grads.out.addmm_(grad.t(), self._view(index, self.layout.state, 1 + h, col, size).t())

    def _step_backward(
        self, index: int, slot: int, scratch: Tensor, carry: Tensor, after: int, grads: GRUWeights
    ) -> None:
        """Go back one step. `carry` holds the state's gradient [H, after] from the later slots, and then this one's."""
        h, stride = self.layout.h, self.blocks[index].stride
        col, size = self.blocks[index].slots[slot]
        before = self._before(index, slot)
        n, r, z, recurrent = self._gates(index, slot)
        grad, d_n, d_r, d_z, d_recurrent = scratch.as_strided((5, h, size), (h * stride, stride, 1), col).unbind()
        if after:
            grad[:, :after].add_(carry[: h * after].view(h, after))
        direct = torch.mul(grad, z, out=carry[: h * size].view(h, size))
        grad.sub_(direct)  # (1 - z) * grad
        torch.sub(before[1:], n, out=d_z).mul_(z).mul_(grad)  # (h - n) * z * (1 - z) * grad
        torch.mul(grad, n, out=d_r)
        torch.addcmul(grad, d_r, n, value=-1, out=d_n)  # (1 - n^2) * (1 - z) * grad
        torch.mul(d_n, r, out=d_recurrent)
        torch.mul(d_recurrent, recurrent, out=d_r)
        d_r.addcmul_(d_r, r, value=-1)  # recurrent * r * (1 - r) * d_n
        rzn = scratch.as_strided((3 * h, size), (stride, 1), 2 * h * stride + col)
        direct.addmm_(self.weights.rec.t(), rzn)
        grads.rec.addmm_(before, rzn.t())

    def _inputs_backward(
        self, index: int, grad_x: Tensor, grad_gates: Tensor, grads: GRUWeights, grad_obs: Tensor | None
    ) -> None:
        layout, h, block = self.layout, self.layout.h, self.blocks[index]
        nrz = grad_gates[: 3 * h]
        grads.inp.addmm_(self._view(index, layout.hot, 1 + h, 0, block.width), nrz.t())
        torch.mm(self.weights.inp[:, 1:].t(), nrz, out=grad_x)
        x = self._view(index, layout.x, h, 0, block.width)
        grad_x.mul_(torch.sign(x, out=grad_gates[3 * h :]))  # relu
        grads.hot.addmm_(grad_x, self._view(index, 0, layout.hot + 1, 0, block.width).t())
        for row, col, size in block.pieces:
            grads.obs.addmm_(grad_x[:, col : col + size], self.obs[row : row + size])
            if grad_obs is not None:
                torch.mm(grad_x[:, col : col + size].t(), self.weights.obs, out=grad_obs[row : row + size])
