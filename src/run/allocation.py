"""Memory that a run will need, compared with what is there before any of it is taken.

Linux hands out memory that it does not have and kills the process that uses it, so asking is not enough.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import psutil
import torch
from torch import nn

from pymarl.components.episode_batch import stored_fields
from pymarl.run.config import Classes, RunConfig
from pymarl.run.parts import build, episode_scheme, network_spec
from pymarl.runners.runner import Runner
from pymarl.utils.config import config_keys
from pymarl.utils.errors import UserError
from pymarl.utils.memory import available_memory

GIB = 2**30
COPIES = 5
"""Weights, target weights, gradients and the optimiser's two moments."""

TOO_MUCH = 2**63
"""Bytes that stand for more than can be counted."""

MEMORY_TEXT = re.compile(
    r"can't allocate|cannot allocate|out of memory|array is too big|maximum allowed|int too large|"
    r"multiplication overflow|size calculation overflow",
    re.IGNORECASE,
)
BYTES_TEXT = re.compile(r"tried to allocate (\d+) bytes")


def available_gib(*, cuda: bool = False) -> float:
    """Return the memory that can be had without swapping, or the GPU's, GiB."""
    return (torch.cuda.mem_get_info()[0] if cuda else available_memory()) / GIB


def refuse_too_large(values: Mapping[str, Any], config: RunConfig, runner: Runner) -> None:
    """Raise UserError if the networks, or the episodes that are collected or trained on at once, cannot fit.

    Activations and what torch itself takes are not counted. The buffer has a limit of its own.
    """
    classes, info = Classes.of(values), runner.get_env_info()
    scheme, groups, _ = episode_scheme(info, stores=classes.learner.stores)
    episode = sum(field.bytes_of(runner.longest) for field in stored_fields(scheme, groups).values())
    what = f"for as many episodes of {runner.longest - 1} steps"
    playing = config.evaluate or config.save_replay
    batch_size = 0 if playing or "batch_size" not in config_keys(classes.buffer) else values["batch_size"]
    for key, count in (("batch_size_run", config.batch_size_run), ("batch_size", batch_size)):
        _compare(key, count, count * episode, what, or_lower=" or the episode's limit")
    with torch.device("meta"):  # parameters without memory
        for key, part in (("agent", classes.agent), *classes.networks.items()):
            if part is not None:
                spec = network_spec(part, values, classes, info)
                size = (1 if playing else COPIES) * _parameter_bytes(part, values, spec)
                _check_network(key, part, size, values, cuda=config.use_cuda and torch.cuda.is_available())


def _parameter_bytes(part: Any, values: Mapping[str, Any], spec: Any) -> int:
    """Return the bytes of a network's parameters; 0 where it cannot be built without memory."""
    try:
        network: nn.Module = build(part, values, spec)
    except Exception as error:  # of an own network, which may read its parameters; its real building says what is wrong
        return TOO_MUCH if MEMORY_TEXT.search(str(error)) else 0
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def _check_network(key: str, part: Any, size: int, values: Mapping[str, Any], *, cuda: bool) -> None:
    """Compare what a network needs with the memory; name its largest size."""
    widths = {name: values[name] for name in config_keys(part) if type(values[name]) is int}
    widest = max(widths, key=lambda name: widths[name], default=key)
    _compare(widest, values[widest], size, f"for the {key}'s weights, gradients and optimiser", cuda=cuda)


def _compare(key: str, value: Any, needed: int, what: str, *, cuda: bool = False, or_lower: str = "") -> None:
    limit = available_gib(cuda=cuda)
    if needed / GIB > limit:
        gib = f"{needed / GIB:,.1f}" if needed < TOO_MUCH else "billions of"
        raise UserError(
            f"{key}={value} needs {gib} GiB {what}, and {limit:.1f} GiB of memory are available; lower {key}{or_lower}"
        )


@contextmanager
def memory_as_user_error(what: str, *, cap: bool = True) -> Iterator[None]:
    """Turn running out of memory in here into a UserError that names `what` asked for it; what is not there fails.

    Args:
        what: what to lower, such as "the sizes in env_args".
        cap: let this process, and those that it starts, have no more memory than there is.
    """
    with _capped() if cap else nullcontext():
        try:
            yield
        except (MemoryError, RuntimeError, OverflowError, ValueError, OSError) as error:
            if not isinstance(error, MemoryError) and not MEMORY_TEXT.search(str(error)):
                raise
            asked = BYTES_TEXT.search(str(error))
            size = f"{int(asked[1]) / GIB:,.1f} GiB asked for" if asked else str(error).splitlines()[0][:200]
            raise UserError(
                f"not enough memory ({size or 'none left'}; {available_gib():.1f} GiB are available); lower {what}"
            ) from error


@contextmanager
def _capped() -> Iterator[None]:
    """Let this process have no more memory than there is, so that asking for more fails where it is asked for."""
    if sys.platform != "linux" or torch.cuda.is_available():  # RLIMIT_DATA limits something else; CUDA maps as it likes
        yield
        return
    used = psutil.Process().memory_info()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    cap = used.data + available_memory()
    if hard != resource.RLIM_INFINITY:
        cap = min(cap, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (cap, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
