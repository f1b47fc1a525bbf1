"""What can be said of a config before torch is imported, which takes seconds: most slips of the hand.

Keys and their types are read off the sources of the parts. `check` looks at all of it again, and at the rest: what is
not sure here is left to it.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pymarl.components.buffers import REGISTRY as BUFFERS
from pymarl.controllers import REGISTRY as MACS
from pymarl.envs import REGISTRY as ENVS
from pymarl.learners import REGISTRY as LEARNERS
from pymarl.modules.agents import REGISTRY as AGENTS
from pymarl.runners import REGISTRY as RUNNERS
from pymarl.utils import config
from pymarl.utils.doors import SRC
from pymarl.utils.errors import UserError, closest
from pymarl.utils.layers import Layers, foreign_keys, is_shipped, shipped_files, shipped_keys
from pymarl.utils.registry import Registry
from pymarl.utils.values import shown
from pymarl.utils.yaml_files import read_yaml

FOLDERS = ("run", "runners", "controllers", "learners", "modules", "components", "utils/tracking")
CONFIG = "@dataclass(frozen=True, kw_only=True)"
"""How the sources write every Config, and what Configs have in common."""
NAMES: Mapping[str, Registry] = {
    "env": ENVS, "runner": RUNNERS, "mac": MACS, "agent": AGENTS, "learner": LEARNERS, "buffer": BUFFERS,
}  # fmt: skip


def quick_check(layers: Layers) -> None:
    """Raise UserError for a name that no part has, a key that nobody knows, or a value that is of no use to its key.

    A config with parts of the user's own, which may have keys of their own, is left to `check`.
    """
    values = layers.values
    if any(isinstance(value, str) and ":" in value for value in values.values()):
        return
    foreign, translated = foreign_keys()
    for key, registry in NAMES.items():
        name = values.get(key)
        if isinstance(name, str) and name not in registry and name not in translated:
            registry[name]  # which says what there is
    declared = declared_keys()
    known, of_env = declared.keys() | shipped_keys(), _keys_of_env(str(values.get("env")))
    inside = {f"env_args.{name}" for name in {*values.get("env_args", {}), *of_env}}
    for key in values:
        if key not in known:
            refuse_unknown(key, layers, known, inside)
    for name in values.get("env_args", {}):
        if of_env and name not in of_env and name not in foreign:
            refuse_unknown(f"env_args.{name}", layers, [f"env_args.{own}" for own in of_env], values)
    drawn = {"seed"} if values.get("seed") is None else set()
    for key, kinds in declared.items():
        if key in values.keys() - drawn and key not in foreign and not is_shipped(layers.origin[key]):
            _check_value(values[key], kinds, key, layers.origin[key])


def _check_value(value: Any, kinds: Sequence[Any], key: str, origin: str) -> None:
    """Raise UserError for a value that is none of a key's types, or not of the first one where that is the run's."""
    for kind in kinds[1:] if key not in keys_of_run() else ():
        with suppress(UserError):
            config.check_value(value, kind, key, origin)
            return
    config.check_value(value, kinds[0], key, origin)


def _keys_of_env(env: str) -> Collection[str]:
    """Return the keys of a registered env, all of which its file sets; none for any other."""
    file = shipped_files("envs").get(env)
    return read_yaml(file).get("env_args", {}) if file is not None and env in ENVS else ()


@cache
def declared_keys() -> dict[str, list[Any]]:
    """Return {key: types} of every Config in the sources; Any for a type that its module alone can tell."""
    keys: dict[str, list[Any]] = {}
    for folder in FOLDERS:
        for path in sorted((SRC / folder).rglob("*.py")):
            for key, kind in _declared_in(path):
                keys.setdefault(key, []).append(kind)
    return keys


@cache
def keys_of_run() -> set[str]:
    """Return the keys that every run reads."""
    return {key for key, _ in _declared_in(SRC / "run" / "config.py")}


def _declared_in(path: Path) -> Iterator[tuple[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if CONFIG not in text:
        return
    tree, names = ast.parse(text), {**vars(typing), **vars(config)}
    for line in tree.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            names[line.targets[0].id] = _evaluated(line.value, names)  # such as Seed
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and CONFIG in {f"@{ast.unparse(each)}" for each in node.decorator_list}:
            for entry in node.body:
                if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                    yield entry.target.id, _evaluated(entry.annotation, names)


def _evaluated(annotation: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what an expression of types comes to; Any if that takes more than names, or names that are not here."""
    if any(
        isinstance(node, (ast.Call, ast.Attribute, ast.Lambda)) and not _is_range(node) for node in ast.walk(annotation)
    ):
        return Any
    try:
        return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), dict(names))
    except (NameError, TypeError):
        return Any


def _is_range(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Range"


def refuse_unknown(key: str, layers: Layers, known: Collection[str], elsewhere: Iterable[str]) -> None:
    """Raise UserError for a key: it may belong on the other side of env_args, be a typo, or be far from all keys."""
    origin = layers.origin.get(key, layers.origin.get("env_args", "with"))
    inside = key.startswith("env_args.")
    bare = key.removeprefix("env_args.")
    if (bare if inside else f"env_args.{bare}") in elsewhere:
        meant = f"; did you mean {bare!r}, outside of env_args?" if inside else f"; did you mean 'env_args.{bare}'?"
    else:
        far = (
            f"; this env has {', '.join(sorted(known))}"
            if inside
            else "; --print-config lists the keys, and a part of your own declares its in a nested Config"
        )
        near = closest(bare, (name.removeprefix("env_args.") for name in known))  # the prefix alone is no likeness
        meant = (near.replace("'", "'env_args.", 1) if inside else near) or far
    raise UserError(f"{'' if origin == 'with' else origin + ': '}unknown key {shown(key)}{meant}")
