"""Keys that the run itself reads, the classes that its names stand for, and the keys that those read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pymarl.components.action_selectors import REGISTRY as SELECTORS
from pymarl.components.action_selectors import ActionSelector
from pymarl.components.buffers import REGISTRY as BUFFERS
from pymarl.components.buffers.buffer import Buffer
from pymarl.components.pymarl_selector import PyMARLSelector
from pymarl.controllers import REGISTRY as MACS
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs import REGISTRY as ENVS
from pymarl.learners import REGISTRY as LEARNERS
from pymarl.learners.learner import Learner
from pymarl.modules.agents import REGISTRY as AGENTS
from pymarl.modules.agents.agent import Agent
from pymarl.modules.agents.pymarl_agent import PyMARLAgent
from pymarl.modules.central import AGENTS as CENTRAL_AGENTS
from pymarl.modules.central import MIXERS as CENTRAL_MIXERS
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.pymarl_mixer import PyMARLMixer
from pymarl.runners import REGISTRY as RUNNERS
from pymarl.runners.runner import Runner
from pymarl.utils.config import (
    NonNegativeInt,
    PositiveInt,
    Range,
    build_config,
    check_value,
    config_class,
    config_keys,
)
from pymarl.utils.errors import UserError
from pymarl.utils.layers import renamed_keys
from pymarl.utils.pymarl_args import args_read
from pymarl.utils.tracking import REGISTRY as TRACKERS

PYMARLS: dict[str, tuple[Any, str]] = {
    "agent": (PyMARLAgent, "init_hidden"),
    "mixer": (PyMARLMixer, "forward"),
    "action_selector": (PyMARLSelector, "select_action"),
}
"""Config key -> what holds a class that was written for PyMARL, with `args` for its config; what such a class has."""

PARTS = (RUNNERS, MACS, AGENTS, LEARNERS, MIXERS, CENTRAL_AGENTS, CENTRAL_MIXERS, CRITICS, SELECTORS, BUFFERS, TRACKERS)

Seed = Annotated[int, Range(ge=0, le=2**32 - 1)]
"""What numpy's global generator, which sacred and third-party envs seed, takes."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The keys that say which parts a run has; a learner may have more of them, such as mixer or critic."""

    run: str
    runner: str
    mac: str
    agent: str
    learner: str
    buffer: str | None
    action_selector: str
    env: str


@dataclass(frozen=True, kw_only=True)
class RunConfig(Choices):
    """Keys of the training loop; see config/default.yaml for their meaning."""

    env_args: dict[str, Any]
    name: str
    seed: Seed
    batch_size_run: PositiveInt
    env_workers: PositiveInt | None
    async_collect: bool
    t_max: PositiveInt
    use_cuda: bool
    test_nepisode: PositiveInt
    test_interval: PositiveInt
    absolute_episodes: NonNegativeInt
    log_interval: PositiveInt
    runner_log_interval: PositiveInt
    learner_log_interval: PositiveInt
    console_table: Literal["short", "full", "off"]
    use_tensorboard: bool
    use_wandb: bool
    use_mlflow: bool
    use_trackio: bool
    track_files: bool
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
    buffer_cpu_only: bool


@dataclass(frozen=True)
class Classes:
    """The classes that a run's names stand for.

    Attributes:
        networks: config key -> class of each network that the learner is given beside the mac's; None where it has none
            (a mixer for independent learners).
        trackers: name -> class of each back end beside sacred.
        names: config key -> name of the parts that may be PyMARL's own.
    """

    env: Any
    runner: Any
    mac: Any
    agent: Any
    learner: Any
    networks: dict[str, Any]
    selector: Any
    buffer: Any
    trackers: dict[str, Any]
    names: dict[str, str]

    @classmethod
    def of(cls, values: Mapping[str, Any], origin: Mapping[str, str] = {}) -> Classes:
        """Look the names up. UserError for an unknown one or a missing package."""
        c = build_config(Choices, values, origin)
        learner = _derived(LEARNERS[c.learner], c.learner, Learner, "learner")
        buffer = c.buffer or learner.trains_on[0]
        return cls(
            env=ENVS[c.env],
            runner=_derived(RUNNERS[c.runner], c.runner, Runner, "runner"),
            mac=_derived(MACS[c.mac], c.mac, BasicMAC, "mac"),
            agent=_derived(AGENTS[c.agent], c.agent, Agent, "agent"),
            learner=learner,
            networks={key: _network(learner, key, values, origin) for key in learner.networks},
            selector=_derived(SELECTORS[c.action_selector], c.action_selector, ActionSelector, "action_selector"),
            buffer=_derived(BUFFERS[buffer], buffer, Buffer, "buffer"),
            trackers={name: TRACKERS[name] for name in TRACKERS if values.get(f"use_{name}")},
            names={key: values[key] for key in PYMARLS if key in values},
        )

    @cached_property
    def pymarls(self) -> dict[str, type]:
        """Config key -> the class that it names, of those that were written for PyMARL."""
        parts = {"agent": self.agent, "action_selector": self.selector, **self.networks}
        registries = {"agent": AGENTS, "action_selector": SELECTORS, "mixer": MIXERS}
        return {
            key: registries[key][self.names[key]] for key, (holder, _) in PYMARLS.items() if parts.get(key) is holder
        }

    def configured(self) -> list[Any]:
        """Return the classes that read keys of the run (the env reads env_args)."""
        parts = [self.runner, self.mac, self.agent, self.learner, *self.networks.values(), self.selector, self.buffer]
        parts += self.trackers.values()
        return [part for part in parts if part is not None and config_class(part) is not None]


