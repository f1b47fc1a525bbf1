"""install_sc2.sh against a local server and made-up archives: what it installs, and how it ends where it cannot."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from envs.sc2.installation import BUILD, FLAT, MAPS, REPO, pins

COMMITS = {name: Path(pins(REPO / "requirements-sc2.txt")[name]).stem for name in ("smac", "smacv2")}
GAME_FILE = f"StarCraftII/Versions/Base{BUILD}/SC2_x64"
PASSWORD = b"iagreetotheeula"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the game that install_sc2.sh downloads is for Linux"),
    *(
        pytest.mark.skipif(shutil.which(tool) is None, reason=f"install_sc2.sh needs {tool}")
        for tool in ("curl", "unzip")
    ),
]

# What .venv/bin/python is here: this Python without its packages, and a pip that unpacks what it is given.
FAKE_PYTHON = """#!/bin/sh
here=$(dirname "$(dirname "$0")")
export PYTHONPATH="$PYTHONPATH:$here/site"
if [ "$1 $2" = "-m pip" ]; then exec {python} -S "$here/pip.py" "$@"; fi
exec {python} -S "$@"
"""
FAKE_PIP = """
import json, pathlib, re, sys, zipfile
here = pathlib.Path(__file__).parent
with (here / "pip.log").open("a") as log:
    print(*sys.argv[1:], file=log)
if (here / "pip.fails").exists():
    sys.exit("Collecting\\nERROR: no matching distribution")
for wanted in [word for word in sys.argv if "==" in word or word.endswith(".zip")]:
    name = re.match(r"[a-z0-9_-]+?(?===|-[0-9a-f]{40})", wanted.rpartition("/")[2])[0]
    info = here / "site" / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    version = wanted.partition("==")[2] or "1.0.0"
    (info / "METADATA").write_text(f"Name: {name}\\nVersion: {version}\\n")
    (here / "site" / name).mkdir(exist_ok=True)
    (here / "site" / name / "__init__.py").touch()
    if wanted.endswith(".zip"):
        (info / "direct_url.json").write_text(json.dumps({"url": f"file://{wanted}"}))
        with zipfile.ZipFile(wanted) as archive:
            for file in archive.namelist():
                target = here / "site" / file.partition("/")[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(file))
