"""Builds the parts of a run from its config: runner with its env, mac, buffer and learner."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pymarl.components.buffers.buffer import Buffer
from pymarl.components.episode_batch import smallest_integer
from pymarl.components.transforms import OneHot
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner
from pymarl.learners.model_files import DoesNotFit
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.mixers.mixer import BaseMixer
from pymarl.modules.mixers.own_features import own_state_size
from pymarl.run.config import PYMARLS, Classes, RunConfig, args_read_by
from pymarl.runners.async_runner import AsyncRunner
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.runner import Runner
from pymarl.utils.checkpoint import load_state, read_config
from pymarl.utils.compiled import kernels
from pymarl.utils.config import build_config, check_call, config_class, config_keys
from pymarl.utils.errors import UserError
from pymarl.utils.layers import renamed_keys
from pymarl.utils.network_folder import about
from pymarl.utils.pymarl_args import Args
from pymarl.utils.runs import dotted
from pymarl.utils.seeding import numpy_generator, torch_generator


@dataclass(frozen=True)
class Parts:
    """What one run is made of. Runner and learner hold the same mac: one acts with it, the other trains it."""

    runner: Runner
    mac: BasicMAC
    buffer: Buffer
    learner: Learner


def choose_device(use_cuda: bool, log: logging.Logger) -> torch.device:
    """Return the device of the networks: a GPU if it is wanted and there."""
    if use_cuda and not torch.cuda.is_available():
        log.info("use_cuda=True, but there is no GPU here: running on the CPU")
    if not use_cuda or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = False  # torch's default for a GRU, and for no other product: 10 bits of fraction
    return torch.device("cuda", torch.cuda.current_device())


def episode_scheme(
    info: EnvInfo, *, stores: Sequence[str] = (), hidden: int | None = None
) -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    """Return PyMARL's scheme, groups and preprocess for an env.

    Args:
        info: its specs.
        stores: what acting keeps too, for learners that read it: "probs" of all actions, "acted_at".
        hidden: of pieces, which keep what they began with, the length of an agent's hidden state.
    """
    dtypes = {np.bool_: torch.bool, np.int64: smallest_integer(info.n_actions - 1)}  # of floats, float32
    scheme: dict[str, Any] = {}
    for field in info.fields:
        if field.stored:
            scheme[field.name] = {"vshape": field.vshape, "dtype": dtypes.get(field.dtype, torch.float32)}
            scheme[field.name] |= {"group": "agents"} if field.per_agent else {}
    if "probs" in stores:
        scheme["probs"] = {"vshape": (info.n_actions,), "group": "agents"}
    if "acted_at" in stores:
        scheme["acted_at"] = {"vshape": (1,), "episode_const": True, "dtype": torch.int64}
    if hidden is not None:
        scheme["start_hidden"] = {"vshape": (hidden,), "group": "agents", "episode_const": True}
        scheme["start_action"] = {"vshape": (1,), "group": "agents", "episode_const": True, "dtype": torch.int64}
    return scheme, {"agents": info.n_agents}, {"actions": ("actions_onehot", [OneHot(info.n_actions)])}


def pymarl_args(config: Mapping[str, Any], classes: Classes, info: EnvInfo, device: torch.device) -> Args | None:
    """Return PyMARL's `args`, the run's keys and what PyMARL adds to them; None in a run without a class for it."""
    if not classes.pymarls:
        return None
    facts = info.sizes() | {"device": device.type, "use_cuda": device.type == "cuda"}
    values = {**config, **facts}
    read = args_read_by(classes)
    for key, ours in renamed_keys().items():
        if key in read and key not in values and ours in values:
            values[key] = values[ours]
    if "agent_own_state_size" in read and values.get("agent_own_state_size"):
        values["agent_own_state_size"] = own_state_size(values["agent_own_state_size"], info)
    return Args(**values)


def build(part: Any, config: Mapping[str, Any], *args: Any, pymarl: Args | None = None, **kwargs: Any) -> Any:
    """Return an instance of a part. Its first argument is its Config, None if it reads no keys, or PyMARL's `args`."""
    typed = config_class(part)
    own: Any = None if typed is None else build_config(typed, config, {})
    if any(part is holder for holder, _ in PYMARLS.values()):
        own = pymarl
    check_call(part, own, *args, **kwargs)
    return part(own, *args, **kwargs)


def build_mac(config: Mapping[str, Any], classes: Classes, info: EnvInfo, seed: int, device: torch.device) -> BasicMAC:
    """Return the controller with its agent network and action selector, on `device`."""
    mac_config = build_config(classes.mac.Config, config, {})
    args = pymarl_args(config, classes, info, device)
    agent = build(classes.agent, config, classes.mac.agent_spec(mac_config, info), pymarl=args)
    selector = build(classes.selector, config, torch_generator(seed, "actions", device), pymarl=args)
    mac: BasicMAC = classes.mac(mac_config, agent, selector, info, classes.learner.stores)
    return mac.to(device)


def network_spec(network: Any, config: Mapping[str, Any], classes: Classes, info: EnvInfo) -> AgentSpec | EnvInfo:
    """Return what a network of the learner is built for: an agent (a central one) for what the mac's agent is."""
    if not issubclass(network, Agent):
        return info
    spec: AgentSpec = classes.mac.agent_spec(build_config(classes.mac.Config, config, {}), info)
    return spec


def build_local_runner(
    config: Mapping[str, Any], origin: Mapping[str, str], log: logging.Logger, *, trial: bool = False
) -> LocalRunner:
    """Return a runner with its envs here, to evaluate or to try out; see LocalRunner for `origin` and `trial`."""
    named = Classes.of(config).runner
    runner: LocalRunner = build(named.local or named, config, origin, partial(log.warning, "%s"), trial=trial)
    return runner


