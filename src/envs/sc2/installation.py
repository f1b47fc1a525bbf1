"""What StarCraft II needs on this machine: what is found, what is missing and how to mend it.

Nothing here imports pysc2, smac or smacv2: the main process never does, and each of them may be missing or broken.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from shlex import quote

from pymarl.utils.doors import CHECKOUT, SRC
from pymarl.utils.errors import UserError, closest

REPO = SRC.parent
ABSENT = "missing"
INSTALL = "./install_sc2.sh" if CHECKOUT else "install_sc2.sh of the project's repository"
WITHOUT = "or play without StarCraft II: --env-config=skirmish"
REMEDY = f"run {INSTALL}, {WITHOUT}"

MAPS = (
    *("3m", "8m", "25m", "5m_vs_6m", "8m_vs_9m", "10m_vs_11m", "27m_vs_30m", "MMM", "MMM2", "2s3z", "3s5z"),
    *("3s5z_vs_3s6z", "3s_vs_3z", "3s_vs_4z", "3s_vs_5z", "1c3s5z", "2m_vs_1z", "corridor", "6h_vs_8z"),
    *("2s_vs_1sc", "so_many_baneling", "bane_vs_bane", "2c_vs_64zg"),
)
"""SMAC's maps; each has a file of its name."""
FLAT = "32x32_flat"
FLAT_MAPS = ("10gen_terran", "10gen_protoss", "10gen_zerg")
"""SMACv2's maps, which are all played in the file `FLAT`."""

IMPORT = "from pymarl.utils.protobuf import use_fast_backend as f; f(); import {package}.env.starcraft2.starcraft2"
IMPORT_SECONDS = 60

BUILD = 75689
"""4.10, the build that install_sc2.sh downloads."""
OLDEST_BUILD = 55958
"""3.16.1: pysc2 refuses older ones."""
VERSIONS = {55958: "3.16.1", 69232: "4.6.2", BUILD: "4.10"}
EXECUTABLES = {"Linux": "SC2_x64", "Darwin": "SC2.app/Contents/MacOS/SC2"}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a game, and the command that mends it."""

    what: str
    remedy: str


def require(package: str, map_name: str) -> Path:
    """Return the game's folder if `package` (smac or smacv2) can play the map in it.

    UserError, in one line with what to do, if the package, pysc2, the game, its executable or the map is missing.
    """
    problem = package_problem(package) or package_problem("pysc2") or game_problem()
    root = find_sc2()
    problem = problem or (map_problem(root, map_name) if root else None)
    if problem or root is None:
        raise UserError(str(problem))
    return root


def places() -> list[Path]:
    """Return where the game may be: $SC2PATH alone if it is set, else 3rdparty/ of this repository, then the home."""
    given = os.environ.get("SC2PATH")
    if given:
        return [Path(given).expanduser()]
    return _usual_places()


def _usual_places() -> list[Path]:
    beside = [REPO / "3rdparty" / "StarCraftII"] if CHECKOUT else []
    return [*beside, Path("~/StarCraftII").expanduser()]


def elsewhere() -> str:
    """Return "; unset SC2PATH ..." if that hides a whole game, else ""."""
    whole = [place for place in _usual_places() if place.is_dir() and game_fault(place) is None]
    return f"; unset SC2PATH to use the game in {whole[0]}" if os.environ.get("SC2PATH") and whole else ""


def find_sc2() -> Path | None:
    """Return the game's folder, absolute, or None."""
    return next((place.absolute() for place in places() if place.is_dir()), None)


