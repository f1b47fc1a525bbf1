"""Play what was trained: `python src/evaluate.py results/models/TOKEN [key=value ...]`.

The config is the one that stands beside the networks, so that nothing has to be said again. The run is an ordinary
evaluation of main.py, with its own run folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from pymarl import main as command
from pymarl.run.command import Command, parse_command, parse_updates
from pymarl.utils.doors import as_called
from pymarl.utils.layers import Layers

SCRIPT = "python src/evaluate.py"
USAGE = f"""\
usage: {SCRIPT} TOKEN [options] [KEY=VALUE ...]

Play test_nepisode episodes with networks that were trained, print what came of them and write evaluation.csv.

  TOKEN         results/models/TOKEN, TOKEN alone, one checkpoint of it (TOKEN/20000, TOKEN/best), or a run's folder
  KEY=VALUE     keys that shall differ from those of the training, such as save_replay=True test_nepisode=100
  options       those of main.py, such as --print-config, or -u (write no run folder)

examples:
  {SCRIPT} results/models/TOKEN
  {SCRIPT} results/models/TOKEN/best save_replay=True test_nepisode=8
  {SCRIPT} results/models/TOKEN env_args.map_name=5m_vs_6m
"""
OF_TRAINING: dict[str, Any] = {
    "resume": "", "load_step": 0, "mongo_url": None, "use_tensorboard": False, "use_wandb": False, "use_mlflow": False,
    "use_trackio": False,
}  # fmt: skip
"""Keys of a training that its evaluation does not take over: where its numbers went, and what it went on from."""


def layers_of(path: str, updates: Sequence[str]) -> Layers:
    """Return the config of an evaluation: the stored keys that a run still reads, and the updates over them."""
    from pymarl.run.config import Classes, read_keys  # these import torch
    from pymarl.run.stored import find_stored
    from pymarl.utils.checkpoint import CONFIG_FILE
    from pymarl.utils.layers import is_shipped, merge

    stored = find_stored(path)
    stored.networks()
    ours = OF_TRAINING | {"checkpoint_path": str(stored.only or stored.token), "evaluate": True}
    layers = merge(str(stored.token / CONFIG_FILE), None, ours | parse_updates(updates))
    read = read_keys(Classes.of(layers.values, layers.origin))
    for key in [*layers.values]:
        if key not in read and layers.origin[key] != "with" and not is_shipped(layers.origin[key]):
            layers.drop(key)  # of parts that the training had not either
    return command.completed(layers)


def parse(argv: Sequence[str]) -> tuple[str, Command]:
    """Return the path and the rest of a command line; `with` before its first key=value may be left out."""
    path, rest = argv[0], list(argv[1:])
    if "with" not in rest:
        first = next((place for place, word in enumerate(rest) if "=" in word and word[0] != "-"), len(rest))
        rest.insert(first, "with")
    return path, parse_command(rest)


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input, 2 no words at all, 130 stopped by a signal."""
    if not argv or {"-h", "--help"} & {*argv}:
        print(as_called(USAGE), end="", file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2

    def play() -> int:
        path, rest = parse(argv)
        return command.play(layers_of(path, rest.updates), rest, command.line_of(SCRIPT, argv))

    return command.answered(play)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
