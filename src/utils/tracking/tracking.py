"""All trackers of a run, as its Logger and its end see them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pymarl.utils.errors import one_line
from pymarl.utils.logging import Logger
from pymarl.utils.redact import redacted
from pymarl.utils.tracking.apart import FINISH_SECONDS, Apart
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Status, TrackedRun, Tracker, grouped


class Link(Protocol):
    """The way to a tracker that has started."""

    def history(self, numbers: dict[str, float], t_env: int) -> None:
        """Take what was logged before the run began, if the tracker has not got it."""

    def log(self, numbers: dict[str, float], t_env: int) -> None:
        """Take what is logged now."""

    def keep(self, files: Files) -> None:
        """Take files."""

    def finish(self, status: Status) -> None:
        """End the run, or ask for its end."""

    def await_end(self, deadline: float) -> None:
        """Wait for the end, until a time of time.monotonic."""


class Here:
    """A tracker in the run's own process."""

    def __init__(self, name: str, tracker: Tracker, run: TrackedRun, log: logging.Logger) -> None:
        started = tracker.start(run)
        log.info("%s: %s", name, started.where)
        self._has = started.has
        self.log, self.keep, self.finish = tracker.log, tracker.keep, tracker.finish

    def history(self, numbers: dict[str, float], t_env: int) -> None:
        """Take what was logged before the run began, if the tracker has not got it."""
        if t_env > self._has:
            self.log(numbers, t_env)

    def await_end(self, deadline: float) -> None:
        """Do nothing: `finish` has."""


class Tracking:
    """The trackers of a run. None of them can stop it, and none makes it wait.

    Args:
        trackers: by name; none of them has started.
        log: the console.
        keeps: hand over replays, and the networks when training is over.
    """

    def __init__(self, trackers: Mapping[str, Tracker], log: logging.Logger, *, keeps: bool) -> None:
        self._trackers, self._log, self._keeps = trackers, log, keeps
        self._links: dict[str, Link] = {}

    def start(self, run: TrackedRun, logger: Logger, outputs: Path | None) -> None:
        """Begin everywhere, with what was logged before (of a run that goes on), and take all that will be.

        Args:
            run: to begin or go on with.
            logger: hands numbers and files over from now on.
            outputs: folder for what trackers print, `<name>.log`; None: nowhere.
        """
        history = sorted(_history(logger.info), key=lambda entry: entry[2])
        for name, tracker in self._trackers.items():
            try:
                output = outputs and outputs / f"{name}.log"
                link = self._link(name, tracker, run, output)
                for key, value, t in history:
                    link.history({grouped(key): value}, t)
            except Exception as error:
                self._failed(name, error)
            else:
                self._links[name] = link
                logger.setup_sink(name, partial(_log, link))
        logger.setup_keeper(self.keep)

    def _link(self, name: str, tracker: Tracker, run: TrackedRun, output: Path | None) -> Link:
        if tracker.apart:
            return Apart(name, tracker, run, output, self._log)
        return Here(name, tracker, run, self._log)

    def _failed(self, name: str, error: Exception) -> None:
        self._links.pop(name, None)
        self._log.warning("%s is off from now on: %s", name, redacted(one_line(error)))

    def keep(self, files: Files) -> None:
        """Hand files over to those who want them."""
        if files.last and not self._keeps:
            return
        for name, link in list(self._links.items()):
            try:
                if self._trackers[name].wants(files):
                    link.keep(files)
            except Exception as error:
                self._failed(name, error)

    def finish(self, status: Status) -> None:
        """End the run everywhere; wait for what is not yet written or sent, two minutes at most or until Ctrl-C."""
        for name, link in list(self._links.items()):
            try:
                link.finish(status)
            except Exception as error:
                self._failed(name, error)
        deadline = time.monotonic() + FINISH_SECONDS
        for link in self._links.values():
            try:
                link.await_end(deadline)
            except KeyboardInterrupt:  # the run is over, and stays what it was
                deadline = time.monotonic()
        self._links = {}


def _log(link: Link, key: str, value: float, t: int) -> None:
    link.log({grouped(key): value}, t)


def _history(info: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    """Yield all numbers of info.json: name, value, env steps."""
    for key, values in info.items():
        if f"{key}_T" in info:
            yield from ((key, float(value), t) for value, t in zip(values, info[f"{key}_T"], strict=False))
