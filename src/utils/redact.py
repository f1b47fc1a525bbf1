"""Passwords in URLs, which are used but never written."""

from __future__ import annotations

import re
from typing import Any

PASSWORD = re.compile(r"(?P<before>\b[\w+.-]+://[^\s/:@]*:)\S*(?=@)|(?P<option>[?&]\w*password=)[^&\s]*", re.IGNORECASE)


def redacted(value: Any) -> Any:
    """Return a value with every URL's password, and those among its options, replaced by ***."""
    if isinstance(value, str):
        return PASSWORD.sub(lambda match: f"{match['before'] or match['option']}***", value)
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    return [redacted(item) for item in value] if isinstance(value, (list, tuple)) else value
