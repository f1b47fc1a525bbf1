"""Keys that the run itself reads, and the check of all keys before anything is started."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pymarl.components.action_selectors import REGISTRY as SELECTORS
from pymarl.components.action_selectors import ActionSelector
from pymarl.components.episode_buffer import PrioritizedReplayBuffer, ReplayBuffer
from pymarl.controllers import REGISTRY as MACS
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs import REGISTRY as ENVS
from pymarl.envs.batched import refuse_workers
from pymarl.learners import REGISTRY as LEARNERS
from pymarl.learners.base import Learner
from pymarl.modules.agents import REGISTRY as AGENTS
from pymarl.modules.agents.agent import Agent
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer
from pymarl.run import REGISTRY as RUNS
from pymarl.runners import REGISTRY as RUNNERS
from pymarl.runners.runner import Runner
from pymarl.utils.config import (
    NonNegativeInt,
    PositiveInt,
    Range,
    Seconds,
    build_config,
    check_call,
    check_value,
    config_class,
    config_keys,
)
from pymarl.utils.errors import UserError, closest
from pymarl.utils.files import LONGEST_NAME, as_file_name
from pymarl.utils.layers import Layers, is_shipped, shipped_keys
from pymarl.utils.values import shown

Seed = Annotated[int, Range(ge=0, le=2**32 - 1)]
"""What numpy's global generator, which sacred and third-party envs seed, takes."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The keys that say which parts a run has."""

    run: str
    runner: str
    mac: str
    agent: str
    learner: str
    mixer: str | None
    action_selector: str
    env: str
    use_per: bool


@dataclass(frozen=True, kw_only=True)
class RunConfig(Choices):
    """Keys of the training loop; see config/default.yaml for their meaning."""

    env_args: dict[str, Any]
    name: str
    seed: Seed
    batch_size_run: PositiveInt
    env_workers: PositiveInt | None
    env_timeout: Seconds | None
    t_max: PositiveInt
    updates_per_collect: PositiveInt
    accumulated_episodes: PositiveInt | None
    use_cuda: bool
    test_nepisode: PositiveInt
    test_interval: PositiveInt
    log_interval: PositiveInt
    runner_log_interval: PositiveInt
    learner_log_interval: PositiveInt
    use_tensorboard: bool
    local_results_path: str
    mongo_url: str | None
    mongo_db: str
    save_model: bool
    save_model_interval: PositiveInt
    keep_checkpoints: NonNegativeInt
    save_buffer: bool
    save_final: bool
    checkpoint_path: str
    load_step: NonNegativeInt
    resume: str
    evaluate: bool
    save_replay: bool
    batch_size: PositiveInt
    buffer_cpu_only: bool


@dataclass(frozen=True)
class Classes:
    """The classes that a run's names stand for. `mixer` is None for independent learners."""

    env: Any
    runner: Any
    mac: Any
    agent: Any
    learner: Any
    mixer: Any
    selector: Any
    buffer: Any

    @classmethod
    def of(cls, config: Choices) -> Classes:
        """Look the names up. UserError for an unknown one or a missing package."""
        c = config
        learner = _derived(LEARNERS[c.learner], c.learner, Learner, "learner")
        return cls(
            env=ENVS[c.env],
            runner=_derived(RUNNERS[c.runner], c.runner, Runner, "runner"),
            mac=_derived(MACS[c.mac], c.mac, BasicMAC, "mac"),
            agent=_derived(AGENTS[c.agent], c.agent, Agent, "agent"),
            learner=learner,
            mixer=c.mixer and _derived(learner.mixer_class(c.mixer), c.mixer, BaseMixer, "mixer"),
            selector=_derived(SELECTORS[c.action_selector], c.action_selector, ActionSelector, "action_selector"),
            buffer=PrioritizedReplayBuffer if c.use_per else ReplayBuffer,
        )

    def configured(self) -> list[Any]:
        """Return the classes that read keys of the run (the env reads env_args)."""
        parts = [self.runner, self.mac, self.agent, self.learner, self.mixer, self.selector, self.buffer]
        return [part for part in parts if part is not None and config_class(part) is not None]


def _derived(part: Any, name: str, base: type, key: str) -> Any:
    """Return a part that a user may have written, if it is what its key stands for."""
    if not (isinstance(part, type) and issubclass(part, base)):
        raise UserError(f"{key}={name!r}: expected a class derived from {base.__module__}.{base.__name__}")
    return part


