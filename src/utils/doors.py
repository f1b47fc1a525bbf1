"""The commands: each a file below src/ and a word of `pymarl`, and how whoever reads a text calls them."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from argparse import ArgumentParser

SRC = Path(__file__).resolve().parents[1]
CHECKOUT = (SRC / "pymarl.py").is_file()
"""This is src/ of a checkout; installed, that file is the `__init__.py` of a package."""
PLACE = "src" if CHECKOUT else SRC.name
"""What texts call the folder of the sources."""


@dataclass(frozen=True)
class Door:
    """One command.

    Attributes:
        module: below pymarl, with a `main(argv)` that returns the exit code.
        what: it does, in a line.
    """

    module: str
    what: str


DOORS = {
    "train": Door("main", "train, resume or evaluate: --config=qmix --env-config=skirmish with KEY=VALUE ..."),
    "evaluate": Door("evaluate", "play what was trained: TOKEN, save_replay=True for replays"),
    "launch": Door("launch", "algorithms x maps x seeds, as many at once as fit; on Slurm and Ray, too"),
    "search": Door("launch", "values of keys that Optuna proposes: lr=loguniform:1e-4,1e-2 --configs=qmix ..."),
    "report": Door("report", "curves, aggregates and tables of many runs in one page"),
    "compare": Door("compare", "two methods, or two versions of one, beside each other"),
    "export": Door("export", "the numbers of many runs in one file, for other tools"),
    "curve": Door("tools.curve", "learning curves as a picture"),
    "replay": Door("tools.replay", "a battle as a web page, GIF or film"),
    "doctor": Door("tools.doctor", "what this machine has, what is missing and what mends it"),
    "check-env": Door("envs.check", "play an env, yours or ours, and hold it against the contract"),
}
"""Word of `pymarl` -> its command. Of two words for one module the first is what texts call it."""


def set_up() -> None:
    """Prepare this process for a command, before torch and sacred are imported."""
    # OpenMP's idle threads would spin on the cores that the learner's own threads need. Read when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)  # sacred 0.8.7 imports it


def as_called(text: str) -> str:
    """Return a text that says `python src/FILE.py` with the words by which whoever reads it calls that command."""
    if CHECKOUT and Path(sys.argv[0]).stem != "pymarl":
        return text
    for word, door in DOORS.items():
        for script in (f"python src/{door.module.replace('.', '/')}.py", f"python -m pymarl.{door.module}"):
            text = text.replace(script, f"pymarl {word}")
    return text


def from_here(script: str) -> str:
    """Return how the current folder calls a script, in a checkout such as "python src/main.py"."""
    return as_called(script).replace("python src/", f"python {shlex.quote(os.path.relpath(SRC))}/")


def command_parser(script: str, description: str, arguments: str = "") -> ArgumentParser:
    """Return the parser of a command without arguments yet.

    Args:
        script: in a checkout, such as "python src/report.py".
        description: printed as it stands but for what it says of scripts.
        arguments: of the usage line; "" to have them listed from those that are added.
    """
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    class Parser(ArgumentParser):
        def error(self, message: str) -> NoReturn:
            """Say what is wrong with the options in one line, as is said of all other input."""
            self.exit(2, f"error: {message} ({self.prog} --help lists the options)\n")

    called = as_called(script)
    return Parser(
        prog=called, usage=f"{called} {arguments}" if arguments else None, description=as_called(description),
        formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip


def command_line(script: str, words: Sequence[str]) -> str:
    """Return a whole command line, `script` in a checkout being such as "python src/main.py"."""
    return f"{as_called(script)} {shlex.join(words)}".rstrip()
