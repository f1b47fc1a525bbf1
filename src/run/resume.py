"""What `resume` names: the checkpoints of one run, given or found, whose config this run has to have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymarl.utils.checkpoint import CONFIG_FILE, RUN_FILE, find_checkpoint, read_config, runs_of, steps_in
from pymarl.utils.errors import UserError
from pymarl.utils.evaluations import read_evaluations
from pymarl.utils.layers import Layers
from pymarl.utils.redact import redacted
from pymarl.utils.runs import FREE_ON_RESUME, dotted, read_record

AUTO = "auto"
FOUND = "resume=auto"
"""Origin of a token that was looked for."""


def check_resume(layers: Layers) -> None:
    """Give a resumed run the seed of the one it continues, and refuse other changes of its config.

    resume=auto becomes the newest token of the same config under local_results_path, or nothing if there is none.

    Raises:
        UserError: a key differs from the run that is resumed.
    """
    if layers.values.get("resume") == AUTO:
        token = find_token(layers)
        layers.add({"resume": "" if token is None else str(token)}, FOUND)
    if not layers.values.get("resume"):
        return
    resume = str(layers.values["resume"])
    before = read_config(_token(resume))
    if layers.values.get("seed") is None:
        layers.add({"seed": before["seed"]}, str(Path(resume) / CONFIG_FILE))
    if problem := difference(before, layers.values):
        raise UserError(f"resume: {problem}")


def find_token(layers: Layers) -> Path | None:
    """Return the folder of the newest checkpoint that this run could go on from; any seed's, if it has none."""
    found: list[tuple[float, Path]] = []
    for config in Path(str(layers.values.get("local_results_path"))).glob(f"models/*/{CONFIG_FILE}"):
        token = config.parent
        try:
            step = find_checkpoint(str(token), 0, file=RUN_FILE)
            before = read_config(token)
            own = {**layers.values, "resume": ""}
            if own.get("seed") is None:
                own["seed"] = before["seed"]
            if not difference(before, own):
                found.append((step.stat().st_mtime, token))
        except (UserError, OSError, KeyError):
            continue  # none to go on from: damaged, without a checkpoint yet, or gone
    return max(found)[1] if found else None


def is_done(layers: Layers) -> bool:
    """Tell whether the token that resume=auto found has reached t_max, and its last run has said so.

    One that was killed between its last checkpoint and its end is gone on with: it ends at once, with all its numbers.
    So is one whose networks have not played absolute_episodes yet.
    """
    if layers.origin.get("resume") != FOUND or not layers.values["resume"]:
        return False
    token = Path(layers.values["resume"])
    try:
        last = read_record(Path(str((runs_of(token) or [])[-1]["run"])))
        played = {0, *(len(each.episodes["return"]) for each in read_evaluations(token))}
    except (UserError, OSError, LookupError, TypeError):
        return False
    over = last.status == "COMPLETED" and max(steps_in(token), default=-1) > layers.values["t_max"]
    return over and layers.values["absolute_episodes"] in played


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return why a run of the config `now` cannot go on from one of the config `before`; "" if it can."""
    free = FREE_ON_RESUME - ({"t_max"} if _has_schedule_over_t_max(before) else set())
    had, has = dotted(before), dotted(json.loads(json.dumps(redacted(now))))
    for key in sorted(has.keys() - free):
        if key not in had or had[key] != has[key]:
            return (
                f"{key}={has[key]!r}, but the run had {had.get(key, 'no such key')!r}; "
                f"start it with the same --config, --env-config and `with` words"
            )
    for key in sorted(had.keys() - has.keys() - free):
        if key.startswith("env_args."):  # of an own env, for which no file has defaults
            return f"the run had {key}={had[key]!r}, and this one has no such key; write it, too"
    return ""


def _has_schedule_over_t_max(config: Mapping[str, Any]) -> bool:
    """Tell whether something that training goes by (per_beta, lr, the entropy's weight) reaches its end at t_max."""
    return (
        config.get("buffer") == "prioritized"
        or bool(config.get("lr_anneal"))
        or config.get("final_entropy_coef") is not None
    )


def _token(resume: str) -> Path:
    """Return the folder that `resume` names, if a run writes its checkpoints there."""
    token, hint = Path(resume), "expected results/models/<token>, or auto"
    try:
        if (token / CONFIG_FILE).is_file():
            return token
        for folder in (token.parent, token.parent.parent):  # one checkpoint, or a file of one
            if (folder / CONFIG_FILE).is_file() and steps_in(folder):
                hint = f"write resume={folder}, with load_step=<env steps> for a checkpoint that is not the newest"
    except (OSError, ValueError) as error:
        hint = str(error)
    raise UserError(f"resume={resume!r}: no {CONFIG_FILE} there; {hint}")
