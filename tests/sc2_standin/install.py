"""A folder that pysc2 takes for an installation of StarCraft II."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from pymarl.envs.sc2.installation import FLAT, MAPS

TESTS = Path(__file__).resolve().parent.parent
VERSION = "Base75689"
"""StarCraft II 4.10.0."""

PROGRAM = """#!{python}
import os
import sys

sys.path[:0] = {path}
os.environ.setdefault("SC2_STANDIN_FAULTS", {faults!r})
from sc2_standin.server import main

sys.exit(main(sys.argv[1:]))
"""

MAP = b"The stand-in goes by the name of this file. " * 400
"""As long as a real map: pysc2 sends it to the game."""


def make_sc2path(folder: Path, maps: Iterable[str] = (*MAPS, FLAT), faults: str = "") -> Path:
    """Make `folder` an SC2PATH with the stand-in as its game, and return it.

    The first call after a change of the engine compiles it, about half a minute: no game is to wait for that.

    Args:
        folder: made if missing.
        maps: names of maps that are installed.
        faults: for the environment variable that faults.py reads, unless it is set.
    """
    if find_spec("websockets") is None:
        raise SystemExit(
            "error: the stand-in for StarCraft II needs the test extras; ./test.sh installs them into .venv"
        )
    program = folder / "Versions" / VERSION / "SC2_x64"
    program.parent.mkdir(parents=True, exist_ok=True)
    path = [str(TESTS), str(TESTS.parent / "src")]
    program.write_text(PROGRAM.format(python=sys.executable, path=path, faults=faults))
    program.chmod(0o755)
    (folder / "Replays").mkdir(exist_ok=True)
    (folder / "Maps" / "SMAC_Maps").mkdir(parents=True, exist_ok=True)
    for name in maps:
        (folder / "Maps" / "SMAC_Maps" / f"{name}.SC2Map").write_bytes(MAP)
    compile_engine()
    return folder


def compile_engine() -> None:
    """Compile what the game runs on, unless numba's cache holds it."""
    from pymarl.envs.skirmish.battle.kernels import SOURCES
    from pymarl.utils.jit import Compiled
    from sc2_standin import kernels
    from sc2_standin.game import STOP_ID, Game

    compiled = Compiled("standin", kernels.kill, *SOURCES, Path(__file__).parent)
    with compiled.once("the stand-in's engine", "about half a minute") as needed:
        if needed:
            game = Game("MMM", 0)
            game.step(1)
            game.order([(game.tags[0], STOP_ID, 0, None)])
            game.kill(game.tags)
