"""`pymarl WORD ...`: one command for all that the files of this folder do, each a word."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from pymarl.utils.doors import DOORS, set_up
from pymarl.utils.errors import closest
from pymarl.utils.version import __version__

HELP = """\
usage: pymarl WORD ...

{words}

pymarl WORD --help says more; pymarl --version prints the version.

examples:
  pymarl train --config=qmix --env-config=skirmish with env_args.map_name=3m save_model=True
  pymarl evaluate results/models/TOKEN save_replay=True
  pymarl replay results/replays/3m_*.npz
"""
SEARCH = """\
usage: pymarl search KEY=RANGE [KEY=RANGE ...] --configs=ALG --env-configs=ENV [options] [with KEY=VALUE ...]

The same as `pymarl launch ... --search KEY=RANGE ...`, of which `pymarl launch --help` lists the options.

example:
  pymarl search lr=loguniform:1e-4,1e-2 batch_size=choice:16,32 --configs=qmix --env-configs=skirmish --maps=3m \\
      --trials=30 with t_max=200000
"""


def help_text() -> str:
    """Return what `pymarl --help` prints."""
    return HELP.format(words="\n".join(f"  {word:<11}{door.what}" for word, door in DOORS.items()))


def of_search(words: Sequence[str]) -> list[str]:
    """Return the words of launch for those of search; none if they begin with no range."""
    if "--search" in words:
        return list(words)
    return [] if not words or words[0].startswith("-") or words[0] == "with" else ["--search", *words]


def run(argv: Sequence[str]) -> int:
    """Run a command line behind `pymarl`; return the exit code: that of the word, 2 where there is none."""
    if argv and argv[0] in ("--version", "-V"):
        print(f"pymarl {__version__}")
        return 0
    if not argv or argv[0] in ("--help", "-h", "help"):
        print(help_text(), end="", file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    word, rest = argv[0], list(argv[1:])
    if word not in DOORS:
        print(f"error: pymarl {word}: no such word{closest(word, DOORS)} (known: {', '.join(DOORS)})", file=sys.stderr)
        return 2
    if word == "search":
        asked = bool({"--help", "-h"} & {*rest})
        rest = [] if asked else of_search(rest)
        if not rest:
            print(SEARCH, end="", file=sys.stdout if asked else sys.stderr)
            return 0 if asked else 2
    set_up()
    code: int = importlib.import_module(f"pymarl.{DOORS[word].module}").main(rest)
    return code


def main() -> int:
    """The command `pymarl`."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
