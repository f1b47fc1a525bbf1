"""Greedy and epsilon-greedy choices in kernels are those of torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pymarl.components.masking import can_choose, epsilon_greedy_actions, greedy_actions, mask_unavailable

NAN, INF = float("nan"), float("inf")


def make(rows: int, a: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(rows + a)
    avail = torch.rand(rows, a) < 0.4
    avail[:, -1] |= ~avail.any(-1)
    return torch.randint(-3, 4, (rows, a)).float(), avail  # many equal values


@pytest.mark.parametrize("rows", [1, 2, 40, 40_000])
@pytest.mark.parametrize("a", [1, 5, 9, 16, 18, 40])
def test_greedy(rows: int, a: int) -> None:
    values, avail = make(rows, a)
    expected = mask_unavailable(values.double(), avail).argmax(-1)
    assert torch.equal(greedy_actions(values, avail), expected)
    assert torch.equal(greedy_actions(values.double(), avail), expected)
    wide = values.repeat(1, 2)[:, :a]
    assert torch.equal(greedy_actions(wide, avail), expected)  # not contiguous


def test_no_action_and_infinite_values() -> None:
    values = torch.tensor([[1.0, 2.0], [-INF, -INF], [NAN, 1.0]])
    avail = torch.tensor([[False, False], [False, True], [True, True]])
    assert greedy_actions(values, avail).tolist() == [0, 0, 1]


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_epsilon_greedy(epsilon: float) -> None:
    values, avail = make(3000, 9)
    values, avail = values.view(1000, 3, 9), avail.view(1000, 3, 9)
    draws = torch.rand(1000, 3, 10)
    got = epsilon_greedy_actions(values, avail, draws, epsilon)
    assert torch.equal(got, epsilon_greedy_actions(values.double(), avail, draws, epsilon))
    assert avail.gather(-1, got.unsqueeze(-1)).all()
    changed = (got != greedy_actions(values, avail)).float().mean().item()
    assert (changed > 0) == (epsilon > 0)


@pytest.mark.parametrize(
    ("values", "avail", "expected"),
    [
        ([1.0, NAN], [True, False], True),
        ([1.0, NAN], [True, True], False),
        ([1.0, INF], [True, True], False),
        ([1.0, 2.0], [False, False], False),
        ([-INF, 1.0], [True, True], False),
    ],
)
def test_can_choose(values: list[float], avail: list[bool], expected: bool) -> None:
    assert can_choose(torch.tensor([values]), torch.tensor([avail])) == expected


def test_masks_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="expected masks of"):
        greedy_actions(torch.zeros(2, 3), torch.ones(2, 2, dtype=torch.bool))


def test_masks_of_another_type_and_too_few_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="masks of bool"):
        greedy_actions(torch.zeros(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match="draws of one more"):
        epsilon_greedy_actions(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3), 0.5)
