"""Steps whose numbers nobody has looked at, as on a GPU, and averages of another kind of device."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from pymarl.learners.optimisers import Optimiser, make_optimiser
from run_kit import SRC


def trained(name: str, steps: int = 3) -> tuple[Optimiser, list[nn.Parameter]]:
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))]
    optimiser = make_optimiser(name, params, lr=0.1, weight_decay=0.0, alpha=0.9, eps=1e-5, clip=10.0)
    for _ in range(steps):
        step(optimiser, 1.0)
    return optimiser, params


def step(optimiser: Optimiser, scale: float, *, unseen: bool = True) -> None:
    loss = scale * torch.stack([param.square().sum() for param in optimiser.params]).sum()
    norm = optimiser.gradients(loss)
    optimiser.apply(torch.stack([loss.detach(), norm]) if unseen else None)


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
@pytest.mark.parametrize("scale", [math.nan, math.inf])
def test_an_unseen_step_leaves_the_parameters_if_a_number_is_not_finite(name: str, scale: float) -> None:
    optimiser, params = trained(name)
    before = copy.deepcopy(params)
    step(optimiser, scale)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(params, before, strict=True))
    moments = [value for state in optimiser.state_dict()["state"].values() for value in state.values()]
    assert all(value.isfinite().all() for value in moments)
    step(optimiser, 1.0)
    assert not any(torch.equal(ours, theirs) for ours, theirs in zip(params, before, strict=True))


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_nor_do_weight_decay_and_averages_go_on_in_a_step_that_is_not_made(name: str) -> None:
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))]
    optimiser = make_optimiser(name, params, lr=0.1, weight_decay=0.1, alpha=0.9, eps=1e-5, clip=10.0)
    step(optimiser, 1.0)
    before = copy.deepcopy((params, optimiser.state_dict()["state"]))
    step(optimiser, math.nan)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(params, before[0], strict=True))
    for key, state in optimiser.state_dict()["state"].items():
        for what in ("exp_avg", "exp_avg_sq", "square_avg"):
            assert what not in state or torch.equal(state[what], before[1][key][what])


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_an_unseen_step_is_a_step(name: str) -> None:
    (seen, ours), (unseen, theirs) = trained(name), trained(name)
    for _ in range(3):
        step(seen, 1.0, unseen=False)
        step(unseen, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("fused", [None, False, True])
def test_averages_come_from_any_kind_of_adam_and_settings_stay(fused: bool | None) -> None:
    torch.manual_seed(0)
    theirs = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))]
    other: Any = torch.optim.Adam(theirs, lr=0.7, fused=fused)
    torch.stack([param.sum() for param in theirs]).sum().backward()
    other.step()
    optimiser, _ = trained("adam", steps=0)
    optimiser.load_state_dict(other.state_dict())
    (group,) = optimiser.state_dict()["param_groups"]
    assert (group["lr"], group["fused"]) == (0.1, True)
    for own, given in zip(optimiser.state_dict()["state"].values(), other.state_dict()["state"].values(), strict=True):
        assert own["step"].item() == 1
        assert torch.equal(own["exp_avg"], given["exp_avg"])
    step(optimiser, 1.0)


def test_torchs_compiler_is_left_out() -> None:
    """Its import takes longer than that of torch itself."""
    text = """
import sys, torch
from pymarl.learners.optimisers import make_optimiser
for name in ("adam", "radam", "rmsprop"):
    param = torch.nn.Parameter(torch.ones(2))
    optimiser = make_optimiser(name, [param], lr=0.1, weight_decay=0.0, alpha=0.9, eps=1e-5, clip=1.0)
    optimiser.gradients(param.sum())
    optimiser.apply()
    assert (param < 1).all()
    optimiser.load_state_dict(optimiser.state_dict())
    optimiser.apply(torch.ones(1))
assert "torch._dynamo" not in sys.modules
"""
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
