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
from pymarl.modules.layers.plain import fits_gru, is_plain, is_untouched, stamp_of, weights_of
from pymarl.utils.compiled import fit_kernels, kernels


class GRUNetwork(NamedTuple):
    """The layers of an agent: fc1 E -> H, rnn H -> H, fc2 H -> A.

    Attributes:
        fc2: None where the states are all that is wanted of it; see `unroll_states`.
        norm_in: a layer norm between fc1 and its relu, or None.
        norm_out: a layer norm before fc2, or None; the recurrence sees the state without it.
    """

    fc1: nn.Module
    rnn: nn.Module
    fc2: nn.Module | None = None
    norm_in: nn.Module | None = None
    norm_out: nn.Module | None = None

    def step(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return [R, A] outputs and [R, H], the state after `hidden`."""
        hidden = self.step_state(inputs, hidden)
        return self._head(hidden), hidden

    def step_state(self, inputs: Inputs, hidden: Tensor) -> Tensor:
        """Return [R, H], the state after `hidden`."""
        after: Tensor = self.rnn(self._embedded(inputs), hidden)
        return after

    def is_plain(self) -> bool:
        """Return whether every layer is exactly torch's own, with sizes and biases that fit: `unroll` wants that."""
        norms = [norm for norm in (self.norm_in, self.norm_out) if norm is not None]
        return fits_gru(self.fc1, self.rnn, self.fc2) and all(
            is_plain(norm, nn.LayerNorm)
            and norm.normalized_shape == (self.rnn.hidden_size,)
            and len(weights_of(norm)) == 2
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
        outputs, after = self._unroll(inputs, counts, hidden, outputs=True, states=states)
        return cast(Tensor, outputs), after

    def unroll_states(self, inputs: Inputs, counts: Sequence[int], hidden: Tensor) -> Tensor:
        """Return the states of `unroll` alone, [R, H]: for agents with a head of their own."""
        return cast(Tensor, self._unroll(inputs, counts, hidden, outputs=False, states=True)[1])

    def _unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor, *, outputs: bool, states: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        counts = [count for count in counts if count]
        source, places = inputs.source()
        if source.requires_grad and places is not None:  # the kernels give no gradient to what they read by place
            source, places = inputs.features, None
        if fit_kernels(source, hidden, *self.weights()):
            one_hots = [(one_hot.index, one_hot.width) for one_hot in inputs.one_hots]
            unrolled: tuple[Tensor | None, Tensor | None] = kernels.unroll(
                source, places, one_hots, counts, hidden, self.kernel_layers(), outputs=outputs, states=states
            )
            return unrolled
        after = self._unroll_library(inputs, counts, hidden)
        return self._head(after) if outputs else None, after if states else None

    def _embedded(self, inputs: Inputs) -> Tensor:
        x = inputs.linear(self.fc1)
        return (x if self.norm_in is None else self.norm_in(x)).relu()

    def _head(self, hidden: Tensor) -> Tensor:
        assert self.fc2 is not None
        outputs: Tensor = self.fc2(hidden if self.norm_out is None else self.norm_out(hidden))
        return outputs

    def layers(self) -> list[nn.Module]:
        """Return the layers that are there."""
        return [layer for layer in self if layer is not None]

    def weights(self) -> list[Tensor]:
        """Return their own parameters."""
        return weights_of(*self.layers())

    def kernel_layers(self) -> Any:
        """Return the weights as the kernels take them."""
        fc1, rnn, fc2 = cast(nn.Linear, self.fc1), cast(nn.GRUCell, self.rnn), cast("nn.Linear | None", self.fc2)
        norms = [
            None if norm is None else (norm.weight, norm.bias, norm.eps)
            for norm in (cast("nn.LayerNorm | None", self.norm_in), cast("nn.LayerNorm | None", self.norm_out))
        ]
        return kernels.Layers(
            fc1=(fc1.weight, fc1.bias), rnn=(rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh),
            fc2=None if fc2 is None else (fc2.weight, fc2.bias), norm_in=norms[0], norm_out=norms[1],
        )  # fmt: skip

    def _unroll_library(self, inputs: Inputs, counts: list[int], hidden: Tensor) -> Tensor:
        """Return the states through torch's packed GRU."""
        before = hidden.unsqueeze(0).contiguous()  # [1, counts[0], H]
        rnn = cast(nn.GRUCell, self.rnn)
        weights = [rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh]
        if hidden.is_cuda:
            lay_together(rnn)
        sizes, training = torch.tensor(counts), torch.is_grad_enabled()
        # data, batch sizes, state, weights, has biases, layers, dropout, training, bidirectional
        after: Tensor = torch._VF.gru(self._embedded(inputs), sizes, before, weights, True, 1, 0.0, training, False)[0]
        return after


def lay_together(cell: nn.GRUCell) -> None:
    """Lay the weights of a cell on a GPU into one piece of memory, which cuDNN else does in each call."""
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
    pieces = {weight.untyped_storage().data_ptr() for weight in weights}
    if len(pieces) == 1 or not torch.backends.cudnn.is_acceptable(cell.weight_ih.data):
        return
    gru = nn.GRU(cell.input_size, cell.hidden_size, device="meta")
    gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0 = weights
    gru.flatten_parameters()  # which moves the memory of these same parameters


class GRUStep:
    """A network's step in one kernel, for a number of rows, as long as its layers and weights stay as they are.

    Args:
        network: plain; see `GRUNetwork.is_plain`.
        inputs: of a first step; later ones have as many rows and parts of the same widths.
    """

    def __init__(self, network: GRUNetwork, inputs: Inputs) -> None:
        self._network, self._layers, self._weights = network, network.layers(), network.weights()
        self._stamp, self._sizes = stamp_of(self._weights), self._sizes_of(inputs)
        widths = [one_hot.width for one_hot in inputs.one_hots]
        rows, o = inputs.features.shape
        self._step = kernels.Step(network.kernel_layers(), o, widths, rows)

    @classmethod
    def of(cls, network: GRUNetwork, inputs: Inputs) -> GRUStep | None:
        """Return a step, or None where there is no kernel for such a network."""
        fits = network.is_plain() and inputs.width == network.fc1.in_features
        return cls(network, inputs) if fits and fit_kernels(inputs.features, *network.weights()) else None

    def is_current(self, network: GRUNetwork, inputs: Inputs) -> bool:
        """Return whether this is the step of a network as it is now, for inputs like these."""
        return (
            network == self._network
            and is_untouched(*self._layers)
            and self._stamp == stamp_of(network.weights())
            and self._sizes == self._sizes_of(inputs)
        )

    def __call__(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return [R, A] outputs and [R, H], the state after `hidden`, without gradient."""
        return self._step(inputs.features, [one_hot.index for one_hot in inputs.one_hots], hidden)

    @staticmethod
    def _sizes_of(inputs: Inputs) -> list[Any]:
        return [inputs.features.shape, inputs.features.dtype, *[one_hot.width for one_hot in inputs.one_hots]]