def check(layers: Layers) -> list[str]:
    """Check every key of a run: known, of the right type and in range, and the choices consistent.

    Returns:
        The keys that the user's own file or `with` set although nothing in this run reads them.

    Raises:
        UserError: one line for the first thing that is wrong.
    """
    config = build_config(RunConfig, layers.values, layers.origin)
    check_call(RUNS[config.run], None, layers.values, None)
    classes = Classes.of(config)
    read = read_keys(classes)
    known = read | shipped_keys()
    of_env = {f"env_args.{key}" for key in {*config.env_args, *_keys_of_env(classes.env)}}
    for key in layers.values:
        if key not in known or (key not in read and f"env_args.{key}" in of_env and not is_shipped(layers.origin[key])):
            _unknown(key, layers, known, of_env)
    for part in classes.configured():
        build_config(part.Config, layers.values, layers.origin)
    for key, kind in _keys_of_all_parts().items():  # the ones that this run's choice of parts does not read
        check_value(layers.values[key], kind, key, layers.origin[key])
    if config_class(classes.env) is not None:
        _check_env_args(classes.env, layers)
    if as_file_name(config.name) != config.name:
        raise UserError(
            f"name={shown(config.name)}: expected the name of a folder: no separators or control characters, not "
            f"beginning with a dot, at most {LONGEST_NAME} bytes; write name={shown(as_file_name(config.name))}"
        )
    refuse_workers(config.env, config.env_workers)
    _check_choices(config, layers.values["buffer_size"], layers.values["agent_output_type"])
    return sorted(key for key in layers.values if key not in read and not is_shipped(layers.origin[key]))


def read_keys(classes: Classes) -> set[str]:
    """Return every top-level key that a run with these parts reads."""
    return set(config_keys(RunConfig)).union(*(config_keys(part) for part in classes.configured()))


def all_keys() -> dict[str, Any]:
    """Return {key: type} of every key in default.yaml."""
    return config_keys(RunConfig) | _keys_of_all_parts()


def _keys_of_all_parts() -> dict[str, Any]:
    """Return {key: type} over every registered part but the envs."""
    keys: dict[str, Any] = config_keys(PrioritizedReplayBuffer)
    for registry in (RUNNERS, MACS, AGENTS, LEARNERS, MIXERS, SELECTORS):
        for name in registry:
            keys |= config_keys(registry[name])
    return keys


def _keys_of_env(env: Any) -> set[str]:
    """Return what may stand in an env's env_args: its Config's keys, or what its constructor takes."""
    if config_class(env) is not None:
        return set(config_keys(env))
    try:
        return set(inspect.signature(env).parameters) - {"seed", "args", "kwargs"}
    except (TypeError, ValueError):  # C code does not say
        return set()


def _check_env_args(env: Any, layers: Layers) -> None:
    env_args = layers.values["env_args"]
    known = [f"env_args.{key}" for key in config_keys(env)]
    for key in env_args:
        if f"env_args.{key}" not in known:
            _unknown(f"env_args.{key}", layers, known, layers.values)
    build_config(env.Config, env_args, layers.origin, "env_args.")


def _unknown(key: str, layers: Layers, known: Collection[str], elsewhere: Iterable[str]) -> None:
    """Raise UserError for a key: it may belong on the other side of env_args, be a typo, or be far from all keys."""
    origin = layers.origin.get(key, layers.origin.get("env_args", "with"))
    inside = key.startswith("env_args.")
    bare = key.removeprefix("env_args.")
    if (bare if inside else f"env_args.{bare}") in elsewhere:
        meant = f"; did you mean {bare!r}, outside of env_args?" if inside else f"; did you mean 'env_args.{bare}'?"
    else:
        far = f"; this env has {', '.join(sorted(known))}" if inside else "; --print-config lists the keys"
        near = closest(bare, (name.removeprefix("env_args.") for name in known))  # the prefix alone is no likeness
        meant = (near.replace("'", "'env_args.", 1) if inside else near) or far
    raise UserError(f"{'' if origin == 'with' else origin + ': '}unknown key {shown(key)}{meant}")


def _check_choices(config: RunConfig, buffer_size: int, agent_output_type: str) -> None:
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
    if config.action_selector == "multinomial" and agent_output_type == "q":
        raise UserError(
            "action_selector='multinomial' samples from probabilities, but agent_output_type='q' gives it Q-values; "
            "write action_selector=epsilon_greedy, or agent_output_type=pi_logits"
        )
    if config.resume and config.checkpoint_path:
        raise UserError(
            "resume goes on with a run, checkpoint_path starts a new one from its networks; give one of them"
        )
    if config.batch_size > buffer_size:
        raise UserError(
            f"batch_size={config.batch_size} episodes can never be drawn from buffer_size={buffer_size}; "
            f"raise buffer_size or lower batch_size"
        )
