"""Sums backwards in time are those of torch, step by step."""

from __future__ import annotations

import pytest
import torch

from pymarl import kernels
from pymarl.components.returns import td_lambda_targets


@pytest.mark.parametrize(
    ("b", "t", "a", "narrow"), [(5, 9, 3, True), (5, 9, 3, False), (1, 1, 1, True), (3, 7, 1, True)]
)
def test_accumulate(b: int, t: int, a: int, narrow: bool) -> None:
    torch.manual_seed(b + t + a)
    bias, decay = torch.randn(t, b, a).transpose(0, 1), torch.rand(b, t, 1 if narrow else a)
    expected = bias.double().clone()
    for step in range(t - 2, -1, -1):
        expected[:, step] += decay[:, step].double() * expected[:, step + 1]
    got = kernels.accumulate(bias, decay)
    assert got.shape == (b, t, a)
    torch.testing.assert_close(got.double(), expected, rtol=1e-6, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    for bias, decay in (((2, 3, 4), (2, 3, 2)), ((2, 3, 4), (2, 4, 4)), ((2, 0, 4), (2, 0, 4))):
        with pytest.raises(ValueError, match="a bias of"):
            kernels.accumulate(torch.zeros(bias), torch.zeros(decay))


def test_targets_in_float32_are_those_in_float64() -> None:
    torch.manual_seed(0)
    reward, value = torch.randn(6, 11, 2, dtype=torch.float64), torch.randn(6, 11, 2, dtype=torch.float64)
    filled = (torch.arange(11) < torch.arange(1, 12, 2)[:, None]).double()[..., None]
    ends = torch.rand(6, 11, 1, dtype=torch.float64).lt(0.1).double()
    exact = td_lambda_targets(reward, ends, filled, value, gamma=0.99, td_lambda=0.6)
    single = td_lambda_targets(reward.float(), ends.float(), filled.float(), value.float(), gamma=0.99, td_lambda=0.6)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-6)
    assert not torch.equal(single.double(), exact)
