"""Passwords in URLs, which are used but never written."""

from __future__ import annotations

import re
from typing import Any

PASSWORD = re.compile(r"(?P<before>\b[\w+.-]+://[^\s/:@]*:)[^\s/]*(?=@)")


def redacted(value: Any) -> Any:
    """Return a value with the password of every URL in its texts replaced by ***."""
    if isinstance(value, str):
        return PASSWORD.sub(r"\g<before>***", value)
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    return [redacted(item) for item in value] if isinstance(value, (list, tuple)) else value
