"""The YAML layers of a run: default < env defaults < env file < alg file < `with`, each value with its origin."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pymarl.utils.config import plain
from pymarl.utils.doors import PLACE, SRC
from pymarl.utils.errors import UserError, closest
from pymarl.utils.values import fault, shown
from pymarl.utils.yaml_files import read_yaml, show

CONFIG = SRC / "config"
FOREIGN = CONFIG / "foreign_keys.yaml"
OPTIONS = {"algs": "--config", "envs": "--env-config"}
"""Folder of shipped configs -> the option that names one."""


@dataclass
class Layers:
    """Merged keys of a run.

    Attributes:
        values: the merged keys; `env_args` is a dict.
        origin: "key" or "env_args.key" -> the file that set its value, or "with".
        order: the origins, lowest first.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def add(self, layer: Mapping[str, Any], origin: str) -> None:
        """Put a layer over the ones so far. A dict under a dict is merged, everything else replaced."""
        if origin not in self.order:
            self.order.append(origin)
        for key, value in layer.items():
            if isinstance(value, Mapping) and isinstance(self.values.get(key), dict):
                self.values[key].update(value)
            else:
                self.values[key] = dict(value) if isinstance(value, Mapping) else value
            self.origin[key] = origin
            if isinstance(value, Mapping):
                self.origin.update({f"{key}.{inner}": origin for inner in value})

    def get(self, key: str) -> Any:
        """Return the value of "key" or "env_args.key"; None if it has none."""
        group, dot, inner = key.partition(".")
        return self.values[group].get(inner) if dot else self.values.get(group)

    def rank(self, key: str) -> int:
        """Return how high the layer is that set a key; -1 if none did."""
        return self.order.index(self.origin[key]) if key in self.origin else -1

    def drop(self, key: str) -> None:
        """Forget a key."""
        del self.values[key], self.origin[key]


def is_shipped(origin: str) -> bool:
    """Return whether an origin of `Layers` is one of our own files."""
    return (SRC / origin).is_file() and origin.startswith("config/")


def shipped_files(kind: str) -> dict[str, Path]:
    """Return {name: file} of the shipped configs of a kind: "qmix", or "epymarl/qmix" in a folder of its own."""
    root = CONFIG / kind
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.yaml"))}


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def find_config(name: str, kind: str) -> Path:
    """Return the file of `--config=name` (kind "algs") or `--env-config=name` (kind "envs"), or the path itself."""
    known = {other: shipped_files(other) for other in OPTIONS}
    if name in known[kind]:
        return known[kind][name]
    own = Path(name)
    if own.suffix in (".yaml", ".yml") or own.parent != Path():
        if _exists(own):
            return own
        stem = f"; did you mean {OPTIONS[kind]}={own.stem}?" if own.stem in known[kind] else ""
        expected = f"expected an existing .yaml file or a name from {PLACE}/config/{kind}"
        raise UserError(f"no config file {shown(name)}{stem or closest(name, known[kind]) or '; ' + expected}")
    other = next((option for other, option in OPTIONS.items() if name in known[other]), None)
    within = min((each for each in known[kind] if name and name in each), key=len, default=name)  # pac: epymarl/pac_ns
    meant = f"; did you mean {other}={name}?" if other else closest(within, known[kind])
    there = ", ".join(known[kind])
    raise UserError(f"no config {shown(name)} in {PLACE}/config/{kind}{meant} (known: {there}; or a path)")


def _check_layer(layer: Mapping[str, Any], origin: str) -> None:
    """Raise UserError for what no config can hold, before anything else looks at it."""
    where = "" if origin == "with" else f"{origin}: "
    for key, value in layer.items():
        inner = key.partition(".")[2]
        if key.startswith("env_args.") and inner:
            raise UserError(f"{where}key {shown(key)}: in a file write `env_args:` and, indented below it, `{inner}:`")
        if wrong := fault({key: value}):
            raise UserError(f"{where}{shown(key)[1:-1]}={shown(value)}: is or holds {wrong}")
    env_args = layer.get("env_args", {})
    if not isinstance(env_args, Mapping):
        raise UserError(f"{where}env_args={shown(env_args)}: expected `env_args:` with one `key: value` line each")


def merge(alg: str | None, env: str | None, updates: Mapping[str, Any]) -> Layers:
    """Return default < env defaults < env file < alg file < updates.

    The env defaults are the `env_args` of the shipped file of the env that the run ends up with, so that
    `with env=stag_hunt` or a PyMARL2 file that sets only some env_args is complete.
    """
    named: list[tuple[dict[str, Any], str]] = []
    for name, kind in ((env, "envs"), (alg, "algs")):
        if name is not None:
            path = find_config(name, kind)
            named.append((read_yaml(path), show(path)))
    named.append((dict(updates), "with"))
    for layer, origin in named:
        _check_layer(layer, origin)
    base = read_yaml(CONFIG / "default.yaml")
    env_name = next((layer["env"] for layer, _ in reversed(named) if "env" in layer), base["env"])
    layers = Layers()
    layers.add(base, "config/default.yaml")
    if isinstance(env_name, str) and (shipped := shipped_files("envs").get(env_name)):
        layers.add({"env_args": read_yaml(shipped).get("env_args", {})}, show(shipped))
    for layer, origin in named:
        layers.add(plain(layer), origin)
    return layers


@functools.cache
def shipped_keys() -> frozenset[str]:
    """Return every top-level key that a shipped YAML file sets, and those of other PyMARLs that may do no harm."""
    files: Sequence[Path] = [CONFIG / "default.yaml", *CONFIG.glob("*/**/*.yaml")]
    foreign = yaml.safe_load(FOREIGN.read_text(encoding="utf-8"))
    harmless = {*foreign["keys"], *foreign["bookkeeping"]}
    return frozenset(harmless.union(*(read_yaml(path) for path in files)))


@functools.cache
def renamed_keys() -> dict[str, str]:
    """Return {key of another PyMARL: the key of ours that takes its value as it is}; see foreign_keys.yaml."""
    keys = yaml.safe_load(FOREIGN.read_text(encoding="utf-8"))["keys"]
    return {key: entry["as"] for key, entry in keys.items() if "as" in entry and "values" not in entry}


def foreign_keys() -> tuple[set[str], set[str]]:
    """Return the keys, and the names of parts, that may stand for something else here; see foreign_keys.yaml."""
    foreign = yaml.safe_load(FOREIGN.read_text(encoding="utf-8"))
    tables = [table for by_learner in foreign["names"].values() for table in by_learner.values()]
    return {*foreign["keys"], *foreign["env_args"], *foreign["bookkeeping"]}, set(foreign["learners"]).union(*tables)
