"""The config that a search has found, as a YAML file that main.py takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pymarl.experiments.plan import Grid
from pymarl.experiments.space import Parameter
from pymarl.run.command import parse_updates
from pymarl.utils.layers import find_config
from pymarl.utils.runs import FREE_ON_RESUME
from pymarl.utils.yaml_files import read_yaml

NOT_OF_A_METHOD = FREE_ON_RESUME - {"t_max"}
"""Keys of the user's `with` that say where and how a run is kept, not what it learns."""


def best_config(grid: Grid, parameters: Sequence[Parameter], values: Mapping[str, Any], reason: str) -> str:
    """Return the text of the file: the algorithm's own, with what the user's `with` and the search have changed.

    Args:
        grid: of the search.
        parameters: that were searched.
        values: that were found.
        reason: why these, a line.
    """
    own = read_yaml(find_config(grid.configs[0], "algs"))
    updates = parse_updates(grid.updates)
    found = parse_updates([f"{key}={value!r}" for key, value in values.items()])
    name = str(own.get("name", Path(grid.configs[0]).stem))
    content: dict[str, Any] = dict(own)
    for layer in ({"name": f"{name}_searched"}, updates, found):
        for key, value in layer.items():
            if isinstance(value, Mapping):
                content[key] = {**content.get(key, {}), **value}
            elif key not in NOT_OF_A_METHOD:
                content[key] = value
    ranges = {each.key: str(each).partition("=")[2] for each in parameters}
    origin = Path(grid.configs[0]).name
    lines = [f"# {grid.configs[0]}, {reason}"]
    for key, value in content.items():
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").rstrip()
        note = "" if key == "name" or own.get(key) == value else f"not as in {origin}"
        note = f"found in {ranges[key]}" if key in ranges else note
        before = f"; there {own[key]}" if note and key in own else ""
        lines.append(f"{key}: {text}" + (f"  # {note}{before}" if note else ""))
    return "\n".join(lines) + "\n"
