"""The one name under which everything here is imported: `pymarl.<folder>.<file>`.

In a checkout this file makes the folder that it lies in the package; installed, it is the package's `__init__`. Modules
written for PyMARL say `from modules.mixers.vdn import ...`: they get the module `pymarl.modules.mixers.vdn`, never a
second copy of it, unless a package of that name is their own.
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
        if rest:
            ours = sys.modules.get(top) is sys.modules.get(f"{__name__}.{top}", self)
        else:
            found = PathFinder.find_spec(top)
            # Without a loader it is a folder without modules, such as tests/envs.
            ours = found is None or found.loader is None or ROOT in Path(str(found.origin)).resolve().parents
        if not ours or PathFinder.find_spec(f"{__name__}.{fullname}", _search_path(fullname)) is None:
            return None
        return ModuleSpec(fullname, _SameModule(), is_package=True)


def _search_path(fullname: str) -> list[str]:
    """Return where the file of a module of ours would lie."""
    return [str(ROOT.joinpath(*fullname.split(".")[:-1]))]


def _take_over() -> None:
    """Put our modules in the place of copies that were imported by PyMARL's names before this file was."""
    for name in sorted(name for name in sys.modules if name.partition(".")[0] in FOLDERS):
        if ROOT in Path(str(vars(sys.modules[name]).get("__file__"))).resolve().parents:
            sys.modules[name] = importlib.import_module(f"{__name__}.{name}")


if __name__ == "pymarl":
    sys.meta_path.insert(0, _PyMARLNames())
    _take_over()
