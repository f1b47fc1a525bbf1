"""What a run says of its source, its command and its machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pymarl.utils.provenance import provenance, source

UNKNOWN = {"commit": None, "dirty": None}


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    return subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True).stdout


def test_the_commit_and_whether_the_source_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "main.py").write_text("x = 1\n")
    assert source(folder) == UNKNOWN
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "of something else")
    assert source(folder) == UNKNOWN, "it lies in a repository that is not its own"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    (folder / "notes.txt").touch()
    assert source(folder) == {"commit": commit, "dirty": False}
    (folder / "main.py").write_text("x = 2\n")
    assert source(folder) == {"commit": commit, "dirty": True}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source(folder) == UNKNOWN, "there is no git"


def test_all_of_it_is_json_without_passwords() -> None:
    said = provenance("python src/main.py --config=qmix with 'mongo_url=mongodb://me:secret@host/db'")
    assert json.loads(json.dumps(said)) == said
    assert said["command_line"] == "python src/main.py --config=qmix with 'mongo_url=mongodb://me:***@host/db'"
    assert set(said) == {"commit", "dirty", "command_line", "versions", "machine"}
    assert set(said["versions"]) == {"pymarl", "python", "torch", "numpy"}
    assert said["machine"]["cpu"]
    assert said["machine"]["cores"] >= 1
