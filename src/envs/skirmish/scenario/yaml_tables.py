"""YAML files read into frozen dataclasses; whatever is wrong in a file is reported with file and line."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pymarl.utils.config import check_value
from pymarl.utils.errors import UserError, closest
from pymarl.utils.yaml_files import Entries, Loader, construct, entries_of, where

T = TypeVar("T")


def pairs(path: Path, node: yaml.Node, name: str) -> Entries:
    """Return the entries of the mapping `name`. UserError if it is none, or a key has two values."""
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{where(path, node)}: {name}={shown(node)}: expected `key: value` lines")
    return entries_of(path, node)


def shown(node: yaml.Node) -> str:
    """Return a node's value as messages show it."""
    try:
        text = repr(Loader("").construct_object(node, deep=True))
    except (yaml.YAMLError, RecursionError):
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
    value = construct(path, node, name)
    try:
        return check_value(value, kind, name, where(path, node))
    except OverflowError as error:
        raise UserError(f"{where(path, node)}: {name}: a number of too many digits") from error


def fill(
    kind: type[T], path: Path, entries: Entries, node: yaml.Node, name: str, given: Mapping[str, Any] | None = None
) -> T:
    """Return the dataclass `kind` made of `entries`, which stand at `node`, and of values `given`; see `read`."""
    given = given or {}
    types = typing.get_type_hints(kind, include_extras=True)
    has_where = "where" in types
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
    return kind(**given, **values, **({"where": where(path, node)} if has_where else {}))
