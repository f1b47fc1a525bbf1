"""install_sc2.sh against a local server and made-up archives: what it installs, and how it ends where it cannot."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from installer_kit import COMMITS, GAME_FILE, NEEDS, Sandbox, archives, encrypted, package, program, refused, sandbox
from pymarl.envs.sc2.installation import BUILD, FLAT, MAPS

__all__ = ["archives", "sandbox"]
pytestmark = NEEDS


def test_installs_everything_although_the_download_breaks_off(sandbox: Sandbox) -> None:
    sandbox.server.cuts["game.zip"] = [17_000, 5_000]
    code, said, errors = sandbox.run(doctor=True)
    assert (code, errors) == (0, [])
    assert "you accept Blizzard's AI and Machine Learning License: http" in said
    assert [span for path, span in sandbox.server.asked if path == "game.zip"] == [None, "bytes=17000-", "bytes=22000-"]
    file = sandbox.game / "Versions" / f"Base{BUILD}" / "SC2_x64"
    assert file.stat().st_size == 40_000
    assert os.access(file, os.X_OK)
    maps = {path.stem: path.read_text() for path in (sandbox.game / "Maps" / "SMAC_Maps").iterdir()}
    assert maps == {FLAT: f"smacv2 {FLAT}", **{name: f"smac {name}" for name in MAPS}}
    pip = (sandbox.repo / ".venv" / "pip.log").read_text().splitlines()
    assert len(pip) == 1
    assert all(word in pip[0] for word in ("--no-deps", "pysc2==4.0.0", *COMMITS.values()))
    assert "--env-config=sc2 can start" in said
    assert {path.name for path in (sandbox.repo / "3rdparty").iterdir()} == {"StarCraftII", ".install_sc2.lock"}
    assert list(sandbox.home.iterdir()) == []


def test_a_second_call_asks_for_nothing(sandbox: Sandbox) -> None:
    sandbox.run()
    sandbox.server.asked.clear()
    code, said, errors = sandbox.run()
    assert (code, errors, sandbox.server.asked) == (0, [], [])
    assert (said.count(" there"), said.count("doctor")) == (4, 1)
    (sandbox.game / "Maps" / "SMAC_Maps" / "3m.SC2Map").unlink()
    assert sandbox.run()[0] == 0
    assert sandbox.server.asked == [("smac.zip", None)]
    assert (sandbox.game / "Maps" / "SMAC_Maps" / "3m.SC2Map").is_file()


def test_maps_that_are_there_are_kept_whatever_mv_thinks_of_that(sandbox: Sandbox) -> None:
    """`mv -n` of coreutils 9.2 to 9.4 (Ubuntu 24.04) exits with 1 where it keeps a file; smacv2 brings smac's maps."""
    script = f'[ "$1" != -n ] || {{ echo "mv: not replacing" >&2; exit 1; }}\nexec {shutil.which("mv")} "$@"\n'
    sandbox.script(sandbox.tools / "mv", f"#!/bin/sh\n{script}")
    own = sandbox.game / "Maps" / "SMAC_Maps" / "8m.SC2Map"
    program(sandbox.game, f"Base{BUILD}/SC2_x64")
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    code, said, errors = sandbox.run()
    assert (code, errors) == (0, [])
    assert said.splitlines()[-1] == "doctor"
    assert own.read_text() == "mine"
    assert len(list(own.parent.iterdir())) == len(MAPS) + 1


def test_sc2path_chooses_the_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    code, said, _ = sandbox.run(doctor=True, SC2PATH="../elsewhere/")
    assert code == 0
    assert (tmp_path / "elsewhere" / "Versions" / f"Base{BUILD}" / "SC2_x64").is_file()
    assert f"{tmp_path / 'home' / '..' / 'elsewhere'} (SC2PATH)" in said
    assert not sandbox.game.exists()
    assert not (tmp_path / "elsewhere.parts").exists()


def test_a_later_call_goes_on_with_a_broken_download(sandbox: Sandbox) -> None:
    sandbox.server.cuts["game.zip"] = [9_000, 0, 0, 0]
    line = refused(sandbox.run())
    assert "/game.zip: the connection broke off; 0 MB are kept, and ./install_sc2.sh goes on from there" in line
    sandbox.server.asked.clear()
    assert sandbox.run()[0] == 0
    assert sandbox.server.asked[0] == ("game.zip", "bytes=9000-")


