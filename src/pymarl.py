"""The one name under which everything here is imported: `pymarl.<folder>.<file>`.

In a checkout this file makes the folder that it lies in the package; installed, it is the package's `__init__`. Modules
written for PyMARL say `from modules.mixers.vdn import ...`: they get the module `pymarl.modules.mixers.vdn`, never a
second copy of it, unless there is one of that name of their own on the path.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent
__path__ = [str(ROOT)]

FOLDERS = frozenset({"components", "controllers", "envs", "learners", "modules", "run", "runners", "tools", "utils"})
"""PyMARL's names of the folders."""
OFFERED = {"__version__": "utils.version", "train": "library", "load_policy": "run.policy", "UserError": "utils.errors"}
"""What `pymarl.NAME` is found in, imported on use: `import pymarl` stays light."""


def __getattr__(name: str) -> Any:
    if name in OFFERED:
        return vars(importlib.import_module(f"{__name__}.{OFFERED[name]}"))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *OFFERED})


class _SameModule(Loader):
    """Puts the module `pymarl.<name>` under `<name>` too."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__  # the machinery's own module, which is thrown away
        sys.modules[name] = importlib.import_module(f"{__name__}.{name}")


class _PyMARLNames(MetaPathFinder):
    """Finds PyMARL's names of our modules, where they are not those of somebody else's."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        if top not in FOLDERS:
            return None
        if rest and sys.modules.get(top) is not sys.modules.get(f"{__name__}.{top}", self):
            return None  # of a package that is somebody else's as a whole
        theirs = PathFinder.find_spec(fullname, _their_folders(fullname))
        if theirs is not None and theirs.loader is not None:  # else a folder without modules, such as tests/envs
            return theirs
        if PathFinder.find_spec(f"{__name__}.{fullname}", _search_path(ROOT, fullname)) is None:
            return theirs
        return ModuleSpec(fullname, _SameModule(), is_package=True)


def _search_path(root: Path, fullname: str) -> list[str]:
    """Return where the file of a module lies below a folder."""
    return [str(root.joinpath(*fullname.split(".")[:-1]))]


def _their_folders(fullname: str) -> list[str]:
    """Return where other folders than ours have a module, such as the `src` of a fork of PyMARL."""
    roots = (Path(entry or ".") for entry in sys.path)
    return [folder for root in roots if root.resolve() != ROOT for folder in _search_path(root, fullname)]


def _take_over() -> None:
    """Put our modules in the place of copies that were imported by PyMARL's names before this file was."""
    for name in sorted(name for name in sys.modules if name.partition(".")[0] in FOLDERS):
        if ROOT in Path(str(vars(sys.modules[name]).get("__file__"))).resolve().parents:
            sys.modules[name] = importlib.import_module(f"{__name__}.{name}")


if __name__ == "pymarl":
    sys.meta_path.insert(0, _PyMARLNames())
    _take_over()
