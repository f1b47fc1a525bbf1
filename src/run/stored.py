"""What was trained, found by its path: the config that stands beside its networks, and the networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymarl.utils.checkpoint import CONFIG_FILE, find_checkpoint, is_step, read_config, steps_in
from pymarl.utils.errors import UserError, closest
from pymarl.utils.network_folder import BEST
from pymarl.utils.runs import read_record, token_of

MODELS = Path("results") / "models"


@dataclass(frozen=True)
class Stored:
    """A run's networks.

    Attributes:
        token: the folder of its checkpoints, results/models/<token>.
        only: the one checkpoint that was named, None if the whole token was.
    """

    token: Path
    only: Path | None

    @property
    def config(self) -> dict[str, Any]:
        """The merged keys of the run. UserError if their file is damaged."""
        return read_config(self.token)

    def networks(self, which: str | int = "last") -> Path:
        """Return a folder with agent.th.

        Args:
            which: "last", "best", or env steps, to which the nearest is taken. What was named itself stands for "last".

        Raises:
            UserError: there is no such one.
        """
        if self.only is not None and which == "last":
            return find_checkpoint(str(self.only), 0)
        if which == "best":
            if not (self.token / BEST).is_dir():
                raise UserError(f"{self.token} has no {BEST} networks, which absolute_episodes=N keeps; take 'last'")
            return find_checkpoint(str(self.token / BEST), 0)
        if which != "last" and (not isinstance(which, int) or which < 0):
            raise UserError(f"checkpoint={which!r}: expected 'last', 'best' or a number of env steps")
        return find_checkpoint(str(self.token), 0 if which == "last" else max(1, int(which)))


def find_stored(path: str | Path) -> Stored:
    """Return what a path stands for.

    Args:
        path: results/models/<token>, <token> alone, one checkpoint in it, or the folder of the run that trained it.

    Raises:
        UserError: nothing of that kind is there.
    """
    given = Path(path)
    folder = given if given.is_absolute() or given.exists() or given.parts[:2] == MODELS.parts else MODELS / given
    if (folder / "run.json").is_file():
        return Stored(_of_run(folder), None)
    if (folder / CONFIG_FILE).is_file():
        return Stored(folder, None)
    if (folder.parent / CONFIG_FILE).is_file() and (is_step(folder.name) or folder.name == BEST) and folder.is_dir():
        return Stored(folder.parent, folder)
    if folder.is_dir():
        raise UserError(
            f"{str(path)!r}: no {CONFIG_FILE} there, which says what was trained; expected results/models/<token>. "
            "PyMARL's own checkpoints have none: play them with --config, --env-config and checkpoint_path=FOLDER"
        )
    if (folder.parent / CONFIG_FILE).is_file():
        steps = ", ".join(map(str, steps_in(folder.parent))) or "none"
        why = f" ({BEST} networks are kept with absolute_episodes=N)" if folder.name == BEST else ""
        raise UserError(f"{folder.parent} has no checkpoint {folder.name!r}{why}; it has: {steps}")
    known = [each.name for each in MODELS.iterdir()] if MODELS.is_dir() else []
    raise UserError(f"no folder {str(path)!r}; expected results/models/<token>{closest(given.name, known)}")


def _of_run(folder: Path) -> Path:
    """Return the folder of a run's checkpoints, which may have been moved together with the run."""
    token = token_of(read_record(folder))
    if token is None:
        raise UserError(f"{folder}: this run says of no checkpoints; expected one that has trained")
    moved = Path(*folder.absolute().parts[:-4], "models", token.name)  # results/sacred/<map>/<name>/<id>
    place = next((each for each in (token, moved) if (each / CONFIG_FILE).is_file()), None)
    if place is None or not steps_in(place):
        raise UserError(f"{folder}: its checkpoints are not in {token}; name their folder itself")
    return place
