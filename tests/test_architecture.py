"""Imports flow in one direction (design section 3), and files and functions stay small."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src"
FILES = sorted(SRC.rglob("*.py"))

# Folder -> the folders of ours that it may import. utils and envs/specs.py, which is data alone, are open to all.
ALLOWED = {
    "pymarl.py": set(),
    "__main__.py": {"cli"},
    "cli.py": set(),
    "evaluate.py": {"main", "run"},
    "library.py": {"main", "run"},
    "main.py": {"run"},
    "launch.py": {"experiments"},
    "compare.py": {"experiments"},
    "export.py": {"experiments"},
    "report.py": {"experiments"},
    "experiments": {"experiments", "main", "run"},
    "run": {"run", "runners", "learners", "controllers", "components", "modules", "envs"},
    "runners": {"runners", "envs", "components"},
    "learners": {"learners", "controllers", "modules", "components"},
    "controllers": {"controllers", "modules", "components"},
    "modules": {"modules"},
    "kernels": {"kernels"},
    "components": {"components"},
    "envs": {"envs"},
    "tools": {"run", "envs", "tools"},
    "utils": set(),
}
OURS = {name for name in ALLOWED if not name.endswith(".py")} | {"main", "cli"}
OPEN = "pymarl.envs.specs"
# Folder -> the one module of another folder that it may import as well: the type of what it makes for it; and the
# kernels' face, which utils/compiled.py gives to everyone; and replay files, which a report shows.
ALSO = {
    "components": "pymarl.modules.inputs",
    "utils": "pymarl.kernels",
    "experiments": "pymarl.envs.skirmish.replay",
}
# Folder -> its floors, the highest first: a file imports from its own floor and those below.
FLOORS = {
    "envs/skirmish": ("replay", "env", "scenario", "battle"),
    "envs/workers": ("worker_envs", "process", "worker"),
    "kernels": (
        "compiling",
        "step",
        "unrolling",
        "mixer",
        "looking",
        "choices",
        "scan",
        "padding",
        "recurrent",
        "mixing",
        "entities",
        "rows",
        "tiles",
        "network",
        "layout",
        "packing",
        "strips",
        "records",
        "stamp",
        "simd",
    ),
}
MOST_LINES, MOST_LINES_OF_FUNCTION = 300, 40
# Heavy third-party packages that a folder must do without.
FORBIDDEN = {"envs": {"torch", "sacred"}, "modules": {"numpy", "numba", "sacred"}, "components": {"sacred"}}


def imported(path: Path) -> set[str]:
    """Return the full names of the modules that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def folder_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0]


def is_open(name: str, folder: str) -> bool:
    return any(f"{name}.".startswith(f"{open_one}.") for open_one in (OPEN, ALSO.get(folder, OPEN)))


def wrong_imports(path: Path) -> list[str]:
    folder = folder_of(path)
    names = {name for name in imported(path) if not is_open(name, folder)}
    top = {name.split(".")[0] for name in names}
    ours = {name.split(".")[1] for name in names if name.startswith("pymarl.")}
    wrong = sorted((ours & OURS) - ALLOWED[folder] - {"utils"}) + sorted(top & OURS)  # the latter: PyMARL's names
    return wrong + sorted(top & FORBIDDEN.get(folder, set()))


def test_kernels_are_for_those_who_learn_and_act() -> None:
    """utils is open to all, its door to the kernels is not."""
    users = {folder_of(path) for path in FILES if "pymarl.utils.compiled" in imported(path)}
    assert users <= {"run", "learners", "controllers", "modules", "components"}
    assert {"modules", "components"} <= users


def test_every_folder_is_known() -> None:
    assert {folder_of(path) for path in FILES} <= set(ALLOWED)
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_flow_down(path: Path) -> None:
    assert wrong_imports(path) == []


