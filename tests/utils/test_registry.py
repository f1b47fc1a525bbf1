"""Names to classes: whatever is wrong with a name or with the user's module behind it is one line."""

from __future__ import annotations

import pathlib
from pathlib import Path

import pytest

from pymarl.utils.errors import UserError
from pymarl.utils.registry import Registry

REGISTRY = Registry("thing", {"path": "pathlib:Path", "gone": "no_such_module.x:X"})

MODULES = {
    "syntax": "x = 1\ndef f(:\n    pass\n",
    "indent": "def f():\npass\n",
    "exits": "import sys\nsys.exit('bye')\n",
    "raises": "def prepare():\n    return {}['key']\n\nprepare()\n",
    "chained": "try:\n    1 / 0\nexcept ArithmeticError as error:\n    raise RuntimeError('no\\nlevels') from error\n",
    "imports": "import no_such_module_7.sub\n",
    "name": "from pathlib import nothing\n",
    "null": "x = 1\0\n",
    "deep": "def f():\n    f()\nf()\n",
    "nested": "import raises\n",
}


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in MODULES.items():
        (tmp_path / f"bad_{name}.py").write_text(text.replace("import raises", "import bad_raises"))
    monkeypatch.syspath_prepend(str(tmp_path))


def test_names_and_classes_are_found() -> None:
    assert REGISTRY["path"] is Path
    assert REGISTRY["pathlib:PurePath"] is pathlib.PurePath
    assert "path" in REGISTRY
    for other in ("pahth", "", "a:b:c", "pathlib:Nope", "no_such_module:X", 1, None, ["path"]):
        assert other not in REGISTRY
    assert list(REGISTRY) == ["path", "gone"]
    with pytest.raises(ModuleNotFoundError):  # an entry of ours that does not exist is our mistake, not the user's
        REGISTRY["gone"]
    with pytest.raises(ValueError, match="registered twice"):
        REGISTRY.register("path", "a:b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pahth", "unknown thing 'pahth'; did you mean 'path'? (known: path, gone"),
        ("", "unknown thing ''"),
        (":Y", "expected 'module:Class'"),
        (":", "expected 'module:Class'"),
        ("pathlib:", "expected 'module:Class'"),
        (".:X", "expected 'module:Class'"),
        (".pathlib:Path", "expected 'module:Class'"),
        ("..:X", "expected 'module:Class'"),
        ("a:b:c", "expected 'module:Class'"),
        ("./envs/mine.py:X", "expected 'module:Class'"),
        ("my module:X", "expected 'module:Class'"),
        ("pathlib:Path()", "expected 'module:Class'"),
        ("no_such_module.x:X", "needs the Python module 'no_such_module', which is not installed; if it is your own"),
        ("os.path.x:X", "needs the Python module 'os.path.x', which is not installed; if it is your own"),
        ("pathlib:Nope", "module 'pathlib' has no 'Nope'"),
        ("pathlib:Pth", "module 'pathlib' has no 'Pth'; did you mean 'Path'?"),
        ("os:getcwd", "expected a class, 'getcwd' is a builtin_function_or_method"),
        ("os:sep", "expected a class, 'sep' is a str"),
    ],
)  # fmt: skip
def test_a_name_that_stands_for_nothing_is_one_line(name: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        REGISTRY[name]
    assert expected in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert "pip" not in str(caught.value)
    assert caught.value.details == ""


@pytest.mark.parametrize(
    ("module", "expected", "below"),
    [
        ("syntax", "cannot be imported: SyntaxError: ", ["bad_syntax.py", "line 2", "def f(:"]),
        ("indent", "cannot be imported: IndentationError: ", ["bad_indent.py", "line 2"]),
        ("exits", "ends the program when it is imported (sys.exit('bye'))", ["bad_exits.py", "line 2"]),
        ("raises", "cannot be imported: KeyError: 'key'", ["bad_raises.py", "line 4", "line 2, in prepare"]),
        ("chained", "cannot be imported: RuntimeError: no levels", ["ZeroDivisionError: division by zero", "line 4"]),
        ("imports", "needs the Python module 'no_such_module_7', which is not installed", ["bad_imports.py", "line 1"]),
        ("name", "cannot be imported: ImportError: cannot import name 'nothing'", ["bad_name.py", "line 1"]),
        ("null", "cannot be imported: ", []),
        ("deep", "cannot be imported: RecursionError", ["bad_deep.py", "line 2, in f"]),
        ("nested", "cannot be imported: KeyError: 'key'", ["bad_nested.py", "bad_raises.py"]),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_imported_shows_its_own_lines(module: str, expected: str, below: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        REGISTRY[f"bad_{module}:X"]
    assert expected in str(caught.value)
    assert str(caught.value).count("\n") == 0
    details = caught.value.details
    assert [text for text in below if text not in details] == []
    assert "registry.py" not in details
    assert "importlib" not in details
    assert "Traceback" not in details


def test_pip_is_named_where_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)
    monkeypatch.delitem(__import__("sys").modules, "pymarl.envs.gymma", raising=False)
    with pytest.raises(UserError, match=r"'gymnasium', which is not installed; `pip install gymnasium`$") as caught:
        Registry("env", {"gymma": "pymarl.envs.gymma:GymmaEnv"})["gymma"]
    assert caught.value.details == ""


def test_a_run_may_be_a_function() -> None:
    assert Registry("run", {}, holds=type(lambda: 0))["inspect:getfile"]