def builds(root: Path) -> list[int]:
    """Return the game's builds, the one that is used last."""
    numbers = (path.name.removeprefix("Base") for path in root.glob("Versions/Base*"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def version(build: int) -> str:
    """Return a build in words: "4.10 (Base75689)"."""
    return f"{VERSIONS[build]} (Base{build})" if build in VERSIONS else f"Base{build}"


def game_problem() -> str | None:
    """Return what is wrong with the game, or None."""
    root = find_sc2()
    if root is None:
        where = ", ".join(str(place.absolute()) for place in places())
        origin = "SC2PATH" if os.environ.get("SC2PATH") else "default places"
        return f"no StarCraft II in {where} ({origin}){elsewhere()}; {REMEDY}"
    fault = game_fault(root)
    return f"{fault.what}; run {fault.remedy}, {WITHOUT}" if fault else None


def game_fault(root: Path) -> Fault | None:
    """Return what is wrong with the game in a folder, or None. What the installer says it mends, it does."""
    found, again = builds(root), f"{_move(root, root.with_name(f'{root.name}.old'))} && {INSTALL}"
    for path in root.glob("Versions/Base*"):
        if not path.name.removeprefix("Base").isdecimal():
            remedy = f"{_move(path, path.with_name(f'old-{path.name}'))} && {INSTALL}" if found else again
            return Fault(f"{path}: pysc2 reads the name of every folder Base* as a number", remedy)
    if not found:
        return Fault(f"no StarCraft II in {root}: no Versions/Base* in it", INSTALL)
    if found[-1] < OLDEST_BUILD:
        return Fault(f"{root}: {version(found[-1])} is older than {version(OLDEST_BUILD)}, which pysc2 needs", again)
    path = executable(root, found[-1])
    if not path.is_file():
        return Fault(f"{path}: missing (unpacked for another system, or in part?)", again)
    return None if os.access(path, os.X_OK) else Fault(f"{path}: may not be executed", INSTALL)


def _move(path: Path, target: Path) -> str:
    return f"mv {quote(str(path))} {quote(str(target))}"


def executable(root: Path, build: int) -> Path:
    """Return where a build's program is."""
    return root / "Versions" / f"Base{build}" / EXECUTABLES.get(platform.system(), "SC2_x64")


def map_file(root: Path, map_name: str) -> Path:
    """Return where a map's file is."""
    return root / "Maps" / "SMAC_Maps" / f"{FLAT if map_name in FLAT_MAPS else map_name}.SC2Map"


def missing_files(root: Path, names: Sequence[str]) -> list[str]:
    """Return the names of the files that some maps lack."""
    return sorted({map_file(root, name).name for name in missing_maps(root, names)})


def missing_maps(root: Path, names: Sequence[str] = MAPS) -> list[str]:
    """Return those of some maps that have no file, or an empty one."""
    return [name for name in names if not _has_content(map_file(root, name))]


def _has_content(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def map_problem(root: Path, map_name: str) -> str | None:
    """Return what is wrong with a map, or None."""
    path = map_file(root, map_name)
    if _has_content(path):
        return None
    if map_name in MAPS or map_name in FLAT_MAPS:
        return f"map {map_name!r} is not installed: no {path}; {REMEDY}"
    there = {file.stem for file in path.parent.glob("*.SC2Map")}
    near = closest(map_name, sorted(there | {*MAPS, *FLAT_MAPS})) or f" (SMAC's: {', '.join(MAPS)})"
    remedy = f"; to install SMAC's maps, {REMEDY}" if missing_maps(root) else ""
    return f"env_args.map_name={map_name!r}: no such map in {path.parent}{near}{remedy}"


def package_problem(package: str) -> str | None:
    """Return what is wrong with one of the packages smac, smacv2, pysc2 (its import is not tried), or None."""
    folder = package_folder(package)
    if folder is None:
        return f"the package {package} is not installed; {REMEDY}"
    if package == "pysc2" or (folder / "env" / "starcraft2" / "starcraft2.py").is_file():
        return None
    if (folder / "facade").is_dir():
        return (
            f"the package smac in {folder} is AutoML's SMAC3 from PyPI, which has nothing to do with StarCraft; "
            "python -m pip uninstall --yes smac, then ./install_sc2.sh, mend it; "
            "or play without StarCraft II: --env-config=skirmish"
        )
    return f"the package {package} in {folder} is not StarCraft's: no env/starcraft2/starcraft2.py in it; {REMEDY}"


def import_error(package: str) -> str | None:
    """Return how importing smac or smacv2 fails, in a process of its own: both in one process collide."""
    paths = [str(SRC if CHECKOUT else REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", IMPORT.format(package=package)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"not done within {IMPORT_SECONDS} s"
    return (done.stderr.strip().splitlines() or ["unknown"])[-1] if done.returncode else None


def import_problem(package: str, reason: str) -> str:
    """Return that a package cannot be imported, in one line with what to do."""
    return f"the package {package} cannot be imported: {reason}; {REMEDY}"


def package_folder(package: str) -> Path | None:
    """Return where a package is installed, or None."""
    spec = importlib.util.find_spec(package)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def commit(package: str) -> str | None:
    """Return the commit that a package was installed from, as far as pip has recorded it."""
    try:
        recorded = metadata.distribution(package).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    found = re.search(r"\b[0-9a-f]{40}\b", recorded or "")
    return found[0] if found else None


def pins(requirements: Path) -> dict[str, str]:
    """Return {package: version, or URL} of a requirements file."""
    lines = (line.partition("#")[0] if "://" not in line else line for line in requirements.read_text().splitlines())
    found = (re.match(r"([\w-]+) *(?:==|@) *(\S+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def unmet(requirements: Path) -> dict[str, str]:
    """Return {package: what is installed} for the lines of a requirements file that are not fulfilled."""
    wrong = {}
    for package, wanted in pins(requirements).items():
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            wrong[package] = ABSENT
            continue
        if "://" in wanted:
            origin = commit(package) or "another source"
            if origin not in wanted:
                wrong[package] = f"{installed} from {origin}"
            elif package_problem(package):
                wrong[package] = f"{installed}, damaged"
        elif installed.partition("+")[0] != wanted:
            wrong[package] = installed
    return wrong


def to_install(requirements: Path) -> list[str]:
    """Return the packages of a requirements file that are not fulfilled; if all are, those that cannot be imported."""
    return list(unmet(requirements)) or [name for name in ("smac", "smacv2") if import_error(name)]
