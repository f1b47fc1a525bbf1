"""In what runs differ that are set side by side: in the method, or in what a comparison of methods holds equal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pymarl.experiments.origins import OURS
from pymarl.experiments.results import Result
from pymarl.run.config import Choices, Classes, read_keys
from pymarl.run.foreign import table as foreign_keys
from pymarl.utils.config import config_keys
from pymarl.utils.errors import UserError
from pymarl.utils.runs import FREE_ON_RESUME

Kind = Literal["task", "framework", "test", "length", "training", "method"]
REFUSED: tuple[Kind, ...] = ("task",)
"""What differs here, differs in what was to be solved: there is nothing to compare."""
MARKED: tuple[Kind, ...] = ("framework", "test", "length")
"""What differs here, differs in how it was measured: numbers stand side by side with a warning."""

TESTS = ("test_nepisode", "test_interval", "absolute_episodes", "tests act")
PARTS = ("name", "agent", "agent_output_type", "mac", "learner", "mixer", "critic", "buffer", "action_selector",
         "central_agent", "central_mixer", "state_value")  # fmt: skip
IDLE = FREE_ON_RESUME - {"t_max", "absolute_episodes"} | {
    "seed", "env_args.seed", "unique_token", "run", "evaluate", "save_replay", "render", "repeat_id", "label",
    "hypergroup", "log_interval", "runner_log_interval", "learner_log_interval", "console_table",
}  # fmt: skip
"""Keys that say nothing of an experiment."""

ABSENT = "-"


@dataclass(frozen=True)
class Difference:
    """A key in which runs differ.

    Attributes:
        key: of their configs; "tests act" is how their tests choose actions, "framework" whose code has played them.
        kind: "task": what is to be solved. "framework", "test": how it is measured. "length": t_max. "training": what
            both methods have, but with other values. "method": parts, and keys that only parts of one side read.
        values: side -> its value as a word of `with`, several with " / " between them, or "-" where it has no such key.
    """

    key: str
    kind: Kind
    values: dict[str, str]


def differences(sides: Mapping[str, Sequence[Result]]) -> list[Difference]:
    """Return in what runs that are compared differ, beside their seeds: the gravest first, then by key.

    Args:
        sides: what to call a side -> its runs, such as the seeds of a method on one scenario.
    """
    configs = {side: [_experiment(result) for result in results] for side, results in sides.items()}
    read = _read(sides, configs)
    frameworks = {config["framework"] for of_side in configs.values() for config in of_side}
    found = []
    every = configs.items()
    for key in sorted(set().union(*(config for of_side in configs.values() for config in of_side))):
        values = {side: {_text(config[key]) for config in of_side if key in config} for side, of_side in every}
        if len(frameworks) > 1 and not all(values.values()):
            continue  # a key that the other one does not have may have any name there
        kind = _kind(key, all(key in keys for keys in read.values()))
        counted = {side: values[side] if key in read[side] else set() for side in sides}
        if len(set().union(*counted.values())) > 1 or (kind in ("task", "method") and _lopsided(counted)):
            shown = {side: " / ".join(sorted(of_side)) or ABSENT for side, of_side in counted.items()}
            found.append(Difference(key, kind, shown))
    order: tuple[Kind, ...] = ("task", "framework", "test", "length", "training", "method")
    return sorted(found, key=lambda each: (order.index(each.kind), each.key))


def _lopsided(values: Mapping[str, set[str]]) -> bool:
    """Tell whether some sides have a key, and others do not."""
    return len({bool(of_side) for of_side in values.values()}) > 1


def _kind(key: str, shared: bool) -> Kind:
    if key == "env" or key.startswith("env_args."):
        return "task"
    if key == "framework":
        return "framework"
    if key in TESTS:
        return "test"
    if key == "t_max":
        return "length"
    return "training" if shared and key not in PARTS else "method"


def _text(value: Any) -> str:
    """Return a value as a word behind `with` has it, the same for 1 and 1.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) and value else repr(value)


