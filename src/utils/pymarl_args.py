"""The `args` of PyMARL, for parts that were written for it and are used as they are."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from pymarl.utils.errors import UserError, closest, is_users, one_line, users_lines


class MissingKey(AttributeError):
    """A part reads a key that the run does not have."""


class Args(SimpleNamespace):
    """The run's keys and what PyMARL adds to them, as attributes; `getattr(args, key, default)` finds the default."""

    def __getattr__(self, key: str) -> Any:
        """Tell what is missing."""
        near = "" if key.startswith("_") else closest(key, vars(self))
        raise MissingKey(f"args.{key}: this run has no such key{near}; write {key}=VALUE in your YAML or after `with`")


def build_as_pymarl(key: str, theirs: type, args: Args, *before: Any) -> Any:
    """Return `theirs(*before, args)`, or `theirs()` of a class that takes nothing, as PyMARL's VDNMixer.

    Args:
        key: the config key that names the class.
        theirs: a class that was written for PyMARL.
        args: the run's keys.
        before: what PyMARL hands over before them.

    Raises:
        UserError: it cannot be built so, or reads a key that the run does not have.
    """
    try:
        return theirs(*before, args) if inspect.signature(theirs).parameters else theirs()
    except Exception as error:
        call = f"{theirs.__name__}({', '.join([*map(str, before), 'args'])})"
        raise UserError(
            f"{key}={vars(args)[key]!r} cannot be built as in PyMARL, {call}: {one_line(error)}", users_lines(error)
        ) from error


@cache
def args_read(theirs: type) -> frozenset[str]:
    """Return the keys that a class's module reads of `args`, and those of its user's modules that it imports from."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [inspect.getmodule(theirs)]
    while waiting:
        module = waiting.pop()
        file = None if module is None else vars(module).get("__file__")
        if module is None or file is None or file in seen or not is_users(file):
            continue
        seen.add(file)
        found.update(_read_in(Path(file)))
        waiting += [each if isinstance(each, ModuleType) else inspect.getmodule(each)
                    for each in vars(module).values() if isinstance(each, ModuleType) or callable(each)]  # fmt: skip
    return frozenset(found)


def _read_in(file: Path) -> Iterator[str]:
    """Yield every key in args.key, self.args.key, getattr(args, "key") and hasattr(args, "key") of a file."""
    if file.suffix != ".py":
        return
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and _is_args(node.value):
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            match node.args:
                case [of, ast.Constant(value=key), *_] if _is_args(of):
                    yield str(key)


def _is_args(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name == "args"
