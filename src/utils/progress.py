"""The progress line of a run; silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from tqdm import tqdm


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


class _Line(tqdm):
    """tqdm with the time left as a person says it, and a place for our numbers before those that may be cut off."""

    numbers = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the line is made of."""
        values = dict(super().format_dict)
        rate = values["rate"]  # None before the first steps
        to_do = max(values["total"] - values["n"], 0)
        left = "done" if not to_do else f"{duration(to_do / rate)} left" if rate else "starting"
        speed = f" · {tqdm.format_sizeof(rate)}/s" if rate else ""
        return values | {"left": left, "speed": speed, "numbers": self.numbers}


class Progress:
    """Env steps done, time left, env steps per second and a few numbers, in one line of 80 columns.

    On a terminal alone; elsewhere the log lines must do.

    Args:
        total: env steps at the end.
        initial: env steps done before (a resumed run).
        terminal: where to; None: the terminal, if there is one.
    """

    def __init__(self, total: int, initial: int = 0, terminal: IO[str] | None = None) -> None:
        terminal = terminal or sys.__stderr__  # not sys.stderr: sacred captures that into cout.txt
        self._line = _Line(
            total=total,
            initial=initial,
            unit_scale=True,
            dynamic_ncols=True,
            smoothing=0.1,
            bar_format="{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} · {left}{speed}{numbers}",
            file=terminal,
            disable=terminal is None or not terminal.isatty(),
        )

    def update(self, t_env: int, numbers: Mapping[str, str]) -> None:
        """Show that `t_env` env steps are done."""
        self._line.numbers = "".join(f" · {key} {value}" for key, value in numbers.items())
        with suppress(OSError):  # the terminal may be gone
            self._line.update(min(t_env, self._line.total or t_env) - self._line.n)

    def close(self) -> None:
        """Leave the line as it stands."""
        with suppress(OSError):
            self._line.close()
