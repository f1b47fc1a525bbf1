"""Which runs are repetitions of one experiment, for figures: same config, other seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.utils.errors import UserError, closest
from pymarl.utils.info import number_of, read_info
from pymarl.utils.runs import FREE_ON_RESUME, Record, dotted, read_record

PREFERRED = ("test_battle_won_mean", "test_return_mean")

SAME_EXPERIMENT = FREE_ON_RESUME | {"seed", "env_args.seed", "unique_token"}
"""Keys in which repetitions may differ: seed, paths, length, machine; among them all that may change at a resume."""


@dataclass(frozen=True)
class Run:
    """A training run and its numbers of one metric.

    Attributes:
        folder: where it was read.
        env: its env; "" where the folder has no config.json.
        scenario: map, or key of the env.
        name: of the run.
        keys: the other keys of its config that make the experiment, as JSON.
        seed: repetitions differ in it.
        status: see `Record`; "died" for one that says RUNNING and is dead.
        steps: [K] env steps, rising.
        values: [K]; NaN where there is no number.
    """

    folder: Path
    env: str
    scenario: str
    name: str
    keys: dict[str, str]
    seed: str
    status: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def last(self) -> float:
        """Env steps up to which it has numbers."""
        return float(self.steps[-1])

    @property
    def gap(self) -> float:
        """Env steps between two numbers."""
        return float(np.median(np.diff(self.steps))) if len(self.steps) > 1 else 0.0


def read_runs(folders: Iterable[Path], wanted: str | None) -> tuple[str, list[Run], list[str]]:
    """Return the metric, the training runs that have it, and a line for each folder that is left out.

    Args:
        folders: of runs; sacred's sources and evaluations may be among them.
        wanted: a metric of info.json; None takes the test win rate where all have it, else the test return.

    Raises:
        UserError: there is nothing to plot.
    """
    found: list[tuple[Record, dict[str, Any]]] = []
    left_out = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        if folder.name == "_sources":
            continue
        try:
            record = read_record(folder)
            if record.config.get("evaluate") or record.config.get("save_replay"):
                left_out.append(f"{folder}: an evaluation, not a training run")
                continue
            found.append((record, read_info(folder)))
        except (UserError, OSError) as error:
            left_out.append(str(error))
    metric = _choose_metric([info for _, info in found], wanted, left_out)
    runs = []
    for record, info in found:
        run = _run(record, info, metric)
        if run is None:
            left_out.append(f"{record.folder}: no number of {metric} yet")
        else:
            runs.append(run)
    return metric, runs, left_out


def _choose_metric(infos: Sequence[dict[str, Any]], wanted: str | None, left_out: Sequence[str]) -> str:
    logged = [{key for key, value in info.items() if isinstance(value, list) and value and f"{key}_T" in info}
              for info in infos]  # fmt: skip
    known = sorted(set().union(*logged))
    if not known:
        why = left_out[0] if left_out else "nothing has been logged yet"
        raise UserError(f"no training run among the folders, results/sacred/<map>/<name>/<id>, has numbers: {why}")
    if wanted is None:
        tested = [keys for keys in logged if keys & set(PREFERRED)]
        if not tested:
            raise UserError(f"no test has been logged yet; name another --metric ({', '.join(known)})")
        shared = [key for key in PREFERRED if all(key in keys for keys in tested)]
        return shared[0] if shared else next(key for key in PREFERRED if key in known)
    if wanted not in known:
        raise UserError(f"no metric {wanted!r}{closest(wanted, known)} (logged: {', '.join(known)})")
    return wanted


def _run(record: Record, info: dict[str, Any], metric: str) -> Run | None:
    """Return a run, None if it has no number of the metric."""
    steps, values = (np.array([number_of(x) for x in info.get(key) or []]) for key in (f"{metric}_T", metric))
    if len(steps) != len(values):
        raise UserError(
            f"{record.folder}: {len(values)} values of {metric} at {len(steps)} env steps; info.json is broken"
        )
    order = np.argsort(steps, kind="stable")
    order = order[np.isfinite(steps[order])]
    if not np.isfinite(values[order]).any():
        return None
    folder, config = record.folder, record.config
    flat = dotted(config)
    scenario = flat.get("env_args.map_name") or flat.get("env_args.key") or flat.get("env")
    keys = {key: json.dumps(value, sort_keys=True) for key, value in flat.items() if not _free(key, config)}
    if flat.get("checkpoint_path"):
        keys["checkpoint_path"] = '"given"'  # repetitions may start from networks of their own
    return Run(
        folder=folder,
        env=str(flat.get("env", "")),
        scenario=str(scenario or folder.parent.parent.name),
        name=str(flat.get("name") or folder.parent.name),
        keys={key: value for key, value in keys.items() if key not in ("env", "name")},
        seed=json.dumps(config["seed"]) if "seed" in config else str(folder),
        status="died" if record.dead() else record.status,
        steps=steps[order],
        values=values[order],
    )


def _free(key: str, config: dict[str, Any]) -> bool:
    return key in SAME_EXPERIMENT and not (
        key == "t_max" and config.get("buffer") == "prioritized"
    )  # per_beta rises over t_max


@dataclass(frozen=True)
class Group:
    """The runs of one experiment, one per seed, the longest first.

    Attributes:
        panel: the scenario, with its env where two envs have one of that name.
        label: its run name, and the keys in which it differs from others of that name in this panel.
        runs: one or more.
    """

    panel: str
    label: str
    runs: tuple[Run, ...]


def group_runs(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """Return the experiments, and a line for each run that is left out because another has its config and seed."""
    experiments: dict[tuple[str, ...], dict[str, list[Run]]] = {}
    envs: dict[str, set[str]] = {}
    for run in runs:
        experiment = (run.env, run.scenario, run.name, json.dumps(run.keys, sort_keys=True))
        experiments.setdefault(experiment, {}).setdefault(run.seed, []).append(run)
        envs.setdefault(run.scenario, set()).add(run.env)
    groups, left_out = [], []
    for (env, scenario, name, keys), seeds in experiments.items():
        longest = [max(same, key=lambda run: run.last) for same in seeds.values()]
        for same, kept in zip(seeds.values(), longest, strict=True):
            told = f"the config and seed of {kept.folder}, which has its numbers up to {kept.last:,.0f} env steps"
            left_out += [f"{run.folder}: {told}" for run in same if run is not kept]
        twins = [json.loads(other[3]) for other in experiments if other[:3] == (env, scenario, name)]
        panel = f"{env} {scenario}" if env and len(envs[scenario]) > 1 else scenario
        longest.sort(key=lambda run: -run.last)
        groups.append(Group(panel, _label(name, json.loads(keys), twins), tuple(longest)))
    return groups, left_out


def _label(name: str, keys: dict[str, str], twins: Sequence[dict[str, str]]) -> str:
    """Return the name and those keys in which its twins, of the same name and scenario, differ."""
    differing = sorted(key for key in set().union(*twins) if len({twin.get(key) for twin in twins}) > 1)
    return " ".join([name, *(f"{key}={keys.get(key, '(unset)')}" for key in differing)])
