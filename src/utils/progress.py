"""The progress bar of a run; silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress

from tqdm import tqdm


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


class Progress:
    """Env steps done, steps per second, time left and a few numbers, on a terminal. Elsewhere the log lines must do.

    Args:
        total: env steps at the end.
        initial: env steps done before (a resumed run).
    """

    def __init__(self, total: int, initial: int = 0) -> None:
        terminal = sys.__stderr__
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit=" steps",
            unit_scale=True,
            dynamic_ncols=True,
            smoothing=0.1,
            file=terminal,  # not sys.stderr: sacred captures that into cout.txt
            disable=terminal is None or not terminal.isatty(),
        )

    def update(self, t_env: int, numbers: Mapping[str, float]) -> None:
        """Show that `t_env` env steps are done."""
        self._bar.set_postfix({key: f"{value:.2f}" for key, value in numbers.items()}, refresh=False)
        with suppress(OSError):  # the terminal may be gone
            self._bar.update(min(t_env, self._bar.total or t_env) - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        with suppress(OSError):
            self._bar.close()
