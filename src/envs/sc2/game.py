"""Games that are watched: they end with this process, answer in time or not at all, and say what became of them.

Imports pysc2, so it is imported only by the process that plays. pysc2 and the packages on top of it are used as they
are; what is different here is derived from their classes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import portpicker
import psutil
import websocket
from google.protobuf.message import DecodeError
from pysc2.lib import protocol, remote_controller, sc_process
from pysc2.run_configs import lib

from pymarl.envs.multiagentenv import EpisodeBroken
from pymarl.utils.errors import message_line
from pymarl.utils.processes import parent_death_signal

FAILURES = (
    EpisodeBroken,
    sc_process.SC2LaunchError,
    remote_controller.ConnectError,
    remote_controller.RequestError,
    protocol.ConnectionError,
    protocol.ProtocolError,
    websocket.WebSocketException,
    portpicker.NoFreePortFoundError,
    OSError,
)
"""What pysc2 raises when a game does not start, ends, hangs or answers nonsense."""

UNREADABLE = (DecodeError, TypeError, ValueError, websocket.WebSocketException)
"""What parsing an answer that is none raises; a text frame is a TypeError."""

CONNECT_POLL_SECONDS = 0.1
EXIT_SECONDS = 0.5  # from the end of its connection to the end of a crashed game
LAST_OUTPUT_BYTES = 4096


@dataclass(frozen=True)
class Launch:
    """How games are started.

    Attributes:
        folder: for their temporary files.
        timeout: seconds that a game may take to start, and later for each reset or step.
    """

    folder: Path
    timeout: int


class Protocol(protocol.StarcraftProtocol):
    """pysc2's conversation, with a deadline; an answer that cannot be read ends it as a lost connection does."""

    def __init__(self, sock: Any, timeout: int) -> None:
        super().__init__(sock)
        self._timeout = timeout
        self.restart_deadline()

    def restart_deadline(self) -> None:
        """Give the game its whole time for what comes next."""
        self._deadline = time.monotonic() + self._timeout

    def abort(self) -> None:
        """Close the connection without a word."""
        if self._sock:
            self._sock.shutdown()
            self.close()

    def _read(self) -> Any:
        self._sock.settimeout(max(0.01, self._deadline - time.monotonic()))
        try:
            return super()._read()
        except protocol.ConnectionError as error:
            if isinstance(error.__context__, websocket.WebSocketTimeoutException):
                raise self._late() from error
            raise
        except UNREADABLE as error:
            raise protocol.ConnectionError(f"the answer cannot be read: {error}") from error

    def _write(self, request: Any) -> None:
        if time.monotonic() >= self._deadline:  # SMAC goes on asking until all units are there
            raise self._late()
        super()._write(request)

    def _late(self) -> protocol.ConnectionError:
        return protocol.ConnectionError(f"the game took longer than env_args.game_timeout={self._timeout} s")


class Controller(remote_controller.RemoteController):
    """pysc2's controller over our `Protocol`."""

    def __init__(self, process: Process, timeout: int) -> None:
        self._client = Protocol(_connect(process, timeout), timeout)
        self._last_obs = None
        self.ping()

    def restart_deadline(self) -> None:
        """See `Protocol.restart_deadline`."""
        self._client.restart_deadline()

    def abort(self) -> None:
        """See `Protocol.abort`."""
        self._client.abort()

    def ports(self) -> tuple[int, int]:
        """Return the port at our end of the connection and that at the game's."""
        own, other = self._client._sock.sock.getsockname(), self._client._sock.sock.getpeername()
        return own[1], other[1]


def _connect(process: Process, timeout: int) -> websocket.WebSocket:
    """Return the socket, as soon as the game listens; pysc2 itself looks once a second."""
    deadline = time.monotonic() + timeout
    while process.running:
        try:
            return websocket.create_connection(f"ws://{process.host}:{process.port}/sc2api", timeout=timeout)
        except ConnectionRefusedError:
            pass  # not listening yet
        except websocket.WebSocketBadStatusException as error:
            if error.status_code != 404:  # 404: listening, but not ready
                raise
        if time.monotonic() >= deadline:
            raise remote_controller.ConnectError(f"the game did not listen within env_args.game_timeout={timeout} s")
        time.sleep(CONNECT_POLL_SECONDS)
    raise remote_controller.ConnectError("the game did not start")


