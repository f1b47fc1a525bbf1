"""mask_unavailable: unavailable actions cannot win, the input is left alone, a row without actions shows."""

import torch

from pymarl.components.masking import mask_unavailable


def test_masks_without_touching_the_input():
    values = torch.tensor([[3.0, -1.0, 2.0], [5.0, 6.0, 7.0]])
    before = values.clone()
    masked = mask_unavailable(values, torch.tensor([[False, True, True], [True, False, False]]))
    assert masked.argmax(-1).tolist() == [2, 0]
    assert masked.softmax(-1)[1].tolist() == [1.0, 0.0, 0.0]
    assert torch.equal(values, before)


def test_a_row_without_available_actions_shows():
    masked = mask_unavailable(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool))
    assert masked.max().item() == -float("inf")
    assert masked.softmax(-1).isnan().all()
