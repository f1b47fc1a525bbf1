"""Selectors: never an unavailable action, the right distribution, and tests that leave training as it was."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from pymarl.components.action_selectors import REGISTRY, ActionSelector
from pymarl.components.epsilon_schedules import DecayThenFlatSchedule
from pymarl.utils.config import build_config

FLAT = {"epsilon_start": 1.0, "epsilon_finish": 0.1, "epsilon_anneal_time": 100, "test_noise": 0.0, "test_greedy": True}


def make(name: str, extra: dict[str, Any] | None = None, seed: int = 0) -> ActionSelector:
    cls = REGISTRY[name]
    selector: ActionSelector = cls(
        build_config(cls.Config, FLAT | (extra or {}), {}), torch.Generator().manual_seed(seed)
    )
    return selector


def random_case(seed: int, b: int = 50, n: int = 4, a: int = 6) -> tuple[Tensor, Tensor]:
    """Return outputs that fit every selector (probabilities, some tiny or 0) and masks, many with a single action."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.rand(b, n, a, generator=generator) ** 8
    outputs[torch.rand(b, n, a, generator=generator) < 0.2] = 0.0
    avail = torch.rand(b, n, a, generator=generator) < 0.4
    avail |= torch.nn.functional.one_hot(torch.randint(a, (b, n), generator=generator), a).bool()
    return outputs, avail


@pytest.mark.parametrize("name", REGISTRY)
def test_never_picks_an_unavailable_action(name: str) -> None:
    checked = 0
    for t_env, test_mode, greedy, noise in [(0, False, True, 0.0), (10**6, False, True, 0.0), (0, True, True, 0.0),
                                            (0, True, False, 0.5)]:  # fmt: skip
        selector = make(name, {"test_greedy": greedy, "test_noise": noise})
        for seed in range(40):
            outputs, avail = random_case(seed)
            for scale in (1.0, -1e6):  # unavailable actions look best; all outputs far below any random key
                actions = selector.select_action(outputs * scale, avail, t_env, test_mode)
                assert actions.shape == (50, 4)
                assert actions.dtype == torch.int64
                assert avail.gather(-1, actions.unsqueeze(-1)).all()
                checked += actions.numel()
                if name == "multinomial":
                    break  # takes probabilities
    assert checked >= 32_000


@pytest.mark.parametrize("name", REGISTRY)
def test_tests_leave_training_as_it_was(name: str) -> None:
    for extra in ({}, {"test_greedy": False, "test_noise": 0.5}):
        plain, disturbed = make(name, extra), make(name, extra)
        for seed in range(5):
            outputs, avail = random_case(seed)
            disturbed.select_action(outputs, avail, 50, True)
            expected = plain.select_action(outputs, avail, 50, False)
            assert torch.equal(disturbed.select_action(outputs, avail, 50, False), expected)
            assert disturbed.epsilon == plain.epsilon


@pytest.mark.parametrize("name", REGISTRY)
def test_greedy_test_is_the_best_available_action(name: str) -> None:
    outputs = torch.tensor([[[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]]])
    avail = torch.tensor([[[False, True, True], [True, True, True]]])
    assert make(name).select_action(outputs, avail, 0, True).tolist() == [[1, 1]]


def test_a_sampled_test_is_of_the_policy_without_epsilon() -> None:
    """As PyMARL's: what is tested is what has been learned, not how it explores."""
    selector = make("multinomial", {"test_greedy": False, "epsilon_start": 1.0, "epsilon_finish": 1.0})
    outputs, avail = torch.tensor([0.0, 0.25, 0.75]).expand(500, 4, 3), torch.ones(500, 4, 3, dtype=torch.bool)
    counts = selector.select_action(outputs, avail, 0, True).flatten().bincount(minlength=3) / 2000
    assert counts[0] == 0
    assert counts[1:].tolist() == pytest.approx([0.25, 0.75], abs=0.04)
    assert (selector.select_action(outputs, avail, 0, False) == 0).float().mean() > 0.3


@pytest.mark.parametrize("name", REGISTRY)
def test_state_dict_continues_both_streams(name: str) -> None:
    extra = {"test_greedy": False, "test_noise": 0.5}
    outputs, avail = random_case(0)
    first, second = make(name, extra), make(name, extra, seed=99)
    first.select_action(outputs, avail, 30, False)
    first.select_action(outputs, avail, 30, True)
    second.load_state_dict(first.state_dict())
    assert second.epsilon == first.epsilon
    for test_mode in (False, True):
        assert torch.equal(
            first.select_action(outputs, avail, 40, test_mode), second.select_action(outputs, avail, 40, test_mode)
        )