class Process(sc_process.StarcraftProcess):
    """A game that dies with this process. What it prints is kept for the message that says why it failed."""

    def __init__(self, run_config: Any, launch: Launch, **kwargs: Any) -> None:
        self._proc = self._controller = self._output = None  # __del__ closes what could not be made, too
        self._output = tempfile.TemporaryFile(dir=launch.folder)  # noqa: SIM115  closed in close
        super().__init__(run_config, connect=False, **kwargs)
        started = False
        try:
            self._controller = Controller(self, launch.timeout)
            self._check_port()
            self.check()
            started = True
        except FAILURES as error:
            raise remote_controller.ConnectError(f"{message_line(error)}{self.exit_reason()}") from error
        finally:
            if not started:
                self.kill()

    def _launch(self, run_config: Any, args: list[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                args,
                cwd=run_config.cwd,
                env=run_config.env,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                preexec_fn=_killed_with(os.getpid()) if sys.platform == "linux" else None,
            )
        except OSError as error:
            raise sc_process.SC2LaunchError(f"cannot start {args[0]}: {error.strerror}") from error

    def check(self) -> None:
        """Raise pysc2's ConnectionError if the game has ended, whoever may answer in its place."""
        if not self.running:
            raise protocol.ConnectionError("the game's process is gone")

    def _check_port(self) -> None:
        """Raise ConnectError if another process answers: the port was free when it was chosen, but not kept free."""
        if self._proc is None:
            return  # pysc2's --sc2_port: the game is not ours
        ours, games = self._controller.ports()
        try:
            game = psutil.Process(self._proc.pid)
            if (ours, games) not in _connections(psutil.Process()):
                return  # nothing is to be seen of connections here
            if any((games, ours) in _connections(process) for process in (game, *game.children(recursive=True))):
                return
        except psutil.Error:
            return  # it has ended, which `check` says, or we may not look
        raise remote_controller.ConnectError(f"another process answers on the game's port {games}")

    def exit_reason(self) -> str:
        """Return "; the game was killed by SIGKILL" and its last words, or "" while it runs."""
        if self._proc is None:
            return ""
        try:
            code = self._proc.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        start = max(0, os.fstat(self._output.fileno()).st_size - LAST_OUTPUT_BYTES)
        lines = os.pread(self._output.fileno(), LAST_OUTPUT_BYTES, start).decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; the game {how}{f', its last words: {last}' if last else ''}"

    def kill(self) -> None:
        """End the game at once."""
        if self._controller is not None:
            self._controller.abort()
        if self._proc is not None:
            self._proc.kill()
            self._proc.wait()
        self.close()

    def close(self) -> None:
        """End the game politely and remove its folder. Calling it again does nothing."""
        super().close()
        if self._output is not None:
            self._output.close()


def _connections(process: psutil.Process) -> set[tuple[int, int]]:
    """Return (own port, other port) of a process's connections; psutil.Error if we may not know."""
    return {(c.laddr.port, c.raddr.port) for c in process.net_connections("tcp") if c.laddr and c.raddr}


def _killed_with(parent: int) -> Callable[[], None]:
    """Return what a new process runs before its program: the kernel shall kill it when `parent` is gone."""
    request = parent_death_signal(signal.SIGKILL)

    def prepare() -> None:
        request()
        if os.getppid() != parent:  # gone before we could ask
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def _platform() -> type:
    """Return pysc2's run config for this system."""
    found: type = max((c for c in lib.RunConfig.all_subclasses() if c.priority()), key=lambda c: c.priority())
    return found


class RunConfig(_platform()):  # type: ignore[misc]
    """pysc2 chooses it over its own while a `launch` is set."""

    launch: ClassVar[Launch | None] = None

    @classmethod
    def priority(cls) -> int | None:
        """Return a higher priority than pysc2's own, or None for: not now."""
        return None if cls.launch is None else 100

    @classmethod
    @contextmanager
    def chosen(cls, launch: Launch) -> Iterator[None]:
        """Let `pysc2.run_configs.get` return this class."""
        cls.launch = launch
        try:
            yield
        finally:
            cls.launch = None

    def map_data(self, map_name: str, players: int | None = None) -> bytes:
        """Return a map's file. SC2LaunchError if it is gone, as a disk of the network may be for a while."""
        try:
            data: bytes = super().map_data(map_name, players)
        except ValueError as error:
            raise sc_process.SC2LaunchError(message_line(error)) from error
        return data

    def start(self, want_rgb: bool = True, **kwargs: Any) -> Process:
        """Start a game. There is nothing to be seen of it. SC2LaunchError if the program is gone."""
        assert self.launch is not None
        self.tmp_dir = str(self.launch.folder)
        program = Path(self.data_dir, "Versions", f"Base{self.version.build_version:05d}", self._exec_name)
        if not program.is_file():
            raise sc_process.SC2LaunchError(f"{program} is gone")
        return Process(self, self.launch, exec_path=str(program), version=self.version, **kwargs)
