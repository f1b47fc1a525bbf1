"""Names to classes, imported on use."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from utils.errors import UserError, closest


class Registry(Mapping[str, Any]):
    """Maps a name in a YAML file to the object that it stands for.

    Entries are written "module:attribute" and imported when they are first asked for, so that a heavy or missing
    optional package costs nothing until somebody names it. A name of the form "module:Class" that is not an entry is
    imported as it stands: a user's own component needs no edit here.

    Args:
        kind: what the entries are, for error messages ("mixer", "env").
        entries: name -> "module:attribute".
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries: dict[str, str] = {}
        for name, target in entries.items():
            self.register(name, target)

    def register(self, name: str, target: str) -> None:
        """Add an entry. Raises ValueError if the name is taken or the target is not "module:attribute"."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice: {self._entries[name]} and {target}")
        if target.count(":") != 1:
            raise ValueError(f"{self.kind} {name!r}: expected 'module:attribute', got {target!r}")
        self._entries[name] = target

    def __getitem__(self, name: str) -> Any:
        target = self._entries.get(name, name)
        if target.count(":") != 1:
            known = ", ".join(self._entries)
            raise UserError(
                f"unknown {self.kind} {name!r}{closest(name, self._entries)} "
                f"(known: {known}; or your own as 'module:Class')"
            )
        module_name, attribute = target.split(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            if target == self._entries.get(name) and missing == module_name.split(".")[0]:
                raise  # a fault in our own tree, not a missing package
            raise UserError(
                f"{self.kind} {name!r} needs the Python module {error.name!r}, which is not installed; "
                f"`pip install {missing}`, or put your own module on PYTHONPATH"
            ) from error
        if not hasattr(module, attribute):
            raise UserError(
                f"{self.kind} {name!r}: module {module_name!r} has no {attribute!r}{closest(attribute, vars(module))}"
            )
        return getattr(module, attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
