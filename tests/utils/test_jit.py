"""Whether kernels have to be compiled, which is said once."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pymarl.utils.jit import Compiled


def test_it_is_said_until_it_has_been_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources, cache = tmp_path / "sources", tmp_path / "cache"
    sources.mkdir()
    cache.mkdir()
    (sources / "a.py").write_text("x = 1\n")
    kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=str(cache)))

    def announced() -> bool:
        return Compiled("own", kernel, sources).announce("this, once")

    assert announced()
    assert capsys.readouterr().err == "Compiling this, once\n"
    assert announced(), "it may have been broken off"
    Compiled("own", kernel, sources).note()
    capsys.readouterr()
    assert not announced()
    assert capsys.readouterr().err == ""
    os.utime(sources / "a.py", (1, 1))  # numba looks at the date
    assert announced()
    Compiled("own", kernel, sources).note()
    assert not announced()
    (sources / "b.py").write_text("")
    assert announced()
    Compiled("own", kernel, sources).note()
    assert len(list(cache.iterdir())) == 1, "older marks are gone"
    nowhere = SimpleNamespace(stats=SimpleNamespace(cache_path=str(cache / "none")))
    Compiled("own", nowhere, sources).note()
    assert Compiled("own", nowhere, sources).announce("this, once"), "a cache that cannot be written is no error"
