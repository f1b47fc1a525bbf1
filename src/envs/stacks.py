"""Where the Python code of a process stands, asked from outside: also while it is in C code that never returns."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import time
import traceback

from pymarl.utils.errors import where

DUMP_SIGNAL = signal.SIGUSR1
"""Makes a process that called `dump_on_signal` write its stack."""

_SECONDS = 1.0
"""How long that may take."""

_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)


def dump_on_signal(stacks: int) -> None:
    """Write this process's stack to the file of this descriptor at each DUMP_SIGNAL, in its signal handler."""
    os.set_inheritable(stacks, False)
    faulthandler.register(DUMP_SIGNAL, stacks, all_threads=False)


def stack_of(process: int, stacks: int) -> str:
    """Return where a process stands as the lines of a traceback; "" if it does not say."""
    before = os.fstat(stacks).st_size
    os.kill(process, DUMP_SIGNAL)
    text, deadline = b"", time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.05)
        more = os.pread(stacks, 1 << 16, before)
        if more and more == text:  # and nothing has come for a while
            break
        text = more
    frames = [
        traceback.FrameSummary(file, int(line), name)
        for file, line, name in reversed(_FRAME.findall(text.decode(errors="replace")))
        if file != "<string>"  # what a process of ours is started with
    ]
    return where(frames)
