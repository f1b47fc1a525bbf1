"""Write the tables of docs/porting.md: what of PyMARL, PyMARL2 and EPyMARL works as it is, and what is named otherwise.

    python src/tools/porting.py [--out docs/porting.md]

They are made of config/foreign_files.yaml, config/foreign_keys.yaml, the registries and the learners; the text around
them stays as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: python has put src/tools on the path, not src
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import yaml

from pymarl.envs import REGISTRY as ENVS
from pymarl.run import REGISTRY as RUNS
from pymarl.run.config import PARTS, PYMARLS
from pymarl.run.foreign import Foreign, table, tables
from pymarl.utils.errors import UserError, refuse
from pymarl.utils.files import write_text
from pymarl.utils.layers import CONFIG, shipped_files
from pymarl.utils.registry import Registry
from pymarl.utils.values import shown

OUT = CONFIG.parents[1] / "docs" / "porting.md"
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
OWN = {*PYMARLS, "env"}
"""Keys that take classes written for PyMARL."""


@cache
def projects() -> dict[str, dict[str, Any]]:
    """Return config/foreign_files.yaml."""
    read: dict[str, dict[str, Any]] = yaml.safe_load((CONFIG / "foreign_files.yaml").read_text(encoding="utf-8"))
    return read


def registries() -> dict[str, Registry]:
    """Return {config key: what its names are looked up in}."""
    named = {registry.kind.replace(" ", "_"): registry for registry in (*PARTS, ENVS)}
    return named | {"run": RUNS}


def files() -> Iterator[str]:
    """Yield the lines of the table of YAML files."""
    yield from ("| project | `src/config/algs` | the same values as | `src/config/envs` |", "|---|---|---|---|")
    for name, project in projects().items():
        folder = project["folder"]
        ours = [] if folder is None else [f"{folder}{alg}" for alg in project["algs"]]
        shipped = f"`--config={folder}NAME`" if ours and set(ours) <= {*shipped_files("algs")} else ""
        lacking = [env for env in project["envs"] if env in project["parts"]["env"] and env not in ENVS]
        asks = {env: f" (with `env_args.{key}=...`)" for env, given in project.get("open", {}).items() for key in given}
        envs = [
            f"`{env}`" + asks.get(env, "") + ", of an env that is not here" * (env in lacking)
            for env in project["envs"]
        ]
        home = f"[{name}](https://github.com/{project['repository']}) {project['commit']}"
        yield f"| {home} | {', '.join(f'`{alg}`' for alg in project['algs'])} | {shipped} | {'; '.join(envs)} |"


def meaning(key: str, name: str) -> str:
    """Return what a part's name of another PyMARL is here, "" for the same."""
    if key == "learner" and name in tables()["learners"]:
        meant = tables()["learners"][name]
        return "the same, and it brings " * ("learner" not in meant) + listed(meant)
    for learner, names in tables()["names"].get(key, {}).items():
        if name in names:
            meant = listed(names[name] if isinstance(names[name], dict) else {key: names[name]})
            return meant if learner == "any" else f"beside `learner={learner}` {meant}, else the same"
    if name in registries()[key]:
        return ""
    for other, registry in registries().items():
        if name in registry:
            return f"`{other}={name}`"
    return f"not here{f', `{key}=module:Class` may take its class' * (key in OWN)}"


def listed(values: Mapping[str, Any]) -> str:
    """Return values as they are written after `with`."""
    return ", ".join(f"`{key}={shown(value)}`".replace("'", "") for key, value in values.items())


def parts() -> Iterator[str]:
    """Yield the lines of the table of names of parts."""
    yield from ("| key | names with the same meaning | names that mean another one, or none |", "|---|---|---|")
    for key in {key: None for project in projects().values() for key in project["parts"]}:
        names = {name: None for project in projects().values() for name in project["parts"].get(key, ())}
        meanings = {name: meaning(key, name) for name in names}
        same = ", ".join(f"`{name}`" for name, meant in meanings.items() if not meant)
        others = "; ".join(f"`{name}`: {meant}" for name, meant in meanings.items() if meant)
        yield f"| `{key}` | {same} | {others} |"


def keys() -> Iterator[str]:
    """Yield the lines of the table of keys."""
    yield from ("| key there | here |", "|---|---|")
    for key, entry in table().items():
        yield f"| `{key}` | {told(entry)} |"
    for key, idle in tables()["env_args"].items():
        yield f"| `env_args.{key}` | left out at {values(idle)} where the env has no such key |"
    for pair in tables()["one_each"]:
        yield f"| {' and '.join(f'`{key}`' for key in pair)} | a run has one of them: the highest layer's |"
    yield f"| {', '.join(f'`{key}`' for key in tables()['bookkeeping'])} | nothing reads them there either |"


def told(entry: Foreign) -> str:
    """Return what a key is here."""
    said = []
    if entry.values:
        said.append(
            "; ".join(
                f"`{shown(given)}` is {switched(str(entry.target), meant)}" for given, meant in entry.values.items()
            )
        )
    elif entry.target:
        said.append(f"`{entry.target}`")
    if entry.idle:
        said.append(f"changes nothing at {values(entry.idle)}")
    if entry.brings:
        named = {key: value["of"] if isinstance(value, dict) else value for key, value in entry.brings.items()}
        said.append(f"brings {listed(named)}, as the code there has it")
    if entry.write and not entry.values:
        said.append(f"else an error: {entry.write}")
    return "; ".join(said)


def switched(target: str, meant: Mapping[Any, Any]) -> str:
    """Return what a value makes of the key of ours: from what to what it is then."""
    changed = {now: then for now, then in meant.items() if now != then}
    if len({*changed.values()}) == 1 and None in changed:
        return f"`{target}={next(iter(changed.values()))}`"
    return (
        ", ".join(f"`{target}={then}` for `{target}={now}`" for now, then in changed.items()) or f"`{target}` as it is"
    )


def values(given: Sequence[Any]) -> str:
    """Return values in code, with commas."""
    return ", ".join(f"`{shown(value)}`" for value in given)


def checkpoints() -> Iterator[str]:
    """Yield the lines of the table of files that a folder of another PyMARL need not have."""
    yield from ("| learner | its folder may come without |", "|---|---|")
    learners = registries()["learner"]
    for name in learners:
        if unsaved := learners[name].unsaved:
            yield f"| `{name}` | {', '.join(f'`{file}.th`' for file in unsaved)} |"


MAKE = {"files": files, "parts": parts, "keys": keys, "checkpoints": checkpoints}


def page(text: str) -> str:
    """Return the page with its tables written anew."""
    return TABLE.sub(lambda found: "\n".join([found[1].rstrip(), "", *MAKE[found[2]](), "", found[3]]), text)


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    parser = argparse.ArgumentParser(
        prog="python src/tools/porting.py", description="Write the tables of docs/porting.md."
    )
    parser.add_argument("--out", type=Path, default=OUT, help="the file to write (default: docs/porting.md)")
    options = parser.parse_args(argv)
    try:
        write_text(options.out, page(OUT.read_text(encoding="utf-8")))
    except (UserError, OSError) as error:
        return refuse(error)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
