"""Joining episodes without padding and padding them elsewhere is padding them."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from pymarl.components.buffers.staging import join, pad, places


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8, torch.int16])
@pytest.mark.parametrize("slots", [[1], [3, 3, 3], [4, 1, 7, 7, 2]])
def test_joined_and_padded_is_padded(slots: list[int], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(sum(slots))
    for shape in ((), (2,), (3, 5)):
        parts = [torch.randint(0, 2, (count, *shape), generator=generator).to(dtype) for count in slots]
        joined = join(parts, const=False)
        assert joined.shape == (sum(slots), *shape)
        padded = pad(joined, places(slots), len(slots), max(slots))
        assert torch.equal(padded, pad_sequence(parts, batch_first=True))
        assert padded.dtype == dtype


def test_what_is_constant_is_stacked() -> None:
    assert join([torch.tensor([1, 2]), torch.tensor([3, 4])], const=True).tolist() == [[1, 2], [3, 4]]
