"""One acting step of fc1, relu and a GRU cell with few, preallocated operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pymarl.modules.agents.agent import AgentInputs


class GRUStep:
    """Steps `rows` agents without gradient. At this size the number of calls is what costs, not the arithmetic.

    One table row per (agent id, last action) holds all that fc1 adds for them, its bias, and a trailing 1 that meets
    the biases of the gates. Weights are copied; `is_current` says whether they have changed since.
    """

    def __init__(self, inputs: AgentInputs, fc1: nn.Linear, rnn: nn.GRUCell) -> None:
        h, self.width, rows = rnn.hidden_size, inputs.obs.shape[1], inputs.obs.shape[0]
        self.rows, self.hidden_size = rows, h
        self._params = (fc1.weight, fc1.bias, rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh)
        self._stamp = self._current_stamp()
        w_ih, w_hh, b_ih, b_hh = rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh
        bias = torch.cat([b_ih[: 2 * h] + b_hh[: 2 * h], b_ih[2 * h :]])
        self._obs = fc1.weight[:, : self.width].t().contiguous()  # [O, H]
        self._inp = torch.cat([w_ih, bias[:, None]], dim=1).t().contiguous()  # [H + 1, 3H], gates r, z, n
        self._rec_rz = w_hh[: 2 * h].t().contiguous()
        self._rec_n, self._bias_n = w_hh[2 * h :].t().contiguous(), b_hh[2 * h :].clone()
        self._table = self._fc1_table(inputs, fc1)
        self._agent_id = inputs.agent_id
        self._offset = self._table_offset(inputs)
        gates = self._obs.new_empty(rows, 3 * h)
        self._gates, self._rz, self._n = gates, gates[:, : 2 * h], gates[:, 2 * h :]
        self._r, self._z = gates[:, :h], gates[:, h : 2 * h]
        self._recurrent = self._obs.new_empty(rows, h)

    def _current_stamp(self) -> list[int]:
        return [number for param in self._params for number in (param.data_ptr(), param._version)]

    def is_current(self, inputs: AgentInputs) -> bool:
        """Return whether this step is for inputs like these and for the weights as they are now."""
        return (
            inputs.obs.shape[0] == self.rows
            and inputs.agent_id is self._agent_id
            and self._stamp == self._current_stamp()
        )

    def _fc1_table(self, inputs: AgentInputs, fc1: nn.Linear) -> Tensor:
        """Return [N * (1 + A), H + 1]; N is 1 without agent ids, 1 + A is 1 without last actions."""
        weight, width = fc1.weight.t(), self.width
        actions = torch.zeros_like(weight[:1])
        if inputs.last_action is not None:
            actions = torch.cat([actions, weight[width : width + inputs.n_actions]])  # [1 + A, H]
            width += inputs.n_actions
        ids = torch.zeros_like(weight[:1]) if inputs.agent_id is None else weight[width:]  # [N, H]
        table = (ids[:, None] + actions + fc1.bias).flatten(0, 1)
        return torch.cat([table, torch.ones_like(table[:, :1])], dim=1)

    @staticmethod
    def _table_offset(inputs: AgentInputs) -> Tensor:
        """Return [rows] int64: the table row of an agent without a last action, less the -1 that stands for it."""
        if inputs.agent_id is None:
            ids = torch.zeros(inputs.obs.shape[0], dtype=torch.int64, device=inputs.obs.device)
        else:
            ids = inputs.agent_id
        return ids if inputs.last_action is None else ids * (1 + inputs.n_actions) + 1

    def __call__(self, inputs: AgentInputs, hidden: Tensor) -> Tensor:
        """Return [rows, H], the new state."""
        index = self._offset if inputs.last_action is None else self._offset + inputs.last_action
        x = self._table.index_select(0, index)  # [rows, H + 1]
        x[:, :-1].addmm_(inputs.obs, self._obs)
        torch.mm(x.relu_(), self._inp, out=self._gates)
        self._rz.addmm_(hidden, self._rec_rz).sigmoid_()
        torch.addmm(self._bias_n, hidden, self._rec_n, out=self._recurrent)
        self._n.addcmul_(self._r, self._recurrent).tanh_()
        return torch.lerp(self._n, hidden, self._z)
