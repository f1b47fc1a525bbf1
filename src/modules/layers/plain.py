"""Which layers a fast way may stand in for, those that are exactly torch's own, and whether their weights changed."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook


def is_untouched(module: nn.Module) -> bool:
    """Return whether calling a module runs its class's `forward` and nothing else: no hook, no forward of its own."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return not any(hooks) and "forward" not in module.__dict__ and not _has_any_global_hook()


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a module computes what `kind` computes from the parameters it shows.

    A subclass may bring its own forward, and a parametrized layer is one; weight norm, spectral norm and pruning come
    as hooks.
    """
    return type(module) is kind and is_untouched(module)


def stamp_of(weights: Iterable[Tensor]) -> list[int]:
    """Return numbers that change when a weight does, as long as someone keeps a reference to each of the weights."""
    return [number for weight in weights for number in (weight.data_ptr(), weight._version)]
