"""Which runs there are to be: every algorithm on every map with every seed, each a command line of main.py."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pymarl import main as command
from pymarl.run.command import parse_command
from pymarl.run.preflight import try_env
from pymarl.utils.config import plain
from pymarl.utils.doors import as_called
from pymarl.utils.errors import UserError, closest
from pymarl.utils.layers import find_config
from pymarl.utils.redact import redacted
from pymarl.utils.runs import FREE_ON_RESUME, dotted
from pymarl.utils.yaml_files import read_yaml

SAVED = ("save_model=True", "save_buffer=True", "resume=auto")
"""What lets a run that was cut off go on. The user's own words stand behind them and beat them."""
CHECKPOINTS = 10
"""How many a run writes whose user does not say how often."""


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        words: for main.py.
        config: the merged, checked keys.
        label: what tells it from the others.
    """

    words: tuple[str, ...]
    config: Mapping[str, Any]
    label: str

    @property
    def key(self) -> str:
        """What a run folder of this job has in common with it; see `key_of`."""
        return key_of(self.config)

    @property
    def t_max(self) -> int:
        """Env steps to play."""
        return int(self.config["t_max"])


def key_of(config: Mapping[str, Any]) -> str:
    """Return a hash of all keys but those that may change when a run goes on, the same for a config read from JSON."""
    kept = {key: value for key, value in dotted(redacted(config)).items() if key not in FREE_ON_RESUME}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Grid:
    """All combinations of what is named.

    Attributes:
        configs: names or paths, as for --config.
        env_configs: as for --env-config.
        maps: values of env_args.map_name, or of env_args.key for envs that have that; none: the env's own.
        seeds: of the runs.
        updates: words key=value for all.
    """

    configs: tuple[str, ...]
    env_configs: tuple[str, ...]
    maps: tuple[str, ...]
    seeds: tuple[int, ...]
    updates: tuple[str, ...]

    def commands(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield the words of each run, and its label. UserError if `updates` say what the grid says."""
        for update in self.updates:
            key = update.partition("=")[0].strip()
            if key == "seed" or (self.maps and key in [f"env_args.{_map_key(env)}" for env in self.env_configs]):
                raise UserError(f"with {update}: write --{'seeds' if key == 'seed' else 'maps'} instead")
        for config, env, map_name, seed in itertools.product(
            self.configs, self.env_configs, self.maps or (None,), self.seeds
        ):
            chosen = [] if map_name is None else [f"env_args.{_map_key(env)}={map_name}"]
            words = (
                f"--config={config}",
                f"--env-config={env}",
                "with",
                *SAVED,
                *chosen,
                *self.updates,
                f"seed={seed}",
            )
            yield words, f"{_short(config)} {map_name or _short(env)} seed {seed}"


def _short(config: str) -> str:
    """Return a shipped file's name as it is given (epymarl/mappo), and the bare name of one's own file."""
    return Path(config).stem if config.endswith((".yaml", ".yml")) else config


def _map_key(env: str) -> str:
    """Return the key of an env's env_args that chooses its map."""
    env_args = read_yaml(find_config(env, "envs")).get("env_args", {})
    for key in ("map_name", "key"):
        if key in env_args:
            return key
    raise UserError(f"--maps: --env-config={env} has neither env_args.map_name nor env_args.key; leave --maps out")