def build_runner(config: Mapping[str, Any], run: RunConfig, log: logging.Logger) -> Runner:
    """Return the runner that trains."""
    named, tell = Classes.of(config).runner, partial(log.warning, "%s")
    if run.async_collect and named.local is None:
        return AsyncRunner(build_config(named.Config, config, {}), {}, tell, plays=named)
    runner: Runner = build(named, config, {}, tell)
    return runner


def build_parts(config: Mapping[str, Any], run: RunConfig, runner: Runner, log: logging.Logger) -> Parts:
    """Return the parts of a run around its runner. If one cannot be built the env is closed: no process is left.

    Raises:
        UserError: a part refuses its config or the env's sizes.
    """
    classes = Classes.of(config)
    device = choose_device(run.use_cuda, log)
    try:
        info = runner.get_env_info()
        refuse_individual_rewards(classes, run.learner, info)
        mac = build_mac(config, classes, info, run.seed, device)
        hidden = mac.agent.init_hidden(info.n_agents).shape[-1] if runner.plays_pieces else None
        scheme, groups, preprocess = episode_scheme(info, stores=mac.stores, hidden=hidden)
        buffer = build(
            classes.buffer, config, scheme, groups, runner.longest, preprocess,
            rng=numpy_generator(run.seed, "replay"),
            device="cpu" if run.buffer_cpu_only else device,
            sample_device=device,
        )  # fmt: skip
        log.info("%s", buffer.describe)
        args = pymarl_args(config, classes, info, device)
        networks = {
            key: network
            and build(network, config, network_spec(network, config, classes, info), pymarl=args).to(device)
            for key, network in classes.networks.items()
        }
        learner = build(classes.learner, config, mac, info, torch_generator(run.seed, "learner"), **networks).to(device)
        learner.check_registered()
        if kernels is not None and "cpu" in {device.type, runner.acts_on}:
            kernels.prepare()
        runner.setup(scheme, groups, preprocess, mac)
    except BaseException:
        runner.close_env()
        raise
    return Parts(runner, mac, buffer, learner)


def refuse_individual_rewards(classes: Classes, name: str, info: EnvInfo) -> None:
    """Raise UserError if an env gives each agent a reward of its own, and the learner has no use for that.

    A mixer makes one value of the team, which is of one reward.
    """
    mixers = [key for key, network in classes.networks.items() if network and issubclass(network, BaseMixer)]
    if info.n_rewards > 1 and (mixers or not classes.learner.individual_rewards):
        own = " ".join(f"{key}=None" for key in mixers) if classes.learner.individual_rewards else ""
        raise UserError(
            f"learner={name!r} trains on one reward for the team, but this env gives one to each of {info.n_agents} "
            f"agents; write env_args.common_reward=True, or {own or 'choose a learner that uses individual rewards'}"
        )


def load_networks(learner: Learner, flat: Mapping[str, Any], config: RunConfig, info: EnvInfo, directory: Path) -> str:
    """Load a checkpoint: all networks and the optimiser to train on, the agent alone to play with.

    An agent that transfers goes on training in an env of other sizes; what depends on those starts anew.

    Returns:
        What starts anew, as a line to tell; "" if nothing does.

    Raises:
        UserError: a file is missing or damaged, or the networks are of another env or config, which it names.
    """
    try:
        if config.evaluate or config.save_replay:
            learner.load_agent(directory)
            return ""
        sizes = _sizes(directory) if learner.mac.agent.transfers else info.sizes()
        anew = learner.load_models(directory, transfer=sizes != info.sizes())
    except DoesNotFit as error:
        had, now = _differences(flat, info, directory)
        if not had:
            raise
        raise DoesNotFit(f"{directory} was trained with {had}, this run has {now}; {error}") from error
    if not anew:
        return ""
    start = f"{' and '.join(anew)} start anew"
    if missing := [name for name in anew if not (directory / name).is_file()]:
        return f"{directory} has no {' and '.join(missing)}: {start}"
    if sizes == info.sizes():
        return f"{directory} was not written by learner={config.learner!r}: {start}"
    had, now = _differences(flat, info, directory)
    return f"The agent goes on from {had or 'another env'} to {now or 'this one'}; {start}"


def _sizes(directory: Path) -> dict[str, Any]:
    """Return the sizes of the env that a checkpoint was trained in; {} if it does not say, as PyMARL2's do not."""
    with suppress(UserError, KeyError, TypeError):
        return {**(about(directory) or load_state(directory))["env"]}
    return {}


def _differences(flat: Mapping[str, Any], info: EnvInfo, directory: Path) -> tuple[str, str]:
    """Return what the run that wrote a checkpoint had, and this one has, where they differ as far as files tell."""
    had = _sizes(directory)
    with suppress(UserError):
        had |= dotted(read_config(directory.parent))
    classes = Classes.of(flat)
    networks = [part for part in (classes.mac, classes.agent, *classes.networks.values()) if part is not None]
    keys = {"mac", "agent", "learner", "optimizer", "env", *classes.networks}.union(
        *(config_keys(part) for part in networks)
    )
    now = {key: value for key, value in dotted(flat).items() if key in keys or key.startswith("env_args.")}
    differing = {key: value for key, value in {**info.sizes(), **now}.items() if key in had and had[key] != value}
    ours = ", ".join(f"{key}={value}" for key, value in differing.items())
    return ", ".join(f"{key}={had[key]}" for key in differing), ours