"""


def encrypted(files: dict[str, bytes]) -> bytes:
    """Return a zip archive under `PASSWORD` (PKWARE's traditional encryption, APPNOTE 6.1); zipfile only reads such."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            head = bytes(11) + bytes([zlib.crc32(content) >> 24])
            archive.writestr(name, encipher(head + content))
    raw = bytearray(buffer.getvalue())
    at = archive.start_dir
    for name, content in files.items():
        (start,) = struct.unpack_from("<I", raw, at + 42)
        for flags, crc in ((start + 6, start + 14), (at + 8, at + 16)):
            struct.pack_into("<H", raw, flags, 1)
            struct.pack_into("<I", raw, crc, zlib.crc32(content))
            struct.pack_into("<I", raw, crc + 8, len(content))
        at += 46 + len(name)
    return bytes(raw)


def encipher(plain: bytes) -> bytes:
    keys = [0x12345678, 0x23456789, 0x34567890]

    def crc(value: int, byte: int) -> int:
        return zlib.crc32(bytes([byte]), value ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def update(byte: int) -> None:
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    for byte in PASSWORD:
        update(byte)
    result = bytearray()
    for byte in plain:
        mask = (keys[2] | 2) & 0xFFFF
        result.append(byte ^ ((mask * (mask ^ 1) >> 8) & 0xFF))
        update(byte)
    return bytes(result)


def package(name: str, maps: tuple[str, ...]) -> bytes:
    """Return an archive like GitHub's of oxwhirl/smac or smacv2."""
    buffer = io.BytesIO()
    top = f"{name}-{COMMITS[name]}/{name}"
    with zipfile.ZipFile(buffer, "w") as archive:
        for folder in ("", "/env", "/env/starcraft2"):
            archive.writestr(f"{top}{folder}/__init__.py", "")
        archive.writestr(f"{top}/env/starcraft2/starcraft2.py", "")
        for map_name in maps:
            archive.writestr(f"{top}/env/starcraft2/maps/SMAC_Maps/{map_name}.SC2Map", f"{name} {map_name}")
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `files`; breaks off after `cuts[path]` bytes of an answer, one entry per answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, span = self.path.lstrip("/"), self.headers.get("Range")
        self.server.asked.append((path, span))
        content = self.server.files.get(path)
        if content is None:
            return self.send_error(404)
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.server.ranges else 0
        beyond = start > 0 and start >= len(content)
        self.send_response(416 if beyond else 206 if start else 200)
        if start:
            span = "*" if beyond else f"{start}-{len(content) - 1}"
            self.send_header("Content-Range", f"bytes {span}/{len(content)}")
        self.send_header("Content-Length", str(max(0, len(content) - start)))
        self.end_headers()
        cuts = self.server.cuts.get(path, [])
        self.wfile.write(content[start : start + cuts.pop(0) if cuts else None])


class Sandbox:
    """A copy of the parts of the repository that install_sc2.sh uses, with a server and a controlled machine."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.repo, self.server, self.tools, self.home = folder / "repo", server, folder / "tools", folder / "home"
        self.home.mkdir()
        self.repo.mkdir()
        for name in ("install_sc2.sh", "setup.sh", "requirements.txt", "requirements-dev.txt", "requirements-sc2.txt"):
            shutil.copy(REPO / name, self.repo)
        for folder in ("envs/sc2", "utils"):
            shutil.copytree(REPO / "src" / folder, self.repo / "src" / folder)
        shutil.copy(REPO / "src" / "envs" / "__init__.py", self.repo / "src" / "envs")
        (self.repo / "src" / "tools").mkdir()
        venv = self.repo / ".venv"
        self.site = venv / "site"
        self.script(venv / "bin" / "python", FAKE_PYTHON.format(python=sys.executable))
        (venv / "pip.py").write_text(FAKE_PIP)
        stamp = "".join(path.read_text() for path in sorted(self.repo.glob("requirements*.txt")))
        (venv / ".installed-requirements.txt").write_text(stamp)
        self.script(self.tools / "sleep", "#!/bin/sh\n")
        self.machine("Linux", "x86_64", free_gb=100)

    @staticmethod
    def script(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def machine(self, system: str, kind: str, free_gb: int) -> None:
        """Choose what uname and df say."""
        self.script(self.tools / "uname", f'#!/bin/sh\n[ "$1" = -s ] && echo {system} || echo {kind}\n')
        self.script(self.tools / "df", f"#!/bin/sh\necho head\necho disk 1 1 {free_gb * 976563} 1% /\n")

    @property
    def game(self) -> Path:
        return self.repo / "3rdparty" / "StarCraftII"

    def run(self, doctor: bool = False, **environment: str) -> tuple[int, str, list[str]]:
        """Run the script, which ends with the doctor or a fake; return its exit code, what it said, lines of errors."""
        program = (REPO / "src" / "tools" / "doctor.py").read_text() if doctor else 'print("doctor")'
        (self.repo / "src" / "tools" / "doctor.py").write_text(program)
        base = f"http://127.0.0.1:{self.server.server_port}"
        urls = {f"SC2_{name.upper()}_URL": f"{base}/{name}.zip" for name in ("game", "smac", "smacv2")}
        clean = {"PATH": f"{self.tools}:{os.environ['PATH']}", "HOME": str(self.home), "NO_PROXY": "*"}
        result = subprocess.run(
            [shutil.which("bash") or "bash", self.repo / "install_sc2.sh"],
            **{"env": {**clean, **urls, **environment}, "cwd": self.home, "stdin": subprocess.DEVNULL},
            **{"capture_output": True, "text": True, "timeout": 60},
        )
        return result.returncode, result.stdout, result.stderr.splitlines()


@pytest.fixture(scope="module")
def archives() -> dict[str, bytes]:
    return {
        "game.zip": encrypted({GAME_FILE: os.urandom(1) * 40_000, "StarCraftII/Libs/x.so": b"library"}),
        "smac.zip": package("smac", MAPS),
        "smacv2.zip": package("smacv2", (*MAPS, FLAT)),
    }


@pytest.fixture
def sandbox(tmp_path: Path, archives: dict[str, bytes]) -> Iterator[Sandbox]:
    with Server() as server:
        server.files = dict(archives)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Sandbox(tmp_path, server)
        server.shutdown()
        thread.join()


def program(game: Path, path: str, mode: int = 0o755) -> Path:
    """Make a game's program."""
    file = game / "Versions" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode)
    return file


def refused(result: tuple[int, str, list[str]]) -> str:
    """Return the one line of an early end."""
    code, _, errors = result
    assert code == 1
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    return errors[0]


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
    assert [path.name for path in (sandbox.repo / "3rdparty").iterdir()] == ["StarCraftII"]
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
    parts = sandbox.game.with_name("StarCraftII.parts")
    parts.mkdir(parents=True)
    with (parts / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert f"is at work in {parts}; wait for its end" in refused(sandbox.run())
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
