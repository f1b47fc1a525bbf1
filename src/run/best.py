"""The best networks of a run so far: models/<token>/best, a checkpoint of networks beside the others."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner
from pymarl.utils.evaluations import Evaluation
from pymarl.utils.files import writing_failed
from pymarl.utils.network_folder import BEST, save_networks


class Best:
    """The networks with the best test: by win rate, and by return where that is the same (where no battle is won).

    What the folder holds is in the run's state too, so that a run which was killed and goes on has just what its
    checkpoint says, whatever it has saved as best since.

    Args:
        learner: whose networks.
        info: of the env that they are trained in.
        models: folder of the run's checkpoints.

    Attributes:
        t_env, at: env steps of the networks, and the multiple of their test; see Evaluation. None: there are none.
    """

    def __init__(self, learner: Learner, info: EnvInfo, models: Path) -> None:
        self._learner, self._info, self.folder = learner, info, models / BEST
        self.t_env: int | None = None
        self.at: int | None = None
        self._score = (-math.inf, -math.inf)
        self._files: dict[str, torch.Tensor] = {}

    def offer(self, evaluation: Evaluation, log: logging.Logger) -> None:
        """Keep the networks as they are if their test was the best."""
        score = (evaluation.mean("won") or 0.0, evaluation.mean("return") or 0.0)
        if not all(map(math.isfinite, score)) or score <= self._score:
            return
        try:
            save_networks(self.folder, self._learner.save_models, self._about(evaluation.t_env, evaluation.at))
            files = {path.name: _bytes_of(path) for path in sorted(self.folder.glob("*.th"))}
        except OSError as error:
            log.warning("The best networks are not kept: %s", writing_failed(self.folder, error))
            return
        self.t_env, self.at, self._score, self._files = evaluation.t_env, evaluation.at, score, files

    def _about(self, t_env: int, at: int) -> dict[str, Any]:
        return {"t_env": t_env, "at": at, "env": self._info.sizes()}

    def put_back(self) -> None:
        """Let the folder hold what the state says. OSError if that cannot be written."""
        if self.t_env is None or self.at is None:
            shutil.rmtree(self.folder, ignore_errors=True)  # of what came after the checkpoint
            return

        def save(folder: Path) -> None:
            for name, data in self._files.items():
                (folder / name).write_bytes(data.numpy().tobytes())

        save_networks(self.folder, save, self._about(self.t_env, self.at))

    def state_dict(self) -> dict[str, Any]:
        """Return what is the best so far; {} if nothing is."""
        if self.t_env is None:
            return {}
        return {"t_env": self.t_env, "at": self.at, "score": list(self._score), "files": self._files}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken. Writes no file; see `put_back`."""
        if not state:
            self.t_env = self.at = None
            self._score, self._files = (-math.inf, -math.inf), {}
            return
        won, ret = state["score"]
        self.t_env, self.at, self._score = int(state["t_env"]), int(state["at"]), (float(won), float(ret))
        self._files = {_plain_name(name): data.to(torch.uint8).cpu() for name, data in state["files"].items()}


def _bytes_of(path: Path) -> torch.Tensor:
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def _plain_name(name: str) -> str:
    if Path(name).name != name or not name.endswith(".th"):
        raise ValueError(f"tests.best: {name!r} is no name of a file of networks")
    return name
