"""YAML files read into frozen dataclasses; whatever is wrong in a file is reported with file and line."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pymarl.utils.config import check_value
from pymarl.utils.errors import UserError, closest, message_line
from pymarl.utils.layers import Loader, show

T = TypeVar("T")
Pairs = dict[str, tuple[yaml.Node, yaml.Node]]
"""Key -> (node of the key, node of the value) of a mapping."""


LARGEST_FILE = 2**20
MOST_VALUES = 20_000
"""In a file, with those that its aliases repeat; the largest table has some 2,000."""


WRONG_TAG = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises for a value that is not of its tag, such as `!!int ""`."""


def compose(path: Path) -> yaml.Node:
    """Return the root of a YAML file as nodes, which know their line. UserError if it cannot be read or is not YAML."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{show(path)}: more than {LARGEST_FILE >> 20} MiB; expected the keys of a map")
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=Loader)
    except RecursionError as error:
        raise UserError(f"{show(path)}: not YAML: brackets or lists nested too deep") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read {path}: {reason}") from error
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else message_line(error)
        raise UserError(f"{show(path)}{f':{mark.line + 1}' if mark else ''}: not YAML: {problem}") from error
    if root is None:
        raise UserError(f"{show(path)}:1: the file is empty; expected `key: value` lines")
    _check_size(path, root)
    return root


def _check_size(path: Path, root: yaml.Node) -> None:
    """Raise UserError for aliases that hold themselves, or many times one another."""
    nodes, count = [root], 0
    while nodes:
        node, count = nodes.pop(), count + 1
        if count > MOST_VALUES:
            raise UserError(f"{where(path, node)}: more than {MOST_VALUES} values, or an alias that holds itself")
        if isinstance(node, yaml.MappingNode):
            nodes += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value


def where(path: Path, node: yaml.Node) -> str:
    """Return "file:line" of a node."""
    return f"{show(path)}:{node.start_mark.line + 1}"


def pairs(path: Path, node: yaml.Node, name: str) -> Pairs:
    """Return the entries of the mapping `name`. UserError if it is none, or gives a key twice."""
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{where(path, node)}: {name}={shown(node)}: expected `key: value` lines")
    entries: Pairs = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            raise UserError(f"{where(path, key)}: expected a name before the colon")
        if key.value in entries:
            raise UserError(f"{where(path, key)}: key {key.value!r} is given twice; keep one")
        entries[key.value] = key, value
    return entries


def plain(node: yaml.Node) -> Any:
    """Return the value of a node as lists, dicts, text and numbers."""
    loader = Loader("")  # as the run's own files are read: 1e-1 is a number
    return loader.construct_object(node, deep=True)


def shown(node: yaml.Node) -> str:
    """Return a node's value as messages show it."""
    try:
        text = repr(plain(node))
    except (*WRONG_TAG, UserError):
        return "a value with a tag of its own"
    return text if len(text) < 100 else f"{text[:96]} ..."


def read(kind: Any, path: Path, node: yaml.Node, name: str) -> Any:
    """Return a node as a `kind`: a dataclass, a tuple or dict of dataclasses, or what `check_value` knows.

    A dataclass with a field `where` gets its "file:line" there.

    Args:
        kind: the type expected.
        path: the file, for messages.
        node: what is read.
        name: what it is called in messages.

    Raises:
        UserError: a key is unknown or missing, or a value is of the wrong type or out of range.
    """
    if dataclasses.is_dataclass(kind):
        return fill(typing.cast(Any, kind), path, pairs(path, node, name), node, name)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict:
        return {key: read(args[1], path, value, key) for key, (_, value) in pairs(path, node, name).items()}
    if origin is tuple and args[-1] is Ellipsis and (dataclasses.is_dataclass(args[0]) or typing.get_origin(args[0])):
        if not isinstance(node, yaml.SequenceNode):
            raise UserError(f"{where(path, node)}: {name}={shown(node)}: expected a list")
        return tuple(read(args[0], path, item, name) for item in node.value)
    try:
        value = plain(node)
    except UserError as error:  # a key that is given twice
        raise UserError(f"{show(path)}, {error}") from error
    except WRONG_TAG as error:
        reason = "" if isinstance(error, yaml.YAMLError) else f" ({str(error).split(';')[0]})"
        raise UserError(f"{where(path, node)}: {name}: expected plain YAML, without tags{reason}") from error
    try:
        return check_value(value, kind, name, where(path, node))
    except OverflowError as error:
        raise UserError(f"{where(path, node)}: {name}: a number of too many digits") from error


def fill(
    kind: type[T], path: Path, entries: Pairs, node: yaml.Node, name: str, given: Mapping[str, Any] | None = None
) -> T:
    """Return the dataclass `kind` made of `entries`, which stand at `node`, and of values `given`; see `read`."""
    given = given or {}
    types = typing.get_type_hints(kind, include_extras=True)
    marked = "where" in types
    types.pop("where", None)
    for key, (key_node, _) in entries.items():
        if key not in types:
            known = ", ".join(types)
            raise UserError(
                f"{where(path, key_node)}: unknown key {key!r} of {name}{closest(key, types)} (known: {known})"
            )
    missing = [key for key in types if key not in entries and key not in given]
    if missing:
        raise UserError(f"{where(path, node)}: {name} has no key {missing[0]!r}; add it")
    values = {key: read(types[key], path, value, key) for key, (_, value) in entries.items()}
    return kind(**given, **values, **({"where": where(path, node)} if marked else {}))
