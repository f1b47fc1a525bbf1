"""Ray, as we need it: a cluster that is there, or one on this machine that we start and that ends with us."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import textwrap
from contextlib import suppress
from typing import Any

import psutil

from pymarl.utils.child import (
    ONE_THREAD,
    Channel,
    ChannelClosed,
    guard,
    ignore_signals,
    import_path,
    start_child,
)
from pymarl.utils.errors import UserError, message_line

KNOCK_SECONDS = 10
"""For the head of a cluster to take a connection."""

LONGEST_REASON = 250
"""Letters of what ray says of a worker that is lost: advice of a general kind comes behind them."""

WATCH = b"w"  # the processes to watch; to the watching process


def import_ray() -> Any:
    """Return the package, which takes a second to import and may not be installed."""
    return importlib.import_module("ray")


class Cluster:
    """A connection to ray. If this process has one already, that is used, and left as it is.

    Args:
        address: of the head of a cluster; None starts ray on this machine, and `close` ends it.

    Attributes:
        ray: the package.

    Raises:
        UserError: there is no such cluster, or ray cannot be started.
    """

    def __init__(self, address: str | None) -> None:
        self.ray = import_ray()
        self._connected = False
        self._watch: tuple[Any, Channel] | None = None
        try:
            if not self.ray.is_initialized():
                self._connect(address)
        except BaseException:
            self.close()
            raise

    def cores(self) -> float:
        """Return how many CPU cores ray has in all, in use or not."""
        return float(self.ray.cluster_resources().get("CPU", 0.0))

    def _connect(self, address: str | None) -> None:
        """Connect, or start; a signal means afterwards what it did before."""
        if address is not None:
            _knock(address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        heard = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = set(psutil.Process().children(recursive=True))
        options = {"include_dashboard": False} if address is None else {}
        try:
            self._connected = True  # also if it fails half-way
            self.ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **options)
        except (OSError, RuntimeError, ValueError, self.ray.exceptions.RayError) as error:
            hint = "" if address is None else "; where a cluster has a token, RAY_AUTH_MODE=token is needed here too"
            raise UserError(f"ray_address={address!r}: {message_line(error)}{hint}") from error
        else:
            _hush()
        finally:
            for number, handler in heard.items():
                signal.signal(number, handler)
        if address is None:
            self._watch = start_child("pymarl.utils.ray_cluster:watch")
            started = []
            for process in set(psutil.Process().children(recursive=True)) - before:
                with suppress(psutil.NoSuchProcess):
                    started.append((process.pid, process.create_time()))
            self._watch[1].send(WATCH, started)

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._connected:
            self._connected = False
            self.ray.shutdown()
        if self._watch is not None:
            process, channel = self._watch
            channel.close()
            process.wait()


def _knock(address: str) -> None:
    """Raise UserError if nothing listens at an address. Ray itself would wait for it without end."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise UserError(
            f"ray_address={address!r}: expected HOST:PORT of a cluster's head, as `ray start --head` says it"
        )
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"ray_address={address!r}: nothing answers there ({message_line(error)}); start the cluster, or write "
            "ray_address=None to have ray started here"
        ) from error


def _hush() -> None:
    """Keep what ray prints of workers and machines that are lost, up to twenty lines each, for its logger's debugging.

    The runner says it in one line. Ray has no switch for this.
    """
    internals: Any = importlib.import_module("ray._private.worker")
    internals.print_to_stdstream = lambda data, *_, **__: logging.getLogger("ray").debug("%s", data)


def watch(descriptor: int, parent: int) -> None:
    """End what is left of ray's processes here once `parent` is gone. Some of them would stay for a minute."""
    guard(parent)
    processes: list[tuple[int, float]] = []
    try:
        with suppress(ChannelClosed):
            channel = Channel(socket.socket(fileno=descriptor))
            processes = channel.receive()[1]
            channel.receive()
    finally:
        ignore_signals()
        for pid, created in processes:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == created and pid != os.getpid():
                    process.kill()


def worker_environment() -> dict[str, str]:
    """Return the environment variables of workers: our import path beyond Python's own, one thread, and no GPU."""
    return {key: os.environ.get(key, "1") for key in ONE_THREAD} | {
        "PYTHONPATH": import_path(),
        "CUDA_VISIBLE_DEVICES": "",
    }


def reason(error: Exception) -> str:
    """Return what is of use in a message of ray's, in one line."""
    lines = [line for line in str(error).splitlines() if not line.startswith("\t")]
    kept = lines[1:] if len(lines) > 1 and lines[0].startswith("The actor died unexpectedly") else lines
    return textwrap.shorten(" ".join(kept), LONGEST_REASON, placeholder=" ...") or type(error).__name__
