"""Losses and gradients with PyMARL2's other agents equal its own: recorded numbers always, a live run on request."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pymarl2_equality import FIXTURES, assert_equal_to, live, module_of

from pymarl.modules.layers.noisy_linear import NoisyLinear

with gzip.open(FIXTURES / "agents_numbers.pt.gz") as file:
    CASES = torch.load(file, weights_only=True)


def check(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare an update of ours, with the noise that the case has, with the numbers of the case."""
    noise = {tensor.shape: tensor for tensor in case["noise"] or []}

    def resample(self: NoisyLinear, generator: torch.Generator) -> None:
        self.e_w, self.e_b = noise[self.u_w.shape], noise[self.u_b.shape]

    monkeypatch.setattr(NoisyLinear, "resample", resample)
    assert_equal_to(case, case)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_equal_the_recorded_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(CASES[name], monkeypatch)


def test_the_record_has_every_agent_and_noise_that_matters() -> None:
    assert {case["flat"]["agent"] for case in CASES.values()} == {"att_rnn", "conv_agent", "noisy_rnn"}
    noisy = [case for case in CASES.values() if case["noise"]]
    assert len(noisy) == 2
    assert all(case["gradients"]["agent.fc2.s_w"].abs().min() > 0 for case in noisy)


@live
def test_loss_and_gradients_equal_a_checkouts(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = module_of("make_agents_numbers")
    cases = maker.measure(Path(os.environ["PYMARL2_DIR"]), maker.CASES)
    assert cases.keys() == CASES.keys()
    for case in cases.values():
        check(case, monkeypatch)
