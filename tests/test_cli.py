"""The command `pymarl`: its words, and that what it prints names it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pymarl
from pymarl import cli
from pymarl.utils.doors import DOORS, as_called, from_here
from run_kit import SRC

HEAVY = {"torch", "numpy", "sacred", "yaml", "matplotlib", "numba"}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pymarl"])


@pytest.mark.parametrize("word", DOORS)
def test_the_help_of_each_word_names_it(word: str, called: None, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.run([word, "--help"])
    except SystemExit as end:  # argparse's way
        code = int(end.code or 0)
    text = capsys.readouterr().out + capsys.readouterr().err
    assert code == 0
    assert "python src" not in text
    assert word == "check-env" or f"usage: pymarl {word}" in text


def test_in_a_checkout_texts_name_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["report", "--help"])
    assert "usage: python src/report.py FOLDER..." in capsys.readouterr().out
    assert as_called("python src/tools/replay.py X") == "python src/tools/replay.py X"


def test_a_command_to_copy_reaches_its_file_from_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, place in ((SRC.parent, "src"), (SRC, "."), (SRC.parent / "docs", "../src")):
        monkeypatch.chdir(folder)
        assert from_here("python src/evaluate.py") == f"python {place}/evaluate.py"


def test_every_command_has_a_word(called: None) -> None:
    files = {path.stem for path in SRC.glob("*.py")} - {"pymarl", "cli", "__main__", "library"}
    assert {f"pymarl {word}" for word in DOORS} >= {as_called(f"python src/{name}.py") for name in files}
    assert len(files) == 6


def test_the_overview_is_quick_and_whole() -> None:
    code = f"import sys; from pymarl import cli; cli.run(['--help']); print({HEAVY!r} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=True
    )
    *lines, heavy = done.stdout.splitlines()
    assert heavy == "set()"
    assert [line.split()[0] for line in lines if line.startswith("  ") and "pymarl" not in line] == list(DOORS)


def test_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["trian"]) == 2
    assert "error: pymarl trian: no such word; did you mean 'train'?" in capsys.readouterr().err
    assert cli.run([]) == 2
    assert cli.run(["search", "--configs=qmix"]) == 2
    assert "usage: pymarl search KEY=RANGE" in capsys.readouterr().err
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"pymarl {pymarl.__version__}\n"


def test_search_is_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr("pymarl.launch.main", lambda words: given.append(words) or 0)
    cli.run(["search", "lr=uniform:0,1", "--configs=qmix"])
    cli.run(["search", "--configs=qmix", "--search", "lr=uniform:0,1"])
    cli.run(["launch", "--configs=qmix"])
    assert given == [
        ["--search", "lr=uniform:0,1", "--configs=qmix"],
        ["--configs=qmix", "--search", "lr=uniform:0,1"],
        ["--configs=qmix"],
    ]
