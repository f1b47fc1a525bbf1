"""Takes the policy of the opponent out of EPyMARL's file, for env_args.opponent of mpe_opponent.

    PYTHONPATH=src python -m pymarl.tools.epymarl_opponent EPYMARL/src/envs/pretrained/prey_params.pt prey.npz

prey_params.pt holds simple_tag's agents, the prey last; adv_params.pt simple_adversary's, the adversary first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pymarl.utils.errors import UserError, one_line, refuse
from pymarl.utils.files import replacing_file

PLACES = {"prey_params.pt": -1, "adv_params.pt": 0}
"""EPyMARL's name of a file -> which of the agents in it is the opponent."""


def policy_of(path: Path) -> dict[str, Any]:
    """Return the opponent's weights. UserError if the file is not one of EPyMARL's two."""
    import torch

    if path.name not in PLACES:
        raise UserError(f"{path}: expected {' or '.join(PLACES)} of EPyMARL's src/envs/pretrained")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        policy = saved["agent_params"][PLACES[path.name]]["policy"]
        return {name: weight.numpy() for name, weight in policy.items()}
    except Exception as error:  # torch raises what it likes on a broken file
        raise UserError(f"{path}: it is not EPyMARL's: {one_line(error)}") from error


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    if len(argv) != 2 or not argv[1].endswith(".npz"):
        print("usage: python -m pymarl.tools.epymarl_opponent PARAMS.pt OUT.npz", file=sys.stderr)
        return 1
    try:
        policy = policy_of(Path(argv[0]))
        with replacing_file(Path(argv[1])) as temporary:
            np.savez(temporary, **policy)
    except UserError as error:
        return refuse(error)
    print(f"{argv[1]}: {', '.join(f'{name} {tuple(weight.shape)}' for name, weight in policy.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
