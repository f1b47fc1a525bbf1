"""The recurrent network's layers, and their weights as the kernels take them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from torch import Tensor

from pymarl.kernels.layout import Block, Layout, Part
from pymarl.kernels.packing import padded
from pymarl.kernels.records import Sizes, Weights

Norm = tuple[Tensor, Tensor, float]
"""Weight [H], bias [H] and eps of a layer norm."""


class Layers(NamedTuple):
    """The network: fc1, a layer norm, relu, a GRU cell, a layer norm, fc2. Norms and fc2 may be missing.

    Attributes:
        fc1: weight [H, O + widths of the one-hots] and bias [H].
        rnn: weight_ih [3H, H], weight_hh [3H, H], bias_ih [3H], bias_hh [3H], gates r, z, n as torch has them.
        fc2: weight [A, H] and bias [A].
        norm_in: between fc1 and its relu.
        norm_out: between the cell and fc2; the recurrence sees the state without it.
    """

    fc1: tuple[Tensor, Tensor]
    rnn: tuple[Tensor, Tensor, Tensor, Tensor]
    fc2: tuple[Tensor, Tensor] | None = None
    norm_in: Norm | None = None
    norm_out: Norm | None = None

    def params(self) -> list[Tensor | None]:
        """Return 12 tensors, None for what is missing: fc1, norm_in, rnn, norm_out, fc2, each with its bias."""
        none = (None, None)
        norms = [none if norm is None else norm[:2] for norm in (self.norm_in, self.norm_out)]
        return [*self.fc1, *norms[0], *self.rnn, *norms[1], *(self.fc2 or none)]

    def eps(self) -> tuple[float, float]:
        """Return eps of norm_in and norm_out."""
        first, second = (0.0 if norm is None else norm[2] for norm in (self.norm_in, self.norm_out))
        return first, second


class Packed:
    """The network's weights as the kernels take them.

    Args:
        params: see `Layers.params`.
        hots: number of one-hots.
        eps: of the layer norms.
        o: features.
        features_grad: the gradient of the features is wanted.
    """

    def __init__(self, params: Sequence[Any], hots: int, eps: tuple[float, float], o: int, features_grad: bool) -> None:
        w1, in_w, out_w, w2 = params[0], params[2], params[8], params[10]
        width, a = w1.shape[0], 0 if w2 is None else w2.shape[0]
        self.table_rows = w1.shape[1] - o
        self.sizes = Sizes(padded(width), width, o, a, padded(a), hots, int(in_w is not None), int(out_w is not None))
        self._memory, addresses = _layout(self.sizes, self.table_rows, features_grad).fill(params)
        none = dict.fromkeys(Weights._fields[:-2], 0)
        self.weights = Weights(**{**none, **addresses}, in_eps=eps[0], out_eps=eps[1])


W1, B1, IN_W, IN_B, W_IH, W_HH, B_IH, B_HH, OUT_W, OUT_B, W2, B2 = range(12)
"""Numbers of the parameters in Layers.params."""


@lru_cache(maxsize=64)
def _layout(sizes: Sizes, table_rows: int, features_grad: bool) -> Layout:
    """Return where the parameters go in records.Weights."""
    h, width, o, a, a_padded, _, norm_in, norm_out = sizes
    row = Part(1, h)
    parts = {
        "obs": Part(o, h, panels=True), "table": Part(table_rows, h), "bias": row, "inp": Part(h, 3 * h, panels=True),
        "inp_bias": Part(1, 3 * h), "inp_back": Part(3 * h, h, panels=True), "rec_rz": Part(h, 2 * h, panels=True),
        "rec_n": Part(h, h, panels=True), "rec_n_bias": row, "rec_back": Part(3 * h, h, panels=True),
        "mask": Part(1, h, fill=(width, 1.0)), "zeros": row,
    }  # fmt: skip
    inputs = o + table_rows
    blocks = [
        Block("obs", W1, o, width, 1, inputs), Block("table", W1, table_rows, width, 1, inputs, o),
        Block("bias", B1, 1, width, 0, 1), Block("rec_n_bias", B_HH, 1, width, 0, 1, "rzn".index("n") * width),
        *_gates("nrz", "inp", "inp_back", W_IH, h, width), *_gates("rz", "rec_rz", "", W_HH, h, width),
        *_gates("n", "rec_n", "", W_HH, h, width), *_gates("rzn", "", "rec_back", W_HH, h, width),
        *(Block("inp_bias", B_IH, 1, width, 0, 1, "rzn".index(gate) * width, 0, "nrz".index(gate) * h)
          for gate in "nrz"),
        *(Block("inp_bias", B_HH, 1, width, 0, 1, "rzn".index(gate) * width, 0, "nrz".index(gate) * h, add=True)
          for gate in "rz"),
    ]  # fmt: skip
    if features_grad:
        parts["obs_back"] = Part(h, padded(o), panels=True)
        blocks.append(Block("obs_back", W1, width, o, inputs, 1))
    if a:
        parts |= {"head": Part(h, a_padded, panels=True), "head_bias": Part(1, a_padded), "head_rows": Part(a, h)}
        blocks += [Block("head", W2, width, a, 1, width), Block("head_bias", B2, 1, a, 0, 1),
                   Block("head_rows", W2, a, width, width, 1)]  # fmt: skip
    for there, name, numbers in ((norm_in, "in", (IN_W, IN_B)), (norm_out, "out", (OUT_W, OUT_B))):
        for part, number in zip((f"{name}_weight", f"{name}_bias"), numbers, strict=True):
            if there:
                parts[part] = row
                blocks.append(Block(part, number, 1, width, 0, 1))
    return Layout(parts, blocks)


def _gates(names: str, across: str, down: str, param: int, h: int, width: int) -> list[Block]:
    """Return the blocks of some gates, of torch's r, z, n: transposed beside each other, and below each other."""
    blocks = []
    for number, name in enumerate(names):
        start = "rzn".index(name) * width * width
        if across:
            blocks.append(Block(across, param, width, width, 1, width, start, 0, number * h))
        if down:
            blocks.append(Block(down, param, width, width, width, 1, start, number * h))
    return blocks
