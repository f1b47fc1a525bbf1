"""Builds the parts of a run from its config: env, mac, buffer, learner and runner."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pymarl.components.episode_batch import smallest_integer
from pymarl.components.episode_buffer import ReplayBuffer
from pymarl.components.transforms import OneHot
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.multiagentenv import BatchedEnv
from pymarl.envs.specs import EnvInfo
from pymarl.learners.base import DoesNotFit, Learner
from pymarl.run.config import Classes, RunConfig
from pymarl.runners.runner import Runner
from pymarl.runners.seeds import EpisodeSeeds
from pymarl.utils.checkpoint import load_state, read_config
from pymarl.utils.config import build_config, check_call, config_class, config_keys
from pymarl.utils.errors import UserError
from pymarl.utils.runs import dotted
from pymarl.utils.seeding import numpy_generator, torch_generator


@dataclass(frozen=True)
class Parts:
    """What one run is made of. Runner and learner hold the same mac: one acts with it, the other trains it."""

    runner: Runner
    mac: BasicMAC
    buffer: ReplayBuffer
    learner: Learner


def choose_device(use_cuda: bool, log: logging.Logger) -> torch.device:
    """Return the device of the networks: a GPU if it is wanted and there."""
    if use_cuda and not torch.cuda.is_available():
        log.info("use_cuda=True, but there is no GPU here: running on the CPU")
    return torch.device("cuda" if use_cuda and torch.cuda.is_available() else "cpu")


def episode_scheme(info: EnvInfo, *, probs: bool) -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    """Return PyMARL's scheme, groups and preprocess for an env.

    Args:
        info: its specs.
        probs: also keep the probabilities of all actions, for algorithms that read them.
    """
    dtypes = {np.bool_: torch.bool, np.int64: smallest_integer(info.n_actions - 1)}  # of floats, float32
    scheme: dict[str, Any] = {}
    for field in info.fields:
        if field.stored:
            scheme[field.name] = {"vshape": field.vshape, "dtype": dtypes.get(field.dtype, torch.float32)}
            scheme[field.name] |= {"group": "agents"} if field.per_agent else {}
    if probs:
        scheme["probs"] = {"vshape": (info.n_actions,), "group": "agents"}
    return scheme, {"agents": info.n_agents}, {"actions": ("actions_onehot", [OneHot(info.n_actions)])}


def build(part: Any, config: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Return an instance of a part. Its first argument is its Config, or None if it reads no keys."""
    typed = config_class(part)
    own = None if typed is None else build_config(typed, config, {})
    check_call(part, own, *args, **kwargs)
    return part(own, *args, **kwargs)


def build_mac(config: Mapping[str, Any], classes: Classes, info: EnvInfo, seed: int, device: torch.device) -> BasicMAC:
    """Return the controller with its agent network and action selector, on `device`."""
    mac_config = build_config(classes.mac.Config, config, {})
    agent = build(classes.agent, config, classes.mac.input_shape(mac_config, info), info.n_actions)
    selector = build(classes.selector, config, torch_generator(seed, "actions", device))
    mac: BasicMAC = classes.mac(mac_config, agent, selector, info)
    mac.to(device)
    return mac


def make_env(config: Mapping[str, Any], run: RunConfig) -> BatchedEnv:
    """Return the env that the run's runner drives."""
    runner = Classes.of(run).runner
    env: BatchedEnv = runner.make_env(build_config(runner.Config, config, {}), run.env, run.env_args, run.seed, {})
    return env


def build_parts(config: Mapping[str, Any], run: RunConfig, env: BatchedEnv, log: logging.Logger) -> Parts:
    """Return the parts of a run around an env. If one cannot be built the env is closed: no process is left.

    Raises:
        UserError: a part refuses its config or the env's sizes.
    """
    classes = Classes.of(run)
    device = choose_device(run.use_cuda, log)
    try:
        info = env.info
        mac = build_mac(config, classes, info, run.seed, device)
        scheme, groups, preprocess = episode_scheme(info, probs=False)
        buffer = build(
            classes.buffer, config, scheme, groups, info.episode_limit + 1, preprocess,
            rng=numpy_generator(run.seed, "replay"),
            device="cpu" if run.buffer_cpu_only else device,
            pin_memory=run.buffer_cpu_only and device.type == "cuda",
        )  # fmt: skip
        log.info("Replay buffer: %d episodes, at most %.2f GiB", buffer.buffer_size, buffer.max_gib)
        mixer = None
        if classes.mixer is not None:
            mixer = build(classes.mixer, config, info.n_agents, info.n_actions, info.state_shape).to(device)
        refuse_individual_rewards(classes.learner, run.learner, info)
        learner = build(classes.learner, config, mac, mixer, device)
        runner = build(classes.runner, config, env, EpisodeSeeds(run.seed))
        runner.setup(scheme, groups, preprocess, mac)
        runner.on_broken = lambda reason: log.warning("An episode broke and is played again; %s", reason)
    except BaseException:
        env.close()
        raise
    return Parts(runner, mac, buffer, learner)


def refuse_individual_rewards(learner: type[Learner], name: str, info: EnvInfo) -> None:
    """Raise UserError if an env gives each agent a reward of its own, and the learner has no use for that."""
    if info.n_rewards > 1 and not learner.individual_rewards:
        raise UserError(
            f"learner={name!r} trains on one reward for the team, but this env gives one to each of {info.n_agents} "
            "agents; write env_args.common_reward=True, or choose a learner that uses individual rewards"
        )


def load_networks(learner: Learner, flat: Mapping[str, Any], config: RunConfig, info: EnvInfo, directory: Path) -> None:
    """Load a checkpoint: all networks and the optimiser to train on, the agent alone to play with.

    Raises:
        UserError: a file is missing or damaged, or the networks are of another env or config, which it names.
    """
    try:
        if config.evaluate or config.save_replay:
            learner.load_agent(directory)
        else:
            learner.load_models(directory)
    except DoesNotFit as error:
        had, now = _differences(flat, config, info, directory)
        if not had:
            raise
        raise DoesNotFit(f"{directory} was trained with {had}, this run has {now}; {error}") from error


def _differences(flat: Mapping[str, Any], config: RunConfig, info: EnvInfo, directory: Path) -> tuple[str, str]:
    """Return what the run that wrote a checkpoint had, and this one has, where they differ as far as files tell."""
    had: dict[str, Any] = {}
    with suppress(UserError, KeyError, TypeError):  # PyMARL2's folders say nothing of this
        had |= load_state(directory)["env"]
    with suppress(UserError):
        had |= dotted(read_config(directory.parent))
    classes = Classes.of(config)
    networks = [part for part in (classes.mac, classes.agent, classes.mixer) if part is not None]
    keys = {"mac", "agent", "mixer", "learner", "optimizer", "env"}.union(*(config_keys(part) for part in networks))
    now = {key: value for key, value in dotted(flat).items() if key in keys or key.startswith("env_args.")}
    differing = {key: value for key, value in {**info.sizes(), **now}.items() if key in had and had[key] != value}
    ours = ", ".join(f"{key}={value}" for key, value in differing.items())
    return ", ".join(f"{key}={had[key]}" for key in differing), ours
