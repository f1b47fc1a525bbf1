"""What a training says of itself at its start and at its end, to whoever looks at the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pymarl.run.absolute import said
from pymarl.utils.doors import command_line, from_here
from pymarl.utils.evaluations import Evaluation
from pymarl.utils.progress import duration
from pymarl.utils.runs import scenario_of


def start_line(config: Mapping[str, Any], device: torch.device, folder: Path | None) -> str:
    """Return which run this is: algorithm, env, map, seed, device and run folder.

    Args:
        config: the merged keys.
        device: of the networks.
        folder: of the run, None if it has none.
    """
    scenario = scenario_of(config)
    env = config["env"] if scenario == config["env"] else f"{config['env']} {scenario}"
    threads = torch.get_num_threads()
    place = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {threads} thread{'s'[: threads > 1]}"
    )
    where = "no run folder" if folder is None else f"run folder {_near(folder)}"
    return f"{config['name']} on {env}, seed {config['seed']} ({place})\n  {where}"


def result_line(tests: Sequence[Evaluation], t_env: int, seconds: float, networks: Path | None) -> str:
    """Return what came of a training: its last and its best test, what it took, and where its networks are.

    Args:
        tests: all of them, in their order.
        t_env: env steps of the training.
        seconds: wall clock of the training.
        networks: the newest checkpoint, None if none was kept.
    """
    lines = [f"Finished Training: {t_env:,} env steps in {duration(seconds)}"]
    trained = [test for test in tests if test.of == "training"]
    if trained:
        best = max(trained, key=lambda test: (test.mean("won") or 0.0, test.mean("return") or 0.0))
        for name, test in (("last test", trained[-1]), ("best test", best)):
            lines.append(f"  {name}  {said(test)}, at {test.t_env:,}")
    if networks is not None:
        evaluate = command_line(from_here("python src/evaluate.py"), [str(_near(networks.parent))])
        lines += [f"  networks   {networks}", f"  evaluate   {evaluate}"]
    return "\n".join(lines)


def _near(folder: Path) -> Path:
    """Return a path as it is seen from here, if it lies below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
