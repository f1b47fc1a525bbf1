"""A stand-in for a GPU that notes who waits for it: torch's "meta" device, whose tensors have no content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from pymarl.utils import devices

THERE = torch.device("meta")


class Watched(TorchDispatchMode):
    """Notes what passes between the host and the stand-in. Whatever is read from it is 1.

    Attributes:
        waits: what the host waits for: a number read, a copy that blocks, an operation whose result's size depends on
            content (a mask as index), or one that mixes tensors of both sides, which a GPU's would have to fetch.
        fetches: shapes of the copies to the host that are queued.
        uploads: shapes of the copies from it that are queued.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.fetches: list[tuple[int, ...]] = []
        self.uploads: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note it."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [each for each in tree_iter((args, kwargs)) if isinstance(each, Tensor)]
        there = [tensor for tensor in tensors if tensor.device == THERE]
        if name == "_to_copy" and there and torch.device(kwargs.get("device") or THERE) != THERE:
            (self.fetches if kwargs.get("non_blocking") else self.waits).append(self._of(name, tensors[0], kwargs))
            return torch.ones(tensors[0].shape, dtype=kwargs.get("dtype") or tensors[0].dtype)
        if name == "_to_copy" and not there and torch.device(kwargs.get("device") or "cpu") == THERE:
            (self.uploads if kwargs.get("non_blocking") else self.waits).append(self._of(name, tensors[0], kwargs))
        elif there and name in {"_local_scalar_dense", "nonzero", "equal", "masked_select", "unique_dim", "_unique2"}:
            self.waits.append(name)
            if name == "_local_scalar_dense":
                return 1
        elif there and (len(there) < len([each for each in tensors if each.dim()]) or self._by_mask(name, args)):
            self.waits.append(name)
        return func(*args, **kwargs)

    @staticmethod
    def _of(name: str, tensor: Tensor, kwargs: dict[str, Any]) -> Any:
        return tuple(tensor.shape) if kwargs.get("non_blocking") else name

    @staticmethod
    def _by_mask(name: str, args: Any) -> bool:
        index = args[1] if name in {"index", "index_put_", "index_put"} else []
        return any(each is not None and each.dtype in {torch.bool, torch.uint8} for each in index)


def told(monkeypatch: pytest.MonkeyPatch, module: Any, answer: Callable[[], Tensor]) -> list[Tensor]:
    """Let what a module fetches from the stand-in be `answer()`; returns a list in which each answer is noted."""
    read: list[Tensor] = []

    class Fetched(devices.Fetched):
        def get(self) -> Tensor:
            read.append(answer())
            return read[-1]

    monkeypatch.setattr(module, "Fetched", Fetched)
    return read
