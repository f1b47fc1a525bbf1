"""Numbers of a run: sacred's info.json and metrics, TensorBoard, and the table on the console."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from tqdm import tqdm

from pymarl.utils.tracking.files import Files

# Statistics of the machine, not of the experiment: two equal runs differ in these only.
WALL_CLOCK_KEYS = frozenset({"steps_per_s", "steps_per_s_collect", "steps_per_s_test", "updates_per_s", "memory_gib"})

Sink = Callable[[str, float, int], None]
"""Takes a statistic's name, its value and its env steps."""


class _ConsoleHandler(logging.Handler):
    """Writes records above the progress bar, so that they do not tear it."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the terminal may be gone, and a signal about to say so
            tqdm.write(self.format(record), file=sys.stdout)


def console_logger() -> logging.Logger:
    """Return the logger that sacred hands to the run as `_log`."""
    logger = logging.getLogger("pymarl")
    if not logger.handlers:
        handler = _ConsoleHandler()
        handler.setFormatter(logging.Formatter("[%(levelname)s %(asctime)s] %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


class Logger:
    """Hands every number to the backends that were set up, under PyMARL's names.

    `log_stat("return_mean", 3.5, 1000)` appends 3.5 to `info["return_mean"]` and 1000 to `info["return_mean_T"]`.
    A backend that fails is reported once and left out from then on: it never stops a run.

    Args:
        console: sacred's `_log`.
    """

    WINDOW = 5  # values that the console table averages

    def __init__(self, console: logging.Logger) -> None:
        self.console_logger = console
        self.info: dict[str, Any] = {}
        self._sinks: dict[str, Sink] = {}
        self.keep_files: Callable[[Files], None] = lambda files: None
        self._recent: dict[str, deque[tuple[int, float]]] = {}
        self._not_finite: set[str] = set()

    def setup_sacred(self, run: Any) -> None:
        """Write to a sacred run's info.json and metrics.json; what was logged before (a resumed run) comes first."""
        run.info.update(self.info)
        self.info = run.info
        self._sinks["sacred"] = lambda key, value, t: run.log_scalar(key, value, t)

    def setup_sink(self, name: str, sink: Sink) -> None:
        """Hand every number to `sink`, too."""
        self._sinks[name] = sink

    def setup_keeper(self, keep: Callable[[Files], None]) -> None:
        """Hand files that are worth keeping to `keep`."""
        self.keep_files = keep

    def log_stat(self, key: str, value: float, t: int) -> None:
        """Log one number at env step `t`."""
        value = float(value)
        if not math.isfinite(value) and key not in self._not_finite:
            self._not_finite.add(key)
            self.console_logger.warning("%s is %s at t_env=%d; info.json holds null where it is", key, value, t)
        self._recent.setdefault(key, deque(maxlen=self.WINDOW)).append((t, value))
        self.info.setdefault(f"{key}_T", []).append(t)
        self.info.setdefault(key, []).append(value)
        for name, sink in list(self._sinks.items()):
            try:
                sink(key, value, t)
            except Exception as error:
                self._drop(name, error)

    def log_stats(self, stats: Mapping[str, float], t: int, prefix: str = "") -> None:
        """Log several numbers at env step `t`."""
        for key, value in stats.items():
            self.log_stat(prefix + key, value, t)

    def _drop(self, name: str, error: Exception) -> None:
        self._sinks.pop(name, None)
        self.console_logger.warning("%s is off from now on: %s: %s", name, type(error).__name__, error)

    def last(self, key: str) -> float | None:
        """Return the newest value of a statistic, or None."""
        return self._recent[key][-1][1] if key in self._recent else None

    def print_recent_stats(self, table: str = "full") -> None:
        """Print statistics, averaged over their last values (epsilon and counters: the last one), in groups.

        Args:
            table: "full": every one; "short": those of a glance, in a few lines; "off": none.
        """
        if table == "off":
            return
        t_env = max((values[-1][0] for values in self._recent.values()), default=0)
        title = f"Recent Stats | t_env: {t_env:>10} | Episode: {int(self.last('episode') or 0):>8}"
        groups = grouped(key for key in self._recent if key != "episode" and (table == "full" or at_a_glance(key)))
        width = max((len(key) for keys in groups for key in keys), default=0) + 1
        columns = max(1, (CONSOLE_WIDTH + 3) // (width + 14))
        rows = []
        for keys in groups:
            cells = [f"{f'{key}:':<{width}} {self._show(key):>10}" for key in keys]
            rows += ["   ".join(cells[i : i + columns]) for i in range(0, len(cells), columns)]
        self.console_logger.info("\n".join([title, *rows]))

    def _show(self, key: str) -> str:
        values = [value for _, value in self._recent[key]]
        if key in SPEEDS or key == "epsilon":
            values = values[-1:]
        return f"{sum(values) / len(values):.4f}"

    def state_dict(self) -> dict[str, Any]:
        """Return all that was logged (as JSON text) and the window of the console table."""
        recent = {key: list(values) for key, values in self._recent.items()}
        return {"info": json.dumps(self.info), "recent": json.dumps(recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. Call before `setup_sacred`."""
        self.info = json.loads(state["info"])
        recent = json.loads(state["recent"])
        self._recent = {key: deque(map(tuple, values), maxlen=self.WINDOW) for key, values in recent.items()}


CONSOLE_WIDTH = 80
HEADLINES = ("battle_won_mean", "return_mean")
SPEEDS = WALL_CLOCK_KEYS | {"gradient_steps", "env_restarts"}


def grouped(keys: Iterable[str]) -> list[list[str]]:
    """Return statistics in the order in which they are looked at, each group sorted.

    Won battles and returns, each test's beside training's; what else episodes come to; what learning does; speeds.
    """
    left = sorted(keys)
    headlines = [key for name in HEADLINES for key in (f"test_{name}", name) if key in left]
    # An episode's statistics are those that tests have, too, whatever an env calls them.
    episodes = [key for key in left if key.startswith(("test_", "absolute_")) or f"test_{key}" in left]
    speeds = [key for key in left if key in SPEEDS]
    taken = {*headlines, *episodes, *speeds}
    learning = [key for key in left if key not in taken]
    return [headlines, [key for key in episodes if key not in headlines], learning, speeds]


def at_a_glance(key: str) -> bool:
    """Tell whether a statistic is among the few that say how a run goes: won, return, losses, epsilon, speed."""
    of_episodes = key.removeprefix("test_") in HEADLINES
    return of_episodes or key in {"epsilon", "steps_per_s"} or "loss" in key.split("_")


OURS = frozenset({"return", "ep_length", "q_taken", "target"})
"""Whose mean has the name of a statistic of ours."""


def info_name(key: str) -> str:
    """Return what an entry of an env's info is called among our own statistics."""
    return f"env_{key}" if key in OURS or key.startswith("test_") else key


class EpisodeStats:
    """Collects episodes until they are logged: PyMARL's `return_mean`, `return_std` and `<key>_mean`.

    A key of an episode's info (such as battle_won) becomes its mean over the episodes; an episode without it counts 0.
    One that would be taken for ours, such as "return", becomes `env_return_mean`.
    """

    def __init__(self) -> None:
        self.returns: list[float] = []
        self.sums: dict[str, float] = {}

    def add(self, ret: float, length: int, info: Mapping[str, Any]) -> None:
        """Add an episode: its undiscounted return in env units, its number of steps, the info of its last step."""
        self.returns.append(ret)
        numbers = {info_name(str(key)): value for key, value in info.items() if isinstance(value, (bool, int, float))}
        for key, value in {**numbers, "ep_length": length}.items():
            self.sums[key] = self.sums.get(key, 0.0) + _as_float(value)

    def flush(self) -> dict[str, float]:
        """Return the statistics and start anew; {} if no episode was added."""
        count = len(self.returns)
        if count == 0:
            return {}
        try:
            mean = math.fsum(self.returns) / count
            spread = math.sqrt(math.fsum((ret - mean) ** 2 for ret in self.returns) / count)
        except (OverflowError, ValueError):  # infinite, or near it
            mean = spread = math.nan
        stats = {"return_mean": mean, "return_std": spread}
        stats.update({f"{key}_mean": total / count for key, total in self.sums.items()})
        self.returns, self.sums = [], {}
        return stats

    def state_dict(self) -> dict[str, Any]:
        """Return the episodes that are not logged yet."""
        return {"returns": list(self.returns), "sums": dict(self.sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.returns, self.sums = list(state["returns"]), dict(state["sums"])


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int of more than 308 digits
        return math.inf if value > 0 else -math.inf


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return aligned "key  value" lines."""
    listed = list(rows)
    width = max((len(key) for key, _ in listed), default=0)
    return "\n".join(f"{key:<{width}}  {value}" for key, value in listed)
