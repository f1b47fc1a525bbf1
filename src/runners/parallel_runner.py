"""Many envs at once."""

from __future__ import annotations

from pymarl.runners.local_runner import LocalRunner


class ParallelRunner(LocalRunner):
    """Plays `batch_size_run` episodes at once: in a native batched env, or in `env_workers` processes."""

    in_process = False
