"""Checkpoint folders: results/models/<token>/<env steps>/.

A folder holds agent.th, mixer.th and opt.th in PyMARL2's format, run.pt with everything else that a run needs to go on
(targets, counters, RNGs, statistics, what was logged) and, in the newest folder, buffer.pt with the replay buffer.
Files hold tensors and plain types only, and are read with `weights_only=True`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from utils.errors import UserError
from utils.files import replacing_directory

FORMAT = 1
RUN_FILE, BUFFER_FILE = "run.pt", "buffer.pt"


def steps_in(directory: Path) -> list[int]:
    """Return the env steps of the checkpoints in a folder, in order."""
    return sorted(int(path.name) for path in directory.iterdir() if path.is_dir() and path.name.isdigit())


def find_checkpoint(path: str, load_step: int, *, file: str = "agent.th") -> Path:
    """Return the checkpoint folder nearest to `load_step` env steps, or the newest if it is 0.

    Args:
        path: a folder of checkpoints, or one checkpoint.
        load_step: env steps.
        file: a file that the checkpoint must have.

    Raises:
        UserError: there is none.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise UserError(f"no checkpoint folder {path!r}; expected results/models/<token>")
    steps = steps_in(directory)
    if steps:
        directory /= str(max(steps) if load_step == 0 else min(steps, key=lambda step: abs(step - load_step)))
    if not (directory / file).is_file():
        raise UserError(f"no {file} in {str(directory)!r}; expected a checkpoint folder results/models/<token>")
    return directory


def save_checkpoint(
    directory: Path, save_models: Callable[[Path], None], state: dict[str, Any], buffer: dict[str, Any] | None
) -> None:
    """Write a whole checkpoint folder, or nothing of it."""
    with replacing_directory(directory) as temporary:
        save_models(temporary)
        torch.save({"format": FORMAT, **state}, temporary / RUN_FILE)
        if buffer is not None:
            torch.save(buffer, temporary / BUFFER_FILE)


def prune(parent: Path, keep: int) -> None:
    """Drop the replay buffers of all but the last checkpoint, and all but the last `keep` (0: all stay)."""
    steps = steps_in(parent)
    for step in steps[:-1]:
        (parent / str(step) / BUFFER_FILE).unlink(missing_ok=True)
    for step in steps[:-keep] if keep else []:
        shutil.rmtree(parent / str(step))


def load_state(directory: Path, file: str = RUN_FILE) -> dict[str, Any]:
    """Return the contents of a checkpoint file. UserError if it is from another format or cannot be read."""
    path = directory / file
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"cannot read {str(path)!r}: {str(error).splitlines()[0]}") from error
    if file == RUN_FILE and state.get("format") != FORMAT:
        raise UserError(f"{str(path)!r} has checkpoint format {state.get('format')}, this version reads {FORMAT}")
    return dict(state)
