"""Every random draw of a run comes from a generator that is named here and spawned from the run's seed."""

from __future__ import annotations

import json
import random
import zlib
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the global generators too: network initialisation and third-party code draw from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - third-party envs may draw from the global generator
    torch.manual_seed(seed)


def global_state() -> dict[str, Any]:
    """Return the state of the global generators, which own agents (dropout) or in-process envs may draw from."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "numpy": json.dumps(legacy, default=lambda array: array.tolist()),
        "python": json.dumps(random.getstate()),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [],
    }


def set_global_state(state: dict[str, Any]) -> None:
    """Continue where `global_state` was taken."""
    torch.set_rng_state(state["torch"])
    legacy = json.loads(state["numpy"])
    legacy["state"]["key"] = np.array(legacy["state"]["key"], np.uint32)
    np.random.set_state(legacy)  # noqa: NPY002
    if state["cuda"] and torch.cuda.is_initialized():  # a run may go on without a GPU, or with one
        torch.cuda.set_rng_state(state["cuda"][0])
    version, internal, gauss = json.loads(state["python"])
    random.setstate((version, tuple(internal), gauss))


def _sequence(seed: int, name: str) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, zlib.crc32(name.encode())])


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the run's part called `name`; other names give independent streams."""
    return np.random.default_rng(_sequence(seed, name))


def child_seed(seed: int, name: str) -> int:
    """Return the seed of the run's part called `name`, below 2**63."""
    return int(_sequence(seed, name).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the torch generator of the run's part called `name`."""
    generator = torch.Generator(device=device)
    generator.manual_seed(child_seed(seed, name))
    return generator
