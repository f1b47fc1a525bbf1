"""The one exception that means: the user can mend this."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 200
"""Letters of a name that are compared: longer ones are near to nothing, and take long to find that out."""


class UserError(Exception):
    """Bad input. The message is one line: what was given, what was expected and how to mend it.

    `main` prints it without a traceback and exits with code 1.
    """


def closest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the known name nearest to `name`, or "" if none is near."""
    names = {str(other).lower(): str(other) for other in known}
    match = difflib.get_close_matches(str(name)[:LONGEST].lower(), names, n=1)
    return f"; did you mean {names[match[0]]!r}?" if match else ""
