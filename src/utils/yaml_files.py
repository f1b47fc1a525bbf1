"""YAML as its users expect it; whatever is wrong in a file is a UserError with the file and the line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pymarl.utils.doors import SRC
from pymarl.utils.errors import UserError, message_line
from pymarl.utils.values import MOST_ITEMS, shown

LARGEST_FILE = 2**20
NAME, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"

Entries = dict[str, tuple[yaml.Node, yaml.Node]]
"""Key -> (node of the key, node of the value) of a mapping."""


class Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, 2024-01-31 is text, and keys are text, each with one value.

    A value that is none of its tag (`!!int ""`) is a YAMLError that knows its line.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # PyYAML converts without a look
            kind, reason = node.tag.rpartition(":")[2], message_line(error).split(";")[0]
            raise _fault(f"no {kind}: {reason}", node) from error

    def construct_dict(self, node: yaml.MappingNode) -> dict[str, Any]:
        return {key: self.construct_object(value, deep=True) for key, (_, value) in self.entries(node).items()}

    def entries(self, node: yaml.MappingNode) -> Entries:
        """Return a mapping's entries, those of its `<<` among them. A key may be given twice with the same value."""
        own: Entries = {}
        for key, value in node.value:
            if key.tag == MERGE:
                continue
            if key.tag != NAME:
                raise _fault("expected a name before the colon", key)
            _, other = own.setdefault(key.value, (key, value))
            if other is not value:
                first, second = (self.construct_object(each, deep=True) for each in (other, value))
                if first != second:
                    text = f"key {key.value!r} is given twice, as {shown(first)} and {shown(second)}; keep one"
                    raise _fault(text, key)
        self.flatten_mapping(node)
        entries = {key.value: (key, value) for key, value in node.value} | own
        for key, _ in entries.values():
            if key.tag != NAME:
                raise _fault("expected a name before the colon", key)
        node.value = list(entries.values())  # so that a second look finds no key twice
        return entries


def _fault(text: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


Loader.add_constructor("tag:yaml.org,2002:map", Loader.construct_dict)
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(  # YAML 1.2 floats; PyYAML follows 1.1, where 1e-4 is text
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_value(text: str) -> Any:
    """Return the value of a text. yaml.YAMLError or RecursionError if it is not YAML."""
    return yaml.load(text, Loader)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. UserError names the file and the line that is wrong."""
    loaded = construct(path, compose(path))
    if not isinstance(loaded, dict):
        raise UserError(f"{show(path)}: expected `key: value` lines, got {type(loaded).__name__}")
    return loaded


def compose(path: Path) -> yaml.Node:
    """Return the root of a YAML file as nodes, which know their line. UserError if it cannot be read or is not YAML."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{show(path)} has more than {LARGEST_FILE >> 20} MiB; is it a config?")
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{show(path)}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from error
    except RecursionError as error:
        raise UserError(f"{show(path)}: not YAML: nested too deep") from error
    except yaml.YAMLError as error:
        raise _user_error(path, error, "not YAML: ") from error
    if root is None:
        raise UserError(f"{show(path)}:1: the file is empty; expected `key: value` lines")
    _check_size(path, root)
    return root


def construct(path: Path, node: yaml.Node, name: str = "") -> Any:
    """Return the value of a file's node as lists, dicts, text and numbers. UserError, with `name`, if it has none."""
    try:
        return Loader("").construct_object(node, deep=True)
    except RecursionError as error:
        raise UserError(f"{where(path, node)}: {name}{': ' if name else ''}nested too deep") from error
    except yaml.YAMLError as error:
        raise _user_error(path, error, f"{name}: " if name else "") from error


def entries_of(path: Path, node: yaml.MappingNode) -> Entries:
    """Return the entries of a file's mapping. UserError if a key is no name, or has two values."""
    try:
        return Loader("").entries(node)
    except yaml.YAMLError as error:
        raise _user_error(path, error, "") from error


def _user_error(path: Path, error: yaml.YAMLError, prefix: str) -> UserError:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return UserError(f"{show(path)}: {prefix}{message_line(error)}")
    return UserError(f"{show(path)}:{error.problem_mark.line + 1}: {prefix}{error.problem}")


def _check_size(path: Path, root: yaml.Node) -> None:
    """Raise UserError for aliases that hold themselves, or many times one another."""
    nodes, count = [root], 0
    while nodes:
        node, count = nodes.pop(), count + 1
        if count > MOST_ITEMS:
            raise UserError(f"{where(path, node)}: more than {MOST_ITEMS} items, or an alias that holds itself")
        if isinstance(node, yaml.MappingNode):
            nodes += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value


def where(path: Path, node: yaml.Node) -> str:
    """Return "file:line" of a node."""
    return f"{show(path)}:{node.start_mark.line + 1}"


def show(path: Path) -> str:
    """Return a path as it is written in messages: short for our own files."""
    try:
        return str(path.resolve().relative_to(SRC))
    except ValueError:
        return str(path)
