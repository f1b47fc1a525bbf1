"""Runs that say RUNNING though they are dead: killed with -9, or with their machine."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from pymarl.utils.errors import UserError
from pymarl.utils.files import write_json
from pymarl.utils.info import INFO, JOURNAL, info_lines, read_info, write_lines
from pymarl.utils.runs import DIED, Record, read_record, token_of


def run_folders(results: Path) -> list[Path]:
    """Return every run's folder in results/sacred/<map>/<name>/<id>. UserError if there is no such place."""
    place = results / "sacred"
    if not place.is_dir():
        raise UserError(f"{place}: no such folder; expected --results with what local_results_path of the runs was")
    return sorted(path.parent for path in place.glob("*/*/*/run.json"))


def dead_runs(results: Path) -> tuple[list[Record], list[str]]:
    """Return the dead runs, and a line for each folder that cannot be read. Changes nothing."""
    dead, broken = [], []
    for folder in run_folders(results):
        try:
            record = read_record(folder)
            if record.dead():
                dead.append(record)
        except (UserError, OSError) as error:
            broken.append(str(error))
    return dead, broken


def described(record: Record) -> str:
    """Return a line on a dead run: its folder, when it was last heard, what resumes it."""
    heard = record.last_heard
    when = "never heard" if heard is None else f"last heard {heard:%Y-%m-%d %H:%M} UTC, {_ago(heard)} ago"
    token = token_of(record)
    saved = token is not None and any(re.fullmatch("[0-9]+", path.parent.name) for path in token.glob("*/run.pt"))
    return f"{record.folder}: {when}; {f'resume={token}' if saved else 'it has no checkpoint'}"


def _ago(moment: datetime) -> str:
    seconds = max((datetime.now(UTC) - moment).total_seconds(), 0)
    unit, size = next((unit, size) for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
                      if seconds >= 2 * size or size == 1)  # fmt: skip
    return f"{seconds / size:.0f} {unit}"


def mark_dead(record: Record) -> None:
    """Complete a dead run's info.json and give it the status DIED, with its last heartbeat as its end.

    Raises:
        UserError: its files are broken.
        OSError: they cannot be written, or somebody holds the run after all.
    """
    with FileIO(record.folder / JOURNAL, "ab") as file:  # also keeps two doctors from writing at once
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (record.folder / INFO).is_file() or (record.folder / JOURNAL).stat().st_size:
            write_lines(record.folder / INFO, info_lines(read_info(record.folder)))
        heard = record.last_heard
        stopped = None if heard is None else heard.replace(tzinfo=None).isoformat()
        write_json(record.folder / "run.json", {**record.run, "status": DIED, "stop_time": stopped})


def report(results: Path, *, mend: bool) -> Iterator[str]:
    """Yield what there is to say of dead runs, and with `mend` give them their status."""
    count = len(run_folders(results))
    dead, broken = dead_runs(results)
    for record in dead:
        line = described(record)
        if mend:
            try:
                mark_dead(record)
                line += f"; now {DIED}"
            except (UserError, OSError) as error:
                line += f"; not mended: {error}"
        yield line
    yield from (f"cannot be read: {line}" for line in broken)
    told = f"{len(dead)} of {count} runs in {results} say RUNNING, but are dead"
    yield f"{told}; --mend completes their info.json and writes {DIED}" if dead and not mend else told
