"""What every fuzz test needs: how often to try, values that nobody expects, and what an answer may look like."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pymarl import main
from pymarl.utils.errors import UserError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Mutations of each kind; 0: each test's own small number, which together take under a minute."""

LONGEST_LINE = 1500

FORBIDDEN = re.compile(r"Traceback|weights_only|File \"|site-packages")
"""Words of a traceback, and torch's advice to switch its safety off."""


NOT_ERRORS = ("note: ", "warning: ", "Compiling ", "Another run is compiling ")
"""How lines on stderr begin that are no errors."""


def tries(few: int) -> settings:
    """Return settings of a fuzz test that tries `few` mutations in the suite, always the same ones."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        max_examples=EXAMPLES or few, derandomize=True, database=None, deadline=None, suppress_health_check=checks
    )


def assert_one_line(text: str) -> None:
    """Check an error as the user reads it."""
    assert text.strip(), "an error without a word"
    assert "\n" not in text.strip(), text
    assert len(text) < LONGEST_LINE, text
    assert not FORBIDDEN.search(text), text


@contextlib.contextmanager
def only_user_errors() -> Iterator[None]:
    """Let a UserError of one line pass; everything else is a failure."""
    try:
        yield
    except UserError as error:
        assert_one_line(str(error))


def answer(words: Sequence[str], directory: Path) -> tuple[int, str]:
    """Run a command line in a folder; return its exit code and error line, checked.

    The line is "" if it was well. Notes and warnings may come beside it. A mistake leaves no results.
    """
    out, err = io.StringIO(), io.StringIO()
    before = set(directory.rglob("*"))
    with contextlib.chdir(directory), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.main(list(words))
    errors = [line for line in err.getvalue().splitlines() if not line.startswith(NOT_ERRORS)]
    if code == 0:
        assert errors == [], errors
        return code, ""
    assert code == 1, (code, errors)
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: ")
    assert_one_line(errors[0])
    assert set(directory.rglob("*")) == before, "a mistake left something behind"
    return code, errors[0]


def no_run(_run: Any, _config: Any, _log: Any) -> None:
    """Stand in for the run: a command line that is well ends here."""


NUMBERS = [
    "0", "-1", "1", "2", "3.5", "1e3", "1e-400", "1e400", "nan", "inf", "-inf", "4294967296", "2**70", "1j", "0x10",
    "9" * 400, "1" * 5000, "-" + "9" * 30, "1_000", "1e1_0", "True", "False", "true", "None", "null", "''",
]  # fmt: skip
CONTAINERS = [
    "[]", "{}", "()", "[1,2]", "[0,0]", "[-1,5]", "[1e9,1e9]", "[100000,100000]", "{'a':1}", "{1,2}", "b'x'", "[[]]",
    "[None]", "['x']", "{'a':{'b':{}}}", "[" * 300 + "]" * 300, "[" * 3000, "{" * 50, "(1,)", "...",
]  # fmt: skip
TEXTS = [
    "x", "../x", "/x", "..", ".", "a/b", " ", "\n", "\t", "\0", "ä", "日本", "\u202e", "a:b", ":", "a:", ":b", "a:b:c",
    "os:getcwd", "sys:exit", "pathlib:Path", "qmix", "x" * 300, "%s", "{}", "$HOME", "~", "'", '"', "None:None",
    "null:null", "#", "!!python/object:os.system", "&a", "*a", "- 1", "- ", "a: b: c", "\ud800",
]  # fmt: skip
VALUES = st.sampled_from([*NUMBERS, *CONTAINERS, *TEXTS]) | st.text(max_size=8) | st.integers().map(str)
"""Texts of values, as somebody might write them after `key=`."""


def change_bytes(raw: bytes, data: st.DataObject) -> bytes:
    """Return a file's bytes with a few of them replaced, cut out or added somewhere."""
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        at, size = data.draw(st.integers(0, len(changed))), data.draw(st.sampled_from([0, 1, 1, 5, 200]))
        text = VALUES.map(lambda value: value.encode("utf-8", "replace"))
        changed[at : at + size] = data.draw(st.binary(max_size=4) | text)
    return bytes(changed)
