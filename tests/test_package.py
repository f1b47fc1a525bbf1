"""What a release holds: the wheel, the sdist, and what they ask for."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pymarl
from wheel_kit import ROOT, build, sources

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: list(map(Requirement, lines)) for name, lines in PROJECT["optional-dependencies"].items()}
NEEDED = list(map(Requirement, PROJECT["dependencies"]))
INFO = f"pymarl_next-{pymarl.__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel")))


def contents(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    return {name: wheel.read(name) for name in wheel.namelist()}


def test_the_wheel_is_src_and_takes_one_name(wheel: zipfile.ZipFile) -> None:
    held, wanted = contents(wheel), {name: path.read_bytes() for name, path in sources().items()}
    assert {name.split("/")[0] for name in held} == {"pymarl", INFO}
    assert {name: text for name, text in held.items() if name.startswith("pymarl/")} == wanted
    kinds = {Path(name).suffix for name in wanted}
    assert {".py", ".yaml", ".js", ".css", ".html", ".json"} <= kinds
    assert len(wanted) > 400


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    held = contents(wheel)
    assert held[f"{INFO}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"pymarl = pymarl.cli:main" in held[f"{INFO}/entry_points.txt"]
    metadata = held[f"{INFO}/METADATA"].decode()
    assert f"\nVersion: {pymarl.__version__}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nRequires-Python: <3.14,>=3.11\n" in metadata


def test_the_wheel_of_the_sdist_is_the_same(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / INFO.removesuffix(".dist-info")
    assert {path.name for path in source.iterdir()} >= {"LICENSE", "README.md", "tests", "docs", "run.sh", "test.sh"}
    assert not (source / "results").exists() or [each.name for each in (source / "results").iterdir()] == ["README.md"]
    again = contents(zipfile.ZipFile(build("wheel", tmp_path / "wheel", source)))
    assert again == contents(wheel)


UNPINNED = ("wandb", "mlflow", "trackio", "vmas", "jaxmarl", "overcooked")
"""Extras whose packages the tests do not install."""


def pins(name: str) -> dict[str, str]:
    """Return {package: version} of a requirements file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_pins_and_bounds_name_the_same_packages() -> None:
    assert {each.name for each in NEEDED} == set(pins("requirements.txt"))
    assert len(NEEDED) > 10


@pytest.mark.parametrize("need", [*NEEDED, *(each for extra in EXTRAS.values() for each in extra)], ids=str)
def test_each_has_bounds_and_its_pin_lies_within(need: Requirement) -> None:
    assert {each.operator for each in need.specifier} == {">=", "<"}
    version = (pins("requirements.txt") | pins("requirements-dev.txt") | pins("requirements-sc2.txt")).get(need.name)
    assert version is not None or need in [each for name in UNPINNED for each in EXTRAS[name]]
    assert version is None or need.specifier.contains(version, prereleases=True)
