"""Write docs/algorithms.md and docs/parts.md from the algorithms' YAML files and the docstrings of their parts.

    python src/tools/algorithms.py [--out docs]

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
from pymarl.utils.errors import UserError, refuse
from pymarl.utils.files import write_text
from pymarl.utils.layers import CONFIG, merge, shipped_files

HEADINGS = {"Assumes": "It assumes", "Expected": "Expected result", "Differs": "What differs from its source"}
KEY = re.compile(r"^(\w+):\s*(.*?)\s*(?:#\s*(.*))?$")
OUT = CONFIG.parents[1] / "docs"
PAPER = re.compile(r"arXiv[: ](\d{4}\.\d{5}|\d{4}\.\d{4})")
WRITTEN = """`python src/tools/algorithms.py` writes this page from those files and the docstrings of the parts that
they choose; to change it, change them."""
ALGORITHMS = f"""# Algorithms

Every file of `src/config/algs` is a method by its name: `python src/main.py --config=NAME --env-config=ENV`. A name
leads to what the method assumes, what differs from its source, and the keys that it sets; [Parts](parts.md) has what it
is made of. Names that begin with `epymarl/` are EPyMARL's methods with its values, those that end with `_ns` give each
agent weights of its own.

{WRITTEN}
"""
PARTS_PAGE = f"""# Parts and their keys

What [the algorithms](algorithms.md) are made of, and the keys that each part reads. A key's default, unit and meaning
are in `src/config/default.yaml`; `--print-config` says what a run would have. A part of your own needs no line here:
[Your own part](extending.md).

{WRITTEN}
"""
FAMILIES = {
    "Value-based": "Agents act by their own values of actions; most methods mix them into the team's in training.",
    "Actor-critic": "Agents act by policies, which a critic judges in training.",
}


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
    """Return {key: (value, comment)} of a YAML file's lines; keys of a mapping are `env_args.key`."""
    found, above, of_above = {}, "", ""
    for line in text.splitlines():
        if match := KEY.match(line.removeprefix("  ")):
            key, value, comment = match[1], match[2], match[3] or ""
            if line.startswith("  "):
                found[above + key] = (value, comment or of_above)
            elif value:
                found[key] = (value, comment)
            else:  # of a mapping; its comment is that of what is in it
                above, of_above = f"{key}.", comment
    return found


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
    yield from (f"### {name}", "", head[""], "")
    parts = chosen(name)
    links = [f"{key} [`{part}`](parts.md#{anchor(f'{kind} {part}')})" for key, (kind, part) in parts.items()]
    yield from (", ".join(links) + ".", "")
    for label, heading in HEADINGS.items():
        if label in head:
            yield from (f"**{heading}:** {head[label]}", "")
    rows = []
    for key, (value, comment) in comments_of(text).items():
        if key not in parts and key != "name":
            told = comment or defaults.get(key, ("", ""))[1]
            rows.append(f"| `{key}` | `{value}` | {told.replace('|', '/')} |")
    summary = f"The {len(rows)} keys that it sets"
    yield from ('<details markdown="1">', f"<summary>{summary}</summary>", "", "| key | value | |", "|---|---|---|")
    yield from (*rows, "", "</details>", "")


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


def family(name: str) -> str:
    """Return which of the FAMILIES an algorithm is of: what its learner reads of the agents decides."""
    return "Value-based" if "q" in PARTS_BY_KIND["learner"][chosen(name)["learner"][1]].reads else "Actor-critic"


def overview(names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table of some algorithms."""
    yield from ("| method | in a sentence | paper |", "|---|---|---|")
    for name in names:
        words = head_of((CONFIG / "algs" / f"{name}.yaml").read_text(encoding="utf-8"))[""]
        yield f"| [{name}](#{anchor(name)}) | {first_sentence(words)} | {paper(words)} |"
    yield ""


def first_sentence(words: str) -> str:
    """Return the first sentence of a description, without a "NAME:" before it and papers in brackets."""
    bare = re.sub(r" \([^()]*(?:\([^()]*\)[^()]*)*\)", "", words)
    sentence = re.split(r"\. (?=[A-Z])", bare)[0].rstrip(".")
    name, colon, rest = sentence.partition(": ")
    return rest if colon and " " not in name else sentence


def paper(words: str) -> str:
    """Return a link to the first paper that a description names, or a dash."""
    found = PAPER.search(words)
    return f"[{found[1]}](https://arxiv.org/abs/{found[1]})" if found else "-"


ELSEWHERE = ("runner", "tracker")
"""Kinds of parts that docs/ray.md and docs/tracking.md describe."""
PARTS_BY_KIND = {registry.kind: registry for registry in PARTS if registry.kind not in ELSEWHERE}


def algorithms_page() -> str:
    """Return the page of all algorithms."""
    names = sorted(shipped_files("algs"), key=lambda name: ("/" in name, name))
    lines = [ALGORITHMS]
    for title, words in FAMILIES.items():
        lines += (f"## {title}", "", words, "")
        lines += overview([name for name in names if family(name) == title])
    lines += ("## One by one", "")
    defaults = comments_of((CONFIG / "default.yaml").read_text(encoding="utf-8"))
    for name in names:
        lines += section(name, defaults)
    return "\n".join(lines).rstrip() + "\n"


def parts_page() -> str:
    """Return the page of all parts."""
    defaults = comments_of((CONFIG / "default.yaml").read_text(encoding="utf-8"))
    lines = [PARTS_PAGE]
    for kind, registry in PARTS_BY_KIND.items():
        lines += (f"## {kind}", "")
        for name in registry:
            lines += part_section(kind, name, registry[name], defaults)
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"algorithms.md": algorithms_page, "parts.md": parts_page}


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    description = f"Write {' and '.join(PAGES)}."
    parser = argparse.ArgumentParser(prog="python src/tools/algorithms.py", description=description)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write to (default: docs)")
    options = parser.parse_args(argv)
    try:
        for name, page in PAGES.items():
            write_text(options.out / name, page())
            print(options.out / name)
    except (UserError, OSError) as error:
        return refuse(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
