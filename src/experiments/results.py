"""What runs have come to, whoever played them: the run folders of ours, of PyMARL, PyMARL2 and EPyMARL as one kind."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pymarl.experiments.origins import EPYMARL, OURS, origin_of, stamp_of
from pymarl.experiments.plan import key_of
from pymarl.utils.checkpoint import RUNS_FILE, runs_of
from pymarl.utils.errors import UserError, short_line
from pymarl.utils.evaluations import Evaluation, read_evaluations
from pymarl.utils.files import read_object
from pymarl.utils.info import EXPECTED, INFO, JOURNAL, number_of, read_info
from pymarl.utils.runs import DIED, FOR_EPYMARL, Record, dotted, read_record, token_of

PREFIX, SUFFIX = "test_", "_mean"
NAMES = {"won": "battle_won", "length": "ep_length"}
"""What evaluations.jsonl calls a number -> what info.json calls it, test_<name>_mean."""

Array = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Curve:
    """One number of all tests of a run.

    Attributes:
        t: [K] env steps, rising: the multiple of test_interval where it is known, else those at which it was tested.
        values: K arrays, of each test's episodes; of their mean alone where no more is known.
        seconds: [K] wall clock of training until then; None where it is not known of all tests.
    """

    t: NDArray[np.int64]
    values: list[Array]
    seconds: Array | None


@dataclass(frozen=True)
class Result:
    """A training run, of one piece or of several that were resumed.

    Attributes:
        method: `name` of its config.
        env: of its config.
        scenario: map, or key of the env, or the env.
        seed: of its config.
        folder: of its newest piece.
        origin: "pymarl" (ours), "pymarl2", "epymarl", or "pymarl1": the PyMARL of 2019.
        config: its keys, those of env_args as "env_args.<key>".
        status: RUNNING, COMPLETED, INTERRUPTED, FAILED, DIED; "" if the folder does not say.
        curves: of its tests, by the names of info.json without "test_" and "_mean": "return", "battle_won". Empty
            where it has not been tested yet.
        absolute: numbers per episode of the "best" and the "last" checkpoint, by the same names; {} where not played.
        stamp: what it says of where it was played: see `origins.stamp_of`.
        wall_seconds: of all its pieces; None if they do not say.
    """

    method: str
    env: str
    scenario: str
    seed: int
    folder: Path
    origin: str
    config: dict[str, Any]
    status: str
    curves: dict[str, Curve]
    absolute: dict[str, dict[str, Array]]
    stamp: dict[str, Any]
    wall_seconds: float | None

    @property
    def last(self) -> int:
        """Env steps of its last test; -1 if there is none."""
        return max((int(curve.t[-1]) for curve in self.curves.values()), default=-1)


def say(line: str) -> None:
    """Tell a user what was left out."""
    print(f"warning: {line}", file=sys.stderr)


def load_results(folders: Sequence[Path], warn: Callable[[str], None] = say) -> list[Result]:
    """Return the training runs under some folders, of one seed one: evaluations of a checkpoint are none.

    Args:
        folders: of a run, of many runs (results, results/sacred/3m), or of a run's checkpoints, results/models/<token>.
        warn: is told, in a line each, of runs that are left out: they cannot be read, or another has their config and
            seed.

    Returns:
        In the order of scenario, method, seed.

    Raises:
        UserError: one of the folders does not exist.
    """
    pieces: list[_Piece] = []
    for folder in run_folders(folders):
        try:
            piece = _read(folder)
        except (UserError, OSError) as error:
            warn(f"left out: {short_line(str(error))}")
            continue
        if piece is not None:
            pieces.append(piece)
    results = [_joined(same) for same in _grouped(pieces, lambda piece: (piece.token, piece.key))]
    kept = []
    for twins in _grouped(results, lambda result: (result.origin, key_of(result.config))):
        kept.append(max(twins, key=lambda result: (result.last, result.status == "COMPLETED")))
        for twin in twins:
            if twin is not kept[-1]:
                warn(f"left out: {twin.folder}: {kept[-1].folder} has its config and seed")
    return sorted(kept, key=lambda each: (each.env, each.scenario, each.method, each.origin, each.seed))


def _grouped(items: Sequence[T], key: Callable[[T], Any]) -> list[list[T]]:
    groups: dict[Any, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def run_folders(folders: Sequence[Path]) -> list[Path]:
    """Return the run folders that are or lie under some folders, each once. UserError if one does not exist."""
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected one of runs, such as results/sacred")
        for place, names, files in os.walk(folder.resolve(), followlinks=True):
            if "config.json" in files and {"run.json", INFO, JOURNAL}.intersection(files):
                found[Path(place)] = None
                names.clear()
            elif RUNS_FILE in files and Path(place) == folder.resolve():
                found |= dict.fromkeys(_of_token(folder))
            names[:] = sorted(name for name in names if name != "_sources")
    return list(found)


def _of_token(token: Path) -> Iterator[Path]:
    """Yield the runs that have written to a folder of checkpoints and are still there."""
    for entry in runs_of(token) or []:
        if isinstance(entry, dict) and entry.get("run") and (folder := Path(str(entry["run"]))).is_dir():
            yield folder.resolve()


@dataclass(frozen=True)
class _Piece:
    """What one folder says of a run."""

    result: Result
    token: str
    key: str
    started: str


def _joined(pieces: Sequence[_Piece]) -> Result:
    """Return one training: its newest folder that has numbers, which are those of the older ones, too."""
    newest = max(pieces, key=lambda piece: (bool(piece.result.curves), piece.started)).result
    spent = [piece.result.wall_seconds for piece in pieces if piece.result.wall_seconds is not None]
    known = [curve.seconds[-1] for curve in newest.curves.values() if curve.seconds is not None]
    return replace(newest, wall_seconds=max(sum(spent), *known) if known else sum(spent) if spent else None)


def _read(folder: Path) -> _Piece | None:
    """Return what a folder holds; None if it is of no training run. UserError if it is broken."""
    record = read_record(folder)
    config = {key: value for key, value in record.config.items() if key != "__doc__"}
    if config.get("evaluate") or config.get("save_replay"):
        return None
    origin = origin_of(record)
    flat = dotted(config)
    if origin == EPYMARL:  # whose envs are told
        flat |= {f"env_args.{key}": config[key] for key in FOR_EPYMARL if key in config}
    missing = [key for key in ("name", "env", "seed") if key not in flat]
    if missing or not isinstance(flat["seed"], int):
        raise UserError(f"{folder}/config.json: no {missing[0] if missing else 'whole number as seed'}; {EXPECTED}")
    started = str(record.run.get("start_time", ""))
    ended = record.run.get("stop_time") or record.run.get("heartbeat")
    tests = read_evaluations(folder)
    result = Result(
        method=str(flat["name"]), env=str(flat["env"]), seed=flat["seed"], folder=folder, origin=origin, config=flat,
        scenario=str(flat.get("env_args.map_name") or flat.get("env_args.key") or flat["env"]),
        status=DIED if record.dead() else record.status, curves=_curves(record, tests, started),
        absolute={test.of: _episodes(test) for test in tests if test.of != "training"},
        stamp=stamp_of(record), wall_seconds=_between(started, ended),
    )  # fmt: skip
    token = token_of(record) if origin == OURS else None
    return _Piece(result, str(token or folder), key_of(config), started)


def _between(started: Any, ended: Any) -> float | None:
    """Return the seconds between two times as sacred writes them; None if one is missing."""
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except (TypeError, ValueError):
        return None


def _episodes(test: Evaluation) -> dict[str, Array]:
    """Return a test's numbers by the names of info.json, without what is no number."""
    found = {}
    for name, values in test.episodes.items():
        numbers = np.array([number_of(value) for value in values])
        if name != "seed" and np.isfinite(numbers).any():
            found[NAMES.get(name, name)] = numbers[np.isfinite(numbers)]
    return found


