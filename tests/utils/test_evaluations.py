"""evaluations.jsonl: what is written is read, and a line that no run writes is named."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pymarl.utils.errors import UserError
from pymarl.utils.evaluations import EVALUATIONS, Evaluation, read_evaluations, write_evaluations

EPISODES = {"return": [1.5, 2.0], "length": [3, 4], "won": [0, 1], "seed": [2**64 - 1, None]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tests = [
        Evaluation(0, 120, "training", 1.25, EPISODES),
        Evaluation(20, 21, "best", 3.0, {**EPISODES, "won": [1, 1]}),
    ]
    assert read_evaluations(tmp_path) == []
    write_evaluations(tmp_path / EVALUATIONS, tests)
    assert read_evaluations(tmp_path) == tests
    first = json.loads((tmp_path / EVALUATIONS).read_text().splitlines()[0])
    assert first == {"at": 0, "t_env": 120, "of": "training", "seconds": 1.25, **EPISODES}


def test_means() -> None:
    test = Evaluation(0, 120, "training", 1.25, EPISODES)
    assert (test.mean("return"), test.mean("won"), test.mean("seed"), test.mean("none")) == (1.75, 0.5, None, None)


def test_a_number_that_is_none_is_null(tmp_path: Path) -> None:
    write_evaluations(
        tmp_path / EVALUATIONS, [Evaluation(0, 1, "last", 0.0, {"return": [math.nan, 1.0], "length": [1, 1]})]
    )
    (test,) = read_evaluations(tmp_path)
    assert test.episodes["return"] == [None, 1.0]
    assert test.mean("return") is None


WHOLE = {"at": 0, "t_env": 1, "of": "training", "seconds": 1, "return": [1.0], "length": [1]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        (json.dumps({key: value for key, value in WHOLE.items() if key != "t_env"}), "lacks at, t_env"),
        (json.dumps({key: value for key, value in WHOLE.items() if key != "length"}), "lacks at, t_env"),
        (json.dumps({**WHOLE, "of": "worst"}), "lacks at, t_env"),
        (json.dumps({**WHOLE, "at": "0"}), "lacks at, t_env"),
        (json.dumps({**WHOLE, "won": [1, 0]}), "lists of one length"),
        (json.dumps({**WHOLE, "won": 1}), "lists of one length"),
        (json.dumps({**WHOLE, "won": ["x"]}), "lists of numbers"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / EVALUATIONS).write_text(f"{json.dumps(WHOLE)}\n{line}\n")
    with pytest.raises(UserError) as error:
        read_evaluations(tmp_path)
    assert f"{tmp_path / EVALUATIONS}:2: broken" in str(error.value)
    assert says in str(error.value)
