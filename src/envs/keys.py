"""What `env_args.key` names in gymma and pettingzoo: a module of another package, and the env that it makes."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from pymarl.utils.errors import UserError, one_line_with_place
from pymarl.utils.packages import SOURCES, missing_module

PETTINGZOO = ("mpe", "mpe2", "multiagent", "pettingzoo")
"""Modules whose envs are PettingZoo's, or were in EPyMARL before they moved there."""


def import_for(key: str, module: str) -> ModuleType:
    """Import a module that `key` names.

    Raises:
        UserError: it is missing, or its own code raises; with where.
    """
    try:
        with warnings.catch_warnings():  # of other packages, about themselves
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(f"env_args.key={key!r} needs {missing_module(error.name)}") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"env_args.key={key!r}: importing {module} failed: {one_line_with_place(error)}") from error


def construct(key: str, env_kwargs: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """Return `make()`, another package's constructor.

    Raises:
        UserError: it raises; with the key, the env_kwargs and what it said.
    """
    try:
        with warnings.catch_warnings():  # spaces of float64 bounds, old versions: nothing that a user here can mend
            warnings.simplefilter("ignore")
            return make()
    except ModuleNotFoundError as error:
        raise UserError(f"env_args.key={key!r} needs {missing_module(error.name)}") from error
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, TypeError) and "argument" in str(error):
            raise UserError(
                f"env_args.env_kwargs={dict(env_kwargs)}: {key} does not take them: {one_line_with_place(error)}"
            ) from error
        raise UserError(
            f"env_args.key={key!r} with env_args.env_kwargs={dict(env_kwargs)} cannot be made: "
            f"{one_line_with_place(error)}"
        ) from error


def other_key(key: str) -> str | None:
    """Return what to write instead of a key of EPyMARL that is spelled otherwise here; None if `key` is not one."""
    module, _, name = key.rpartition(":")
    old = re.fullmatch(r"pz-([a-z]+)-(.+-v\d+)", key)
    if old:
        family, env = old[1], old[2].replace("-", "_")
        return pettingzoo_key(f"mpe2:{env}" if family == "mpe" else f"pettingzoo.{family}:{env}")
    if module in ("mpe", "multiagent"):
        return pettingzoo_key(f"mpe2:{mpe2_name(name)}")
    if module.split(".")[0] in PETTINGZOO:
        return pettingzoo_key(key.replace("pettingzoo.mpe:", "mpe2:"))
    if key.startswith("vmas-"):
        return f"--env-config=vmas with env_args.key={key.removeprefix('vmas-')}"
    smaclite = re.fullmatch(r"smaclite/(.+)-v\d+", key)
    if smaclite:
        return f"--env-config=smaclite with env_args.map_name={smaclite[1]} (`pip install {SOURCES['smaclite']}`)"
    return None


def pettingzoo_key(key: str) -> str:
    """Return the words that choose this env."""
    return f"--env-config=pettingzoo with env_args.key={key}"


def mpe2_name(name: str) -> str:
    """Return mpe2's module of an id of the old MPE: SimpleSpread-v0 is simple_spread_v3."""
    if re.fullmatch(r"[a-z_]+_v\d+", name):
        return name
    env = "_".join(word.lower() for word in re.findall(r"[A-Z][a-z]*", name)) or "simple_spread"
    return f"{env}_v{4 if env == 'simple_speaker_listener' else 3}"