def _curves(record: Record, tests: Sequence[Evaluation], started: str) -> dict[str, Curve]:
    """Return the curves of a folder: of its evaluations, and of info.json for the tests that these do not have."""
    written = any((record.folder / name).is_file() for name in (INFO, JOURNAL))
    info = read_info(record.folder) if written else {}
    at = {test.t_env: test.at for test in tests if test.of == "training"}
    points: dict[str, dict[int, Array]] = {}
    for key, values in info.items():
        if key.startswith(PREFIX) and key.endswith(SUFFIX) and isinstance(info.get(f"{key}_T"), list):
            name = key.removeprefix(PREFIX).removesuffix(SUFFIX)
            for t, value in zip(map(number_of, info[f"{key}_T"]), map(number_of, values), strict=True):
                if math.isfinite(t) and math.isfinite(value):
                    points.setdefault(name, {})[int(t)] = np.array([value])
    for test in tests:
        if test.of == "training":
            for name, numbers in _episodes(test).items():
                points.setdefault(name, {})[test.t_env] = numbers
    seconds = {test.t_env: test.seconds for test in tests if test.of == "training"}
    if any(t not in seconds for t in points.get("return", {})):
        seconds = _seconds(record.folder, started) | seconds
    return {name: _curve(of_name, at, seconds) for name, of_name in points.items()}


def _curve(points: Mapping[int, Array], at: Mapping[int, int], seconds: Mapping[int, float]) -> Curve:
    steps = sorted(points)
    known = all(t in seconds for t in steps)
    return Curve(
        t=np.array([at.get(t, t) for t in steps], np.int64),
        values=[points[t] for t in steps],
        seconds=np.array([seconds[t] for t in steps]) if known else None,
    )


def _seconds(folder: Path, started: str) -> dict[int, float]:
    """Return after how many seconds the tests were, by env steps, as metrics.json says (PyMARL2's is empty)."""
    path = folder / "metrics.json"
    metric = read_object(path, EXPECTED).get(f"{PREFIX}return{SUFFIX}") if path.is_file() else None
    if not isinstance(metric, Mapping):
        return {}
    pairs = zip(metric.get("steps", ()), metric.get("timestamps", ()), strict=False)
    spent = ((int(number_of(t)), _between(started, moment)) for t, moment in pairs if math.isfinite(number_of(t)))
    return {t: seconds for t, seconds in spent if seconds is not None}
