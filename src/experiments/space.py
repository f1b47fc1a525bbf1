"""What is searched: keys and where their values come from, as words such as lr=loguniform(1e-4,1e-2)."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymarl.utils.errors import UserError, closest
from pymarl.utils.values import shown

KINDS = ("uniform", "loguniform", "int", "logint", "choice")
EXAMPLES = "lr=loguniform(1e-4,1e-2), gamma=uniform(.9,.999), rnn_hidden_dim=int(32,256) or batch_size=choice(16,32,64)"
_WORD = re.compile(r"(?P<key>[^=\s]+)=(?P<kind>\w+)(?:\((?P<inside>.*)\)|:(?P<behind>.*))", re.DOTALL)


@dataclass(frozen=True)
class Parameter:
    """A key and its range.

    Attributes:
        key: of the config, or env_args.<key>.
        kind: of KINDS; log means even in the logarithm.
        values: the lowest and the highest, both among those that are tried, or all there are.
    """

    key: str
    kind: str
    values: tuple[Any, ...]

    def suggest(self, trial: Any) -> Any:
        """Return the value of an Optuna trial, the same if it has one already."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.key, self.values)
        suggest = trial.suggest_int if self.kind.endswith("int") else trial.suggest_float
        return suggest(self.key, *self.values, log=self.kind.startswith("log"))

    def __str__(self) -> str:
        return f"{self.key}={self.kind}({','.join(map(str, self.values))})"


def parameters_of(words: Sequence[str]) -> tuple[Parameter, ...]:
    """Return what `--search` names. UserError for a word that names no range, or a key that is named twice."""
    found = tuple(_parameter(word) for word in words)
    for number, each in enumerate(found):
        if each.key in {other.key for other in found[:number]} | {"seed"}:
            hint = "seeds are not searched; write --seeds" if each.key == "seed" else "it is named twice"
            raise UserError(f"--search {each}: {hint}")
    return found


def _parameter(word: str) -> Parameter:
    parts = _WORD.fullmatch(word.strip())
    if parts is None or parts["kind"] not in KINDS:
        near = closest(parts["kind"], KINDS) if parts else ""
        raise UserError(
            f"--search {shown(word)[1:-1]}: expected such as {EXAMPLES}{near}; in quotes, or with a colon for the "
            "brackets, which a shell wants for itself: lr=loguniform:1e-4,1e-2"
        )
    values = _values(parts["inside"] if parts["inside"] is not None else parts["behind"])
    made = Parameter(parts["key"], parts["kind"], values)
    if wrong := _fault(made):
        raise UserError(f"--search {made}: {wrong}")
    return made


def _values(text: str) -> tuple[Any, ...]:
    """Return literals with commas between them, as `with` reads each."""
    values: list[Any] = []
    for item in text.split(","):
        try:
            values.append(ast.literal_eval(item.strip()))
        except (ValueError, SyntaxError):
            values.append(item.strip())
    return tuple(values)


def _fault(made: Parameter) -> str:
    """Return what is wrong with a range; "" if nothing is."""
    values = made.values
    if made.kind == "choice":
        if len(values) < 2 or len(set(map(repr, values))) < len(values):
            return "expected two different values or more"
        fine = all(isinstance(value, (str, bool, int, float)) or value is None for value in values)
        return "" if fine and "" not in values else "expected numbers, words, True, False or None"
    kinds = int if made.kind.endswith("int") else (int, float)
    if len(values) != 2 or not all(isinstance(value, kinds) and not isinstance(value, bool) for value in values):
        return f"expected {made.kind}(lowest,highest), two {'whole ' if kinds is int else ''}numbers"
    low, high = values
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return "expected the lower number first"
    return "expected numbers > 0" if made.kind.startswith("log") and low <= 0 else ""
