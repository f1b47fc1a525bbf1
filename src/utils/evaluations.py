"""evaluations.jsonl of a run: what each episode of each test came to, a line for each test.

{"at": 20000, "t_env": 20123, "of": "training", "seconds": 31.2, "return": [...], "length": [...], "won": [...], "seed": [...]}
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pymarl.utils.errors import UserError
from pymarl.utils.files import json_text, parse_object, write_text

EVALUATIONS = "evaluations.jsonl"
EXPECTED = "expected a line that a run writes"

Of = Literal["training", "last", "best"]
NUMBERS: dict[str, tuple[type, ...]] = {"at": (int,), "t_env": (int,), "of": (str,), "seconds": (int, float)}


@dataclass(frozen=True)
class Evaluation:
    """One test.

    Attributes:
        at: the multiple of test_interval whose crossing brought it, env steps: the same for all seeds.
        t_env: env steps at which the networks were what they are.
        of: "training", or which networks played absolute_episodes at the end: "last" or "best".
        seconds: wall clock of the training until then; of a run that was resumed, of all its pieces together.
        episodes: per-episode numbers, lists of one length: "return" (undiscounted, env units), "length" (env steps),
            "won" (0 or 1) where the env tells battle_won, "seed" (None where it is not known).
    """

    at: int
    t_env: int
    of: str
    seconds: float
    episodes: dict[str, list[float | None]]

    def mean(self, key: str) -> float | None:
        """Return the mean of a number over the episodes; None where it has none, or one of them is unknown."""
        values = [value for value in self.episodes.get(key, []) if value is not None]
        return sum(values) / len(values) if values and len(values) == len(self.episodes[key]) else None

    def line(self) -> str:
        """Return it as a line of the file, without the line's end. NaN and the infinities become null."""
        told = {"at": self.at, "t_env": self.t_env, "of": self.of, "seconds": round(self.seconds, 3)}
        return json_text(told | self.episodes)


def read_evaluations(folder: Path) -> list[Evaluation]:
    """Return the tests of a run in their order; [] where it has no such file. UserError if a line is broken."""
    path = folder / EVALUATIONS
    return parse_evaluations(path.read_bytes(), str(path)) if path.is_file() else []


def parse_evaluations(text: bytes, name: str) -> list[Evaluation]:
    """Return the tests in a text of such lines. UserError, with the name, for a line that no run writes."""
    lines = enumerate(text.splitlines(), start=1)
    return [_parsed(parse_object(line, f"{name}:{number}", EXPECTED), f"{name}:{number}") for number, line in lines]


def _parsed(line: Mapping[str, Any], name: str) -> Evaluation:
    numbers: dict[str, Any] = {key: line.get(key) for key in NUMBERS}
    episodes = {key: value for key, value in line.items() if key not in NUMBERS}
    whole = all(type(value) in NUMBERS[key] for key, value in numbers.items())
    if not whole or line["of"] not in get_args(Of) or not {"return", "length"} <= episodes.keys():
        raise UserError(f"{name}: broken (lacks at, t_env, of, seconds, return or length); {EXPECTED}")
    if not all(isinstance(value, list) for value in episodes.values()) or len(set(map(len, episodes.values()))) > 1:
        raise UserError(f"{name}: broken (expected lists of one length); {EXPECTED}")
    if not all(value is None or type(value) in (int, float) for values in episodes.values() for value in values):
        raise UserError(f"{name}: broken (expected lists of numbers); {EXPECTED}")
    return Evaluation(**numbers, episodes=episodes)


def write_evaluations(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """Replace a file, or leave the old one."""
    write_text(path, "".join(f"{evaluation.line()}\n" for evaluation in evaluations))
