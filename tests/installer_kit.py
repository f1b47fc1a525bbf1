"""A copy of install_sc2.sh in a repository of its own, with a server, a pip and tools that do as they are told."""

from __future__ import annotations

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

from pymarl.envs.sc2.installation import BUILD, FLAT, MAPS, REPO, pins

COMMITS = {name: Path(pins(REPO / "requirements-sc2.txt")[name]).stem for name in ("smac", "smacv2")}
GAME_FILE = f"StarCraftII/Versions/Base{BUILD}/SC2_x64"
PASSWORD = b"iagreetotheeula"

NEEDS = [
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
        shutil.copy(REPO / "src" / "pymarl.py", self.repo / "src")
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
