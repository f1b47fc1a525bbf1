"""Keys that other PyMARLs have: taken as what they are here, refused, or left as harmless."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from pymarl.learners import REGISTRY as LEARNERS
from pymarl.run.config import Classes, all_keys, read_keys
from pymarl.utils.config import check_value, config_class, config_keys
from pymarl.utils.errors import UserError
from pymarl.utils.layers import FOREIGN, Layers, is_shipped
from pymarl.utils.values import shown

MISSING = object()


@dataclass(frozen=True)
class Foreign:
    """What a key is here; see config/foreign_keys.yaml."""

    key: str
    target: str | None = None
    values: dict[Any, dict[Any, Any]] = field(default_factory=dict)
    idle: list[Any] = field(default_factory=list)
    brings: dict[str, Any] = field(default_factory=dict)
    write: str = ""

    def refuse(self, layers: Layers, why: str = "") -> UserError:
        """Return the error that says what to write instead."""
        given = _given(layers, self.key)
        return UserError(f"{given}: {'; '.join(text for text in (why, self.write) if text)}")


@cache
def tables() -> dict[str, Any]:
    """Return config/foreign_keys.yaml."""
    read: dict[str, Any] = yaml.safe_load(FOREIGN.read_text(encoding="utf-8"))
    return read


@cache
def table() -> dict[str, Foreign]:
    """Return the foreign keys that may change what a run does."""
    keys = tables()["keys"]
    renamed = {key: {"target" if name == "as" else name: v for name, v in entry.items()} for key, entry in keys.items()}
    return {key: Foreign(key, **entry) for key, entry in renamed.items()}


def take_foreign(layers: Layers) -> list[str]:
    """Put foreign keys in place as what they are here, at the layer that set them.

    Returns:
        One note for each key that was taken or overruled.

    Raises:
        UserError: a value that has no meaning here, or that contradicts the key of ours in the same file.
    """
    notes = [*take_names(layers), *take_one_each(layers), *take_env_args(layers)]
    notes += take_batches(layers)
    present = [key for key in table() if key in layers.values]
    if not present:
        return notes
    _name_networks(layers)
    classes = Classes.of(layers.values, layers.origin)
    read = read_keys(classes)
    for key in sorted(set(present) - read, key=layers.rank):
        entry = table()[key]
        hint = _bring(entry, layers, read)
        target = entry.target
        if target is not None and (not target.startswith("env_args.") or target[9:] in config_keys(classes.env)):
            notes += [*_take(entry, target, layers, classes), *hint]
        elif not _among(layers.values[key], entry.idle):
            raise entry.refuse(layers)
    return notes


def _name_networks(layers: Layers) -> None:
    """Let a foreign key that names one of the learner's networks do so, before any part is looked up."""
    networks = LEARNERS[layers.values["learner"]].networks
    for key, entry in table().items():
        target = entry.target
        if target is not None and target in networks and layers.rank(target) < layers.rank(key):
            layers.add({target: layers.values[key]}, layers.origin[key])


def _bring(entry: Foreign, layers: Layers, read: set[str]) -> list[str]:
    """Set what stands in the code where a key comes from, unless its layer or a higher one says otherwise.

    A word behind `with` says nothing of where the rest comes from, and brings nothing.
    """
    if layers.origin[entry.key] == "with":
        return []
    meant = {
        key: layers.get(value["of"]) if isinstance(value, dict) else value
        for key, value in entry.brings.items()
        if key in read
    }
    brought = _set(meant, entry.key, layers)
    return [f"{_given(layers, entry.key)} brings {_listed(brought)} of the code it comes from"] if brought else []


def _set(meant: Mapping[str, Any], key: str, layers: Layers) -> dict[str, Any]:
    """Set what a key means, as if our defaults were so, but for what its layer or a higher one says.

    Returns:
        What is another value now.
    """
    rank, origin = layers.rank(key), layers.origin[key]
    taken = {name: value for name, value in meant.items() if name == key or layers.rank(name) < rank}
    changed = {name: value for name, value in taken.items() if layers.get(name) != value}
    for name, value in taken.items():
        layers.add({name: value}, origin if name == key else layers.order[0])
    return changed


def take_names(layers: Layers) -> list[str]:
    """Put in place what a part's name means where it comes from. Returns a note for each.

    Learners come first, for other parts are named beside ours.
    """
    notes: list[str] = []
    learners, names = tables()["learners"], tables()["names"]
    notes += _take_name("learner", _known(learners, layers.values["learner"]), layers)
    for key, meanings in names.items():
        known = meanings.get("any", {}) | (_known(meanings, layers.values["learner"]) or {})
        notes += _take_name(key, _known(known, layers.values.get(key)), layers)
    return notes


def _take_name(key: str, ours: Any, layers: Layers) -> list[str]:
    """Set what a name is here, if it has another one: `ours`, or the keys that make ours the same. Returns a note."""
    if ours is None:
        return []
    given = _given(layers, key) + ("" if key == "learner" else f" beside learner={layers.values['learner']!r}")
    meant = ours if isinstance(ours, dict) else {key: ours}
    changed = _set(meant, key, layers)
    return [f"{given} {'is taken as' if key in meant else 'brings'} {_listed(changed)}"] if changed else []


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={shown(value)}" for key, value in values.items())


