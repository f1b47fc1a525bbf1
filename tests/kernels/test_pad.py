"""Padding in a kernel is torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from pymarl import kernels


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("slots", [[1], [3, 3, 3], [4, 1, 7, 7, 2], list(range(1, 40))])
def test_padding_is_torchs(slots: list[int], threads: int) -> None:
    generator = torch.Generator().manual_seed(sum(slots))
    kinds = [
        ((), torch.float32),
        ((1,), torch.bool),
        ((3, 5), torch.uint8),
        ((2, 7), torch.int16),
        ((0,), torch.float32),
    ]
    fields = [
        [torch.randint(0, 2, (count, *shape), generator=generator).to(dtype) for count in slots]
        for shape, dtype in kinds
    ]
    fields.append([torch.rand(2, count, generator=generator).t() for count in slots])  # not contiguous
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        padded = kernels.pad(fields, slots)
    finally:
        torch.set_num_threads(before)
    for parts, got in zip(fields, padded, strict=True):
        expected = pad_sequence(parts, batch_first=True)
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)


def test_what_would_be_read_beyond_its_end_is_refused() -> None:
    for parts in ([torch.zeros(2, 3), torch.zeros(3, 3)], [torch.zeros(2, 3), torch.zeros(2, 4)],
                  [torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.float64)]):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            kernels.pad([parts], [2, 2])
