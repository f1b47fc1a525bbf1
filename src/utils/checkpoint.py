"""Checkpoint folders: results/models/<token>/<env steps>/.

A folder holds agent.th, mixer.th and opt.th in PyMARL2's format, run.pt with everything else that a run needs to go on
(targets, counters, RNGs, statistics, what was logged), in the newest folder buffer.pt with the replay buffer, and
manifest.json with the size and hash of each of them. PyMARL2's folders have no manifest.
The token's folder holds config.json, whose lock is held by the run that writes there, runs.json, and may hold networks
alone in a folder of their own; see network_folder.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from pymarl.utils.errors import UserError
from pymarl.utils.files import locked, read_object, remove_leftovers, replacing_directory, write_json, writing_failed
from pymarl.utils.tensors import (
    OTHER,
    Entry,
    check_archive,
    entry_of,
    kind_of,
    load_tensors,
    save_tensors,
    tensor_bytes,
)

FORMAT = 1
RUN_FILE, BUFFER_FILE, MANIFEST = "run.pt", "buffer.pt", "manifest.json"
CONFIG_FILE, RUNS_FILE = "config.json", "runs.json"


class SavingFailed(UserError):
    """A checkpoint could not be written; nothing is left of it."""


def is_step(name: str) -> bool:
    """Return whether a folder's name is a number of env steps, as `str` writes it."""
    return len(name) <= 18 and name.isascii() and name.isdecimal() and name == str(int(name))


def steps_in(directory: Path) -> list[int]:
    """Return the env steps of the checkpoints in a folder, in order."""
    return sorted(int(path.name) for path in directory.iterdir() if is_step(path.name) and path.is_dir())


def is_newest(step: Path) -> bool:
    """Return whether no checkpoint of the same run is newer: a run that goes on from it writes to the same token."""
    return is_step(step.name) and int(step.name) == steps_in(step.parent)[-1]


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
    try:
        if directory.is_file():
            raise UserError(
                f"{path!r} is a file; write the checkpoint folder that it lies in: {str(directory.parent)!r}"
            )
        if not directory.is_dir():
            raise UserError(f"no checkpoint folder {path!r}; expected results/models/<token>")
        steps = steps_in(directory)
        if steps:
            directory /= str(max(steps) if load_step == 0 else min(steps, key=lambda step: abs(step - load_step)))
        if not (directory / file).is_file():
            raise UserError(_missing(directory, file))
    except OSError as error:
        raise UserError(f"cannot read the checkpoint folder {path!r}: {error.strerror}") from error
    return directory


def _missing(directory: Path, file: str) -> str:
    """Return why a file should be in a checkpoint's folder and what to do."""
    if file in (read_manifest(directory) or {}):
        rest = (
            f", or take its line out of {MANIFEST} to go on with an empty replay buffer" if file == BUFFER_FILE else ""
        )
        return f"{directory} was copied in part: {MANIFEST} lists {file}, which is missing; copy it too{rest}"
    return f"no {file} in {str(directory)!r}; expected a checkpoint folder results/models/<token>"


def read_manifest(directory: Path) -> dict[str, Entry] | None:
    """Return {file: size and hash} of a checkpoint, or None where none were written. UserError if it is damaged."""
    path = directory / MANIFEST
    if not path.is_file():
        return None
    manifest = read_object(path, OTHER)
    for file, entry in manifest.items():
        if not isinstance(entry, dict) or {"bytes": int, "sha256": str} != {key: type(entry[key]) for key in entry}:
            raise UserError(f"{path}: damaged, {file!r} has no bytes and sha256; {OTHER}")
    return manifest


def read_config(token: Path) -> dict[str, Any]:
    """Return the config of the run that writes to a token's folder. UserError if it is missing or damaged."""
    path = token / CONFIG_FILE
    config = read_object(path, OTHER)
    if missing := [key for key in ("seed", "env_args") if key not in config]:
        raise UserError(f"{path}: lacks {', '.join(missing)}, so it is not the config of a run; {OTHER}")
    if not isinstance(config["env_args"], dict):
        raise UserError(f"{path}: env_args is {kind_of(config['env_args'])}, expected a JSON object; {OTHER}")
    return config


def verify(directory: Path, *files: str) -> None:
    """Check files of a checkpoint against its manifest, or the checksums that they carry themselves.

    Raises:
        UserError: one is missing, not a part of this checkpoint, cut short or damaged.
    """
    manifest = read_manifest(directory)
    for file in files:
        path = directory / file
        if not path.is_file():
            raise UserError(_missing(directory, file))
        if manifest is None:
            check_archive(path)
        elif file not in manifest:
            raise UserError(f"{path}: not in {MANIFEST} beside it, so not a part of this checkpoint; {OTHER}")
        else:
            _compare(path, manifest[file])


def _compare(path: Path, expected: Entry) -> None:
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise UserError(f"{path}: {size} bytes, expected the {expected['bytes']} that {MANIFEST} says; {OTHER}")
        if entry_of(path) != expected:
            raise UserError(f"{path}: damaged, its contents are not those that {MANIFEST} has the hash of; {OTHER}")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def files_of(directory: Path) -> list[str]:
    """Return the names of a checkpoint's files: those that its manifest lists, or those that are there."""
    manifest = read_manifest(directory)
    if manifest is None:
        return sorted(path.name for path in directory.iterdir() if path.suffix in {".th", ".pt"})
    return list(manifest)