def take_env_args(layers: Layers) -> list[str]:
    """Forget what files of algorithms say to an env that has no such key, where it says nothing new.

    Returns:
        One note for each that the user's own file sets.
    """
    notes: list[str] = []
    for key, idle in tables()["env_args"].items():
        name, given = f"env_args.{key}", layers.values["env_args"]
        if name not in layers.origin or not _among(given.get(key), idle):
            continue
        env = Classes.of(layers.values, layers.origin).env
        if config_class(env) is not None and key not in config_keys(env):
            if not is_shipped(layers.origin[name]):
                notes.append(f"{name}={shown(given[key])} of {layers.origin[name]}: this env has nothing of the kind")
            del given[key], layers.origin[name]
    return notes


def take_one_each(layers: Layers) -> list[str]:
    """Leave one of the keys that say the same in other ways: the highest layer's, the others become None.

    Returns:
        One note for each that the user had set.

    Raises:
        UserError: one layer sets two of them.
    """
    notes = []
    for keys in tables()["one_each"]:
        given = sorted((key for key in keys if layers.values.get(key) is not None), key=layers.rank)
        for key in given[:-1]:
            kept = f"{given[-1]}={shown(layers.values[given[-1]])}"
            if layers.rank(key) == layers.rank(given[-1]):
                raise UserError(f"{_given(layers, key)} contradicts {kept} beside it; keep one")
            if not is_shipped(layers.origin[key]):
                notes.append(f"{_given(layers, key)} gives way to {kept} ({layers.origin[given[-1]]})")
            layers.add({key: None}, layers.origin[given[-1]])
    return notes


def take_batches(layers: Layers) -> list[str]:
    """Let a file that draws its updates from a ring of episodes make as many here, one for each collect, where episodes
    are learned from once. Returns a note of it.
    """
    origin, names = layers.origin["batch_size"], ("batch_size", "buffer_size", "batch_size_run", "accumulated_episodes")
    if origin != layers.origin["buffer_size"] or origin in (layers.order[0], "with") or is_shipped(origin):
        return []
    given, ring, collect, every = (layers.values[name] for name in names)
    if not all(type(number) is int and number > 0 for number in (given, ring, collect, every or 1)):
        return []  # others will say what is wrong
    collect = math.lcm(collect, every or 1)
    if collect >= min(given, ring) or Classes.of(layers.values, layers.origin).buffer.gives != "rollout":
        return []
    note = (
        f"{_given(layers, 'batch_size')} is drawn there from the last buffer_size={ring} episodes after each collect, "
        f"but learner={layers.values['learner']!r} learns from new ones alone: taken as batch_size={collect}, for as "
        f"many updates as there; write batch_size={given} for fewer and larger ones"
    )
    layers.add({"batch_size": collect}, origin)
    return [note]


def _known(table: Mapping[str, Any], name: Any) -> Any:
    """Return what a table says of a name, which may be of any type; None if it says nothing."""
    return table.get(name) if isinstance(name, str) else None


def _take(entry: Foreign, target: str, layers: Layers, classes: Classes) -> list[str]:
    """Set the key of ours, unless a higher layer did. Returns the notes."""
    value, origin = layers.values[entry.key], layers.origin[entry.key]
    given = _given(layers, entry.key)
    kind = (all_keys() | {f"env_args.{key}": kind for key, kind in config_keys(classes.env).items()})[target]
    now, above = layers.get(target), layers.rank(target) - layers.rank(entry.key)
    if above <= 0:
        new = _translated(entry, value, now, kind, layers)
        if above == 0 and now != new and not entry.values:
            raise UserError(f"{given} contradicts {target}={shown(now)} beside it, the same thing here; keep one")
    layers.drop(entry.key)
    if above > 0:
        return [f"{given} gives way to {target}={shown(now)} ({layers.origin[target]})"]
    if new == now:
        return [] if entry.values else [f"{given} is {target}={shown(new)} here"]
    layers.add({"env_args": {target[9:]: new}} if target.startswith("env_args.") else {target: new}, origin)
    return [f"{given} is taken as {target}={shown(new)}"]


def _translated(entry: Foreign, value: Any, now: Any, kind: Any, layers: Layers) -> Any:
    """Return the value for the key of ours."""
    if entry.values:
        new = entry.values[value].get(now, MISSING) if _among(value, list(entry.values)) else MISSING
        if new is MISSING:
            raise entry.refuse(layers, f"with {entry.target}={shown(now)} it means nothing here")
        return new
    try:
        return check_value(value, kind, entry.key, layers.origin[entry.key])
    except UserError as error:
        raise UserError(f"{error}; it is {entry.target} here{'; ' * bool(entry.write)}{entry.write}") from error


def _among(value: Any, values: list[Any]) -> bool:
    return any(value == other and type(value) is type(other) for other in values)


def _given(layers: Layers, key: str) -> str:
    origin = layers.origin[key]
    return f"{key}={shown(layers.values[key])}{'' if origin == 'with' else ' of ' + origin}"
