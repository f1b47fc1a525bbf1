"""What the kernels of the recurrent network are handed: addresses and sizes.

H, here `h`, is padded to a multiple of W with units that are always zero; `width` is its true size.
"""

from __future__ import annotations

from typing import NamedTuple


class Strip(NamedTuple):
    """slots, then the addresses of int64 [slots]: the packed row where each begins and its number of rows."""

    slots: int
    first: int
    sizes: int


class Sizes(NamedTuple):
    """Of the network: h, padded, and true; o features; a outputs, and padded; whether it has layer norms, and a head.

    `norm_in` lies between fc1 and its relu, `norm_out` between the cell and fc2.
    """

    h: int
    width: int
    o: int
    a: int
    a_padded: int
    hots: int
    norm_in: int
    norm_out: int


class Weights(NamedTuple):
    """Addresses. `packed` is as tiles.py wants B; gates come in the order n, r, z.

    Attributes:
        obs, obs_back: fc1's part for the features, packed [o, h]; and [h, o] for their gradient, or 0.
        table, bias: its columns for the one-hots, [rows, h], and its bias [h].
        inp, inp_bias, inp_back: packed [h, 3h]; [3h], with the recurrent biases of r and z; packed [3h, h].
        rec_rz, rec_n, rec_n_bias, rec_back: packed [h, 2h], [h, h]; [h]; packed [3h, h], gates r, z, n.
        head, head_bias, head_rows: packed [h, a_padded]; [a_padded]; [a, h].
        in_weight, in_bias, out_weight, out_bias: of the layer norms, [h].
        mask, zeros: [h], 1 for true units, and 0.
    """

    obs: int
    obs_back: int
    table: int
    bias: int
    inp: int
    inp_bias: int
    inp_back: int
    rec_rz: int
    rec_n: int
    rec_n_bias: int
    rec_back: int
    head: int
    head_bias: int
    head_rows: int
    in_weight: int
    in_bias: int
    out_weight: int
    out_bias: int
    mask: int
    zeros: int
    in_eps: float
    out_eps: float


class Rows(NamedTuple):
    """Addresses of what a strip reads.

    Attributes:
        features: [., o], of which packed row r is features[places[r]], or features[r] if places is 0.
        places: int64 [R], or 0.
        hots: int64 [hots, 3], the address of each one-hot's int64 [R], its first row in the table, and its width; what
            is not within that is none.
        hidden: [counts[0], h], the states before slot 0.
    """

    features: int
    places: int
    hots: int
    hidden: int


class Ahead(NamedTuple):
    """Rows first .. first + rows of `source` [., width], or those that `places` names, that will be read next."""

    source: int
    places: int
    first: int
    rows: int
    width: int


class Gradients(NamedTuple):
    """Addresses of sums of gradients, in the layout of the forward pass: [o, h], [rows, h], [h, 3h], [a, h], ..."""

    obs: int
    table: int
    bias: int
    inp: int
    rec: int
    gates: int
    head: int
    head_bias: int
    in_weight: int
    in_bias: int
    out_weight: int
    out_bias: int


class Ends(NamedTuple):
    """Addresses of the gradients of the results and of what was given, 0 for those that nobody wants."""

    outputs: int
    states: int
    features: int
    hidden: int
