"""`pymarl.train`: a training from Python, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymarl import main as command
from pymarl.utils.doors import as_called, set_up
from pymarl.utils.errors import UserError
from pymarl.utils.redact import redacted

if TYPE_CHECKING:
    from pymarl.run.policy import Policy
    from pymarl.utils.layers import Layers


SHOWN = ("test_battle_won_mean", "test_return_mean")
"""What is told of a training in one line."""


class Curve(NamedTuple):
    """A number over a training.

    Attributes:
        t_env: env steps, rising.
        value: at each of them; NaN where the number was none.
    """

    t_env: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        folder: of the run, results/sacred/<map>/<name>/<id>.
        config: every key of the run.
        curves: the numbers of info.json by their name, such as "test_return_mean" or "loss_td".
    """

    folder: Path
    config: Mapping[str, Any]
    curves: Mapping[str, Curve]

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value:.4g}" for name, value in self.final.items() if name in SHOWN)
        return f"Trained({str(self.folder)!r}{', ' if numbers else ''}{numbers})"

    @property
    def final(self) -> dict[str, float]:
        """The last value of each number of the tests, such as {"test_return_mean": 19.2, ...}."""
        return {name: float(curve.value[-1]) for name, curve in self.curves.items() if name.startswith("test_")}

    @property
    def models(self) -> Path:
        """The folder of the checkpoints, results/models/<token>. UserError if none was kept."""
        from pymarl.run.stored import find_stored

        return find_stored(self.folder).token

    @cached_property
    def policy(self) -> Policy:
        """What was learned, as it was at the end. UserError if it was not kept, with save_final=False."""
        return self.load_policy("last")

    def load_policy(self, checkpoint: str | int = "last", device: str = "cpu") -> Policy:
        """Return what was learned, "last", "best" or near some env steps; see `pymarl.load_policy`."""
        from pymarl.run.policy import load_policy

        return load_policy(self.folder, checkpoint, device)


def train(config: str | None = "qmix", env: str | None = "skirmish", **updates: Any) -> Trained:
    """Train as `python src/main.py --config=CONFIG --env-config=ENV with KEY=VALUE ...` does, to the end.

    Numbers go to results/ below the working directory, lines to the terminal.

    Args:
        config: algorithm, or the path of a YAML file of your own.
        env: environment, likewise.
        updates: keys that beat those of the files: t_max=50_000, env_args={"map_name": "2s3z"}.

    Raises:
        UserError: a key or a value is wrong; nothing has been written then.
        KeyboardInterrupt: Ctrl-C; a checkpoint has been saved.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UserError("train: call it in the main thread, which alone hears Ctrl-C")
    set_up()
    from pymarl.run.resume import is_done
    from pymarl.utils.layers import merge

    layers = command.checked(merge(config, env, updates))
    for key in ("evaluate", "save_replay"):
        if layers.values[key]:
            play = as_called("python src/evaluate.py")
            raise UserError(f"train: {key}=True trains nothing; play what was trained with load_policy, or {play}")
    if is_done(layers):
        return _result(_last_run(Path(layers.values["resume"])))
    words = "".join(f", {key}={redacted(value)!r}" for key, value in updates.items())
    return _result(_play(layers, f"pymarl.train({config!r}, {env!r}{words})"))


def _play(layers: Layers, line: str) -> Path:
    """Run a checked config; return its run folder."""
    from pymarl.run.allocation import memory_as_user_error
    from pymarl.run.preflight import preflight

    with memory_as_user_error("the sizes in env_args, rnn_hidden_dim or batch_size_run"):
        preflight(layers, command.results_folder(layers.values))
    experiment = command.experiment(layers.values, line=line)
    experiment.run()
    written = experiment.observers[0]
    if written.fault is not None:
        raise UserError(f"the run has ended, but its numbers are not whole: {written.fault}")
    return Path(written.dir)


def _last_run(token: Path) -> Path:
    """Return the folder of the run that has written to a token last."""
    from pymarl.utils.checkpoint import runs_of

    runs = [run["run"] for run in runs_of(token) or [] if run["run"]]
    if not runs:
        raise UserError(
            f"{token} has reached t_max, and says of no run that is kept; load_policy({str(token)!r}) has it"
        )
    return Path(str(runs[-1]))


def _result(folder: Path) -> Trained:
    """Return what a run folder holds."""
    from pymarl.utils.info import number_of, read_info
    from pymarl.utils.runs import read_record

    info = read_info(folder)
    curves = {
        name: Curve(np.array(info[f"{name}_T"], np.int64), np.array([number_of(each) for each in values], np.float64))
        for name, values in info.items()
        if f"{name}_T" in info
    }
    return Trained(folder.absolute(), read_record(folder).config, curves)
