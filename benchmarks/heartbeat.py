"""CPU time of a heartbeat of the run folder against the length of the run, beside the way it was before.

    python benchmarks/heartbeat.py
    python benchmarks/heartbeat.py --entries 1000,20000 --keys 40 --rounds 5

Before: info.json and metrics.json were written whole at each beat, through jsonpickle and json with indentation. Each
way keeps a run of its own, with a history of so many entries for each key; they take turns, beat by beat, and each beat
has --new entries of each key. Columns: beat is what a heartbeat costs now (info.jsonl, cout.txt, run.json), whole what
it costs to write info.json and metrics.json, which is done after 100 times as long at the earliest; share is both
together, at one beat in ten seconds, as a part of one core; before is the old beat, and before/now the ratio of the
shares. All are medians, of process CPU time.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from sacred.observers import FileStorageObserver
from sacred.serializer import flatten

from pymarl.utils.files import write_text
from pymarl.utils.observers import RunFolder, Throttle

BEAT_SECONDS = 10


class Before(FileStorageObserver):
    """The run folder of 93e4e79."""

    def save_json(self, obj: Any, filename: str) -> None:
        write_text(Path(self.dir) / filename, json.dumps(flatten(obj), sort_keys=True, indent=2))

    def heartbeat_event(self, info: Any, captured_out: str, beat_time: datetime, result: Any) -> None:
        info = {key: list(value) if isinstance(value, list) else value for key, value in list(info.items())}
        super().heartbeat_event(info, captured_out, beat_time, result)


class Life:
    """A run that logs numbers, and its observer."""

    def __init__(self, observer: Any, keys: int) -> None:
        self.observer, self.names, self.t = observer, [f"statistic_{k}_mean" for k in range(keys)], 0
        self.info: dict[str, list[Any]] = {}
        sources = {"base_dir": ".", "sources": [], "name": "pymarl"}
        observer.started_event(sources, "main", {"hostname": "here"}, datetime.now(), {"seed": 1}, {}, None)

    def beat(self, new: int) -> float:
        """Log `new` entries of each key and beat; return the beat's CPU seconds."""
        metrics = {}
        for name in self.names:
            steps, values = [self.t + k for k in range(new)], [math.sin(self.t + k) for k in range(new)]
            self.info.setdefault(f"{name}_T", []).extend(steps)
            self.info.setdefault(name, []).extend(values)
            metrics[name] = {"steps": steps, "values": values, "timestamps": [datetime.now() for _ in range(new)]}
        self.t += new
        return cpu_seconds(lambda: self._beat(metrics))

    def _beat(self, metrics: Any) -> None:
        self.observer.log_metrics(metrics, self.info)
        self.observer.heartbeat_event(self.info, "", datetime.now(), None)


def cpu_seconds(call: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def measure(folder: Path, entries: int, options: argparse.Namespace) -> tuple[float, float, float]:
    """Return the CPU seconds of a beat, of writing the whole files, and of a beat as it was before."""
    observer = RunFolder(folder / "now")
    now, before = Life(observer, options.keys), Life(Before(str(folder / "before")), options.keys)
    for life in (now, before):
        life.beat(entries)  # the history
    beats, wholes, olds = [], [], []
    for number in range(options.rounds):
        observer._pace._next = math.inf
        beats.append(now.beat(options.new))
        wholes.append(cpu_seconds(observer._write_numbers))
        if number < options.rounds_before:
            olds.append(before.beat(options.new))
    now.observer.completed_event(datetime.now(), None)
    return statistics.median(beats), statistics.median(wholes), statistics.median(olds)


def main() -> None:
    """Print a row for each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", default="1000,20000,200000", help="lengths of the history")
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--new", type=int, default=5, help="entries of each key in a beat")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rounds-before", type=int, default=2, help="of the old way, which takes minutes")
    options = parser.parse_args()
    print(f"{'entries':>8} {'beat':>10} {'whole':>10} {'share':>8} {'before':>10} {'share':>8} {'before/now':>10}")
    for entries in map(int, options.entries.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            beat, whole, old = measure(Path(folder), entries, options)
        share = (beat + whole / max(1, Throttle.RATIO * whole / BEAT_SECONDS)) / BEAT_SECONDS
        print(f"{entries:>8} {beat * 1e3:>7.1f} ms {whole:>8.2f} s {share:>8.2%} {old:>8.2f} s "
              f"{old / BEAT_SECONDS:>8.1%} {old / BEAT_SECONDS / share:>10.0f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