def _network(learner: type[Learner], key: str, values: Mapping[str, Any], origin: Mapping[str, str]) -> Any:
    """Return the class of one of the learner's networks."""
    if key not in values:
        raise UserError(f"missing key {key!r} (a {key} or None); set it in your YAML or `with {key}=...`")
    name = check_value(values[key], str | None, key, origin.get(key, ""))
    if name is None and not learner.networks[key].optional:
        raise UserError(f"{key}=None: learner={values['learner']!r} needs one; write {key}=<name>, or module:Class")
    registry, base, _ = learner.networks[key]
    try:
        return name and _derived(registry[name], name, base, key)
    except UserError as error:
        if name not in registry:
            raise
        fitting = [each for each in registry if issubclass(registry[each], base)]
        raise UserError(f"{error}; write {key}={' or '.join(fitting)} with learner={values['learner']}") from error


def _derived(part: Any, name: str, base: type, key: str) -> Any:
    """Return a part that a user may have written, if it is what its key stands for, or what holds one of PyMARL's."""
    if isinstance(part, type) and issubclass(part, base):
        return part
    holder, method = PYMARLS.get(key, (None, ""))
    theirs = ":" in name and isinstance(part, type) and hasattr(part, method)
    if holder is None or not (theirs and issubclass(holder, base)):
        raise UserError(f"{key}={name!r}: expected a class derived from {base.__module__}.{base.__name__}")
    return holder


def read_keys(classes: Classes) -> set[str]:
    """Return every top-level key that a run with these parts reads.

    Keys with another name here are none that a class written for PyMARL reads: it gets the value of ours.
    """
    own = {*config_keys(RunConfig), *classes.networks}
    theirs = args_read_by(classes) - renamed_keys().keys()
    return own.union(theirs, *(config_keys(part) for part in classes.configured()))


def args_read_by(classes: Classes) -> set[str]:
    """Return the keys that classes written for PyMARL read of their `args`."""
    return set().union(*map(args_read, classes.pymarls.values()))


def all_keys() -> dict[str, Any]:
    """Return {key: type} of every key that the run or a registered part reads."""
    return {key: kinds[0] for key, kinds in keys_of_all_parts().items()} | config_keys(RunConfig)


def _registered() -> Iterator[tuple[str, Any]]:
    """Yield what every registered part but the envs is called, and its class."""
    of_learners = (kind.registry for name in LEARNERS for kind in LEARNERS[name].networks.values())
    registries = {id(registry): registry for registry in (*PARTS, *of_learners)}
    yield from ((f"{registry.kind} {name}", registry[name]) for registry in registries.values() for name in registry)


def keys_of_all_parts() -> dict[str, list[Any]]:
    """Return {key: types} over every registered part but the envs, and the networks of learners."""
    keys: dict[str, list[Any]] = {}
    for _, part in _registered():
        for key, kind in config_keys(part).items():
            keys.setdefault(key, []).append(kind)
    for name in LEARNERS:
        for key in LEARNERS[name].networks:
            keys.setdefault(key, []).append(str | None)
    return keys


def owners_of(key: str) -> list[str]:
    """Return the registered parts that read a key: "learner q_learner"."""
    return [name for name, part in _registered() if key in config_keys(part)]