def frequencies(selector: ActionSelector, outputs: list[float], avail: list[bool], t_env: int, test: bool) -> Tensor:
    count = 40_000
    actions = selector.select_action(
        torch.tensor(outputs).expand(count, 1, -1), torch.tensor(avail).expand(count, 1, -1), t_env, test
    )
    return torch.bincount(actions.flatten(), minlength=len(outputs)) / count


def test_epsilon_greedy_distribution() -> None:
    """At t_env 50 epsilon is 0.55: a third of it goes to each available action."""
    selector = make("epsilon_greedy", {"test_noise": 0.3})
    got = frequencies(selector, [5.0, 9.0, 1.0, -2.0], [True, False, True, True], 50, False)
    assert selector.epsilon == pytest.approx(0.55)
    share = 0.55 / 3
    torch.testing.assert_close(got, torch.tensor([0.45 + share, 0.0, share, share]), atol=0.01, rtol=0)
    got = frequencies(selector, [5.0, 9.0, 1.0, -2.0], [True, False, True, True], 50, True)
    torch.testing.assert_close(got, torch.tensor([0.8, 0.0, 0.1, 0.1]), atol=0.01, rtol=0)


def test_multinomial_distribution() -> None:
    got = frequencies(make("multinomial"), [0.2, 0.5, 0.3], [True, False, True], 10**6, False)
    torch.testing.assert_close(got, torch.tensor([0.9 * 0.4 + 0.05, 0.0, 0.9 * 0.6 + 0.05]), atol=0.01, rtol=0)


def test_gumbel_distribution() -> None:
    got = frequencies(make("gumbel"), [0.0, 3.0, math.log(3.0)], [True, False, True], 0, False)
    torch.testing.assert_close(got, torch.tensor([0.25, 0.0, 0.75]), atol=0.01, rtol=0)


def test_linear_schedule() -> None:
    schedule = DecayThenFlatSchedule(1.0, 0.05, 1000)
    assert [schedule.eval(t) for t in (0, 500, 1000, 5000)] == pytest.approx([1.0, 0.525, 0.05, 0.05])


def test_exponential_schedule() -> None:
    schedule = DecayThenFlatSchedule(1.0, 0.01, 1000, decay="exp")
    assert [schedule.eval(t) for t in (0, 500, 1000, 5000)] == pytest.approx([1.0, 0.1, 0.01, 0.01])
    assert DecayThenFlatSchedule(1.0, 0.0, 1000, decay="exp").eval(2) == pytest.approx(math.exp(-2))


def test_distributions_are_those_of_the_draws() -> None:
    """Each selector's probabilities sum to 1 and are its draws', also where little or no mass is available."""
    outputs = torch.tensor([[[2.0, 0.0, 1.0]], [[1.0, 1e-12, 3e-12]], [[1.0, 0.0, 0.0]]])  # [B, 1, A]
    avail = torch.tensor([[[True, True, True]], [[False, True, True]], [[False, True, True]]])
    config = SimpleNamespace(
        epsilon_start=0.3, epsilon_finish=0.3, epsilon_anneal_time=10, test_noise=0.0, test_greedy=True
    )
    for name in REGISTRY:
        selector = REGISTRY[name](config, torch.Generator().manual_seed(0))
        probs = selector.distribution(outputs, avail, 5)
        torch.testing.assert_close(probs.sum(-1), torch.ones(3, 1))
        assert not probs[~avail].any()
        draws = torch.stack([selector.select_action(outputs, avail, 5, False) for _ in range(4000)])  # [K, B, 1]
        share = torch.nn.functional.one_hot(draws, 3).float().mean(0)
        torch.testing.assert_close(share, probs, rtol=0, atol=0.03)


def test_a_state_of_another_device_goes_on_with_other_draws() -> None:
    """A run may go on with or without a GPU, whose generators have a state of 16 bytes; was: a raw RuntimeError."""
    one, twin, fresh = make("epsilon_greedy"), make("epsilon_greedy"), make("epsilon_greedy")
    state = one.state_dict() | {name: torch.arange(16, dtype=torch.uint8) for name in ("generator", "test_generator")}
    one.load_state_dict(state)
    twin.load_state_dict(state)
    draws = [selector._rand((5,), False).tolist() for selector in (one, twin, fresh)]
    assert draws[0] == draws[1] != draws[2]
    with pytest.raises(ValueError, match="a state of 3 bytes"):
        one.load_state_dict(state | {"generator": torch.zeros(3, dtype=torch.uint8)})