def test_a_server_without_ranges_is_asked_from_the_start(sandbox: Sandbox) -> None:
    sandbox.server.ranges = False
    sandbox.server.cuts["game.zip"] = [9_000]
    code, said, _ = sandbox.run()
    assert code == 0
    assert "the server sends whole files only" in said
    sandbox.server.cuts["game.zip"] = [9_000] * 20
    shutil.rmtree(sandbox.game)
    assert "game.zip: " in refused(sandbox.run())


def test_a_complete_download_is_not_asked_for_again(sandbox: Sandbox) -> None:
    parts = sandbox.game.with_name("StarCraftII.parts")
    parts.mkdir(parents=True)
    (parts / "SC2.4.10.zip.part").write_bytes(sandbox.server.files["game.zip"])
    code, _, errors = sandbox.run()
    assert (code, errors) == (0, [])
    assert (sandbox.game / "Versions" / f"Base{BUILD}" / "SC2_x64").stat().st_size == 40_000


def test_a_damaged_archive_is_removed(sandbox: Sandbox) -> None:
    whole = sandbox.server.files["game.zip"]
    sandbox.server.files["game.zip"] = whole[:20_000] + b"damage" + whole[20_006:]
    assert "SC2.4.10.zip was broken, or no zip archive, and is removed" in refused(sandbox.run())
    sandbox.server.files["game.zip"] = whole
    assert sandbox.run()[0] == 0


def test_a_game_that_may_not_be_executed_is_mended(sandbox: Sandbox) -> None:
    file = program(sandbox.game, f"Base{BUILD}/SC2_x64", 0o644)
    code, said, errors = sandbox.run(doctor=True)
    assert (code, errors) == (0, [])
    assert "--env-config=sc2 can start" in said
    assert os.access(file, os.X_OK)


@pytest.mark.parametrize("path", [f"Base{BUILD}/SC2_x86", "Base52910/SC2_x64", f"Base{BUILD}.part/SC2_x64"])
def test_a_broken_game_ends_with_the_command_that_mends_it(sandbox: Sandbox, path: str) -> None:
    program(sandbox.game, path)
    command = refused(sandbox.run()).rpartition("; ")[2]
    assert command.startswith("mv ")
    subprocess.run(command.partition(" && ")[0], shell=True, check=True)
    code, said, _ = sandbox.run(doctor=True)
    assert code == 0
    assert "--env-config=sc2 can start" in said


def test_a_damaged_package_is_installed_again(sandbox: Sandbox) -> None:
    sandbox.run()
    (sandbox.site / "smac" / "env" / "starcraft2" / "starcraft2.py").unlink()
    code, said, _ = sandbox.run(doctor=True)
    assert code == 0
    assert "installing into .venv: smac\n" in said


def test_a_package_that_cannot_be_imported_is_installed_again(sandbox: Sandbox) -> None:
    sandbox.run()
    (sandbox.site / "smacv2" / "env" / "starcraft2" / "starcraft2.py").write_text("import maps_that_are_gone")
    code, said, _ = sandbox.run(doctor=True)
    assert code == 0
    assert "installing into .venv: smacv2\n" in said


