"""Kernels are compiled once, by one process, which says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pymarl.utils.jit import Compiled

SRC = Path(__file__).resolve().parents[2] / "src"


def test_it_is_said_until_it_has_been_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources, cache = tmp_path / "sources", tmp_path / "cache"
    sources.mkdir()
    (sources / "a.py").write_text("x = 1\n")
    kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=str(cache)))

    def needed() -> bool:
        with Compiled("own", kernel, sources).once("this", "about 3 seconds") as wanted:
            return wanted

    def broken_off() -> None:
        with Compiled("own", kernel, sources).once("this", "about 3 seconds"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert capsys.readouterr().err == "Compiling this, once: about 3 seconds\n"
    assert needed(), "it was broken off"
    capsys.readouterr()
    assert not needed()
    assert capsys.readouterr().err == ""
    os.utime(sources / "a.py", (1, 1))  # numba looks at the date
    assert needed()
    assert not needed()
    (sources / "b.py").write_text("")
    assert needed()
    assert sorted(path.suffix for path in cache.iterdir()) == [".compiled", ".lock"], "older marks are gone"
    (tmp_path / "file").touch()
    kernel.stats.cache_path = str(tmp_path / "file" / "none")
    assert needed()
    assert needed(), "a cache that cannot be written is no error"


PROCESS = """
import sys, time, pathlib, types
sys.path.insert(0, {src!r})
from pymarl.utils.jit import Compiled
kernel = types.SimpleNamespace(stats=types.SimpleNamespace(cache_path={cache!r}))
with Compiled("own", kernel, pathlib.Path({cache!r})).once("this", "about a second") as needed:
    if needed:
        print("compiling", flush=True)
        {body}
print("done", needed)
"""


def start(cache: Path, body: str) -> subprocess.Popen[str]:
    code = PROCESS.format(src=str(SRC), cache=str(cache), body=body)
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_two_processes_compile_once(tmp_path: Path) -> None:
    first = start(tmp_path, "input()")
    assert first.stdout is not None
    assert first.stdout.readline() == "compiling\n"
    second = start(tmp_path, "pass")
    assert second.stderr is not None
    assert second.stderr.readline() == "Another run is compiling this; waiting for it, about a second\n"
    assert first.communicate("\n")[0] == "done True\n"
    assert second.communicate()[0] == "done False\n"


def test_who_waits_for_one_that_is_killed_compiles(tmp_path: Path) -> None:
    first = start(tmp_path, "time.sleep(60)")
    assert first.stdout is not None
    first.stdout.readline()
    second = start(tmp_path, "pass")
    assert second.stderr is not None
    second.stderr.readline()
    time.sleep(0.1)
    assert second.poll() is None
    first.kill()
    first.communicate()
    assert second.communicate() == ("compiling\ndone True\n", "Compiling this, once: about a second\n")