def _experiment(result: Result) -> dict[str, Any]:
    """Return the keys of a run that make its experiment, by our names, and those that are not in its config."""
    config = {}
    for key, value in result.config.items():
        entry = foreign_keys().get(key) if result.origin != OURS else None
        renamed = entry.target if entry is not None and entry.target and not entry.values else key
        if renamed not in IDLE:
            config[renamed] = value
    if config.get("checkpoint_path"):
        config["checkpoint_path"] = "given"  # repetitions may start from networks of their own
    return config | {"tests act": _acting(config), "framework": result.origin}


def _acting(config: Mapping[str, Any]) -> str:
    """Return how a run's tests choose actions."""
    selector = config.get("action_selector")
    if selector == "epsilon_greedy":
        noise = config.get("test_noise") or 0
        return f"with epsilon {noise:g}" if noise else "greedily"
    if selector == "soft_policies":  # EPyMARL's, which does not look whether it is tested
        return "by sampling"
    return "greedily" if config.get("test_greedy", True) else "by sampling"


def _read(
    sides: Mapping[str, Sequence[Result]], configs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, set[str]]:
    """Return the keys that the runs of each side read.

    Where that cannot be told, for code of others and parts that are not here, it is all keys of their config that the
    other sides read, or all keys if these cannot be told either.
    """
    known: dict[str, set[str]] = {}
    for side, results in sides.items():
        told = [_read_by(_parts(config)) if result.origin == OURS else None
                for result, config in zip(results, configs[side], strict=True)]  # fmt: skip
        if all(keys is not None for keys in told):
            known[side] = set().union(*(keys for keys in told if keys is not None)) - {"test_greedy", "test_noise"}
    shared = set().union(*known.values())
    read = {}
    for side, of_side in configs.items():
        own = set().union(*of_side)
        always = {key for key in own if key.startswith("env_args.") or key in (*TESTS, "framework")}
        read[side] = always | (known[side] if side in known else own & shared if shared else own)
    return read


def _parts(config: Mapping[str, Any]) -> str:
    """Return the keys that name the parts of a run, as JSON."""
    named = {key: config[key] for key in (*config_keys(Choices), *PARTS) if key in config}
    return json.dumps(named | {"run": "default"}, sort_keys=True)


@cache
def _read_by(names: str) -> frozenset[str] | None:
    """Return what runs with these parts read, given as JSON; None if they are not all here."""
    try:
        return frozenset(read_keys(Classes.of(json.loads(names))))
    except (UserError, ImportError):
        return None


def labelled(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return the runs by what to call their method, the same on all scenarios: one name, one config.

    Runs of one name whose configs differ on a scenario are told apart by keys in which they do, "qmix lr=0.001"; other
    frameworks' are "qmix (epymarl)" beside ours of that name.
    """
    named: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        named.setdefault(result.method, {}).setdefault(result.origin, []).append(result)
    found: dict[str, list[Result]] = {}
    for name, by_origin in named.items():
        for origin, runs in by_origin.items():
            called = name if len(by_origin) == 1 or origin == OURS else f"{name} ({origin})"
            keys = _telling_apart(runs)
            for run in runs:
                config = _experiment(run)
                words = [f"{key}={_text(config[key]) if key in config else '(unset)'}" for key in keys]
                found.setdefault(" ".join([called, *words]), []).append(run)
    return found


def _telling_apart(runs: Sequence[Result]) -> list[str]:
    """Return as few keys as tell apart the configs of one name on each scenario, where there is more than one."""
    scenarios: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for run in runs:
        config = {key: _text(value) for key, value in _experiment(run).items() if key != "name"}
        scenarios.setdefault((run.env, run.scenario), {})[json.dumps(config, sort_keys=True)] = config
    keys: list[str] = []
    for configs in (list(of_scenario.values()) for of_scenario in scenarios.values()):
        for key in sorted(set().union(*configs)):
            split = [len({tuple(config.get(known) for known in chosen) for config in configs})
                     for chosen in (keys, [*keys, key])]  # fmt: skip
            if split[1] > split[0]:
                keys.append(key)
    return keys
