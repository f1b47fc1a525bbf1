"""Typed configs: frozen dataclasses filled from the flat keys of the YAML files.

A component declares the keys it reads in a nested `Config` whose fields have no defaults, because YAML is the only
home of a default::

    class RNNAgent(Agent):
        @dataclass(frozen=True, kw_only=True)
        class Config:
            rnn_hidden_dim: PositiveInt

A class without a nested `Config` reads no keys. Ranges are part of the type, through `typing.Annotated`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union

from pymarl.utils.errors import UserError
from pymarl.utils.values import LARGEST_INT, shown


@dataclass(frozen=True)
class Range:
    """Closed (`ge`, `le`) or open (`gt`, `lt`) bounds of a number."""

    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.gt is None or value > self.gt)
            and (self.lt is None or value < self.lt)
        )

    def __str__(self) -> str:
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        bounds = [f"{signs[name]} {_bound(bound)}" for name, bound in vars(self).items() if bound is not None]
        return " and ".join(sorted(bounds, reverse=True))


def _bound(number: float) -> str:
    """Return whole numbers with all their digits."""
    return str(number) if isinstance(number, int) else f"{number:g}"


PositiveInt = Annotated[int, Range(ge=1)]
NonNegativeInt = Annotated[int, Range(ge=0)]
PositiveFloat = Annotated[float, Range(gt=0)]
NonNegativeFloat = Annotated[float, Range(ge=0)]
Seconds = Annotated[float, Range(ge=0.1, le=1_000_000)]
"""Of a time-out: what can be waited for, and looked at now and then."""
Probability = Annotated[float, Range(ge=0, le=1)]

C = TypeVar("C")

WORDS = {"true": True, "false": False, "null": None, "none": None}


def config_class(component: Any) -> type | None:
    """Return the component's nested Config, or None if it reads no keys."""
    return component.Config if hasattr(component, "Config") else None


def config_keys(component: Any) -> dict[str, Any]:
    """Return {key: type} of the keys that a component (or a Config class) reads."""
    return dict(_keys(component))


@functools.cache
def _keys(component: Any) -> dict[str, Any]:
    config = component if dataclasses.is_dataclass(component) else config_class(component)
    return {} if config is None else typing.get_type_hints(config, include_extras=True)


def check_call(function: Any, *args: Any, **kwargs: Any) -> None:
    """Raise UserError if something that a user may have written cannot be called with these arguments."""
    try:
        signature = inspect.signature(function)
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = f"{function.__module__}:{function.__qualname__}"
        given = ", ".join([*("..." for _ in args), *(f"{key}=..." for key in kwargs)])
        raise UserError(
            f"{name} takes {signature}, but {given} is handed to it ({error}); "
            f"write it like the one in src that it replaces"
        ) from error
    except ValueError:  # C code does not say
        pass


def build_config(config: type[C], flat: Mapping[str, Any], origin: Mapping[str, str], prefix: str = "") -> C:
    """Return `config` filled from the keys it declares, each checked for type and range.

    Args:
        config: a frozen dataclass without defaults.
        flat: the merged keys of the run, or its env_args; more keys than `config` declares is normal.
        origin: full key -> where its value was set ("config/algs/qmix.yaml", "with"), for messages.
        prefix: "env_args." for the keys of an env.

    Raises:
        UserError: a key is missing, or its value has the wrong type or is out of range.
    """
    values = {}
    for key, kind in config_keys(config).items():
        name = prefix + key
        if key not in flat:
            raise UserError(
                f"missing key {name!r} (expected {describe(kind)}); set it in your YAML or `with {name}=...`"
            )
        values[key] = check_value(flat[key], kind, name, origin.get(name, origin.get(prefix.rstrip("."), "")))
    return config(**values)


def check_value(value: Any, kind: Any, name: str, origin: str = "") -> Any:
    """Return `value` as a `kind` (an int is a fine float, a list a fine tuple); UserError if it is none."""
    if typing.get_origin(kind) is Annotated:
        base, *bounds = typing.get_args(kind)
        value = check_value(value, base, name, origin)
        for bound in bounds:
            if isinstance(bound, Range) and value is not None and value not in bound:
                raise UserError(f"{_where(origin)}{name}={shown(value)}: expected {describe(kind)}")
        return value
    matched, result = _match(value, kind)
    if not matched:
        raise UserError(
            f"{_where(origin)}{name}={shown(value)}: expected {describe(kind)}{_sort_of(value, kind)}"
            f"{_remedy(value, kind, name)}"
        )
    return result


