"""Ways in which the stand-in fails on command.

SC2_STANDIN_FAULTS is a list such as "crash@120,every:hang@500". KIND@N happens in the Nth request to step of a process,
once for all processes of one SC2PATH; with "every:" in each process, and again after N more steps. `launch@N`: the Nth
process of this SC2PATH ends before it listens; "every:launch@N": each Nth.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "SC2_STANDIN_FAULTS"

KINDS = {
    "crash": "the process is gone, as after kill -9",
    "hang": "no answer, ever; SIGTERM ends the process",
    "freeze": "no answer, ever, and only SIGKILL ends the process",
    "cut": "the connection is cut; the process ends, as it does without a client",
    "garbage": "bytes that are no message",
    "wrong": "a message that is complete, but belongs to another request",
    "empty": "an answer of no bytes",
    "error": "an answer that says something went wrong",
    "launch": "the process ends before it listens",
}


@dataclass(frozen=True)
class Fault:
    """A fault: `every` after `at` steps, or only once."""

    kind: str
    at: int
    every: bool


def parse(text: str) -> list[Fault]:
    """Return the faults of a list.

    Raises:
        ValueError: what it says is no fault.
    """
    faults = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(every:)?(\w+)@(\d+)", part.strip())
        if not match or match[2] not in KINDS or int(match[3]) < 1:
            raise ValueError(f"{VARIABLE}: {part!r}: expected KIND@N or every:KIND@N; kinds: {', '.join(KINDS)}")
        faults.append(Fault(match[2], int(match[3]), bool(match[1])))
    return faults


class Faults:
    """Says when to fail.

    Args:
        text: of the environment variable.
        folder: where processes tell each other what has happened; SC2PATH.
    """

    def __init__(self, text: str, folder: Path) -> None:
        self.faults = parse(text)
        self.folder = folder
        self.steps = 0

    def in_step(self) -> str:
        """Count a request to step; return the kind of fault that it meets, or ""."""
        self.steps += 1
        for fault in self.faults:
            if fault.kind != "launch" and self._is_due(fault, self.steps):
                return fault.kind
        return ""

    def in_launch(self) -> bool:
        """Count a launch, if any is to fail; tell whether this is the one."""
        failing = [fault for fault in self.faults if fault.kind == "launch"]
        number = 0
        while failing:
            number += 1
            if self._claim(f"launch-{number}"):
                break
        return any(self._is_due(fault, number) for fault in failing)

    def _is_due(self, fault: Fault, count: int) -> bool:
        if fault.every:
            return count % fault.at == 0
        return count == fault.at and self._claim(f"{fault.kind}@{fault.at}")

    def _claim(self, name: str) -> bool:
        """Tell whether this process is the first that asks for `name`."""
        folder = self.folder / "faults"
        folder.mkdir(exist_ok=True)
        try:
            os.close(os.open(folder / name, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True