def test_an_empty_map_is_replaced_and_a_full_disk_leaves_none(sandbox: Sandbox) -> None:
    sandbox.run()
    lost = sandbox.game / "Maps" / "SMAC_Maps" / "3m.SC2Map"
    lost.write_bytes(b"")
    sandbox.script(sandbox.tools / "cp", f'#!/bin/sh\n{shutil.which("head")} -c 2 "$1" >"$2"\nexit 1\n')
    assert refused(sandbox.run()).endswith("is the disk full?")
    assert lost.stat().st_size == 0
    assert not (lost.parent / ".part").exists()
    (sandbox.tools / "cp").unlink()
    assert sandbox.run()[0] == 0
    assert lost.read_text() == "smac 3m"


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is util-linux's")
def test_two_at_once(sandbox: Sandbox) -> None:
    (sandbox.repo / "3rdparty").mkdir()
    with (sandbox.repo / "3rdparty" / ".install_sc2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "is at work here; wait for its end" in refused(sandbox.run(SC2PATH=str(sandbox.home / "SC2")))
    assert sandbox.run()[0] == 0


def test_a_place_that_cannot_be_is_refused_before_the_download(sandbox: Sandbox) -> None:
    (sandbox.home / "file").touch()
    assert "is a file; set SC2PATH to a folder" in refused(sandbox.run(SC2PATH=str(sandbox.home / "file")))
    assert "SC2PATH=/ is no folder" in refused(sandbox.run(SC2PATH="/"))
    assert sandbox.server.asked == []
    assert sandbox.run(SC2PATH="~/games/sc2")[0] == 0
    assert (sandbox.home / "games" / "sc2" / "Versions").is_dir()


@pytest.mark.parametrize("name", ["game.zip", "smac.zip"])
def test_a_wrong_address(sandbox: Sandbox, name: str) -> None:
    del sandbox.server.files[name]
    assert f"/{name}: the server answered 404" in refused(sandbox.run())


def test_another_version_of_the_game(sandbox: Sandbox) -> None:
    sandbox.server.files["game.zip"] = encrypted({"StarCraftII/Versions/Base69232/SC2_x64": b"old"})
    assert f"is not the Linux game 4.10: no {GAME_FILE} in it" in refused(sandbox.run())
    assert not sandbox.game.exists()


def test_an_archive_that_lacks_a_map(sandbox: Sandbox) -> None:
    sandbox.server.files["smac.zip"] = package("smac", MAPS[2:])
    assert "3m.SC2Map is not in" in refused(sandbox.run())


@pytest.mark.parametrize(
    ("system", "kind", "free_gb", "message"),
    [
        ("Linux", "x86_64", 3, "StarCraft II needs 10000 MB on the disk of"),
        ("Linux", "aarch64", 100, "built for Linux on x86_64, and this is Linux on aarch64"),
        ("Darwin", "arm64", 100, "on macOS install StarCraft II with Battle.net"),
    ],
)
def test_a_machine_that_will_not_do(sandbox: Sandbox, system: str, kind: str, free_gb: int, message: str) -> None:
    sandbox.machine(system, kind, free_gb)
    assert message in refused(sandbox.run())
    assert "game.zip" not in dict(sandbox.server.asked)


def test_macos_with_its_own_game_gets_packages_and_maps(sandbox: Sandbox) -> None:
    sandbox.machine("Darwin", "arm64", free_gb=100)
    program(sandbox.home / "SC2", "Base90000/SC2_x64")  # the fake uname is the script's alone
    _, said, errors = sandbox.run(SC2PATH=str(sandbox.home / "SC2"))
    assert errors == []
    assert "a game is there: Base90000" in said
    assert len(list((sandbox.home / "SC2" / "Maps" / "SMAC_Maps").iterdir())) == 24


def test_a_folder_with_other_things_is_left_alone(sandbox: Sandbox) -> None:
    (sandbox.home / "thesis.tex").touch()
    line = refused(sandbox.run(SC2PATH=str(sandbox.home)))
    assert "holds other things and no game" in line
    assert (sandbox.home / "thesis.tex").exists()


def test_a_failing_pip_is_quoted(sandbox: Sandbox) -> None:
    (sandbox.repo / ".venv" / "pip.fails").touch()
    line = refused(sandbox.run())
    assert "pip could not install" in line
    assert "ERROR: no matching distribution" in line


def test_a_missing_tool_is_named(sandbox: Sandbox) -> None:
    for tool in ("dirname", "curl"):
        (sandbox.tools / tool).symlink_to(shutil.which(tool) or tool)
    assert "unzip is missing; install it" in refused(sandbox.run(PATH=str(sandbox.tools)))


def test_the_other_smac_is_replaced(sandbox: Sandbox) -> None:
    info = sandbox.site / "smac-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: smac\nVersion: 2.4.1\n")
    (sandbox.site / "smac" / "facade").mkdir(parents=True)
    (sandbox.site / "smac" / "__init__.py").touch()
    code, said, _ = sandbox.run(doctor=True)
    assert code == 0
    assert f"commit {COMMITS['smac'][:7]}" in said