def _sort_of(value: Any, kind: Any) -> str:
    """Return ", got" with a value's type, or what is wrong with a number; "" for a wrong choice of the right type."""
    if isinstance(value, float) and not math.isfinite(value):
        return ", got a float that is not finite"
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        return ", got an int beyond 2**63"
    if typing.get_origin(kind) is Literal and type(value) in {type(arg) for arg in typing.get_args(kind)}:
        return ""
    return f", got {type(value).__name__}"


def _match(value: Any, kind: Any) -> tuple[bool, Any]:
    """Return (does value fit kind, value as kind). Never converts between text and numbers."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True, value
    if origin is Annotated:
        matched, result = _match(value, args[0])
        return matched and all(result in bound for bound in args[1:] if isinstance(bound, Range)), result
    if origin in (Union, types.UnionType):
        return _match_union(value, args)
    if origin is Literal:
        return value in args and type(value) in {type(arg) for arg in args}, value
    if kind is None or kind is type(None):
        return value is None, None
    if origin in (list, tuple) or kind in (list, tuple):
        return _match_sequence(value, origin or kind, args)
    if origin is dict or kind is dict:
        return _match_mapping(value, args)
    if kind is float:
        return _is_int(value) or (isinstance(value, float) and math.isfinite(value)), value
    if kind is int:
        return _is_int(value), value
    return isinstance(value, kind), value


def _match_union(value: Any, options: tuple[Any, ...]) -> tuple[bool, Any]:
    if type(None) in options and isinstance(value, str) and value.lower() in ("null", "none"):
        return False, value  # YAML's null, which `with` reads as text
    matches = (_match(value, option) for option in options)
    return next(((True, result) for matched, result in matches if matched), (False, value))


def _is_int(value: Any) -> bool:
    """Return whether a value is a whole number that numpy's and torch's integers hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INT


def _match_sequence(value: Any, kind: Any, args: tuple[Any, ...]) -> tuple[bool, Any]:
    if not isinstance(value, (list, tuple)):
        return False, value
    fixed = kind is tuple and args and args[-1] is not Ellipsis
    if fixed and len(value) != len(args):
        return False, value
    elements = args if fixed else [args[0] if args else Any] * len(value)
    pairs = [_match(item, element) for item, element in zip(value, elements, strict=True)]
    return all(matched for matched, _ in pairs), kind(result for _, result in pairs)


def _match_mapping(value: Any, args: tuple[Any, ...]) -> tuple[bool, Any]:
    if not isinstance(value, Mapping) or not args:
        return isinstance(value, Mapping), value
    pairs = [(_match(key, args[0]), _match(item, args[1])) for key, item in value.items()]
    matched = all(of_key and of_item for (of_key, _), (of_item, _) in pairs)
    return matched, {key: item for (_, key), (_, item) in pairs} if matched else value


def describe(kind: Any) -> str:
    """Return a type the way a user would write it: "int >= 1", "'vdn' or 'qmix' or None"."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return " ".join([describe(args[0]), *(str(bound) for bound in args[1:])])
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in args)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if kind is type(None):
        return "None"
    if args:
        return f"{origin.__name__}[{', '.join('...' if a is Ellipsis else describe(a) for a in args)}]"
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _where(origin: str) -> str:
    return f"{origin}: " if origin and origin != "with" else ""


def _remedy(value: Any, kind: Any, name: str) -> str:
    """Name the traps of the notation: sacred reads false as text, YAML's null too, Python 1e3 as a float."""
    for better in _readings(value):
        if _match(better, kind)[0]:
            quoted = isinstance(better, str | list)  # quotes in quotes: for the shell
            written = f'"{better!r}"' if quoted else repr(better)
            return f" (write {name}={written})"
    return ""


def _readings(value: Any) -> Iterator[Any]:
    """Yield what a value may have been meant as."""
    if isinstance(value, str):
        if value.lower() in WORDS:
            yield WORDS[value.lower()]
        if value.startswith("[") and value.endswith("]"):  # a list whose words have no quotes
            yield [word.strip() for word in value[1:-1].split(",")]
        for number in (int, float):
            with suppress(ValueError):
                yield number(value)
        with suppress(ValueError):
            yield from _readings(float(value))
    elif isinstance(value, float) and value.is_integer():
        yield int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def plain(value: Any) -> Any:
    """Return a copy with plain dicts and lists of sacred's read-only containers, which workers can be sent."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
