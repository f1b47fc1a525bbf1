"""Values that a config may hold, file names that are made of them, and passwords in them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymarl.utils.files import LONGEST_NAME, as_file_name
from pymarl.utils.redact import redacted
from pymarl.utils.values import DEEPEST, MOST_ITEMS, fault, shown

DEEP: Any = []
for _ in range(DEEPEST + 1):
    DEEP = [DEEP]
BOMB: Any = [0] * 9
for _ in range(9):
    BOMB = [BOMB] * 9
CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({1}, "a value of type set, which a config cannot hold; write a list"),
        (b"x", "a value of type bytes, which a config cannot hold; write text"),
        (1j, "a value of type complex"),
        (datetime.date(2024, 1, 31), "a value of type date"),
        (float("inf"), "inf; numbers must be finite"),
        ([{"a": float("nan")}], "nan; numbers must be finite"),
        (2**63, "<int of 19 digits>; whole numbers must be below 2**63"),
        ([10**5000], "<int of 5001 digits>"),
        ("\udcff", "text that is not UTF-8"),
        ({1: 2}, "the key 1 of type int; keys are text: write '1'"),
        ({"a.b": 1}, "the key 'a.b'; keys are not empty, hold no '.'"),
        ({"$x": 1}, "the key '$x'"),
        ({"": 1}, "the key ''"),
        ({"py/object": "os.system"}, "the key 'py/object'"),
        (DEEP, f"nested more than {DEEPEST} deep"),
        (CIRCLE, "nested more than"),
        (BOMB, f"more than {MOST_ITEMS} items"),
    ],
)
def test_what_a_config_cannot_hold(value: Any, problem: str) -> None:
    assert problem in str(fault(value))


@pytest.mark.parametrize(
    "value", [None, True, 2**63 - 1, -(2**63) + 1, 0.5, "x", [1, (2, "3")], {"a": {"10b": []}}, "é"]
)
def test_what_it_can(value: Any) -> None:
    assert fault(value) is None


def test_shown_is_repr_but_for_what_is_long() -> None:
    assert shown([1, "a", {"b": 2.5}]) == repr([1, "a", {"b": 2.5}])
    assert len(shown("x" * 10**6)) < 200
    assert len(shown(list(range(10**5)))) < 200


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("qmix_env=8_adam_td_lambda", "qmix_env=8_adam_td_lambda"),
        ("my run (2)", "my run (2)"),
        ("rware:rware-tiny-2ag-v2", "rware_rware-tiny-2ag-v2"),
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("..", "_."),
        (".", "_"),
        (".hidden", "_hidden"),
        ("../../escaped", "_._.._escaped"),
        ("/tmp/x", "_tmp_x"),
        ("a\nb\x00c\x1b", "a_b_c_"),
        ("", "_"),
        (" ", "_"),
    ],
)
def test_file_names(text: str, name: str) -> None:
    assert as_file_name(text) == name


def test_long_names_are_cut_and_stay_apart() -> None:
    one, other = as_file_name("x" * 300 + "1"), as_file_name("x" * 300 + "2")
    assert one != other
    assert {len(one), len(other)} == {LONGEST_NAME}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(max_size=150))
def test_a_file_name_is_one_everywhere(text: str) -> None:
    name = as_file_name(text)
    assert 0 < len(name.encode()) <= LONGEST_NAME
    assert not set(name) & set("/\\:\0\n\r")
    assert not name.startswith(".")
    assert as_file_name(name) == name


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("mongodb://me:secret@host:27017/db", "mongodb://me:***@host:27017/db"),
        ("mongodb+srv://me:se/cr:et@host/db", "mongodb+srv://me:***@host/db"),
        ("mongodb://host:27017", "mongodb://host:27017"),
        ("mongodb://me@host", "mongodb://me@host"),
        ("mongodb://h/?tlsCertificateKeyFilePassword=secret&w=1", "mongodb://h/?tlsCertificateKeyFilePassword=***&w=1"),
        ("say postgresql://:secret@h/db, please", "say postgresql://:***@h/db, please"),
        ({"a": ["x://u:secret@h", 3]}, {"a": ["x://u:***@h", 3]}),
    ],
)
def test_passwords_are_not_written(text: Any, written: Any) -> None:
    assert redacted(text) == written
