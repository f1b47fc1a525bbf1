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
    "main.py": {"run"},
    "run": {"run", "runners", "learners", "controllers", "components", "modules", "envs"},
    "runners": {"runners", "envs", "components"},
    "learners": {"learners", "controllers", "modules", "components"},
    "controllers": {"controllers", "modules", "components"},
    "modules": {"modules"},
    "components": {"components"},
    "envs": {"envs"},
    "tools": {"envs", "tools"},
    "utils": set(),
}
OURS = set(ALLOWED) - {"main.py", "pymarl.py"}
OPEN = "pymarl.envs.specs"
# Folder -> the one module of another folder that it may import as well: the type of what it makes for it.
ALSO = {"components": "pymarl.modules.inputs"}
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_are_small(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert path.read_text().count("\n") <= 400
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 60] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_no_hidden_defaults(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert [call.lineno for call in calls if call.func.id == "getattr" and len(call.args) == 3] == []
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is None] == []
