"""Fill the disk under a training at five moments, and look at what is said and what is left. Linux, as root.

    python benchmarks/full_disk.py

The results lie on a tmpfs of a few MiB, which a ballast file fills:

    start     before the run starts: it is refused in one line, nothing is left
    empty     after the first checkpoint, to the last byte, for a while: saves and records fail loudly, training goes
              on, and in the end everything is there, equal to a run with space enough
    half      the same, with room for half a checkpoint
    heartbeat the same, with room for a checkpoint each time but none for the records
    end       after the second checkpoint, for good: the last save fails, which is an error; the older ones stay whole

Exit code 1 if anything is otherwise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.utils.checkpoint import load_state, steps_in
from pymarl.utils.errors import UserError
from run_kit import SMALL_HUNT, numbers, run_folders, start_main

JOB = (*SMALL_HUNT, "t_max=16000", "save_model_interval=800", "keep_checkpoints=3", "rnn_hidden_dim=64")
SIZE_MIB = 8
CHUNK = 4096


@contextmanager
def small_disk(parent: Path) -> Iterator[Path]:
    """Yield a folder with SIZE_MIB of space."""
    folder = parent / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk but for so many bytes; return the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(CHUNK))
        except OSError:
            file.truncate(max(0, file.tell() - leave))
    return ballast


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to that")
        time.sleep(0.02)


def tokens(results: Path) -> list[Path]:
    """Return the folders of checkpoints."""
    return [path for path in (results / "models").glob("*") if path.is_dir()]


def broken_checkpoints(results: Path) -> list[str]:
    """Return what is wrong with the checkpoints that are there."""
    wrong = []
    for token in tokens(results):
        wrong += [f"left: {path.name}" for path in token.iterdir() if path.name.startswith(".") or "tmp" in path.name]
        for step in steps_in(token):
            try:
                load_state(token / str(step))
            except UserError as error:
                wrong.append(str(error))
    return wrong


def broken_json(results: Path) -> list[str]:
    """Return the JSON files that are not whole."""
    wrong = []
    for path in results.rglob("*.json"):
        try:
            json.loads(path.read_text())
        except ValueError as error:
            wrong.append(f"{path}: {error}")
    return wrong


def trained(directory: Path, disk: Path, moment: str) -> tuple[int, str, str]:
    """Train while the disk is full for a while; return exit code, stdout, stderr."""
    results = disk / "results"
    process = start_main(directory, *JOB, f"local_results_path={results}")
    checkpoints = 2 if moment == "end" else 1
    wait_for(lambda: process.poll() is not None or any(len(steps_in(t)) >= checkpoints for t in tokens(results)))
    checkpoint = sum(p.stat().st_size for p in next(p for p in tokens(results)[0].iterdir() if p.is_dir()).iterdir())
    leave = {"empty": 0, "half": checkpoint // 2, "heartbeat": CHUNK, "end": CHUNK}[moment]
    ballast = fill(disk, leave)
    if moment != "end":
        time.sleep(3)
        ballast.unlink()
    out, err = process.communicate()
    return process.returncode, out, err


def case_start(directory: Path, disk: Path) -> list[str]:
    """Return what is wrong with a run that starts on a full disk."""
    fill(disk)
    process = start_main(directory, *JOB, f"local_results_path={disk / 'results'}")
    _, err = process.communicate()
    print(f"start: exit code {process.returncode}: {err.strip()}", flush=True)
    wrong = [] if process.returncode == 1 and err.startswith("error: ") and err.count("\n") == 1 else [f"said: {err}"]
    return wrong + [f"left: {path}" for path in (disk / "results").rglob("*") if path.is_file()]


def case(moment: str, directory: Path, disk: Path, whole: dict[str, object]) -> list[str]:
    """Return what is wrong with a run during which the disk was full."""
    code, out, err = trained(directory, disk, moment)
    results = disk / "results"
    said = [line for line in out.splitlines() if "ERROR" in line or "WARNING" in line]
    print(
        f"{moment}: exit code {code}; said:",
        *said[:4],
        f"({len(said)} lines)",
        err.strip()[-500:],
        sep="\n  ",
        flush=True,
    )
    wrong = broken_checkpoints(results) + broken_json(results)
    if "Traceback" in out + err:
        wrong.append("a traceback")
    if moment == "end":
        wrong += [] if code == 1 else [f"exit code {code}, expected 1"]
        wrong += [] if steps_in(tokens(results)[0]) else ["the older checkpoints are gone"]
        return wrong
    wrong += [] if code == 0 else [f"exit code {code}, expected 0"]
    wrong += [] if said else ["nothing was said"]
    ours = numbers(run_folders(disk)[-1])
    return wrong + [f"differs: {key}" for key in sorted(ours.keys() | whole.keys()) if ours.get(key) != whole.get(key)]


def main() -> int:
    """Run the cases; return the exit code."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        reference = start_main(directory, *JOB)
        _, err = reference.communicate()
        if reference.returncode:
            print(err)
            return 1
        whole = numbers(run_folders(directory)[-1])
        with small_disk(directory) as disk:
            faults += [f"start: {fault}" for fault in case_start(directory, disk)]
        for moment in ("empty", "half", "heartbeat", "end"):
            with small_disk(directory) as disk:
                faults += [f"{moment}: {fault}" for fault in case(moment, directory, disk, whole)]
    print("nothing wrong" if not faults else "\n".join(["WRONG", *faults]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
