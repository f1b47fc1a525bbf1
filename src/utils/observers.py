"""Where sacred writes a run."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from sacred.observers import FileStorageObserver
from sacred.serializer import flatten
from sacred.utils import apply_backspaces_and_linefeeds

from pymarl.utils.errors import UserError
from pymarl.utils.files import append_whole, write_json, write_new, writing_failed
from pymarl.utils.info import INFO, JOURNAL, Journal, info_lines, object_lines, write_lines
from pymarl.utils.logging import console_logger
from pymarl.utils.redact import redacted


class Throttle:
    """Says when a file may be written whole again, so that this takes 1% of the time whatever the file's size."""

    RATIO = 100

    def __init__(self) -> None:
        self._next = 0.0

    def write(self, write: Callable[[], None]) -> None:
        """Call `write` if it is time to."""
        started = time.monotonic()
        if started >= self._next:
            write()
            ended = time.monotonic()
            self._next = ended + self.RATIO * (ended - started)


class RunFolder(FileStorageObserver):
    """sacred's folder of a run, whose files are whole at every moment, and whose heartbeat costs the same for ever.

    A beat appends to cout.txt and info.jsonl what is new; info.json and metrics.json are written whole seldom, and at
    the end. A disk that is full or a folder that is gone is reported once, and tried again at every beat.

    Args:
        directory: of runs of this kind.
        about: what run.json says of this one from its start.

    Attributes:
        keep_output: let sacred keep all that is printed, which other observers need.
        fault: what could not be written at the run's end; it has been reported. None as long as all is well.
    """

    def __init__(self, directory: Path, about: Mapping[str, Any] = {}) -> None:
        super().__init__(str(directory))
        self._about = about
        self.keep_output = True
        self.fault: str | None = None
        self._lock = threading.RLock()  # the last heartbeat may still write when the run ends
        self._journal: Journal | None = None
        self._metrics: dict[str, Metric] = {}
        self._pace = Throttle()
        self._failing = False
        self._lines, self._rest, self._taken = "", "", 0  # printed whole lines, the last one, and where sacred is

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.dir)

    def filter_output(self, text: str) -> str:
        """Take what is new of what the run has printed, as sacred's `captured_out_filter`; return what sacred keeps.

        sacred would keep it all and filter it again at every beat.
        """
        new = apply_backspaces_and_linefeeds(text[self._taken :])
        end = new.rfind("\n") + 1
        with self._lock:
            self._lines, self._rest = self._lines + new[:end], new[end:]
        if not self.keep_output:
            self._taken = 0
            return self._rest
        text = text[: self._taken] + new
        self._taken += end
        return text

    def save_cout(self) -> None:
        """Append the lines that were printed to cout.txt."""
        with self._lock, FileIO(self.folder / "cout.txt", "ab") as file:
            append_whole(file, self._lines.encode("utf-8", "replace"))
            self._lines = ""

    def save_json(self, obj: Any, filename: str) -> None:
        """Replace a JSON file."""
        write_json(self.folder / filename, flatten(obj))

    def add(self, **entries: Any) -> None:
        """Add entries to run.json."""
        with self._lock:
            self.run_entry.update(entries)
            self.save_json(self.run_entry, "run.json")

    def artifact_event(self, name: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Let run.json name a file where it is, which sacred would copy."""
        self.add(artifacts=[*self.run_entry["artifacts"], str(Path(filename).absolute())])

    def started_event(self, *args: Any, **kwargs: Any) -> Any:
        """Make the folder. UserError if that is impossible; then nothing is left of it."""
        try:
            started = super().started_event(*args, **kwargs)
            self._journal = Journal(self.folder / JOURNAL)
            self.add(**self._about)
        except OSError as error:
            if self.dir is not None:
                shutil.rmtree(self.dir, ignore_errors=True)
            if not self._has_runs():
                shutil.rmtree(self.basedir, ignore_errors=True)  # sacred's _sources, maybe
            raise UserError(
                f"the run's folder: {writing_failed(Path(self.basedir), error)}; mend that, or set local_results_path"
            ) from error
        return started

    def _has_runs(self) -> bool:
        base = Path(self.basedir)
        return base.is_dir() and any(path.name != "_sources" for path in base.iterdir())

    def log_metrics(self, metrics_by_name: Mapping[str, Mapping[str, list[Any]]], info: Any) -> None:
        """Take new measurements; they are written by `heartbeat_event`, which follows."""
        with self._lock:
            for name, new in metrics_by_name.items():
                self._metrics.setdefault(name, Metric()).add(new)

    def heartbeat_event(self, info: Any, captured_out: str, beat_time: datetime, result: Any) -> None:
        """Write what is new."""
        with self._lock, self._reported_once():
            self.info = info  # the run's own, which it goes on filling
            self.run_entry["heartbeat"] = beat_time.isoformat()
            self.run_entry["result"] = result
            self._find_folder()
            self._append_info()
            self.save_cout()
            self.save_json(self.run_entry, "run.json")
            self._pace.write(self._write_numbers)

    def completed_event(self, *args: Any, **kwargs: Any) -> None:
        """Write everything, with status COMPLETED."""
        self._end(lambda: super(RunFolder, self).completed_event(*args, **kwargs))

    def interrupted_event(self, *args: Any, **kwargs: Any) -> None:
        """Write everything, with status INTERRUPTED."""
        self._end(lambda: super(RunFolder, self).interrupted_event(*args, **kwargs))

    def failed_event(self, *args: Any, **kwargs: Any) -> None:
        """Write everything, with status FAILED and the traceback, if the run has started at all."""
        if self._journal is not None:
            self._end(lambda: super(RunFolder, self).failed_event(*args, **kwargs))

    def _end(self, event: Callable[[], None]) -> None:
        """Write all that there is, `event` among it; what fails does not keep the rest from being written."""
        with self._lock:
            self._lines, self._rest = self._lines + self._rest, ""
            errors = self._tried(self._find_folder) or self._tried(
                self._append_info, self._write_numbers, event, self.save_cout
            )
            if errors:
                self.fault = f"{writing_failed(self.folder, errors[0])}; {self._rescue()}"
                print(f"error: {self.fault}", file=sys.stderr)
            if self._journal is not None:
                self._journal.close()
            self._journal, self._pace = None, Throttle()  # a last heartbeat that is late writes the whole files again

    @staticmethod
    def _tried(*steps: Callable[[], None]) -> list[OSError]:
        errors = []
        for step in steps:
            try:
                step()
            except OSError as error:
                errors.append(error)
        return errors

    def _rescue(self) -> str:
        """Save the numbers elsewhere and say where."""
        name, text = "-".join([*self.folder.parts[-3:], INFO]), "".join(info_lines(self.info or {}))
        for find in (tempfile.gettempdir, os.getcwd, Path.home):
            with suppress(OSError, RuntimeError):
                return f"the run's numbers are in {write_new(Path(find()) / name, text.encode())}"
        return "nor is there room for the run's numbers elsewhere: they are lost"

    @contextmanager
    def _reported_once(self) -> Iterator[None]:
        """Report the first error of several beats, and that it is over."""
        try:
            yield
        except OSError as error:
            if not self._failing:
                console_logger().warning(
                    "%s; the run goes on, and this is tried again at every heartbeat",
                    writing_failed(self.folder, error),
                )
            self._failing = True
        else:
            if self._failing:
                console_logger().info("%s: written again, nothing is missing", self.dir)
            self._failing = False

    def _find_folder(self) -> None:
        """Make the run's folder again if someone has removed it, but not what it lies in: that may be unmounted."""
        if not self.folder.is_dir():
            self.folder.mkdir()
            self.save_json(self.config, "config.json")
            self._pace = Throttle()

    def _append_info(self) -> None:
        if self._journal is not None:
            self._journal.append(self.info or {})

    def _write_numbers(self) -> None:
        if self.info:
            write_lines(self.folder / INFO, info_lines(self.info))
        metrics = {name: metric.read() for name, metric in self._metrics.items()}
        write_lines(self.folder / "metrics.json", object_lines(metrics))


class Metric:
    """The measurements of one name, as sacred's metrics.json has them. Times are kept as whole microseconds."""

    EPOCH, MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.values: list[Any] = []
        self._times = array("q")

    def add(self, new: Mapping[str, list[Any]]) -> None:
        """Add sacred's new measurements."""
        self.steps += new["steps"]
        self.values += new["values"]
        self._times.extend((moment - self.EPOCH) // self.MICROSECOND for moment in new["timestamps"])

    def read(self) -> dict[str, list[Any]]:
        """Return what metrics.json holds."""
        times = np.array(self._times, "M8[us]").astype(str).tolist()
        times = [time.removesuffix(".000000") for time in times]  # as datetime.isoformat has it
        return {"steps": self.steps, "timestamps": times, "values": self.values}


def mongo_observer(url: str, db_name: str) -> Any:
    """Return sacred's MongoObserver. UserError if pymongo is missing or the server does not answer."""
    try:
        import pymongo
        from sacred.observers import MongoObserver

        pymongo.MongoClient(url, serverSelectionTimeoutMS=3000).server_info()
        return MongoObserver(url=url, db_name=db_name)
    except ImportError as error:
        raise UserError("mongo_url needs the package pymongo; `pip install pymongo`") from error
    except Exception as error:
        raise UserError(
            f"mongo_url={redacted(url)!r}: no MongoDB answers there ({redacted(str(error))}); "
            f"start it or leave mongo_url out"
        ) from error
