"""What the doctor and an env that starts say about a machine on which something of StarCraft II is missing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pymarl.envs.sc2 import installation
from pymarl.envs.sc2.installation import BUILD, FLAT, FLAT_MAPS, MAPS, REPO, UserError, find_sc2, require
from pymarl.tools import doctor

SKIRMISH = "--env-config=skirmish"
COMMITS = {name: Path(installation.pins(REPO / "requirements-sc2.txt")[name]).stem for name in ("smac", "smacv2")}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for packages, and no other packages than those in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    rest = [path for path in sys.path if "-packages" not in path]
    monkeypatch.setattr(sys, "path", [str(folder), *rest])
    monkeypatch.setattr(sys, "prefix", str(REPO / ".venv"))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    for name in ("smac", "smacv2", "pysc2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


@pytest.fixture
def packages(site: Path) -> Path:
    for name in ("smac", "smacv2"):
        package(site, name, "1.0.0", "env/starcraft2/starcraft2.py")
        url = f'{{"url": "https://example.org/{name}/archive/{COMMITS[name]}.zip"}}'
        (site / f"{name}-1.0.0.dist-info" / "direct_url.json").write_text(url)
    package(site, "pysc2", "4.0.0", "env.py")
    return site


@pytest.fixture
def game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "StarCraftII"
    add_build(root, BUILD)
    (root / "Maps" / "SMAC_Maps").mkdir(parents=True)
    for name in (*MAPS, FLAT):
        (root / "Maps" / "SMAC_Maps" / f"{name}.SC2Map").write_bytes(b"map")
    monkeypatch.setenv("SC2PATH", str(root))
    return root


def add_build(root: Path, build: int) -> Path:
    program = installation.executable(root, build)
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    return program


def package(site: Path, name: str, version: str, *files: str) -> None:
    for file in ("__init__.py", *files):
        for folder in (site / name / file).parents:
            if folder.is_relative_to(site / name):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "__init__.py").touch()
        (site / name / file).touch()
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def problem(package_name: str = "smac", map_name: str = "3m") -> str:
    """Return the one line with which an env refuses to start."""
    with pytest.raises(UserError) as refusal:
        require(package_name, map_name)
    line = str(refusal.value)
    assert "\n" not in line
    assert "./install_sc2.sh" in line
    assert SKIRMISH in line
    return line


def examined(capsys: pytest.CaptureFixture[str], *, wanted: bool = True) -> tuple[int, dict[str, str], str]:
    """Run the doctor, with StarCraft II wanted or not: its exit code, {row: its text with the mending}, the verdict."""
    code = doctor.main(["--sc2"] if wanted else [])
    table, _, end = capsys.readouterr().out.partition("\n\n")
    rows, name = {}, ""
    for line in table.splitlines():
        if line.startswith(" "):
            rows[name] += f" {line.strip()}"
        else:
            mark, rest = line.split(maxsplit=1)
            name, _, found = rest.partition("  ")
            rows[name] = f"{mark}: {found.strip()}"
    return code, rows, end


def test_everything_is_there(packages: Path, game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert require("smac", "3m") == require("smacv2", "10gen_terran") == game
    code, rows, end = examined(capsys)
    assert code == 0
    assert rows["game"] == f"ok: {game} (SC2PATH)"
    assert rows["version"] == "ok: 4.10 (Base75689)"
    assert rows["maps of smac"].startswith("ok: 23 of 23 in")
    assert rows["maps of smacv2"].startswith("ok: 3 of 3 in")
    assert rows["smac"] == f"ok: 1.0.0, commit {COMMITS['smac'][:7]}"
    assert rows["smacv2"] == f"ok: 1.0.0, commit {COMMITS['smacv2'][:7]}"
    assert rows["pysc2"] == "ok: 4.0.0"
    assert set(rows) >= {"python", "protobuf", "torch", "disk", "requirements.txt"}
    assert end == "--env-config=sc2 can start\n--env-config=skirmish needs none of this\n"


def test_nothing_is_there(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(installation, "REPO", tmp_path)
    for name in ("requirements.txt", "requirements-sc2.txt"):
        shutil.copy(REPO / name, tmp_path)
    assert "the package smac is not installed" in problem()
    code, rows, end = examined(capsys)
    assert code == 1
    missing = [name for name, text in rows.items() if text.startswith("MISSING") and "mend: ./install_sc2.sh" in text]
    assert missing == ["game", "smac", "smacv2", "pysc2"]
    assert str(tmp_path / "3rdparty" / "StarCraftII") in rows["game"]
    assert "0 of 7 as pinned; missing: pysc2, s2clientprotocol" in rows["requirements-sc2.txt"]
    assert end.startswith("--env-config=sc2 cannot start: the package smac is not installed; run ./install_sc2.sh")
    assert end.endswith("\n--env-config=skirmish needs none of this\n")


def rest_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the packages be there that every run needs, and that `site` hides."""
    monkeypatch.setattr(doctor, "backend", lambda: doctor.Row("ok", "protobuf", "as it is"))
    monkeypatch.setattr(doctor, "gpu", lambda: doctor.Row("ok", "torch", "as it is"))


