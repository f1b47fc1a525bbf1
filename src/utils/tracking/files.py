"""Files of a run that its trackers may keep beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files that belong together.

    Attributes:
        kind: what they are; networks can be evaluated from a folder that holds them by these names.
        t_env: env steps of the networks, or of those that played.
        last: of networks: training is over. False: a checkpoint on the way.
        files: name, with slashes -> absolute path.
    """

    kind: Literal["networks", "replays"]
    t_env: int
    last: bool
    files: dict[str, Path]
