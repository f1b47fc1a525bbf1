"""What the system does for child processes."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # sys/prctl.h


def parent_death_signal(number: int) -> Callable[[], None]:
    """Return a function that makes the kernel send its caller's process a signal when the parent ends (Linux).

    The kernel means the parent's THREAD that started the process. A parent that has ended before the call sends
    nothing, so look at os.getppid() after it. All that the function needs is loaded here: it may be called between fork
    and exec. On other systems it does nothing.
    """
    if sys.platform != "linux":
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, number)
