"""Every command of the docs does what a page says, on jobs cut short, in a folder of the page's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs_kit import PAGES, ROOT, Command, commands, files_shown, reasons

SHORT = "t_max=150 test_nepisode=2 log_interval=100"
JOB = "python src/main.py --config=qmix --env-config=skirmish"
LINKED = ("src", "benchmarks", "requirements.txt", "requirements-sc2.txt", "requirements-dev.txt")


def shortened(line: str) -> str:
    """Return a command with as little to play as shows that it works."""
    if not re.search(r"src/(main|launch)\.py", line) or "--print-config" in line or "--help" in line:
        return line
    line = re.sub(r"--(seeds|trials)=\d+", r"--\1=2", line)
    words = line if " with " in line else f"{line} with"
    return f"{words} {SHORT}"


def played_before(line: str, here: Path) -> str:
    """Return a command whose TOKEN or FILE.npz is of a run that is played first, with the command's own words."""
    if "TOKEN" in line:
        asked = r" (?:checkpoint_path|resume|evaluate|save_replay|load_step|test_nepisode)=\S+"
        before = re.sub(asked, "", line) if "src/main.py" in line else JOB
        run(Command(before, None), here)
        return line.replace("TOKEN", newest(here / "results/models").name)
    if "FILE.npz" in line:
        if not (here / "results/replays").exists():
            run(Command("python src/evaluate.py results/models/TOKEN save_replay=True test_nepisode=2", None), here)
        return line.replace("FILE", newest(here / "results/replays", "*.npz").stem)
    return line


def newest(folder: Path, pattern: str = "*") -> Path:
    """Return what came into a folder last, of names like this."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime)


def run(command: Command, here: Path) -> str:
    """Run a command and return what it printed; fail if it failed, or printed something else than the page says."""
    line = shortened(played_before(command.line, here))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=here, env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=250,
    )  # fmt: skip
    said = done.stdout.strip()
    if command.prints is None:
        assert done.returncode == 0, f"{line}\n{said[-2000:]}"
    else:
        expected = re.escape(command.prints).replace(re.escape("..."), ".*")
        assert re.fullmatch(expected, said, re.DOTALL), f"{line}\n{said[-2000:]}"
    return said


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_work(page: Path, tmp_path: Path) -> None:
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for name, text in (files_shown(ROOT / "docs/extending.md") | files_shown(page)).items():
        (tmp_path / name).write_text(text)
    for command in commands(page):
        run(command, tmp_path)


def test_most_commands_are_run() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 40
    assert sum(len(reasons(page)) for page in PAGES) < 20


def test_a_command_that_fails_or_prints_something_else_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\n$ echo a b\na ...\n$ echo c\nd\n```\n<!-- not run: no -->\n```\npython -c 1\n```\n"
                    "```\npython -c 'import \\\n   none_such'  # why\n```\n")  # fmt: skip
    good, other, fails = commands(page)
    assert run(good, tmp_path) == "a b"
    for wrong in (other, fails):
        with pytest.raises(AssertionError, match=r"echo c|No module named"):
            run(wrong, tmp_path)
    assert reasons(page) == ["no"]
