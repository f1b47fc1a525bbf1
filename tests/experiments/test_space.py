"""The words of --search: which ranges they name, and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest

from pymarl.experiments.space import Parameter, parameters_of
from pymarl.utils.errors import UserError


@pytest.mark.parametrize(
    ("word", "made"),
    [
        ("lr=loguniform(1e-4,1e-2)", Parameter("lr", "loguniform", (1e-4, 1e-2))),
        ("lr=loguniform:1e-4,1e-2", Parameter("lr", "loguniform", (1e-4, 1e-2))),
        ("gamma=uniform(.9, .999)", Parameter("gamma", "uniform", (0.9, 0.999))),
        ("rnn_hidden_dim=int(32,256)", Parameter("rnn_hidden_dim", "int", (32, 256))),
        ("buffer_size=logint:8,5000", Parameter("buffer_size", "logint", (8, 5000))),
        ("batch_size=choice(16,32,64)", Parameter("batch_size", "choice", (16, 32, 64))),
        ("agent=choice:n_rnn,rnn", Parameter("agent", "choice", ("n_rnn", "rnn"))),
        ("env_args.step_mul=choice(4,None,True)", Parameter("env_args.step_mul", "choice", (4, None, True))),
    ],
)
def test_ranges(word: str, made: Parameter) -> None:
    assert parameters_of([word]) == (made,)
    assert parameters_of([str(made)]) == (made,), "it is written as it is read"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("lr", "--search lr: expected such as lr=loguniform"),
        ("lr=1e-4", "--search lr=1e-4: expected such as"),
        ("lr=loguniorm(1,2)", "did you mean 'loguniform'"),
        ("lr=loguniform(1e-2,1e-4)", "expected the lower number first"),
        ("lr=loguniform(0,1)", "expected numbers > 0"),
        ("lr=uniform(0,x)", r"expected uniform\(lowest,highest\), two numbers"),
        ("lr=uniform(0,1,2)", r"expected uniform\(lowest,highest\), two numbers"),
        ("lr=uniform(True,2)", "two numbers"),
        ("lr=uniform(0,1e999)", "expected the lower number first"),
        ("n=int(1,2.5)", "two whole numbers"),
        ("n=choice(1)", "expected two different values or more"),
        ("n=choice(1,1)", "expected two different values or more"),
        ("n=choice(a,)", "expected numbers, words, True, False or None"),
        ("seed=int(1,9)", "seeds are not searched; write --seeds"),
    ],
)
def test_what_is_none_is_one_line(word: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        parameters_of([word])
    assert "\n" not in str(error.value)


def test_a_key_is_named_once() -> None:
    with pytest.raises(UserError, match="it is named twice"):
        parameters_of(["lr=uniform:1,2", "lr=uniform:2,3"])


class Drawn:
    """Stands in for an Optuna trial: says what it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **options: (name, words, options)


def test_what_optuna_is_asked_for() -> None:
    asked = [each.suggest(Drawn()) for each in parameters_of(["a=logint:1,9", "b=uniform:0,1", "c=choice:x,y"])]
    assert asked == [
        ("suggest_int", ("a", 1, 9), {"log": True}),
        ("suggest_float", ("b", 0, 1), {"log": False}),
        ("suggest_categorical", ("c", ("x", "y")), {}),
    ]
