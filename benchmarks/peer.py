"""Run a script inside an old PyMARL-style checkout on today's Python, without editing the checkout.

    python benchmarks/peer.py DIR SCRIPT [ARGS...]

DIR is a checkout of PyMARL, PyMARL2 or a relative; SCRIPT one of its own (src/main.py, looked for in DIR first) or any
other file, which then imports the checkout's modules. From Python, `run` and `start` do the same in a subprocess. What
such code expects of its Python and has lost since is put back in that process alone: see `install_shims`.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib.abc
import importlib.machinery
import os
import runpy
import subprocess
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Imported by these checkouts at start-up and seldom used; a stub stands in for each one that is not installed.
OPTIONAL = (
    "absl",
    "gfootball",
    "gym",
    "matplotlib",
    "pygame",
    "pysc2",
    "s2clientprotocol",
    "smac",
    "smaclite",
    "tensorboard_logger",
    "torch_scatter",
)


def start(
    directory: Path, script: Path, *args: str, threads: int | None = None, python: Path | None = None, **popen: Any
) -> subprocess.Popen[str]:
    """Start `script` in a process of its own, with DIR/src first on its path; `popen` goes to subprocess.Popen.

    `python` is the interpreter, of an environment with what the checkout needs; None: this one.

    Raises:
        FileNotFoundError: DIR has no src folder.
    """
    if not (directory / "src").is_dir():
        raise FileNotFoundError(f"{directory}: no src folder; expected a checkout of PyMARL or a relative")
    command = [str(python or sys.executable), str(Path(__file__).resolve()), str(directory), str(script), *args]
    return subprocess.Popen(command, text=True, env=environment(threads), **popen)


def environment(threads: int | None) -> dict[str, str]:
    """Return this process's environment with a number of computing threads; None leaves that to the libraries.

    GOMP_SPINCOUNT, which our programs set for themselves, is not handed on. Where smac is installed, such code imports
    pysc2, whose messages are too old for protobuf's C backend.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    inherited = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    inherited["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
    return inherited | ({} if threads is None else dict.fromkeys(names, str(threads)))


def run(directory: Path, script: Path, *args: str, threads: int | None = None) -> str:
    """Run `script` as `start` does and return what it printed. RuntimeError with its stderr if it fails."""
    process = start(directory, script, *args, threads=threads, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{script} in {directory} exited with {process.returncode}:\n{err}")
    return out


def install_shims() -> None:
    """Put back what PyMARL-style code of 2018 to 2021 expects: a yaml loader, moved and removed names, packages."""
    _yaml_without_loader()
    for name in collections.abc.__all__:
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    _numpy_names()
    sys.meta_path.append(_StubFinder())


def _yaml_without_loader() -> None:
    import yaml

    load = yaml.load
    yaml.load = lambda stream, Loader=yaml.FullLoader: load(stream, Loader=Loader)  # type: ignore[assignment]


def _numpy_names() -> None:
    import numpy as np

    removed: Mapping[str, Any] = {
        "bool": bool, "int": int, "float": float, "object": object, "float_": np.float64, "Inf": np.inf, "NaN": np.nan,
    }  # fmt: skip
    for name, value in removed.items():
        if name not in np.__dict__:
            setattr(np, name, value)
    if "random_integers" not in np.random.__dict__:
        np.random.random_integers = lambda low, high=None, size=None: (  # type: ignore[attr-defined]
            np.random.randint(1, low + 1, size) if high is None else np.random.randint(low, high + 1, size)  # noqa: NPY002
        )


class _StubType(type):
    """A class whose every attribute is another such class: it can be called, inherited from and asked for more."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StubType(name, (), {"__init__": lambda self, *args, **kwargs: None})


class _StubModule(types.ModuleType):
    __path__: Sequence[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_StubType("Stub", (), {}), name)


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Comes last on sys.meta_path, so that it is asked only for what is not installed."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] not in OPTIONAL:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StubModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """A stub has nothing to run."""


def main(argv: Sequence[str]) -> None:
    """Run argv = DIR SCRIPT ARGS... in this process."""
    if len(argv) < 2:
        raise SystemExit(__doc__)
    directory, script = Path(argv[0]).resolve(), Path(argv[1])
    script = directory / script if (directory / script).is_file() else script.resolve()
    install_shims()
    sys.path[0] = str(directory / "src")
    sys.argv = [str(script), *argv[2:]]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
