"""Whether the parts of a run fit each other, asked before anything is started."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pymarl.components.action_selectors import REGISTRY as SELECTORS
from pymarl.modules.agents import REGISTRY as AGENTS
from pymarl.run.config import Classes, RunConfig
from pymarl.utils.config import build_config, config_keys
from pymarl.utils.errors import UserError

SAID = {"q": "Q-values", "logits": "logits", "probs": "probabilities"}
WHAT = {"replay": "episodes drawn from many collects", "rollout": "the episodes just collected",
        "on_off": "the newest episodes beside replayed ones"}  # fmt: skip


def check_choices(config: RunConfig, classes: Classes, values: Mapping[str, Any]) -> None:
    """Raise UserError for keys that contradict each other; each of them is of the right type."""
    if config.env_workers is not None and config.env_workers > config.batch_size_run:
        raise UserError(
            f"env_workers={config.env_workers} processes for batch_size_run={config.batch_size_run} envs; "
            f"write env_workers={config.batch_size_run} or env_workers=None"
        )
    if "minibatches" in config_keys(classes.learner) and values["minibatches"] > (size := values["batch_size"]):
        raise UserError(
            f"minibatches={values['minibatches']}: a pass over batch_size={size} episodes or pieces has no more parts "
            f"than these; write minibatches={size} or a larger batch_size"
        )
    if config.async_collect and classes.buffer.gives != "replay":
        raise UserError(
            f"async_collect=True plays with the networks of one iteration before, but buffer={config.buffer!r} gives "
            f"{WHAT[classes.buffer.gives]}, which have to come from those that learn; write async_collect=False"
        )
    if (config.evaluate or config.save_replay) and not config.checkpoint_path:
        given = "evaluate" if config.evaluate else "save_replay"
        raise UserError(f"{given}=True needs networks to play with; add checkpoint_path=results/models/<token>")
    if config.resume and config.checkpoint_path:
        raise UserError(
            "resume goes on with a run, checkpoint_path starts a new one from its networks; give one of them"
        )


def check_fit(config: RunConfig, classes: Classes, values: Mapping[str, Any]) -> None:
    """Raise UserError for parts that cannot work together."""
    learner, buffer, name = classes.learner, classes.buffer, config.buffer
    _check_outputs(config, classes, values)
    if buffer.gives not in learner.trains_on:
        raise UserError(
            f"buffer={name!r} gives {WHAT[buffer.gives]}, but learner={config.learner!r} learns from "
            f"{' or '.join(WHAT[uses] for uses in learner.trains_on)}; write buffer={learner.trains_on[0]}"
        )
    if buffer.needs_priorities and not learner.gives_priorities:
        raise UserError(f"buffer={name!r}: learner={config.learner!r} gives no priorities; write buffer=replay")
    if not issubclass(classes.agent, learner.agent):
        fitting = [agent for agent in AGENTS if issubclass(AGENTS[agent], learner.agent)]
        raise UserError(
            f"agent={config.agent!r}: learner={config.learner!r} needs one like {' or '.join(fitting)}; write agent="
            f"{fitting[0] if fitting else 'module:Class'}"
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
