"""Compiles what the tests will need, so that each of their processes does not do it again.

python tests/compile_ahead.py kernels stag_hunt skirmish standin
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]


def play(env: str) -> None:
    """Take a step in a native env."""
    from pymarl.envs.batched import make_batched_env
    from pymarl.utils.layers import merge

    native = make_batched_env(env, merge("qmix", env, {}).values["env_args"], 2, 1, {}, in_process=True)
    rows = np.arange(2)
    native.reset(rows, rows.astype(np.uint64))
    native.step(native.arrays.avail_actions.argmax(-1), rows)
    native.close()


def main(wanted: Sequence[str]) -> None:
    """Compile the parts that are named."""
    for name in wanted:
        if name == "kernels":
            from pymarl import kernels

            kernels.prepare()
        elif name == "standin":
            from sc2_standin.install import compile_engine

            compile_engine()
        else:
            play(name)


if __name__ == "__main__":
    main(sys.argv[1:])
