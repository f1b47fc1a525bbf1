"""The progress line, on a terminal of 80 columns."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
from contextlib import suppress

from pymarl.utils.progress import Progress, duration


class Clock:
    """A time that passes when it is told to, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def watched(total: int, steps: list[int], numbers: dict[str, str]) -> list[str]:
    """Return what a terminal of 80 columns is told where each number of steps is reached 100 seconds after the last."""
    clock = Clock()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        line = Progress(total, initial=steps[0], terminal=terminal)
        line._line._time = clock
        line._line.start_t = line._line.last_print_t = clock.now
        for t_env in steps[1:]:
            clock.now += 100
            line.update(t_env, numbers)
        line.close()
    said = b""
    with suppress(OSError):  # so it ends: nobody holds the other side any more
        while part := os.read(master, 1 << 16):
            said += part
    os.close(master)
    return [part for part in re.split(r"[\r\n]+", said.decode()) if part.strip()]


def test_the_line_says_how_long_how_good_and_how_fast() -> None:
    seen = watched(2_000_000, [0, 100_000, 200_000], {"won": "47%", "return": "12.34"})
    assert seen[0].startswith("  0% ")
    assert "starting" in seen[0]
    # 100,000 steps in 100 s: 1.8 million more take 1,800 s.
    assert re.fullmatch(r" 10% \S+ +200k/2.00M · 30 min left · 1.00k/s · won 47% · return 12.34", seen[2])


def test_the_last_line_says_that_it_is_done() -> None:
    seen = watched(1_000_000, [0, 500_000, 1_000_500], {})
    assert "100 s left" in seen[1] or "2 min left" in seen[1]
    assert " · done" in seen[-1]


def test_the_longest_line_fits_80_columns() -> None:
    numbers = {"won": "100%", "return": "-123.45"}
    seen = watched(10_050_000, [0, 234_567], numbers)
    assert "1 h 10 min left" in seen[1]
    assert seen[1].endswith("· return -123.45")
    assert max(map(len, seen)) <= 80


def test_a_resumed_run_counts_its_own_steps() -> None:
    seen = watched(1_000_000, [900_000, 950_000], {})
    assert re.fullmatch(r" 95% \S+ +950k/1.00M · 100 s left · 500/s|.*· 2 min left · 500/s", seen[1])


def test_it_is_silent_where_nobody_watches() -> None:
    file = io.StringIO()
    line = Progress(100, terminal=file)
    line.update(50, {"won": "1%"})
    line.close()
    assert file.getvalue() == ""


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 89, 90, 3540, 3570, 7500)] == [
        "0 s", "89 s", "2 min", "59 min", "1 h 00 min", "2 h 05 min",
    ]  # fmt: skip
