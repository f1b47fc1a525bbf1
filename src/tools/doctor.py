"""What this machine has, what is missing or broken and what mends it: `python src/tools/doctor.py`.

StarCraft II is optional: --env-config=skirmish needs none of it. The exit code is 1 if something that every run needs
is not there, or what there is of StarCraft II is broken; with --sc2 it is 1 if --env-config=sc2 cannot start; else 0.

With --results results it says which runs there are dead, though their run.json says RUNNING, and what resumes them;
nothing is changed without --mend.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

if not __package__:  # run as a file: python has put src/tools on the path, not src
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pymarl.envs.sc2 import installation
from pymarl.envs.sc2.installation import INSTALL, import_error
from pymarl.utils import protobuf
from pymarl.utils.doors import CHECKOUT, command_parser
from pymarl.utils.errors import UserError
from pymarl.utils.version import __version__

ACTIVATE = "source .venv/bin/activate"
DEFAULT_MAP = "3m"
RESULTS_GB = 5
"""Free space below which a note is made: a replay buffer's checkpoint may take this much."""


NEEDED = ("protobuf", "torch")
"""What every run needs."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    mark: str
    """ok, note (worth knowing), none (optional, and not there), MISSING, or BROKEN."""
    name: str
    found: str
    remedy: str = ""


def rows(absent: str) -> Iterator[Row]:
    """Yield the table; `absent` is the mark of what StarCraft II needs where there is nothing of it."""
    yield python()
    yield from game(absent)
    for name in ("smac", "smacv2", "pysc2"):
        yield package(name, absent)
    if CHECKOUT:
        yield pinned("requirements-sc2.txt", INSTALL)
        yield pinned("requirements.txt", pip_install())
    yield backend()
    yield gpu()
    yield disk()


def python() -> Row:
    """Say which Python this is: packages are installed into .venv."""
    found = f"{platform.python_version()}, {sys.executable}"
    if not CHECKOUT:
        return Row("ok", "python", f"{found}; pymarl {__version__} installed there")
    if in_venv():
        return Row("ok", "python", found)
    if beside_venv():
        return Row("note", "python", f"{found}, not the one of .venv", ACTIVATE)
    return Row("note", "python", f"{found}; there is no .venv, into which ./install_sc2.sh installs")


def in_venv() -> bool:
    """Tell whether this is the Python of .venv."""
    return Path(sys.prefix).resolve() == (installation.REPO / ".venv").resolve()


def beside_venv() -> bool:
    """Tell whether there is a .venv, and this is another Python."""
    return CHECKOUT and not in_venv() and (installation.REPO / ".venv").is_dir()


def pip_install() -> str:
    """Return the command that brings the packages which everything needs."""
    if beside_venv():
        return ACTIVATE
    return f"{sys.executable} -m pip install {'-r requirements.txt' if CHECKOUT else 'pymarl-next'}"


def game(absent: str) -> Iterator[Row]:
    """Say where the game is, which builds it has and which maps."""
    origin = "SC2PATH" if os.environ.get("SC2PATH") else "SC2PATH is not set, and need not be"
    root = installation.find_sc2()
    if root is None:
        where = ", ".join(str(place.absolute()) for place in installation.places())
        yield Row(absent, "game", f"not in {where} ({origin}){installation.elsewhere()}", INSTALL)
        return
    yield Row("ok", "game", f"{root} ({origin})")
    yield build(root)
    for name, maps in (("maps of smac", installation.MAPS), ("maps of smacv2", installation.FLAT_MAPS)):
        lost = installation.missing_maps(root, maps)
        found = f"{len(maps) - len(lost)} of {len(maps)} in {root / 'Maps' / 'SMAC_Maps'}"
        yield Row("MISSING", name, f"{found}; not {', '.join(lost)}", INSTALL) if lost else Row("ok", name, found)


def build(root: Path) -> Row:
    """Say which builds of the game there are and which is used."""
    fault = installation.game_fault(root)
    if fault:
        return Row("BROKEN", "version", fault.what, fault.remedy)
    *others, used = installation.builds(root)
    found = installation.version(used)
    if others:
        found += f", the newest is used; also there: {', '.join(map(installation.version, others))}"
    if used == installation.BUILD:
        return Row("ok", "version", found)
    return Row("note", "version", f"{found}; results differ from those of {installation.version(installation.BUILD)}")


def package(name: str, absent: str) -> Row:
    """Say whether smac, smacv2 or pysc2 is there, from which commit, and whether it can be imported."""
    problem = installation.package_problem(name)
    if problem:
        other = "SMAC3" in problem
        remedy = f"{sys.executable} -m pip uninstall --yes smac && {INSTALL}" if other else INSTALL
        mark = absent if installation.package_folder(name) is None else "BROKEN"
        return Row(mark, name, problem.partition(";")[0], remedy)
    if name == "pysc2":  # imported by smac
        return Row("ok", name, metadata_version(name))
    reason = import_error(name)
    if reason:
        return Row("BROKEN", name, f"{installation.package_folder(name)} cannot be imported: {reason}", INSTALL)
    commit = installation.commit(name)
    return Row("ok", name, f"{metadata_version(name)}, {f'commit {commit[:7]}' if commit else 'commit not recorded'}")


def metadata_version(name: str) -> str:
    """Return the version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "a folder without version"


