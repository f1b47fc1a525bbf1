"""Whether the parts of a run fit each other, asked before anything is started."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pymarl.components.action_selectors import REGISTRY as SELECTORS
from pymarl.run.config import Classes, RunConfig
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError

SAID = {"q": "Q-values", "logits": "logits", "probs": "probabilities"}
WHAT = {"replay": "episodes drawn from many collects", "rollout": "the episodes just collected",
        "on_off": "the episodes just collected beside replayed ones"}  # fmt: skip


def check_choices(config: RunConfig, classes: Classes, values: Mapping[str, Any]) -> None:
    """Raise UserError for keys that contradict each other, and for parts that cannot work together."""
    if config.runner == "episode" and config.batch_size_run != 1:
        raise UserError(
            f"batch_size_run={config.batch_size_run} with runner='episode', which runs one env; "
            f"write runner=parallel or batch_size_run=1"
        )
    if config.env_workers is not None and config.env_workers > config.batch_size_run:
        raise UserError(
            f"env_workers={config.env_workers} processes for batch_size_run={config.batch_size_run} envs; "
            f"write env_workers={config.batch_size_run} or env_workers=None"
        )
    if (config.evaluate or config.save_replay) and not config.checkpoint_path:
        given = "evaluate" if config.evaluate else "save_replay"
        raise UserError(f"{given}=True needs networks to play with; add checkpoint_path=results/models/<token>")
    if config.resume and config.checkpoint_path:
        raise UserError(
            "resume goes on with a run, checkpoint_path starts a new one from its networks; give one of them"
        )
    _check_outputs(config, classes, values)
    if classes.buffer.gives != classes.learner.trains_on:
        raise UserError(
            f"buffer={config.buffer!r} gives {WHAT[classes.buffer.gives]}, but learner={config.learner!r} learns from "
            f"{WHAT[classes.learner.trains_on]}; write buffer={classes.learner.trains_on}"
        )


def _check_outputs(config: RunConfig, classes: Classes, values: Mapping[str, Any]) -> None:
    """Raise UserError if the controller's outputs are not what the selector or the learner can read."""
    outputs = classes.mac.outputs(build_config(classes.mac.Config, values, {}))
    made = f"mac={config.mac!r} with agent_output_type={values.get('agent_output_type')!r} gives it {SAID[outputs]}"
    if outputs not in classes.selector.reads:
        fitting = [name for name in SELECTORS if outputs in SELECTORS[name].reads]
        raise UserError(
            f"action_selector={config.action_selector!r} chooses from {_said(classes.selector.reads)}, but {made}; "
            f"write action_selector={' or '.join(fitting)}, or another agent_output_type or mac"
        )
    if outputs not in classes.learner.reads:
        raise UserError(
            f"learner={config.learner!r} learns from {_said(classes.learner.reads)}, but {made}; "
            f"write another agent_output_type, mac or learner"
        )


def _said(outputs: Collection[str]) -> str:
    return " or ".join(SAID[name] for name in sorted(outputs))
