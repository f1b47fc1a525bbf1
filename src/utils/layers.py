"""The YAML layers of a run: default < env defaults < env file < alg file < `with`, each value with its origin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from utils.errors import UserError, closest

SRC = Path(__file__).resolve().parent.parent
CONFIG = SRC / "config"


@dataclass
class Layers:
    """Merged keys of a run.

    Attributes:
        values: the merged keys; `env_args` is a dict.
        origin: "key" or "env_args.key" -> the file that set its value, or "with".
    """

    values: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def add(self, layer: Mapping[str, Any], origin: str) -> None:
        """Put a layer over the ones so far. A dict under a dict is merged, everything else replaced."""
        for key, value in layer.items():
            if isinstance(value, Mapping) and isinstance(self.values.get(key), dict):
                self.values[key].update(value)
            else:
                self.values[key] = dict(value) if isinstance(value, Mapping) else value
            self.origin[key] = origin
            if isinstance(value, Mapping):
                self.origin.update({f"{key}.{inner}": origin for inner in value})


class _Loader(yaml.SafeLoader):
    """YAML as its users expect it: 1e-4 is a number, and a key given two values in one file is an error."""

    def construct_unique(self, node: yaml.MappingNode) -> dict[Any, Any]:
        given: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # <<: *anchor
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                raise UserError(f"line {key_node.start_mark.line + 1}: expected a name before the colon")
            key, value = key_node.value, self.construct_object(value_node, deep=True)
            if key in given and given[key] != value:
                line = key_node.start_mark.line + 1
                raise UserError(f"line {line}: key {key!r} is given twice, as {given[key]!r} and {value!r}; keep one")
            given[key] = value
        self.flatten_mapping(node)
        return super().construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_unique)
_Loader.add_implicit_resolver(  # YAML 1.2 floats; PyYAML follows 1.1, where 1e-4 is text
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. UserError names the file and the line that is wrong."""
    try:
        loaded = yaml.load(path.read_text(), _Loader)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{show(path)}, {error}") from error
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = f", line {mark.line + 1}" if mark else ""
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
        raise UserError(f"{show(path)}{where}: not YAML: {problem}") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{show(path)}: expected `key: value` lines, got {type(loaded).__name__}")
    return loaded


def show(path: Path) -> str:
    """Return a path as it is written in messages: short for our own files."""
    try:
        return str(path.resolve().relative_to(SRC))
    except ValueError:
        return str(path)


def is_shipped(origin: str) -> bool:
    """Return whether an origin of `Layers` is one of our own files."""
    return (SRC / origin).is_file() and origin.startswith("config/")


def find_config(name: str, kind: str) -> Path:
    """Return the file of `--config=name` (kind "algs") or `--env-config=name` (kind "envs"), or the path itself."""
    own = Path(name)
    if own.suffix in (".yaml", ".yml") or own.parent != Path():
        if own.is_file():
            return own
        raise UserError(f"no config file {name!r}; expected an existing .yaml file or a name from src/config/{kind}")
    shipped = CONFIG / kind / f"{name}.yaml"
    if not shipped.is_file():
        known = sorted(path.stem for path in (CONFIG / kind).glob("*.yaml"))
        raise UserError(
            f"no config {name!r} in src/config/{kind}{closest(name, known)} (known: {', '.join(known)}; or a path)"
        )
    return shipped


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
    base = read_yaml(CONFIG / "default.yaml")
    env_name = next((layer["env"] for layer, _ in reversed(named) if "env" in layer), base["env"])
    layers = Layers()
    layers.add(base, "config/default.yaml")
    shipped = CONFIG / "envs" / f"{env_name}.yaml"
    if shipped.is_file():
        layers.add({"env_args": read_yaml(shipped).get("env_args", {})}, show(shipped))
    for layer, origin in named:
        layers.add(layer, origin)
    if not isinstance(layers.values["env_args"], dict):
        raise UserError(f"env_args={layers.values['env_args']!r}: expected `env_args:` with one `key: value` line each")
    return layers


def shipped_keys() -> set[str]:
    """Return every top-level key that a shipped YAML file sets, and the ones that files of other PyMARLs set."""
    files: Sequence[Path] = [CONFIG / "default.yaml", *CONFIG.glob("*/*.yaml")]
    legacy = yaml.safe_load((CONFIG / "legacy_keys.yaml").read_text())
    return set(legacy).union(*(read_yaml(path) for path in files))
