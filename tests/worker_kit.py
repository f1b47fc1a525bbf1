"""Worker processes under test, and a look at what they leave behind."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl.envs.batched import SerialEnvs


def children() -> set[int]:
    """Return the processes that this one has started and that still exist, zombies included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found


@pytest.fixture
def nothing_left():
    """After every test: no process, no open descriptor, no shared memory that was not there before."""
    before, files, shm = children(), len(os.listdir("/proc/self/fd")), set(os.listdir("/dev/shm"))
    yield
    gc.collect()
    assert children() <= before
    assert len(os.listdir("/proc/self/fd")) <= files
    assert set(os.listdir("/dev/shm")) <= shm


def start(kind: type, env: str = "RandomWalk", batch_size: int = 2, workers: int | None = None, **env_args: Any) -> Any:
    """Return B envs with constructor seeds from 1; in worker processes, one per row unless told."""
    more = () if kind is SerialEnvs else (workers or batch_size,)
    return kind(f"fake_envs:{env}", env_args, batch_size, 1, {}, *more)


def play(env: Any, seeds: list[int]) -> list[Any]:
    """Play one episode per row with fixed actions; return everything that the env wrote, step by step."""
    rows = np.arange(env.batch_size)
    actions = np.arange(2 * env.batch_size).reshape(-1, 2) % 3
    env.reset(rows, np.array(seeds, np.uint64))
    log: list[Any] = []
    while len(rows):
        log.append([array[rows].copy() for array in vars(env.arrays).values()])
        env.step(actions, rows)
        ended = env.arrays.terminated[rows] | env.arrays.truncated[rows]
        log += [env.episode_info(row) for row in rows[ended]]
        rows = rows[~ended]
    log.append([array.copy() for array in vars(env.arrays).values()])
    return log
