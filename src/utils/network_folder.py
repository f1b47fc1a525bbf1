"""Networks that no run goes on from, but that can be played with, or be where another run starts.

results/models/<token>/best holds agent.th, mixer.th and opt.th as any checkpoint does, manifest.json, and about.json,
which says of how many env steps and of which env they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymarl.utils.checkpoint import MANIFEST, is_step
from pymarl.utils.files import read_object, replacing_directory, write_json
from pymarl.utils.tensors import OTHER, entry_of

BEST, ABOUT_FILE = "best", "about.json"


def save_networks(directory: Path, save_models: Callable[[Path], None], about: dict[str, Any]) -> None:
    """Write a whole folder of networks that no run goes on from, or nothing of it; `about` says what they are of.

    OSError if the disk is full, or the system refuses for another reason.
    """
    with replacing_directory(directory) as temporary:
        save_models(temporary)
        write_json(temporary / MANIFEST, {path.name: entry_of(path) for path in temporary.iterdir()})
        write_json(temporary / ABOUT_FILE, about)


def steps_of(directory: Path) -> int:
    """Return the env steps that a checkpoint is of; 0 where it does not say. UserError if it is damaged."""
    if is_step(directory.name):
        return int(directory.name)
    return int(about(directory).get("t_env") or 0)


def about(directory: Path) -> dict[str, Any]:
    """Return what a folder of networks says of them; {} where it says nothing. UserError if it is damaged."""
    path = directory / ABOUT_FILE
    return read_object(path, OTHER) if path.is_file() else {}
