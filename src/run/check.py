"""The check of all keys before anything is started."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import Any

from pymarl.envs.batched import refuse_workers
from pymarl.run import REGISTRY as RUNS
from pymarl.run.config import Classes, RunConfig, keys_of_all_parts, owners_of, read_keys
from pymarl.run.fit import check_choices, check_fit
from pymarl.run.quick import refuse_unknown
from pymarl.run.tracked import build_trackers
from pymarl.utils.config import build_config, check_call, check_value, config_class, config_keys
from pymarl.utils.errors import UserError
from pymarl.utils.files import LONGEST_NAME, as_file_name
from pymarl.utils.layers import Layers, is_shipped, shipped_keys
from pymarl.utils.values import shown


def check(layers: Layers) -> list[str]:
    """Check every key of a run: known, of the right type and in range, and the choices consistent.

    Returns:
        The keys that the user's own file or `with` set although nothing in this run reads them.

    Raises:
        UserError: one line for the first thing that is wrong.
    """
    config = build_config(RunConfig, layers.values, layers.origin)
    check_call(RUNS[config.run], None, layers.values, None)
    classes = Classes.of(layers.values, layers.origin)
    read, elsewhere = read_keys(classes), keys_of_all_parts()
    known = read | shipped_keys() | elsewhere.keys()
    of_env = {f"env_args.{key}" for key in {*config.env_args, *_keys_of_env(classes.env)}}
    for key in layers.values:
        if key not in known or (key not in read and f"env_args.{key}" in of_env and not is_shipped(layers.origin[key])):
            refuse_unknown(key, layers, known, of_env)
    check_fit(config, classes, layers.values)
    for part in classes.configured():
        build_config(part.Config, layers.values, layers.origin)
    for key in layers.values.keys() & elsewhere.keys() - read:
        _check_unread(key, elsewhere[key], layers)
    if config_class(classes.env) is not None:
        _check_env_args(classes.env, layers)
    if as_file_name(config.name) != config.name:
        raise UserError(
            f"name={shown(config.name)}: expected the name of a folder: no separators or control characters, not "
            f"beginning with a dot, at most {LONGEST_NAME} bytes; write name={shown(as_file_name(config.name))}"
        )
    refuse_workers(config.env, config.env_workers)
    classes.runner.check_config(build_config(classes.runner.Config, layers.values, layers.origin))
    check_choices(config, classes, layers.values)
    build_trackers(layers.values, layers.origin)
    unread = sorted(key for key in layers.values if key not in read and not is_shipped(layers.origin[key]))
    return [f"{key} (of {' and '.join(owners)})" if (owners := owners_of(key)) else key for key in unread]


def _check_unread(key: str, kinds: list[Any], layers: Layers) -> None:
    """Raise UserError if no part could read a value that none of this run's does: a typo all the same."""
    for kind in kinds[1:]:
        with suppress(UserError):
            check_value(layers.values[key], kind, key)
            return
    check_value(layers.values[key], kinds[0], key, layers.origin[key])


def _keys_of_env(env: Any) -> set[str]:
    """Return what may stand in an env's env_args: its Config's keys, or what its constructor takes."""
    if config_class(env) is not None:
        return set(config_keys(env))
    try:
        return set(inspect.signature(env).parameters) - {"seed", "args", "kwargs"}
    except (TypeError, ValueError):  # C code does not say
        return set()


def _check_env_args(env: Any, layers: Layers) -> None:
    env_args = layers.values["env_args"]
    known = [f"env_args.{key}" for key in config_keys(env)]
    for key in env_args:
        if f"env_args.{key}" not in known:
            refuse_unknown(f"env_args.{key}", layers, known, layers.values)
    build_config(env.Config, env_args, layers.origin, "env_args.")
