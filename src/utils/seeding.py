"""Every random draw of a run comes from a generator that is named here and spawned from the run's seed."""

from __future__ import annotations

import random
import zlib

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the global generators too: network initialisation and third-party code draw from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - third-party envs may draw from the global generator
    torch.manual_seed(seed)


def _sequence(seed: int, name: str) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, zlib.crc32(name.encode())])


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the run's part called `name`; other names give independent streams."""
    return np.random.default_rng(_sequence(seed, name))


def torch_generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the torch generator of the run's part called `name`."""
    generator = torch.Generator(device=device)
    generator.manual_seed(int(_sequence(seed, name).generate_state(1, np.uint64)[0] >> np.uint64(1)))
    return generator