def jobs_of(grids: Iterable[Grid], *, here: bool = False) -> tuple[list[Job], list[str]]:
    """Return all runs, each checked as main.py would, and the notes on their keys.

    Args:
        grids: which runs.
        here: they play on this machine, where every env can be tried before the first run begins.

    Raises:
        UserError: one of them could not start; the line names it.
    """
    jobs: dict[str, Job] = {}
    notes: dict[str, None] = {}
    tried: set[str] = set()
    for words, label in itertools.chain.from_iterable(grid.commands() for grid in grids):
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                layers = command.prepare(parse_command(words))
                env = json.dumps([layers.values["env"], plain(layers.values["env_args"])], sort_keys=True)
                if here and env not in tried:
                    try_env(layers)
                    tried.add(env)
        except UserError as error:
            raise UserError(f"{label}: {error}") from error
        notes |= dict.fromkeys(said.getvalue().splitlines())
        config = plain(layers.values)
        if config["evaluate"] or config["save_replay"]:
            call = as_called("python src/main.py")
            raise UserError(f"{label}: evaluate and save_replay train nothing; call {call} for them")
        if layers.origin["save_model_interval"] != "with":
            words = (*words, f"save_model_interval={max(1, int(config['t_max']) // CHECKPOINTS)}")
        job = Job(words, config, label)
        jobs.setdefault(job.key, job)  # the same run named twice is one
    return list(jobs.values()), list(notes)


def seeds_of(given: Any, name: str = "--seeds") -> tuple[int, ...]:
    """Return the seeds of 3 (that is 1, 2, 3), "1,5,7", "7," (that is 7 alone) or [1, 5, 7]."""
    items = given.removesuffix(",").split(",") if isinstance(given, str) else given
    items = items if isinstance(items, list) else [items]
    try:
        numbers = [int(str(item)) for item in items]
    except ValueError:
        numbers = []
    named = isinstance(given, list) or (isinstance(given, str) and "," in given)
    how_many = len(numbers) == 1 and not named
    if not numbers or min(numbers) < (1 if how_many else 0):
        raise UserError(f"{name}={given!r}: expected how many (3), or the seeds themselves (1,5,7 or 7,)")
    if how_many:
        return tuple(range(1, numbers[0] + 1))
    return tuple(dict.fromkeys(numbers))


def read_plan(path: Path) -> list[Grid]:
    """Return the grids of a YAML file, which has the keys of the command line, or `runs:` and a list of such groups.

    Raises:
        UserError: the file cannot be read, or has a key or value that no plan has.
    """
    content: Any = read_yaml(path)
    content = content.get("runs", content)
    known = [field.name for field in fields(Grid) if field.name != "updates"]
    grids = []
    for number, group in enumerate(content if isinstance(content, list) else [content], start=1):
        where = f"{path}: group {number}"
        if not isinstance(group, Mapping):
            raise UserError(f"{where}: expected configs: [...], env_configs: [...], seeds: 3, ...")
        for key in group:
            if key not in (*known, "with"):
                raise UserError(f"{where}: unknown key {key!r}{closest(str(key), [*known, 'with'])}")
        lists = {key: _texts(group.get(key), f"{where}: {key}") for key in ("configs", "env_configs", "maps")}
        updates = group.get("with") or {}
        if not isinstance(updates, Mapping):
            raise UserError(f"{where}: with: expected `key: value` lines")
        grids.append(grid_of(lists, seeds_of(group.get("seeds", 1), f"{where}: seeds"), list(_words(updates)), where))
    return grids


def grid_of(lists: Mapping[str, Sequence[str]], seeds: tuple[int, ...], updates: Sequence[str], where: str) -> Grid:
    """Return a grid. UserError if an algorithm or env is not named."""
    for key in ("configs", "env_configs"):
        if not lists[key]:
            raise UserError(
                f"{where}: no {key}; name one at least, such as {'qmix' if key == 'configs' else 'skirmish'}"
            )
    configs, env_configs, maps = (tuple(lists[key]) for key in ("configs", "env_configs", "maps"))
    return Grid(configs, env_configs, maps, seeds, tuple(updates))


def _texts(given: Any, where: str) -> list[str]:
    """Return a list of names, of one name, several with commas between them, a list or nothing."""
    items = [] if given is None else given.split(",") if isinstance(given, str) else given
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise UserError(f"{where}={given!r}: expected names, such as [qmix, vdn]")
    return items


def _words(updates: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the words of nested keys."""
    for key, value in updates.items():
        if isinstance(value, Mapping):
            yield from _words(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={value!r}"
