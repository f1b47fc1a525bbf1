"""Which layers a fast way may stand in for, those that are exactly torch's own, and whether their weights changed."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import cast

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

_VERSION = attrgetter("_version")


def is_untouched(*modules: nn.Module) -> bool:
    """Return whether calling a module runs its class's `forward` and nothing else: no hook, no forward of its own."""
    if _has_any_global_hook():
        return False
    for m in modules:
        if m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks:
            return False
        if "forward" in m.__dict__:
            return False
    return True


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a module computes what `kind` computes from the parameters it shows.

    A subclass may bring its own forward, and a parametrized layer is one; weight norm, spectral norm and pruning come
    as hooks.
    """
    return type(module) is kind and is_untouched(module)


def fits_gru(fc1: nn.Module, rnn: nn.Module, fc2: nn.Module | None = None) -> bool:
    """Return whether the kernels compute what these layers do: torch's own, with biases, E -> H -> H."""
    if not (is_plain(fc1, nn.Linear) and is_plain(rnn, nn.GRUCell)):
        return False
    linears = [fc1] if fc2 is None else [fc1, fc2]
    sizes = fc1.out_features == rnn.input_size == rnn.hidden_size
    return bool(all(is_plain(layer, nn.Linear) and layer.bias is not None for layer in linears) and rnn.bias and sizes)


def linear_layers(module: nn.Module) -> list[nn.Linear] | None:
    """Return the linear layers of a hypernetwork, one or two with a relu between them; None if it is another.

    A subclass of nn.Sequential may give it other methods, but no other `forward`.
    """
    if not isinstance(module, nn.Sequential):
        parts = [module]
    elif type(module).forward is not nn.Sequential.forward or not is_untouched(module):
        return None
    else:
        parts = list(module)
    kinds = [nn.Linear, nn.ReLU, nn.Linear][: len(parts)]
    if len(parts) not in (1, 3) or not all(map(is_plain, parts, kinds)):
        return None
    linears = cast("list[nn.Linear]", parts[::2])
    return linears if all(layer.bias is not None for layer in linears) else None


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer with these weights [H, D] and [H], which may be made of parameters: those get the gradients."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer._parameters.update(weight=cast(nn.Parameter, weight), bias=cast(nn.Parameter, bias))
    return layer


def weights_of(*layers: nn.Module) -> list[Tensor]:
    """Return the layers' own parameters, in their order."""
    return [weight for layer in layers for weight in layer._parameters.values() if weight is not None]


def stamp_of(weights: Sequence[Tensor]) -> list[int]:
    """Return numbers that change when a weight does, as long as someone keeps a reference to each of the weights."""
    return [*map(Tensor.data_ptr, weights), *map(_VERSION, weights)]
