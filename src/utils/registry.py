"""Names to classes, imported on use."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from pymarl.utils.errors import UserError, closest, one_line, users_lines
from pymarl.utils.packages import missing_module


class Registry(Mapping[str, Any]):
    """Maps a name in a YAML file to the object that it stands for.

    Entries are written "module:attribute" and imported when they are first asked for, so that a heavy or missing
    optional package costs nothing until somebody names it. A name of the form "module:Class" that is not an entry is
    imported as it stands: a user's own component needs no edit here.

    Args:
        kind: what the entries are, for error messages ("mixer", "env").
        entries: name -> "module:attribute".
        holds: what a user's own must be an instance of.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], holds: type = type) -> None:
        self.kind, self._holds = kind, holds
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
        if name in self._entries:
            module_name, _, attribute = self._entries[name].partition(":")
        else:
            module_name, attribute = self._split(name)
        module = self._import(name, module_name)
        if not hasattr(module, attribute):
            raise UserError(
                f"{self.kind} {name!r}: module {module_name!r} has no {attribute!r}{closest(attribute, vars(module))}"
            )
        value = getattr(module, attribute)
        if name not in self._entries and not isinstance(value, self._holds):
            expected = "class" if self._holds is type else "function"
            raise UserError(f"{self.kind} {name!r}: expected a {expected}, {attribute!r} is a {type(value).__name__}")
        return value

    def _split(self, name: str) -> tuple[str, str]:
        """Return module and attribute of a user's own. UserError if it is not "module:Class"."""
        if ":" not in name:
            known = ", ".join(self._entries)
            raise UserError(
                f"unknown {self.kind} {name!r}{closest(name, self._entries)} "
                f"(known: {known}; or your own as 'module:Class')"
            )
        module_name, _, attribute = name.partition(":")
        if not (all(part.isidentifier() for part in module_name.split(".")) and attribute.isidentifier()):
            raise UserError(
                f"{self.kind} {name!r}: expected 'module:Class', a module as in `import module` and a class in it; "
                f"or one of {', '.join(self._entries)}"
            )
        return module_name, attribute

    def _import(self, name: str, module_name: str) -> ModuleType:
        """Import the module that a name stands for. UserError, with the user's own lines, if that fails."""
        try:
            return importlib.import_module(module_name)
        except UserError:
            raise
        except ModuleNotFoundError as error:
            raise self._missing(name, module_name, error) from error
        except SystemExit as error:
            raise UserError(
                f"{self.kind} {name!r}: module {module_name!r} ends the program when it is imported "
                f"(sys.exit({error.code!r})); put that below `if __name__ == '__main__':`",
                users_lines(error),
            ) from error
        except Exception as error:
            raise UserError(
                f"{self.kind} {name!r}: module {module_name!r} cannot be imported: {one_line(error)}",
                users_lines(error),
            ) from error

    def _missing(self, name: str, module_name: str, error: ModuleNotFoundError) -> Exception:
        """Return what to raise for a module that is not there: the named one, or one that it imports."""
        missing = error.name or ""
        named = f"{module_name}.".startswith(f"{missing}.")
        if named and name in self._entries:
            return error  # a fault in our own tree, not a missing package
        if missing:
            problem = f" needs {missing_module(missing)}"
        else:  # raised by hand
            problem = f": module {module_name!r} cannot be imported: {one_line(error)}"
        lines = "" if named or name in self._entries else users_lines(error)
        return UserError(f"{self.kind} {name!r}{problem}", lines)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
