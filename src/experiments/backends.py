"""Where a launch plays its runs: the names of the back ends, and their options as words KEY=VALUE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymarl.experiments.launch import Backend
from pymarl.run.command import parse_updates
from pymarl.utils.errors import UserError

NAMES = ("local", "slurm", "ray")


def options_of(words: Sequence[str], flag: str) -> dict[str, Any]:
    """Return the options in words KEY=VALUE. UserError if one is none."""
    for word in words:
        if "=" not in word or "." in word.partition("=")[0]:
            raise UserError(f"{flag} {word}: expected KEY=VALUE")
    return parse_updates(words)


def backend_of(name: str, words: dict[str, Sequence[str]], at_once: int | None, threads: int, logs: Path) -> Backend:
    """Return a back end.

    Args:
        name: of NAMES.
        words: options KEY=VALUE by the name of the back end whose they are.
        at_once: most runs at a time; None: as the back end has it.
        threads: of each run.
        logs: folder of what they print.

    Raises:
        UserError: it cannot be had, or options are those of another one.
    """
    for other, given in words.items():
        if given and other != name:
            raise UserError(f"--{other} {' '.join(given)}: write --backend={other}, too")
    if name == "slurm":
        from pymarl.experiments.slurm import SlurmBackend

        return SlurmBackend(options_of(words["slurm"], "--slurm"), at_once, threads, logs)
    if name == "ray":
        from pymarl.experiments.ray import RayBackend

        return RayBackend(options_of(words["ray"], "--ray"), at_once, threads, logs)
    from pymarl.experiments.local import LocalBackend

    return LocalBackend(at_once, threads, logs)
