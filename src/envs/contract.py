"""What an env returns, read and checked: for the run and for `envs.check`, which so say the same of the same fault."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.specs import SIZES, Box, EntityLayout, EnvInfo, Field
from pymarl.utils.errors import UserError
from pymarl.utils.values import shown

METHODS = ("reset", "step", "get_obs", "get_state", "get_avail_actions", "get_env_info")


class Outcome(NamedTuple):
    """What a step returned: the team's reward or each agent's [N], whether the episode is over, whether only the clock
    ended it."""

    reward: float | NDArray[np.float64]
    over: bool
    truncated: bool
    info: Mapping[str, Any]


def check_methods(name: str, env: Any, methods: Iterable[str] = METHODS) -> None:
    """Raise UserError if an env lacks one of these methods."""
    for method in methods:
        if not callable(getattr(env, method) if hasattr(env, method) else None):
            raise UserError(f"env {name!r}: method {method} is missing; see envs/multiagentenv.py")


LARGEST = 2**31 - 1
"""Of a size; what is larger no array has."""


def read_info(name: str, said: Any) -> EnvInfo:
    """Return what `get_env_info` returned: positive ints, and an entity layout where there is one.

    A shape may be a tuple or list of one int, as Gymnasium writes it. A float is refused, 3.0 too: PyMARL cannot
    make a tensor with it either.
    """
    if not isinstance(said, Mapping):
        raise UserError(f"env {name!r}: get_env_info returned {describe(said)}, expected a dict")
    given = {"n_rewards": 1, **said}
    sizes = {key: _size(name, key, given) for key in SIZES}
    layout, box = said.get("entity_layout"), said.get("box")
    if layout is not None and not isinstance(layout, EntityLayout):
        raise UserError(
            f"env {name!r}: get_env_info()['entity_layout'] is {describe(layout)}, expected an EntityLayout of "
            "pymarl.envs.specs"
        )
    info = EnvInfo(**sizes, entity_layout=layout, box=box if isinstance(box, Box) else None)
    check_info(name, info)
    return info


def _size(name: str, key: str, given: Mapping[str, Any]) -> int:
    """Return one of the SIZES that an env gave."""
    what = f"env {name!r}: get_env_info()[{key!r}]"
    if key not in given:
        raise UserError(f"{what} is missing, expected an int")
    value = given[key]
    if key.endswith("_shape") and isinstance(value, (tuple, list)) and len(value) == 1:
        value = value[0]
    try:
        size = operator.index(value)
    except TypeError as error:
        flat = "; flatten it, and let this be its length" if isinstance(value, (tuple, list)) else ""
        raise UserError(f"{what} is {describe(value)}, expected an int{flat}") from error
    if not 1 <= size <= LARGEST:
        raise UserError(f"{what} is {shown(size)}, expected 1 to {LARGEST}")
    return size


def check_info(name: str, info: EnvInfo) -> None:
    """Raise UserError if what an env says of itself does not fit together, or its actions are continuous."""
    if problem := info.problem():
        raise UserError(f"env {name!r} {problem}")
    if isinstance(info.action_space, Box):
        raise UserError(f"env {name!r} has continuous actions, {info.action_space}; only discrete ones are supported")


def read_observations(name: str, env: Any, fields: Iterable[Field]) -> dict[str, NDArray[Any]]:
    """Return what a `MultiAgentEnv` shows now of its observation fields: {field: array}, as `conform` checks it."""
    return {
        field.name: conform(name, field, getattr(env, f"get_{field.name}")(), f"get_{field.name} returned")
        for field in fields
    }


def conform(name: str, field: Field, value: Any, said: str) -> NDArray[Any]:
    """Return one env's value of a field as an array that fits the env's specs.

    Args:
        name: of the env.
        field: one of its `EnvInfo.fields`.
        value: array, tensor, or lists of them.
        said: how a message tells where it comes from, such as "get_obs returned".

    Raises:
        UserError: another shape, no numbers or not finite ones, flags that are not 0 or 1, an agent without an action.
    """
    array = read_array(name, value, field.shape, said)
    if field.dtype is np.bool_:
        array = _flags(name, array, said)
    if field.name == "avail_actions":
        check_avail(name, array)
    return array


def _flags(name: str, array: NDArray[Any], said: str) -> NDArray[np.bool_]:
    """Return numbers as flags. UserError if they are not 0 or 1."""
    flags = array.astype(np.bool_)
    if flags.astype(array.dtype).tobytes() != array.tobytes():  # thrice as fast as to look for the wrong ones
        wrong = array[(array != 0) & (array != 1)]
        if wrong.size:  # what is left is -0.0
            raise UserError(f"env {name!r}: {said} {wrong[0]}, expected 0 or 1")
    return flags


def check_arrays(name: str, info: EnvInfo, arrays: Mapping[str, NDArray[Any]], rows: Iterable[int]) -> None:
    """Check that the arrays of a batched env fit what it says of itself.

    Args:
        name: of the env.
        info: its specs.
        arrays: {field: [B, ...]}, `vars` of its EnvArrays.
        rows: of whom also the values are checked; they have been reset.

    Raises:
        UserError: a shape, a type or a value does not fit.
    """
    rows = list(rows)
    for field in info.with_role("observation", "result"):
        array = arrays[field.name]
        if array.shape[1:] != field.shape or array.dtype != field.dtype:
            raise UserError(
                f"env {name!r}: its array {field.name} has shape {array.shape} of {array.dtype}, expected "
                f"(B, {', '.join(map(str, field.shape))}) of {np.dtype(field.dtype)}"
            )
        for row in rows:
            conform(name, field, array[row], f"row {row} of {field.name} holds")
    ends = arrays["terminated"].astype(int) + arrays["truncated"] + arrays["broken"]
    for row in rows:
        if ends[row] > 1:
            raise UserError(f"env {name!r}: row {row} ended in more than one way: terminated, truncated or broken")


def read_array(name: str, value: Any, shape: tuple[int, ...], said: str) -> NDArray[Any]:
    """Return a value (arrays, tensors, lists of them) as an array of this shape, of finite numbers."""
    try:
        array = value if type(value) is np.ndarray else _as_array(value)
    except ValueError:  # ragged lists
        array = np.empty(0, dtype=object)
    if array.shape != shape or array.dtype.kind not in "biuf":
        raise UserError(
            f"env {name!r}: {said} {describe(value)}, expected shape {shape} of numbers (get_env_info says so)"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(axis) for axis in np.argwhere(~np.isfinite(array))[0])
        raise UserError(f"env {name!r}: {said} {array[where]} at {where}, expected finite numbers")
    return array


def check_avail(name: str, avail: NDArray[Any]) -> None:
    """Raise UserError if an agent has no action, [N, A]."""
    some = avail.any(1)
    if not some.all():
        raise UserError(
            f"env {name!r}: get_avail_actions leaves agent {int(np.flatnonzero(~some)[0])} no action; give it at "
            "least one (a no-op for an agent that is out)"
        )


def read_step(name: str, result: Any, n_rewards: int) -> Outcome:
    """Return what `step` returned: PyMARL's three values, or EPyMARL's five. `n_rewards` is R."""
    if not isinstance(result, tuple) or len(result) not in (3, 5):
        given = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
        raise UserError(
            f"env {name!r}: step returned {given}, expected (reward, terminated, info) "
            "or (obs, reward, terminated, truncated, info)"
        )
    cut = len(result) == 5 and bool(_number(name, result[3], "truncated"))
    reward, terminated, info = (result[0], result[1], result[2]) if len(result) == 3 else (*result[1:3], result[4])
    ended = bool(_number(name, terminated, "terminated"))
    info = _mapping(name, info, "step returned info")
    late = info.get("episode_limit")
    truncated = late is not None and bool(_number(name, late, "info['episode_limit']"))
    return Outcome(_rewards(name, reward, n_rewards), ended or cut, truncated or (cut and not ended), info)


def read_stats(name: str, stats: Any) -> dict[str, float]:
    """Return the numbers of what `get_stats` returned."""
    return numeric_info(_mapping(name, stats, "get_stats returned"))


def numeric_info(info: Mapping[str, Any]) -> dict[str, float]:
    """Return the entries of an info that are one number each, as floats; arrays and tensors of one number too."""
    numbers = ((str(key), single_number(value)) for key, value in info.items())
    return {key: number for key, number in numbers if number is not None}


def single_number(value: Any) -> float | None:
    """Return a number, or the one in an array or tensor of any shape, as a float; None if it is something else."""
    if isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        try:
            return float(value)
        except OverflowError:  # an int of more than 308 digits
            return math.inf if value > 0 else -math.inf
    if hasattr(value, "item") and hasattr(value, "shape") and math.prod(value.shape) == 1:
        return single_number(value.item())
    return None


def describe(value: Any) -> str:
    """Describe a value that does not fit: its shape and type, or the value itself if it is small."""
    try:
        array = _as_array(value)
    except ValueError:
        return f"{type(value).__name__} of unequal rows"
    if array.ndim == 0:
        text = " ".join(repr(value).split())
        return text if len(text) < 80 else f"{text[:77]}..."
    return f"shape {array.shape} of {array.dtype}"


def _rewards(name: str, value: Any, count: int) -> float | NDArray[np.float64]:
    """Return the team's reward, or each agent's [N]."""
    if count == 1:
        return _number(name, value, "reward")
    return read_array(name, value, (count,), "step returned reward").astype(np.float64)


def _number(name: str, value: Any, what: str) -> float:
    """Return a value as a float, if it is one finite number; PyMARL stores [r] and np.array([r]) too, and so do we."""
    if type(value) in (float, bool):  # nearly always
        number: float | None = float(value)
    else:
        number = single_number(value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value)
    if number is None or not math.isfinite(number):
        raise UserError(
            f"env {name!r}: step returned {what} {describe(value)}, expected one finite number for the team"
        )
    return number


def _mapping(name: str, value: Any, what: str) -> Mapping[str, Any]:
    """Return a value if it is a dict; {} for None, which PyMARL's envs return where they have nothing to say."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UserError(f"env {name!r}: {what} {describe(value)}, expected a dict")
    return value


def _as_array(value: Any) -> NDArray[Any]:
    """Return an array. ValueError if rows differ in length."""
    try:
        return np.asarray(value)
    except (TypeError, RuntimeError):  # a tensor that is on a GPU, has a gradient, or is of a type that NumPy lacks
        return np.asarray([_listed(item) for item in value] if isinstance(value, (list, tuple)) else _listed(value))


def _listed(value: Any) -> Any:
    return value.detach().cpu().tolist() if hasattr(value, "detach") else value
