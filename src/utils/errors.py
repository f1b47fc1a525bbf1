"""The one exception that means: the user can mend this."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_OURS = (str(Path(__file__).resolve().parents[1]) + os.sep, "<frozen ", str(importlib.__file__))

LONGEST = 200
"""Letters of a name that are compared: longer ones are near to nothing, and take long to find that out."""


class UserError(Exception):
    """Bad input. The message is one line: what was given, what was expected and how to mend it.

    `main` prints it without a traceback and exits with code 1.

    Args:
        message: the line.
        details: lines to print below it, such as where in the user's own module it happened.
    """

    def __init__(self, message: str = "", details: str = "") -> None:
        super().__init__(message)
        self.details = details.rstrip()
        if self.details:
            self.add_note(self.details)  # a record of the whole traceback has them too


LONGEST_LINE = 1000


def short_line(text: str) -> str:
    """Return a message in one line; the midst of a very long one, which is a value's, is left out."""
    line = " ".join(text.splitlines())
    cut = len(line) - LONGEST_LINE
    if cut <= 0:
        return line
    return f"{line[: LONGEST_LINE // 2]} [... {cut:,} letters ...] {line[-LONGEST_LINE // 2 :]}"


def refuse(error: Exception) -> int:
    """Print in one line what the user can mend; return the exit code of that, 1."""
    print(f"error: {short_line(str(error))}", file=sys.stderr)
    return 1


def message_line(error: BaseException) -> str:
    """Return an exception's message in one line, its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def one_line(error: BaseException) -> str:
    """Return an exception as its type and message, in one line."""
    kind, message = type(error).__name__, message_line(error)
    return kind if message == kind else f"{kind}: {message}"


def one_line_with_place(error: BaseException) -> str:
    """Return `one_line`, and where other code than ours raised it: "ValueError: no (their.py, line 7)"."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, SyntaxError) or frame.filename.startswith(_OURS):
        return one_line(error)
    return f"{one_line(error)} ({Path(frame.filename).name}, line {frame.lineno})"


def users_frames(frames: Iterable[traceback.FrameSummary]) -> traceback.StackSummary:
    """Return the frames that are not ours, neither of this source tree nor of Python's import system, from the user's
    own code on; all of these where no code of his is among them.
    """
    theirs = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    first = next((number for number, frame in enumerate(theirs) if is_users(frame.filename)), 0)
    return traceback.StackSummary.from_list(theirs[first:])


def is_users(file: str) -> bool:
    """Return whether a source file is the user's own: neither ours nor Python's nor a package's."""
    return not file.startswith((*_OURS, *_LIBRARIES, "<"))


def where(frames: Iterable[traceback.FrameSummary]) -> str:
    """Return the lines of a traceback for these frames, without ours unless there are no others."""
    frames = list(frames)
    return "".join((users_frames(frames) or traceback.StackSummary.from_list(frames)).format())


def users_lines(error: BaseException) -> str:
    """Return an exception's traceback, and that of what led to it, without our frames; whole if all are ours."""
    told = traceback.TracebackException.from_exception(error)
    parts = [told]
    while (cause := parts[-1].__cause__ or parts[-1].__context__) is not None:
        parts.append(cause)
    theirs = [users_frames(part.stack) for part in parts]
    if any(theirs) or isinstance(error, SyntaxError):  # whose lines are in the message
        for part, stack in zip(parts, theirs, strict=True):
            part.stack = stack
    return "".join(line for line in told.format() if not line.startswith("Traceback "))


def users_fault(error: BaseException) -> UserError | None:
    """Return an exception that came out of a user's own code as a UserError with his lines; None if it did not."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(frames) if is_users(frame.filename)), None)
    if last is None:
        return None
    lines = [*users_frames(frames).format(), *traceback.format_exception_only(error)]
    place = f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"
    return UserError(f"your own code failed: {place}: {one_line(error)}", "".join(lines))


def closest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the known name nearest to `name`, or "" if none is near."""
    names = {str(other).lower(): str(other) for other in known}
    match = difflib.get_close_matches(str(name)[:LONGEST].lower(), names, n=1)
    return f"; did you mean {names[match[0]]!r}?" if match else ""