def load_file(directory: Path, file: str, device: torch.device | str = "cpu") -> Any:
    """Return what a file of a checkpoint holds, once it is verified; see `load_tensors`."""
    verify(directory, file)
    return load_tensors(directory / file, device)


def load_state(directory: Path, file: str = RUN_FILE, *, mmap: bool = False, verified: bool = False) -> dict[str, Any]:
    """Return the contents of run.pt or buffer.pt; its tensors stay in the file if `mmap`.

    Raises:
        UserError: it is damaged (unless `verified` before), from another format or cannot be read.
    """
    if not verified:
        verify(directory, file)
    path, state = directory / file, load_tensors(directory / file, mmap=mmap)
    if not isinstance(state, dict):
        raise UserError(f"{path}: holds {kind_of(state)}, expected a dict; {OTHER}")
    if file == RUN_FILE and state.get("format") != FORMAT:
        raise UserError(f"{path} has checkpoint format {state.get('format')!r}, this version reads {FORMAT}")
    return state


def save_checkpoint(
    directory: Path, save_models: Callable[[Path], None], state: dict[str, Any], buffer: dict[str, Any] | None
) -> None:
    """Write a whole checkpoint folder, or nothing of it. `sole_writer` holds its parent.

    Raises:
        SavingFailed: the disk is full, or the system refuses for another reason.
    """
    try:
        clean(directory.parent)
        with replacing_directory(directory) as temporary:
            save_models(temporary)
            manifest = {path.name: entry_of(path) for path in temporary.iterdir()}
            manifest[RUN_FILE] = save_tensors({"format": FORMAT, **state}, temporary / RUN_FILE)
            if buffer is not None:
                manifest[BUFFER_FILE] = save_tensors(buffer, temporary / BUFFER_FILE)
            write_json(temporary / MANIFEST, manifest)
    except OSError as error:
        raise SavingFailed(writing_failed(directory, error, tensor_bytes(state) + tensor_bytes(buffer))) from error


def prune(parent: Path, keep: int) -> None:
    """Drop leftovers, all checkpoints but the last `keep` (0: all stay), and all replay buffers but the newest.

    The newest checkpoint with a buffer stays in any case: from it alone a run can go on exactly.
    """
    clean(parent)
    steps = steps_in(parent)
    exact = max((step for step in steps if (parent / str(step) / BUFFER_FILE).is_file()), default=None)
    for step in steps:
        if step != exact:
            _drop(parent / str(step), BUFFER_FILE)
    for step in steps[:-keep] if keep else []:
        if step != exact:
            shutil.rmtree(parent / str(step))


def _drop(directory: Path, file: str) -> None:
    """Take a file out of a checkpoint: out of its manifest first, so that it is whole at every moment."""
    try:
        manifest = read_manifest(directory) or {}
    except UserError:  # damaged, and not made worse
        manifest = {}
    if file in manifest:
        write_json(directory / MANIFEST, {name: entry for name, entry in manifest.items() if name != file})
    (directory / file).unlink(missing_ok=True)


def clean(token: Path) -> None:
    """Remove what killed processes left half-written in a token's folder. `sole_writer` holds it."""
    if token.is_dir():
        remove_leftovers(token)
        for step in steps_in(token):
            remove_leftovers(token / str(step))


@contextmanager
def sole_writer(token: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Keep other runs from writing to a token's folder, which may then be cleaned.

    Raises:
        UserError: another run is writing there, or nobody may.
    """
    path = token / CONFIG_FILE
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(locked(path))
            clean(token)
        except BlockingIOError as error:
            raise UserError(
                f"another run is writing to {token}; wait for its end or stop it (evaluating its checkpoints is fine)"
            ) from error
        except OSError as error:
            raise UserError(f"cannot write to {token}: {path.name}: {error.strerror}") from error
        if lock is None:
            warn(f"the file system of {token} has no locks: see to it that no other run writes there")
        yield


def has_buffer(token: Path) -> bool:
    """Return whether a checkpoint in a token's folder has the replay buffer."""
    return any((token / str(step) / BUFFER_FILE).is_file() for step in steps_in(token))


def runs_of(token: Path) -> list[dict[str, str | None]] | None:
    """Return runs.json, the runs that have written to a token, the newest last; None if it is damaged."""
    path = token / RUNS_FILE
    try:
        runs = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except (ValueError, RecursionError):
        return None
    return runs if isinstance(runs, list) else None


def add_run(token: Path, run: Path | None, origin: Path | None, warn: Callable[[str], None]) -> None:
    """Add a run to runs.json, the list of those that have written to a token.

    Args:
        token: its folder.
        run: the run's own folder, or None if it has none.
        origin: the checkpoint that it goes on from, or None.
        warn: is told if the list is damaged; it begins anew then, for nothing depends on it.
    """
    path = token / RUNS_FILE
    runs = runs_of(token)
    if runs is None:
        warn(f"{path} is damaged; it is begun anew")
        runs = []
    entry = {"run": run and str(run.absolute()), "from": origin and str(origin.absolute())}
    write_json(path, [*runs, entry])
