"""A trained policy outside of a run: it acts on observations, whoever steps the env."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.model_files import load_model
from pymarl.run.config import Classes
from pymarl.run.parts import build_local_runner, build_mac, episode_scheme
from pymarl.run.stored import find_stored
from pymarl.utils.compiled import kernels
from pymarl.utils.errors import UserError
from pymarl.utils.network_folder import steps_of


class Policy:
    """Acts as the tests of its training did: greedily, where its selector knows such a way.

    Args:
        mac: its controller.
        t_env: env steps of its training.

    Attributes:
        info: n_agents, n_actions, obs_shape, state_shape and episode_limit of the env that it was trained in.
        t_env: env steps of its training.
    """

    def __init__(self, mac: BasicMAC, t_env: int) -> None:
        self.info: EnvInfo = mac.info
        self.t_env = t_env
        self._mac = mac
        self._scheme = episode_scheme(mac.info, stores=mac.stores)
        self._batch: EpisodeBatch | None = None
        self._begun = False

    def __repr__(self) -> str:
        return f"Policy({type(self._mac.agent).__name__}, {self.info.n_agents} agents, {self.t_env:,} env steps)"

    def reset(self, n_envs: int = 1) -> None:
        """Forget what was seen: episodes begin in `n_envs` envs."""
        if n_envs < 1:
            raise UserError(f"reset(n_envs={n_envs}): expected 1 or more")
        self._batch = EpisodeBatch(self._scheme[0], self._scheme[1], n_envs, 2, self._scheme[2])
        self._mac.init_hidden(n_envs)
        self._begun = False

    def act(
        self, obs: ArrayLike, avail_actions: ArrayLike | None = None, state: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Return the next action of every agent; the call counts as a step of all envs.

        Args:
            obs: [n_envs, n_agents, obs_shape], or without n_envs where that is 1.
            avail_actions: [n_envs, n_agents, n_actions] of 0 and 1; None: all are available.
            state: [n_envs, state_shape], for the few agents that see it.

        Returns:
            [n_envs, n_agents], or [n_agents] where obs came so.

        Raises:
            UserError: `reset` has not been called, an array has another shape, or an agent has no available action.
        """
        if self._batch is None:
            raise UserError("act: call reset(n_envs) first, and again where episodes begin")
        batch, slot = self._batch, int(self._begun)
        rows, n, a = batch.batch_size, self.info.n_agents, self.info.n_actions
        single = np.ndim(obs) == 2 and rows == 1
        given: dict[str, tuple[Any, tuple[int, ...], Any]] = {}
        given["obs"] = (obs, (rows, n, self.info.obs_shape), np.float32)
        if state is not None:
            given["state"] = (state, (rows, self.info.state_shape), np.float32)
        elif "state" in self._mac.names:
            raise UserError("act: the agents of this policy see the state, too; write act(obs, avail_actions, state)")
        given["avail_actions"] = (np.ones((rows, n, a)) if avail_actions is None else avail_actions, (rows, n, a), bool)
        batch.update(
            {key: _array(key, value, shape, kind, rows == 1) for key, (value, shape, kind) in given.items()}, ts=slot
        )
        chosen: Any = self._mac.select_actions(batch, t_ep=slot, t_env=self.t_env, test_mode=True)
        actions: NDArray[np.int64] = (chosen[0] if isinstance(chosen, tuple) else chosen).cpu().numpy()
        batch.data["actions"][:, 0, :, 0] = torch.from_numpy(actions)  # what slot 1 takes for the action before it
        self._begun = True
        return actions[0] if single else actions


def _array(key: str, value: ArrayLike, shape: tuple[int, ...], kind: Any, one: bool) -> NDArray[Any]:
    """Return a value as an array of this shape. UserError if it has another; the first axis may lack where it is 1."""
    array = np.asarray(value)
    if array.shape != shape and not (one and array.shape == shape[1:]):
        raise UserError(f"act: {key} has the shape {array.shape}, expected {shape}: (n_envs, ...); see reset(n_envs)")
    return array.reshape(shape).astype(kind)


def load_policy(path: str | Path, checkpoint: str | int = "last", device: str = "cpu") -> Policy:
    """Return a trained policy.

    Its env is made once, and closed again, to be asked for its sizes: what the training needed has to be installed.

    Args:
        path: results/models/<token>, <token> alone, one checkpoint in it, or the folder of the run that trained it.
        checkpoint: "last", "best" (by the tests of the training), or env steps, to which the nearest is taken.
        device: of its network, as torch names it.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or its env cannot be made.
    """
    stored = find_stored(path)
    config, directory = stored.config, stored.networks(checkpoint)
    runner = build_local_runner(config, {}, logging.getLogger("pymarl"), trial=True)
    try:
        info = runner.get_env_info()
    finally:
        runner.close_env()
    where = _device(device)
    mac = build_mac(config, Classes.of(config), info, config["seed"], where)
    load_model(mac.agent, directory, "agent.th", where)
    if kernels is not None and where.type == "cpu":
        kernels.prepare()
    return Policy(mac, steps_of(directory))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device={name!r}: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={name!r}, but there is no GPU here; write device='cpu'")
    return device
