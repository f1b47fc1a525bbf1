"""How much memory there is: the machine's, or a container's."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from pymarl.utils import memory

GIB = 2**30


def group(folder: Path, limit: str, used: int, cache: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 17\ninactive_file {cache}\n")


def test_a_containers_limit_counts_and_its_page_cache_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    group(tmp_path, str(GIB), GIB * 3 // 4, GIB // 4)
    assert memory.available_memory() == GIB // 2
    group(tmp_path, str(GIB), 2 * GIB, 0)
    assert memory.available_memory() == 0


@pytest.mark.parametrize("limit", ["max", "", "9223372036854771712"])
def test_without_a_limit_it_is_the_machines(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    group(tmp_path, limit, GIB, 0)
    assert memory.available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.2)
