"""Write docs/algorithms.md from the algorithms' YAML files and the docstrings of their parts.

    python src/tools/algorithms.py [--out docs/algorithms.md]

The comment at the head of a YAML file describes its method; lines of it that begin with `Assumes:`, `Expected:` or
`Differs:` (and those behind them) go under headings of their own.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: python has put src/tools on the path, not src
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pymarl.run.config import PARTS, Classes
from pymarl.run.foreign import take_foreign
from pymarl.utils.config import config_keys
from pymarl.utils.errors import UserError, short_line
from pymarl.utils.files import write_text
from pymarl.utils.layers import CONFIG, merge, shipped_files

HEADINGS = {"Assumes": "It assumes", "Expected": "Expected result", "Differs": "What differs from its source"}
KEY = re.compile(r"^(\w+):\s*(.*?)\s*(?:#\s*(.*))?$")
FIXED = {"learner", "mac", "agent", "action_selector", "buffer"}
OUT = CONFIG.parents[1] / "docs" / "algorithms.md"
INTRODUCTION = """# Algorithms

Every file of `src/config/algs` is a method by its name: `python src/main.py --config=NAME --env-config=ENV`.
This page is written by `python src/tools/algorithms.py` from those files and from the docstrings of the parts that they
choose; to change it, change them.
"""


def head_of(text: str) -> dict[str, str]:
    """Return the parts of the comment that a YAML file begins with: "" is the description, others are HEADINGS."""
    parts: dict[str, list[str]] = {"": []}
    current = ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("#").strip()
        label, colon, rest = words.partition(":")
        if colon and label in HEADINGS:
            current, words = label, rest.strip()
        parts.setdefault(current, []).append(words)
    return {name: " ".join(lines) for name, lines in parts.items()}


def comments_of(text: str) -> dict[str, tuple[str, str]]:
    """Return {key: (value, comment)} of a YAML file's lines."""
    matches = (KEY.match(line) for line in text.splitlines())
    return {match[1]: (match[2], match[3] or "") for match in matches if match}


def chosen(name: str) -> dict[str, tuple[str, str]]:
    """Return {key: (kind of part, its name)} of the parts that make an algorithm what it is."""
    layers = merge(name, None, {})
    take_foreign(layers)
    values = layers.values
    learner = Classes.of(values).learner
    kinds = {"learner": "learner", **{key: kind.registry.kind for key, kind in learner.networks.items()},
             "mac": "mac", "agent": "agent", "action_selector": "action selector"}  # fmt: skip
    parts = {key: (kind, values[key]) for key, kind in kinds.items() if values[key] is not None}
    return parts | {"buffer": ("buffer", values["buffer"] or learner.trains_on[0])}


def section(name: str, defaults: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Yield the lines on one algorithm."""
    text = (CONFIG / "algs" / f"{name}.yaml").read_text(encoding="utf-8")
    head = head_of(text)
    yield from (f"## {name}", "", head[""], "")
    parts = chosen(name)
    links = [f"{key} [`{part}`](#{anchor(f'{kind} {part}')})" for key, (kind, part) in parts.items()]
    yield from (", ".join(links) + ".", "")
    for label, heading in HEADINGS.items():
        if label in head:
            yield from (f"**{heading}:** {head[label]}", "")
    yield from ("| key | value | |", "|---|---|---|")
    for key, (value, comment) in comments_of(text).items():
        if key in parts or key == "name":
            continue
        told = comment or defaults.get(key, ("", ""))[1]
        yield f"| `{key}` | `{value}` | {told.replace('|', '/')} |"
    yield ""


def anchor(heading: str) -> str:
    """Return the name of a heading in links, as GitHub makes it."""
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def part_section(kind: str, name: str, part: Any, defaults: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Yield the lines on a part: its docstring, its keys."""
    words = inspect.getdoc(part) or inspect.getdoc(inspect.getmodule(part)) or ""
    words = words.split("\nArgs:")[0].split("\nAttributes:")[0].strip()
    yield from (f"### {kind} {name}", "", words, "")
    keys = sorted(config_keys(part))
    yield from [f"- `{key}`" + (f": {defaults[key][1]}" if key in defaults else "") for key in keys]
    yield from [""] * bool(keys)


def overview(names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table of all algorithms."""
    yield from ("| method | learner | networks of its own | agent | buffer |", "|---|---|---|---|---|")
    for name in names:
        parts = {key: part for key, (_, part) in chosen(name).items()}
        own = [part for key, part in parts.items() if key not in FIXED]
        cells = [f"[{name}](#{anchor(name)})", parts["learner"], ", ".join(own), parts["agent"], parts["buffer"]]
        yield f"| {' | '.join(cells)} |"
    yield ""


ELSEWHERE = ("runner", "tracker")
"""Kinds of parts that docs/ray.md and docs/tracking.md describe."""


def page() -> str:
    """Return the whole page."""
    defaults = comments_of((CONFIG / "default.yaml").read_text(encoding="utf-8"))
    names = list(shipped_files("algs"))
    lines = [INTRODUCTION, *overview(names)]
    for name in names:
        lines += section(name, defaults)
    lines += ["## Parts", ""]
    for registry in PARTS:
        if registry.kind not in ELSEWHERE:
            for name in registry:
                lines += part_section(registry.kind, name, registry[name], defaults)
    return "\n".join(lines).rstrip() + "\n"


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    parser = argparse.ArgumentParser(prog="python src/tools/algorithms.py", description="Write docs/algorithms.md.")
    parser.add_argument("--out", type=Path, default=OUT, help="the file to write (default: docs/algorithms.md)")
    options = parser.parse_args(argv)
    try:
        write_text(options.out, page())
    except (UserError, OSError) as error:
        print(f"error: {short_line(str(error))}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
