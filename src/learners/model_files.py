"""agent.th, mixer.th, critic.th, opt.th: the files of networks that PyMARL2 writes and reads, one state_dict each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import nn

from pymarl.components.running_stats import Stats
from pymarl.learners.optimisers import Optimiser
from pymarl.utils.checkpoint import load_file
from pymarl.utils.errors import UserError
from pymarl.utils.files import replacing_file
from pymarl.utils.tensors import misfit, save_tensors


class DoesNotFit(UserError):
    """A file is whole, but of other networks than this run's."""


class IsMissing(UserError):
    """A file is not there."""


def save_models(parts: Mapping[str, nn.Module | Optimiser], directory: Path) -> None:
    """Write {file name: part}. Each appears whole or not at all."""
    for name, part in parts.items():
        with replacing_file(directory / name) as temporary:
            save_tensors(part.state_dict(), temporary)


def load_model(part: nn.Module | Optimiser, directory: Path, name: str, device: torch.device) -> None:
    """Read one file.

    Raises:
        UserError: it is missing or does not fit.
    """
    path = directory / name
    if not path.is_file():
        raise IsMissing(f"{path}: no such file; a checkpoint folder holds agent.th and the other networks' files")
    state = load_file(directory, name, device)
    try:
        if isinstance(part, nn.Module) and (problem := misfit(part.state_dict(), state)):
            raise ValueError(problem)
        part.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise DoesNotFit(
            f"{path} does not fit this run's networks ({reason}); use the config and env it was trained with"
        ) from error


def load_models(
    parts: Mapping[str, nn.Module | Optimiser], directory: Path, device: torch.device, *, transfer: bool = False,
    ours: Collection[str] = (),
) -> list[str]:  # fmt: skip
    """Read {file name: part}. Averages of an optimiser are of all networks together: where one of these starts anew, so
    do they.

    Args:
        parts: networks and optimisers.
        directory: of the checkpoint.
        device: of the networks.
        transfer: agent.th alone has to fit; other networks that do not stay as they are.
        ours: names of what no other project writes so. Networks of them and statistics may be missing, optimisers be of
            other parameters, and stay as they are.

    Returns:
        The files of what stays as it is.

    Raises:
        UserError: a file is missing or does not fit.
    """
    anew: list[str] = []
    networks = [name for name, part in parts.items() if isinstance(part, nn.Module)]
    for name in sorted(parts, key=lambda name: name not in networks):
        part = parts[name]
        try:
            if name not in networks and any(not isinstance(parts[other], Stats) for other in anew):
                anew.append(name)
            else:
                load_model(part, directory, name, device)
        except IsMissing:
            if name.removesuffix(".th") not in ours and not isinstance(part, Stats):
                raise
            anew.append(name)
        except DoesNotFit:
            other_networks = transfer and name != "agent.th" and name in networks
            if not other_networks and (name in networks or name.removesuffix(".th") not in ours):
                raise
            anew.append(name)
    return anew