def test_who_wants_no_starcraft_misses_nothing(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(installation, "REPO", tmp_path)
    for name in ("requirements.txt", "requirements-sc2.txt"):
        shutil.copy(REPO / name, tmp_path)
    rest_is_there(monkeypatch)
    code, rows, end = examined(capsys, wanted=False)
    assert code == 0
    assert [name for name, text in rows.items() if text.startswith("none")] == ["game", "smac", "smacv2", "pysc2"]
    assert end.startswith("--env-config=sc2 cannot start: ")
    monkeypatch.setattr(doctor, "gpu", lambda: doctor.Row("MISSING", "torch", "not there"))
    assert examined(capsys, wanted=False)[0] == 1


def test_what_is_broken_fails_whoever_asks(
    packages: Path, game: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rest_is_there(monkeypatch)
    assert examined(capsys, wanted=False)[0] == 0
    installation.executable(game, BUILD).chmod(0o644)
    code, rows, _ = examined(capsys, wanted=False)
    assert code == 1
    assert rows["version"].startswith("BROKEN: ")


def test_the_games_folder_is_sc2path_or_the_repositorys_or_the_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(installation, "REPO", tmp_path / "repo")
    monkeypatch.delenv("SC2PATH", raising=False)
    home, ours, given = tmp_path / "StarCraftII", tmp_path / "repo" / "3rdparty" / "StarCraftII", tmp_path / "given"
    assert find_sc2() is None
    for place in (home, ours):
        place.mkdir(parents=True)
        assert find_sc2() == place
    monkeypatch.setenv("SC2PATH", str(given))
    assert find_sc2() is None
    given.mkdir()
    assert find_sc2() == given
    monkeypatch.setenv("SC2PATH", "")
    assert find_sc2() == ours


def test_automls_smac_is_called_by_its_name(packages: Path, game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(packages / "smac")
    shutil.rmtree(packages / "smac-1.0.0.dist-info")
    package(packages, "smac", "2.4.1", "facade/__init__.py", "main/smbo.py")
    line = problem()
    assert "is AutoML's SMAC3 from PyPI" in line
    assert "python -m pip uninstall --yes smac, then ./install_sc2.sh" in line
    code, rows, _ = examined(capsys)
    assert code == 1
    assert rows["smac"].startswith("BROKEN: the package smac in ")
    assert rows["smac"].endswith("-m pip uninstall --yes smac && ./install_sc2.sh")
    assert "smac is 2.4.1 from another source, pinned is d6aab33" in rows["requirements-sc2.txt"]


def test_another_package_of_the_same_name(packages: Path, game: Path) -> None:
    shutil.rmtree(packages / "smac" / "env")
    assert "is not StarCraft's: no env/starcraft2/starcraft2.py in it" in problem()


@pytest.mark.parametrize("name", ["smac", "smacv2", "pysc2"])
def test_a_missing_package(packages: Path, game: Path, name: str) -> None:
    shutil.rmtree(packages / name)
    assert f"the package {name} is not installed" in problem("smacv2" if name == "smacv2" else "smac")


def test_a_package_that_cannot_be_imported(packages: Path, game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (packages / "smac" / "env" / "starcraft2" / "starcraft2.py").write_text("import absent_package\n")
    code, rows, end = examined(capsys)
    assert code == 1
    assert "cannot be imported: ModuleNotFoundError: No module named 'absent_package'" in rows["smac"]
    assert "cannot be imported: ModuleNotFoundError" in end


def test_smacv2_is_not_needed_for_sc2(packages: Path, game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(packages / "smacv2")
    installation.map_file(game, FLAT).unlink()
    code, rows, _ = examined(capsys)
    assert code == 0
    assert rows["smacv2"].startswith("MISSING")
    assert rows["maps of smacv2"].startswith("MISSING: 0 of 3 in")


def test_a_folder_without_the_game(packages: Path, game: Path) -> None:
    shutil.rmtree(game / "Versions")
    assert f"no StarCraft II in {game}: no Versions/Base* in it" in problem()
    shutil.rmtree(game)
    assert f"no StarCraft II in {game} (SC2PATH)" in problem()


def test_a_program_that_is_missing_or_may_not_run(
    packages: Path, game: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = installation.executable(game, BUILD)
    program.chmod(0o644)
    assert f"{program}: may not be executed; run ./install_sc2.sh, or play" in problem()
    assert examined(capsys)[1]["version"] == f"BROKEN: {program}: may not be executed mend: ./install_sc2.sh"
    program.unlink()
    assert f"{program}: missing" in problem()
    assert examined(capsys)[1]["version"].endswith(f"mend: mv {game} {game}.old && ./install_sc2.sh")


def test_the_newest_build_is_used(packages: Path, game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_build(game, 69232)
    assert examined(capsys)[1]["version"] == "ok: 4.10 (Base75689), the newest is used; also there: 4.6.2 (Base69232)"
    add_build(game, 100_000)
    code, rows, _ = examined(capsys)
    assert code == 0
    assert rows["version"].startswith("note: Base100000, the newest is used; also there: 4.6.2")
    assert "results differ from those of 4.10 (Base75689)" in rows["version"]


def test_builds_that_pysc2_cannot_use(packages: Path, game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(game / "Versions")
    add_build(game, 52910)
    assert "is older than 3.16.1 (Base55958), which pysc2 needs" in problem()
    (game / "Versions" / "Base75689.bak").mkdir()
    assert f"as a number; run mv {game}/Versions/Base75689.bak {game}/Versions/old-Base75689.bak && " in problem()
    assert examined(capsys)[1]["version"].startswith("BROKEN: ")


def test_a_missing_map(packages: Path, game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("3m", "MMM2", FLAT):
        installation.map_file(game, name).unlink()
    assert f"map '3m' is not installed: no {game}/Maps/SMAC_Maps/3m.SC2Map" in problem()
    for name in FLAT_MAPS:
        assert f"map {name!r} is not installed: no {game}/Maps/SMAC_Maps/{FLAT}.SC2Map" in problem("smacv2", name)
    code, rows, _ = examined(capsys)
    assert code == 1
    assert "21 of 23 in" in rows["maps of smac"]
    assert "; not 3m, MMM2 mend: ./install_sc2.sh" in rows["maps of smac"]


def test_an_unknown_map(packages: Path, game: Path) -> None:
    for given, said in [("27m_vs_30", "did you mean '27m_vs_30m'?"), ("mmm2", "did you mean 'MMM2'?"),
                        ("nowhere", "(SMAC's: 3m, 8m, ")]:  # fmt: skip
        with pytest.raises(UserError, match=f"env_args.map_name='{given}': no such map in {game}") as caught:
            require("smac", given)
        assert said in str(caught.value)
        assert "install" not in str(caught.value)
    installation.map_file(game, "8m").unlink()
    assert "did you mean 'MMM'?; to install SMAC's maps, run ./install_sc2.sh" in problem(map_name="mmm")
    (game / "Maps" / "SMAC_Maps" / "of_my_own.SC2Map").write_bytes(b"map")
    assert require("smac", "of_my_own") == game
    assert "did you mean 'of_my_own'?" in problem(map_name="of_my_ow")


def test_a_wrong_sc2path_tells_of_the_game_that_is_there(
    packages: Path, game: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installation, "_usual_places", lambda: [game])
    monkeypatch.setenv("SC2PATH", "somewhere")
    hint = f"(SC2PATH); unset SC2PATH to use the game in {game}"
    assert f"no StarCraft II in {Path.cwd() / 'somewhere'} {hint}; " in problem()
    assert hint in examined(capsys)[1]["game"]


def test_another_python_than_that_of_the_venv(
    packages: Path, game: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(game))
    code, rows, _ = examined(capsys)
    assert code == 0
    assert rows["python"].endswith("not the one of .venv mend: source .venv/bin/activate")
    shutil.rmtree(packages / "smac")
    assert "is not the Python of .venv, where things are installed; source .venv/bin/activate" in examined(capsys)[2]


def test_every_pin_is_read() -> None:
    pins = installation.pins(REPO / "requirements.txt")
    assert {"torch", "numpy", "protobuf", "sacred"} <= set(pins)
    lines = (REPO / "requirements.txt").read_text().splitlines()
    assert len(pins) == sum("==" in line.partition("#")[0] for line in lines)
    assert installation.pins(REPO / "requirements-sc2.txt")["smac"].endswith(f"/{COMMITS['smac']}.zip")


def test_a_package_at_another_version(site: Path, tmp_path: Path) -> None:
    package(site, "numpy", "1.0.0")
    package(site, "torch", "2.13.0+cpu")
    path = tmp_path / "requirements.txt"
    path.write_text("numpy==2.4.6  # a reason\ntorch==2.13.0\n-r other.txt\nabsent==1\n")
    assert installation.unmet(path) == {"numpy": "1.0.0", "absent": "missing"}
