"""What a value of a config may be: plain data of a sensible size, which JSON, sacred and MongoDB can hold."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

LARGEST_INT = 2**63 - 1
MOST_ITEMS, DEEPEST = 100_000, 30


class _Short(reprlib.Repr):
    """repr, cut where it would fill the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 160
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = 12
        self.maxlevel = 4

    def repr_int(self, value: int, level: int) -> str:
        """Return the digits, or how many there are: Python refuses to write thousands of them."""
        if abs(value) <= LARGEST_INT:
            return repr(value)
        digits = int((abs(value).bit_length() - 1) * math.log10(2)) + 1  # or one more
        return f"<int of {digits + (abs(value) >= 10**digits)} digits>"


_SHORT = _Short()


def shown(value: Any) -> str:
    """Return a value as it is written in messages: its repr, cut if it is long, in one line."""
    text = _SHORT.repr(value)
    return " ".join(text.split()) if "\n" in text else text  # arrays have lines


def kind_of(value: Any) -> str:
    """Return what a value is: "None", "a list", "an int"."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def fault(value: Any) -> str | None:
    """Return what keeps a value out of a config, or None: "a value of type set". Stops at the first that it finds."""
    stack: list[tuple[Any, int]] = [(value, 0)]
    items = 0
    while stack:
        item, depth = stack.pop()
        items += 1
        if depth > DEEPEST:
            return f"lists or mappings nested more than {DEEPEST} deep"
        if items > MOST_ITEMS:
            return f"more than {MOST_ITEMS} items"
        if isinstance(item, Mapping):
            for key in item:
                if wrong := _key_fault(key):
                    return wrong
            stack += [(inner, depth + 1) for inner in item.values()]
        elif isinstance(item, (list, tuple)):
            stack += [(inner, depth + 1) for inner in item]
        elif wrong := _scalar_fault(item):
            return wrong
    return None


def _scalar_fault(item: Any) -> str | None:
    if isinstance(item, str):
        try:
            item.encode("utf-8")
        except UnicodeEncodeError:
            return "text that is not UTF-8"
    elif isinstance(item, float):
        return None if math.isfinite(item) else f"{item}; numbers must be finite"
    elif isinstance(item, int):  # bool is an int
        return None if abs(item) <= LARGEST_INT else f"{shown(item)}; whole numbers must be below 2**63"
    elif item is not None:
        instead = {"set": "; write a list", "frozenset": "; write a list", "bytes": "; write text"}
        kind = type(item).__name__
        return f"a value of type {kind}, which a config cannot hold{instead.get(kind, '')}"
    return None


def _key_fault(key: Any) -> str | None:
    """Keys that sacred would refuse: it writes configs with jsonpickle, and to MongoDB."""
    if not isinstance(key, str):
        return f"the key {shown(key)} of type {type(key).__name__}; keys are text: write {shown(str(shown(key)))}"
    if wrong := _scalar_fault(key):
        return f"a key that is {wrong}"
    if not key or "." in key or key.startswith(("$", "py/", "json://")):
        return f"the key {shown(key)}; keys are not empty, hold no '.' and do not begin with '$', 'py/' or 'json://'"
    return None
