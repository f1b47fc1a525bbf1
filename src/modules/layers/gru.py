"""A recurrent network, fc1, relu, GRU cell, fc2, with or without layer norms: its step, and whole sequences of it.

On the CPU whole sequences run in `pymarl.kernels`. Without that folder, in other than float32 and on a GPU they are
torch's own packed GRU (cuDNN's on a GPU); with layers that are not exactly torch's, a loop over `step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.plain import fits_gru, is_plain, weights_of

try:
    from pymarl import kernels
except ImportError:  # the folder, or numba, is not there
    kernels = None  # type: ignore[assignment]


class GRUNetwork(NamedTuple):
    """The layers of an agent: fc1 E -> H, rnn H -> H, fc2 H -> A.

    Attributes:
        norm_in: a layer norm between fc1 and its relu, or None.
        norm_out: a layer norm before fc2, or None; the recurrence sees the state without it.
    """

    fc1: nn.Module
    rnn: nn.Module
    fc2: nn.Module
    norm_in: nn.Module | None = None
    norm_out: nn.Module | None = None

    def step(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return [R, A] outputs and [R, H], the state after `hidden`."""
        hidden = self.rnn(self._embedded(inputs), hidden)
        return self._head(hidden), hidden

    def is_plain(self) -> bool:
        """Return whether every layer is exactly torch's own, with sizes and biases that fit: `unroll` wants that."""
        norms = [norm for norm in (self.norm_in, self.norm_out) if norm is not None]
        return fits_gru(self.fc1, self.rnn, self.fc2) and all(
            is_plain(norm, nn.LayerNorm) and norm.normalized_shape == (self.rnn.hidden_size,) and len(weights_of(norm)) == 2
            for norm in norms
        )

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor, *, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Run over packed sequences.

        Args:
            inputs: R rows, slot-major; slot t holds the first counts[t] rows of slot t-1.
            counts: rows in each slot, non-increasing; they sum to R.
            hidden: [counts[0], H], the states before slot 0.
            states: the states are wanted as well.

        Returns:
            [R, A] outputs and [R, H] states (or None), in the order of the inputs; differentiable with respect to the
            weights, the features and `hidden`.
        """
        counts = [count for count in counts if count]
        if kernels is not None and self._is_of_kernels(hidden):
            source, index = inputs.source()
            one_hots = [(one_hot.index, one_hot.width) for one_hot in inputs.one_hots]
            outputs, after = kernels.unroll(
                source, index, one_hots, counts, hidden, self._kernel_layers(), outputs=True, states=states
            )
            return cast(Tensor, outputs), after
        return self._unroll_library(inputs, counts, hidden, states)

    def _embedded(self, inputs: Inputs) -> Tensor:
        x = inputs.linear(self.fc1)
        return (x if self.norm_in is None else self.norm_in(x)).relu()

    def _head(self, hidden: Tensor) -> Tensor:
        return self.fc2(hidden if self.norm_out is None else self.norm_out(hidden))

    def _is_of_kernels(self, hidden: Tensor) -> bool:
        return all(t.device.type == "cpu" and t.dtype == torch.float32 for t in (hidden, *self.rnn.parameters()))

    def _kernel_layers(self) -> Any:
        """Return the weights as the kernels take them."""
        fc1, rnn, fc2 = cast(nn.Linear, self.fc1), cast(nn.GRUCell, self.rnn), cast(nn.Linear, self.fc2)
        norms = [
            None if norm is None else (norm.weight, norm.bias, norm.eps)
            for norm in (cast("nn.LayerNorm | None", self.norm_in), cast("nn.LayerNorm | None", self.norm_out))
        ]
        return kernels.Layers(
            fc1=(fc1.weight, fc1.bias), rnn=(rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh),
            fc2=(fc2.weight, fc2.bias), norm_in=norms[0], norm_out=norms[1],
        )  # fmt: skip

    def _unroll_library(
        self, inputs: Inputs, counts: list[int], hidden: Tensor, states: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The same through torch's packed GRU."""
        before = hidden.unsqueeze(0).contiguous()  # [1, counts[0], H]
        rnn = cast(nn.GRUCell, self.rnn)
        weights = [rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh]
        sizes, training = torch.tensor(counts), torch.is_grad_enabled()
        # data, batch sizes, state, weights, has biases, layers, dropout, training, bidirectional
        after = torch._VF.gru(self._embedded(inputs), sizes, before, weights, True, 1, 0.0, training, False)[0]
        return self._head(after), after if states else None
