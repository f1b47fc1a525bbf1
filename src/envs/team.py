"""What the wrappers of Gymnasium and PettingZoo share: keys, rewards, who plays, padded observations."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.masks import ActionMasks
from pymarl.envs.multiagentenv import MultiAgentEnv, env_seed
from pymarl.envs.roster import Roster
from pymarl.envs.spaces import TeamSpaces
from pymarl.utils.config import PositiveInt
from pymarl.utils.errors import UserError
from pymarl.utils.values import shown


class TeamEnv(MultiAgentEnv):
    """An env of another library, whose observations, actions and maybe rewards come one per agent.

    `time_limit` cuts an episode as truncated. The state is all observations in a row. Observations of unequal length
    are padded with zeros, actions that only other agents have are masked. Who is out of the game (see `Roster`) shows
    its last observation, then zeros; it has action 0 alone, which does nothing, and gets reward 0.

    Args:
        config: keys of the wrapper.
        env: the library's env.
        spaces: of its agents.
        agents: what the env calls them.
        seed: of the first episode that `reset` starts without a seed of its own.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        key: str
        time_limit: PositiveInt
        common_reward: bool
        reward_scalarisation: Literal["sum", "mean"]
        env_kwargs: dict[str, Any]

    def __init__(self, config: Any, env: Any, spaces: TeamSpaces, agents: Sequence[Any], seed: int) -> None:
        self.config = config
        self.episode_limit = config.time_limit
        self.n_agents = spaces.n_agents
        self.n_rewards = 1 if config.common_reward else spaces.n_agents
        self._env, self._spaces, self._agents = env, spaces, list(agents)
        self._first_seed: int | None = seed
        self._roster = Roster(config.key, agents)
        self._masks = ActionMasks(config.key, env, agents, spaces.sizes, spaces.masked, self._split)
        self._obs = np.zeros((self.n_agents, spaces.obs_size), np.float32)
        self._avail = np.zeros((self.n_agents, spaces.n_actions), np.bool_)
        self._steps = 0
        self._refuse_old_reset()

    def _refuse_old_reset(self) -> None:
        inner = self._env.unwrapped if hasattr(self._env, "unwrapped") else self._env
        needed = ("seed",) if inner is self._env else ("seed", "options")  # wrappers hand both on
        parameters = inspect.signature(inner.reset).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        for keyword in needed:
            if keyword not in parameters and not takes_all:
                raise self._fault(f"its reset takes no {keyword!r}, expected reset(seed=None, options=None)")

    def _reset_env(self, seed: int | None) -> tuple[Any, dict[Any, Any]]:
        """Reset the library's env and return its observations and infos."""
        seed, self._first_seed = (self._first_seed if seed is None else seed), None
        self._steps = 0
        result = self._env.reset(seed=None if seed is None else env_seed(seed))
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise self._fault(f"reset returned {_described(result)}, expected (observations, a dict of infos)")
        return result

    def _step_env(self, moves: Any) -> tuple[Any, Any, Any, Any, dict[Any, Any]]:
        """Step the library's env and return observations, rewards, terminated, truncated and infos."""
        result = self._env.step(moves)
        self._steps += 1
        if not isinstance(result, tuple) or len(result) != 5 or not isinstance(result[4], dict):
            raise self._fault(
                f"step returned {_described(result)}, expected (observations, rewards, terminated, truncated, "
                "a dict of infos)"
            )
        return result

    def _split(self, value: Any, what: str) -> list[Any]:
        """Return one entry per agent of what the env says of the team. UserError if it has not one for each."""
        raise NotImplementedError

    def _show(self, obs: Sequence[Any], masks: Sequence[Any]) -> None:
        """Take what each agent observes (None if nothing) and the masks of its actions in infos.

        Raises:
            UserError: an agent with a choice observes nothing, or one of these does not fit.
        """
        in_obs: list[Any] = [None] * self.n_agents
        self._obs[...] = 0.0
        for agent in np.flatnonzero(self._roster.seen).tolist():
            if obs[agent] is not None:
                row, in_obs[agent] = self._spaces.flatten(agent, obs[agent])
                self._obs[agent, : row.size] = row
            elif self._roster.acts[agent]:
                raise self._fault(f"no observation of agent {self._agents[agent]!r}, who is in the game")
        self._avail = self._masks.read(self._choosing(), in_obs, masks)

    def _refuse_unread(self, obs: Iterable[Any], infos: Mapping[str, Any]) -> None:
        dicts = [each for each in obs if isinstance(each, Mapping)]
        self._masks.refuse_unread({"an observation": {key: each[key] for each in dicts for key in each}, **infos})

    def _choosing(self) -> NDArray[np.bool_]:
        """Return [N], whose actions the env reads next."""
        return self._roster.acts

    def _flags(self, values: Any, what: str) -> NDArray[np.bool_]:
        """Return [N] of one bool per agent. UserError if they are anything else."""
        array = _array(values)
        fits = array.shape == (self.n_agents,) and array.dtype.kind in "biuf"
        if not fits or (array.dtype != np.bool_ and not np.isin(array, (0, 1)).all()):
            raise self._fault(f"step returned {what} {shown(values)}, expected one bool per agent")
        return array.astype(np.bool_)

    def _reward(self, rewards: Any, earned: NDArray[np.bool_]) -> float | NDArray[np.float64]:
        """Return one reward out of the agents', or with common_reward False [N], each agent's own.

        Args:
            rewards: a number, which is the team's already, or one per agent.
            earned: [N], who was in the game; the others' count as 0.

        Raises:
            UserError: rewards of another shape or that are not finite numbers; the team's alone, where each agent's own
                is asked for.
        """
        array = _array(rewards)
        if array.shape not in ((), (self.n_agents,)) or array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise self._fault(
                f"step returned rewards {shown(rewards)}, expected a finite number for the team or one for each of "
                f"{self.n_agents} agents"
            )
        if array.ndim == 0 and self.n_rewards > 1:
            raise self._fault("gives the team one reward; write env_args.common_reward=True")
        if array.ndim == 0:
            return float(array)
        own = np.where(earned, array, 0)
        if self.n_rewards > 1:
            return own.astype(np.float64)
        return float(np.sum(own) if self.config.reward_scalarisation == "sum" else np.mean(own))

    def _fault(self, what: str) -> UserError:
        return UserError(f"env {self.config.key!r}: {what}")

    def get_obs(self) -> NDArray[np.float32]:
        """Return [N, O] observations."""
        return self._obs.copy()

    def get_state(self) -> NDArray[np.float32]:
        """Return [N * O], all observations in a row."""
        return self._obs.reshape(-1).copy()

    def get_avail_actions(self) -> NDArray[np.bool_]:
        """Return [N, A]; action 0 alone of an agent that is out."""
        return self._avail.copy()

    def get_obs_size(self) -> int:
        """Return O."""
        return self._spaces.obs_size

    def get_state_size(self) -> int:
        """Return N * O."""
        return self.n_agents * self._spaces.obs_size

    def get_total_actions(self) -> int:
        """Return A."""
        return self._spaces.n_actions

    def close(self) -> None:
        """Close the env."""
        if hasattr(self._env, "close"):
            self._env.close()


def _array(values: Any) -> NDArray[Any]:
    """Return values as an array; of objects, and so refused, if they are of unequal length."""
    try:
        return np.asarray(values)
    except ValueError:
        return np.empty(1, object)


def _described(result: Any) -> str:
    if not isinstance(result, tuple):
        return f"a {type(result).__name__} (the API of old Gym?)"
    parts = ", ".join(type(part).__name__ for part in result)
    return f"{len(result)} values ({parts}){' as old Gym did' if len(result) == 4 else ''}"
