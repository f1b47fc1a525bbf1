"""Networks that were written for PyMARL inside modules of ours: what agents and mixers of that kind share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

NETWORK = "network."


def keep_names(module: nn.Module) -> None:
    """Let the parameters of `module.network` have in a state_dict the names that they have in the network alone.

    Its files are then PyMARL's, in both directions.
    """
    module.register_state_dict_post_hook(_without_network)
    module.register_load_state_dict_pre_hook(_with_network)


def _without_network(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    inner = prefix + NETWORK
    for name in [name for name in state if name.startswith(inner)]:
        state[prefix + name.removeprefix(inner)] = state.pop(name)


def _with_network(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        state[prefix + NETWORK + name.removeprefix(prefix)] = state.pop(name)


@contextmanager
def trial(network: nn.Module) -> Iterator[Callable[..., Tensor]]:
    """Try a network out without gradients, dropout or a trace in anybody's random numbers.

    Yields:
        draw(*shape): random inputs, on the network's device.
    """
    training, first = network.training, next(network.parameters(), torch.empty(0))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network.eval()
        try:
            yield lambda *shape: torch.randn(shape).to(first)
        finally:
            network.train(training)


def same(ours: Tensor, theirs: Tensor) -> bool:
    """Return whether two results are equal but for the order of sums."""
    return torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
