"""evaluations.jsonl of a run's folder: each test with the numbers of each of its episodes, one JSON object per line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymarl.utils.errors import UserError
from pymarl.utils.files import parse_object

EVALUATIONS = "evaluations.jsonl"
EXPECTED = "expected a line that a run writes"


@dataclass(frozen=True)
class Evaluation:
    """A test.

    Attributes:
        at: the multiple of test_interval whose crossing brought it, env steps; 0 for the first.
        t_env: env steps at which it was played.
        of: "training", or "best" or "last" for the episodes of that checkpoint at the end.
        seconds: wall clock of training until then, over all pieces of a run that was resumed.
        episodes: a number for each episode, by name: "return", "length", "seed", and "won" where the env says it.
    """

    at: int
    t_env: int
    of: str
    seconds: float
    episodes: dict[str, list[float | None]]


def read_evaluations(folder: Path) -> list[Evaluation]:
    """Return the tests of a run folder, in the file's order; [] if it has no such file. UserError if it is broken."""
    path = folder / EVALUATIONS
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end was cut by a kill
    return [_evaluation(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def _evaluation(line: bytes, name: str) -> Evaluation:
    values = parse_object(line, name, EXPECTED)
    try:
        at, t_env, of, seconds = (values.pop(key) for key in ("at", "t_env", "of", "seconds"))
        if len({len(numbers) for numbers in values.values()}) != 1:
            raise UserError(f"{name}: broken (lists of different lengths); {EXPECTED}")
        return Evaluation(int(at), int(t_env), str(of), float(seconds), values)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{name}: broken ({error!r}); {EXPECTED}") from error
