"""Builds the package as a release does, without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build(kind: str, out: Path, source: Path = ROOT) -> Path:
    """Return the "wheel" or "sdist" that is built of a source folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    done = subprocess.run(command, cwd=source, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made


def sources() -> dict[str, Path]:
    """Return {name in the wheel: file} of all that is the package's."""
    files = {}
    for path in sorted((ROOT / "src").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(ROOT / "src").as_posix()
            files[f"pymarl/{'__init__.py' if name == 'pymarl.py' else name}"] = path
    return files