def test_a_wrong_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_architecture.SRC", tmp_path)
    planted = tmp_path / "envs" / "x.py"
    planted.parent.mkdir()
    planted.write_text(
        "import torch\nfrom pymarl.learners.learner import Learner\nfrom utils.errors import UserError\n"
    )
    assert wrong_imports(planted) == ["learners", "utils", "torch"]


def test_specs_are_data_alone() -> None:
    names = imported(SRC / "envs" / "specs.py")
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"numpy"}


def module_name(path: Path) -> str:
    return ".".join(("pymarl", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(".__init__")


def floor_breaks(folder: str, floors: tuple[str, ...]) -> list[str]:
    """Return "file imports module" for every import, wherever in a file, of a module of a higher floor."""
    base, height = f"pymarl.{folder.replace('/', '.')}", dict(zip(floors, range(len(floors), 0, -1), strict=True))

    def floor(name: str) -> int | None:
        return height[name.removeprefix(f"{base}.").split(".")[0]] if name.startswith(f"{base}.") else None

    breaks = []
    for path in sorted((SRC / folder).rglob("*.py")):
        own = floor(module_name(path))
        if own is not None:
            above = {name for name in imported(path) if (other := floor(name)) is not None and other > own}
            breaks += [f"{path.relative_to(SRC)} imports {name}" for name in sorted(above)]
    return breaks


@pytest.mark.parametrize("folder", FLOORS)
def test_floors(folder: str) -> None:
    assert floor_breaks(folder, FLOORS[folder]) == []


def test_an_import_from_above_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_architecture.SRC", tmp_path)
    for name in ("envs/x/low/a.py", "envs/x/high.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("def late():\n    from pymarl.envs.x.high import A\n")
    breaks = [f"envs/x/low/a.py imports pymarl.envs.x.{name}" for name in ("high", "high.A")]
    assert floor_breaks("envs/x", ("high", "low")) == breaks


def imports_of_modules(files: list[Path]) -> dict[str, set[str]]:
    """Return {module: those of the files that it imports when it is imported}, those for type checkers among them."""
    known = {module_name(path) for path in files}
    graph = {}
    for path in files:
        body = ast.parse(path.read_text()).body
        late = {id(node) for top in body for each in ast.walk(top) if isinstance(each, ast.FunctionDef | ast.Lambda)
                for node in ast.walk(each)}  # fmt: skip
        names: set[str] = set()
        for node in (node for top in body for node in ast.walk(top) if id(node) not in late):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= inner & known or {node.module}
        graph[module_name(path)] = names & known
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules that import one another in turn, the first once more at the end; [] if there are none."""
    finished: set[str] = set()

    def walk(trail: list[str]) -> list[str]:
        for name in sorted(graph[trail[-1]] - finished):
            if name in trail:
                return [*trail[trail.index(name) :], name]
            if found := walk([*trail, name]):
                return found
        finished.add(trail[-1])
        return []

    return next((found for name in sorted(graph) if name not in finished and (found := walk([name]))), [])


def test_no_import_circles() -> None:
    graph = imports_of_modules(FILES)
    assert sum(map(len, graph.values())) > 200
    assert circle(graph) == []


def test_a_circle_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_architecture.SRC", tmp_path)
    texts = {
        "a": "from pymarl.b import B\n",
        "b": "import numpy\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pymarl import c\n",
        "c": "try:\n    import pymarl.a\nexcept ImportError:\n    pass\ndef late():\n    import pymarl.d\n",
        "d": "import pymarl.c\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    files = sorted(tmp_path.glob("*.py"))
    assert circle(imports_of_modules(files)) == ["pymarl.a", "pymarl.b", "pymarl.c", "pymarl.a"]
    assert circle(imports_of_modules([path for path in files if path.stem != "b"])) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_are_small(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert path.read_text().count("\n") <= MOST_LINES
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= MOST_LINES_OF_FUNCTION] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_no_hidden_defaults(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert [call.lineno for call in calls if call.func.id == "getattr" and len(call.args) == 3] == []
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is None] == []
