"""What numba is told: names that cannot be mistaken for one another, and no memory that nobody has written."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
import torch
from numba.core.registry import CPUDispatcher
from test_unroll import Case
from torch import Tensor

import pymarl.envs.skirmish.battle.kernels
import pymarl.envs.stag_hunt.kernels  # noqa: F401
from pymarl import kernels
from pymarl.kernels.strips import POOL, Pool


def test_every_compiled_function_has_a_name_of_its_own() -> None:
    """Code from numba's cache is linked by name; of two functions of one name the first to come stands for both."""
    functions = {id(each.py_func): each.py_func for each in gc.get_objects() if type(each) is CPUDispatcher}
    ours = [f for f in functions.values() if f.__module__.startswith("pymarl.")]
    assert len(ours) > 60
    names = Counter((function.__module__, function.__qualname__) for function in ours)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("norms", [(False, False), (True, True)])
def test_no_number_comes_from_memory_that_nobody_wrote(
    norms: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(0, 16, 150, 15, norms, gathered=False)
    expected = case.run()
    empty = torch.empty

    def poisoned(memory: Tensor) -> Tensor:
        return memory.fill_(float("nan")) if memory.is_floating_point() else memory

    def take(pool: Pool, size: int) -> Tensor:
        return poisoned(empty(size))

    monkeypatch.setattr(Pool, "take", take)
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: poisoned(empty(*args, **kwargs)))
    got = case.run()
    POOL._free.clear()
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_the_face_is_small() -> None:
    names = "Hypernetworks Layers Step accumulate aim all_finite epsilon_greedy greedy mix pad pool prepare unroll"
    assert sorted(kernels.__all__) == sorted(names.split())
