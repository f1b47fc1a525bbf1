"""One acting step of fc1, relu and a GRU cell with few, preallocated operations."""

from __future__ import annotations

import math
import operator

import torch
from torch import Tensor, nn

from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.plain import fits_gru, stamp_of, weights_of

TABLE_ROWS = 2**16  # more combinations of one-hots than this are not worth a table


class GRUStep:
    """Steps `rows` agents without gradient. At this size the number of calls is what costs, not the arithmetic.

    One table row per combination of one-hots (say, agent id and last action) holds all that fc1 adds for them, its
    bias, and a trailing 1 that meets the biases of the gates. The first one-hot may change from step to step; for the
    others the same tensor stands for the same rows. Weights are copied; `is_current` says whether they have changed.

    Args:
        inputs: of a first step; later ones have as many rows and one-hots of the same widths.
        fc1: E -> H, which with `rnn` is as `fits_gru` wants it.
        rnn: H -> H.
    """

    def __init__(self, inputs: Inputs, fc1: nn.Linear, rnn: nn.GRUCell) -> None:
        h, width, rows = rnn.hidden_size, inputs.features.shape[1], inputs.features.shape[0]
        self.rows = rows
        self._weights = weights_of(fc1, rnn)
        self._stamp = stamp_of(self._weights)
        w_ih, w_hh, b_ih, b_hh = rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh
        bias = torch.cat([b_ih[: 2 * h] + b_hh[: 2 * h], b_ih[2 * h :]])
        self._obs = fc1.weight[:, :width].t().contiguous()  # [O, H]
        self._inp = torch.cat([w_ih, bias[:, None]], dim=1).t().contiguous()  # [H + 1, 3H], gates r, z, n
        self._rec_rz = w_hh[: 2 * h].t().contiguous()
        self._rec_n, self._bias_n = w_hh[2 * h :].t().contiguous(), b_hh[2 * h :].clone()
        self._widths = [one_hot.width for one_hot in inputs.one_hots]
        self._table = self._fc1_table(fc1, width)
        self._fixed = [one_hot.index for one_hot in inputs.one_hots[1:]]
        self._offset = self._table_offset(inputs)
        self._x = self._obs.new_empty(rows, h + 1)
        self._x_h = self._x[:, :-1]
        gates = self._obs.new_empty(rows, 3 * h)
        self._gates, self._rz, self._n = gates, gates[:, : 2 * h], gates[:, 2 * h :]
        self._r, self._z = gates[:, :h], gates[:, h : 2 * h]
        self._recurrent = self._obs.new_empty(rows, h)

    @classmethod
    @torch.no_grad()
    def of(cls, inputs: Inputs, fc1: nn.Linear, rnn: nn.GRUCell) -> GRUStep | None:
        """Return a step; None for other layers than `fits_gru` wants, or too many combinations of one-hots."""
        small = math.prod(1 + one_hot.width for one_hot in inputs.one_hots) <= TABLE_ROWS
        return cls(inputs, fc1, rnn) if small and fits_gru(fc1, rnn) and len(weights_of(fc1, rnn)) == 6 else None

    def is_current(self, inputs: Inputs, fc1: nn.Linear, rnn: nn.GRUCell) -> bool:
        """Return whether this step is for inputs like these and for the layers and their weights as they are now.

        Hooks aside, for which the caller looks.
        """
        fixed = [one_hot.index for one_hot in inputs.one_hots[1:]]
        return (
            type(fc1) is nn.Linear
            and type(rnn) is nn.GRUCell
            and self._stamp == stamp_of(weights_of(fc1, rnn))
            and inputs.features.shape[0] == self.rows
            and [one_hot.width for one_hot in inputs.one_hots] == self._widths
            and all(map(operator.is_, fixed, self._fixed))
        )

    def _fc1_table(self, fc1: nn.Linear, start: int) -> Tensor:
        """Return [(1 + width) of all one-hots multiplied, H + 1]; the first one-hot's index moves fastest, from -1."""
        weight = fc1.weight.t()
        table = none = torch.zeros_like(weight[:1])
        for width in self._widths:
            columns = torch.cat([none, weight[start : start + width]])  # [1 + width, H]
            table = (columns[:, None] + table).flatten(0, 1)
            start += width
        table = table + fc1.bias
        return torch.cat([table, torch.ones_like(table[:, :1])], dim=1)

    def _table_offset(self, inputs: Inputs) -> Tensor:
        """Return [rows] int64: each row's place in the table, less its first index."""
        offset = torch.zeros(self.rows, dtype=torch.int64, device=inputs.features.device)
        stride = 1
        for number, one_hot in enumerate(inputs.one_hots):
            offset += stride * (one_hot.index + 1) if number else 1
            stride *= 1 + one_hot.width
        return offset

    def __call__(self, inputs: Inputs, hidden: Tensor) -> Tensor:
        """Return [rows, H], the new state."""
        index = self._offset + inputs.one_hots[0].index if inputs.one_hots else self._offset
        torch.index_select(self._table, 0, index, out=self._x)  # [rows, H + 1]
        self._x_h.addmm_(inputs.features, self._obs)
        torch.mm(self._x.relu_(), self._inp, out=self._gates)
        self._rz.addmm_(hidden, self._rec_rz).sigmoid_()
        torch.addmm(self._bias_n, hidden, self._rec_n, out=self._recurrent)
        self._n.addcmul_(self._r, self._recurrent).tanh_()
        return torch.lerp(self._n, hidden, self._z)
