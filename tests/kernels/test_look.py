"""Entities that are pooled and aimed at: the kernels against torch in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pymarl import kernels

SIZES = [(1, 1, 1, 16), (40, 6, 5, 64), (3000, 4, 9, 32), (5000, 12, 8, 16)]
"""Rows, entities, features, places."""


def plain_pool(own: Tensor, kinds: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The same in torch."""
    parts = [own]
    for x, weight, bias in kinds:
        e = F.linear(x, weight, bias).relu()
        parts += [torch.einsum("rmf,rmc->rfc", x, e).flatten(1), x.sum(1)]
    return torch.cat(parts, 1)


def plain_aim(layer: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same in torch."""
    return torch.einsum("rmc,rc->rm", F.linear(x, weight, bias).relu(), layer[:, :-1]) + layer[:, -1:]


def make(rows: int, m: int, f: int, c: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return entities, of which some are absent, as a part of wider rows, and an encoder away from relu's kink."""
    draws = torch.Generator().manual_seed(rows + c)
    x = torch.randn(rows, 3 + m * f + 2, generator=draws)[:, 3 : 3 + m * f].unflatten(1, (m, f))
    x[torch.rand(rows, m, generator=draws) < 0.3] = 0.0
    weight, bias = torch.randn(c, f, generator=draws), torch.randn(c, generator=draws)
    x[(F.linear(x, weight, bias).abs() < 1e-4).any(-1)] = 0.0
    return x, weight.requires_grad_(), bias.requires_grad_()


def doubled(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [tensor.detach().double().requires_grad_(tensor.requires_grad) for tensor in tensors]


def check(got: Tensor, inputs: list[Tensor], expected: Tensor, doubles: list[Tensor]) -> None:
    """Compare values and the gradients of some inputs."""
    grad = torch.randn(got.shape, generator=torch.Generator().manual_seed(0))
    grad[::2] = 0.0
    ours = torch.autograd.grad(got, inputs, grad)
    right = torch.autograd.grad(expected, doubles, grad.double())
    for a, b in zip((got, *ours), (expected, *right), strict=True):
        assert (a.double() - b).abs().max() <= 1e-5 * b.abs().max()


@pytest.mark.parametrize("sizes", SIZES)
def test_pool_equals_torch_in_float64(sizes: tuple[int, int, int, int]) -> None:
    own = torch.randn(sizes[0], 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    first, second = make(*sizes), make(sizes[0], 2, 3, 16)
    doubles = [doubled(each) for each in ((own,), first, second)]
    got = kernels.pool(own, [first, second])
    expected = plain_pool(doubles[0][0], [tuple(doubles[1]), tuple(doubles[2])])  # type: ignore[list-item]
    check(got, [own, *first[1:], *second[1:]], expected, [doubles[0][0], *doubles[1][1:], *doubles[2][1:]])
    with torch.no_grad():
        assert torch.equal(kernels.pool(own, [first, second]), got)


@pytest.mark.parametrize("sizes", SIZES)
def test_aim_equals_torch_in_float64(sizes: tuple[int, int, int, int]) -> None:
    rows, _, _, c = sizes
    layer = torch.randn(rows, c + 5, generator=torch.Generator().manual_seed(1))[:, 2 : c + 3].requires_grad_()
    given = make(*sizes)
    doubles = doubled((layer, *given))
    got, expected = kernels.aim(layer, *given), plain_aim(*doubles)
    check(got, [layer, *given[1:]], expected, [doubles[0], *doubles[2:]])
    with torch.no_grad():
        assert torch.equal(kernels.aim(layer, *given), got)


def test_they_repeat_bit_for_bit_on_any_number_of_threads() -> None:
    before, results = torch.get_num_threads(), []
    x, weight, bias = make(5000, 6, 5, 32)
    layer = torch.randn(5000, 33, generator=torch.Generator().manual_seed(1))
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            pooled, aimed = kernels.pool(layer, [(x, weight, bias)]), kernels.aim(layer, x, weight, bias)
            grads = torch.autograd.grad(pooled.square().sum() + aimed.square().sum(), [weight, bias])
            results.append([pooled, aimed, *grads])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_nan_is_kept() -> None:
    x, weight, bias = make(2, 3, 4, 16)
    x[0, 1, 2] = float("nan")
    pooled, aimed = kernels.pool(x[:, 0], [(x, weight, bias)]), kernels.aim(torch.ones(2, 17), x, weight, bias)
    assert pooled[0].isnan().any()
    assert aimed[0, 1].isnan()
    assert pooled[1].isfinite().all()
    assert aimed[1].isfinite().all()


def test_other_sizes_and_types_are_refused() -> None:
    x, weight, bias = make(4, 3, 5, 16)
    layer = torch.zeros(4, 17)
    for wrong in ((layer[:3], x, weight, bias), (layer, x[..., :4], weight, bias), (layer, x, weight[:8], bias[:8])):
        with pytest.raises(ValueError, match="rows, entities"):
            kernels.aim(*wrong)
        with pytest.raises(ValueError, match="rows, entities"):
            kernels.pool(wrong[0], [wrong[1:]])
    with pytest.raises(ValueError, match="a layer of 17 places, got 16"):
        kernels.aim(layer[:, 1:], x, weight, bias)
    for of_doubles in ((layer.double(), x), (layer, x.clone().requires_grad_())):
        with pytest.raises(ValueError, match="expected float32, and entities without gradient"):
            kernels.aim(*of_doubles, weight, bias)