def pinned(requirements: str, remedy: str) -> Row:
    """Say which packages are not as a requirements file has them."""
    path = installation.REPO / requirements
    pins, wrong = installation.pins(path), installation.unmet(path)
    if not wrong:
        return Row("ok", requirements, f"{len(pins)} of {len(pins)} packages as pinned")
    absent = [name for name, has in wrong.items() if has == installation.ABSENT]
    told = [f"missing: {', '.join(absent)}"] if absent else []
    for name in [name for name in wrong if name not in absent]:
        told.append(f"{name} is {wrong[name]}, pinned is {Path(pins[name]).name.removesuffix('.zip')}")
    return Row("note", requirements, f"{len(pins) - len(wrong)} of {len(pins)} as pinned; {'; '.join(told)}", remedy)


def backend() -> Row:
    """Say which of its implementations protobuf uses."""
    kind = protobuf.backend()
    if kind is None:
        return Row("MISSING", "protobuf", "not installed", pip_install())
    told = {"python": "pure Python: reads the game's messages slowly", "upb": "in C", "cpp": "in C++"}
    found = f"{metadata_version('protobuf')}, backend {kind} ({told.get(kind, 'unknown')})"
    return Row("note", "protobuf", found, pip_install()) if kind == "python" else Row("ok", "protobuf", found)


def gpu() -> Row:
    """Say what torch computes on."""
    try:
        import torch
    except ImportError as error:
        return Row("MISSING", "torch", str(error), pip_install())
    if torch.cuda.is_available():
        return Row("ok", "torch", f"{torch.__version__}, GPU {torch.cuda.get_device_name()}")
    return Row("ok", "torch", f"{torch.__version__}, no GPU: the CPU trains (the game itself uses none)")


def disk() -> Row:
    """Say how much room there is for checkpoints and replays."""
    free = shutil.disk_usage(Path()).free / 1e9
    found = f"{free:.0f} GB free for results/"
    if free < RESULTS_GB:
        return Row("note", "disk", found, "save_buffer=False, keep_checkpoints=3, or free some")
    return Row("ok", "disk", found)


def verdict() -> str | None:
    """Return why --env-config=sc2 cannot start, or None."""
    problem = sc2_problem()
    if problem and beside_venv():
        return f"{sys.executable} is not the Python of .venv, where things are installed; {ACTIVATE}"
    return problem


def sc2_problem() -> str | None:
    """Return what this Python and this machine lack for --env-config=sc2, or None."""
    try:
        installation.require("smac", DEFAULT_MAP)
    except UserError as error:
        return str(error)
    reason = import_error("smac")
    return installation.import_problem("smac", reason) if reason else None


def table(lines: Sequence[Row]) -> str:
    """Return the table as text."""
    width = max(len(row.name) for row in lines)
    text = []
    for row in lines:
        text.append(f"{row.mark:<8}{row.name:<{width}}  {row.found}")
        if row.remedy:
            text.append(f"{'':<{8 + width}}  mend: {row.remedy}")
    return "\n".join(text)


def look_for_dead(results: Path, *, mend: bool) -> int:
    """Print what there is to say of dead runs; return the exit code."""
    from pymarl.tools.dead_runs import report  # what is said of StarCraft II must work without

    try:
        for line in report(results, mend=mend):
            print(line)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: Sequence[str]) -> int:
    """Print the table; return the exit code."""
    parser = command_parser("python src/tools/doctor.py", __doc__ or "")
    parser.add_argument("--sc2", action="store_true", help="StarCraft II is wanted: fail if it cannot start")
    parser.add_argument("--results", type=Path, help="look for dead runs in this folder, a run's local_results_path")
    parser.add_argument("--mend", action="store_true", help="complete their info.json and write their status: DIED")
    options = parser.parse_args(argv)
    if options.mend and options.results is None:
        parser.error("--mend needs --results, such as --results results")
    if options.results is not None:
        return look_for_dead(options.results, mend=options.mend)
    lines = list(rows(absent="MISSING" if options.sc2 else "none"))
    print(table(lines))
    problem = verdict()
    print(f"\n--env-config=sc2 {f'cannot start: {problem}' if problem else 'can start'}")
    print("--env-config=skirmish needs none of this")
    if options.sc2:
        return 1 if problem else 0
    return int(any(row.mark == "BROKEN" or (row.mark == "MISSING" and row.name in NEEDED) for row in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
