"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math

NAMES = {"battle_won": "win rate", "return": "return", "ep_length": "episode length"}


def axis_name(metric: str, *, normalised: bool = False) -> str:
    """Return what to call a metric of the tests: "test win rate"."""
    return f"{'normalised ' if normalised else ''}test {NAMES.get(metric, metric.replace('_', ' '))}"


def amount(value: float) -> str:
    """Return a number of steps: "0", "2.5k", "1M"."""
    value = float(f"{value:.3g}")
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """Return a time in two units at most: "7.6 s", "3 min 20 s", "2 h 5 min"."""
    if not math.isfinite(seconds):
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != whole else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes and hours < 100 else f"{hours:,} h"
