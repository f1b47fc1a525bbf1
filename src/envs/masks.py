"""Action masks of Gymnasium's and PettingZoo's envs, by the conventions that exist."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.utils.errors import UserError
from pymarl.utils.values import shown

MASK = "action_mask"
OF_TEAM = ("action_masks", "valid_action_mask", "get_avail_actions")
# Not get_valid_actions: lbforaging's returns joint actions, and nobody masks with it.
_OF_ACTIONS = (
    r"((in)?valid|(get_)?(legal|avail(able)?))_(agent_)?(actions?|moves?)(_masks?)?|(get_)?(legal_)?actions?_masks?"
)
LIKE_A_MASK = re.compile(_OF_ACTIONS)
"""What an attribute of an env that looks like masks is called; where nothing reads it, it is refused."""
ENTRY_LIKE_A_MASK = re.compile(rf"{_OF_ACTIONS}|(legal_)?masks?")
"""The same of an entry of an observation or an info."""
CHECKS = 2
"""How often it is looked for: after the first reset and after the first step, whose info may have more."""

Split = Callable[[Any, str], list[Any]]


class ActionMasks:
    """Reads each agent's mask, in the env's own order of actions: 1 where an action is available.

    Sources, all of which are read and must agree:
    - "action_mask" in the agent's observation, a dict (PettingZoo's Classic envs, RLlib);
    - "action_mask" in its info (PettingZoo, Shimmy, Gymnasium's Taxi), or "avail_actions" in gymma's (SMAClite);
    - the env's method `action_mask(agent)`, or one for the whole team: `action_masks()`, `valid_action_mask()`
      (sb3-contrib) or `get_avail_actions()` (PyMARL, SMAClite).

    An agent with a mask somewhere has one there always, at reset and after each step in which it is in the game. An
    env without any leaves every agent its whole action set. What looks like a mask and is none of these is refused.

    Args:
        name: what to call the env in messages.
        env: the library's env, whose methods are looked up.
        agents: what the env calls its agents.
        sizes: number of actions of each agent.
        declared: agents whose observation space has a mask.
        split: (value, what it is) -> one entry per agent, of what the env returns for the whole team.
    """

    def __init__(
        self, name: str, env: Any, agents: Sequence[Any], sizes: Sequence[int], declared: Iterable[int], split: Split
    ) -> None:
        self._name, self._env, self._split = name, env, split
        self._agents, self._sizes, self._longest = list(agents), list(sizes), max(sizes)
        self._whole = np.arange(self._longest) < np.array(sizes)[:, None]  # [N, A]
        self._first = np.arange(self._longest) < 1  # [A]
        self._had: dict[tuple[str, int], bool] = {("its observation", agent): True for agent in declared}
        self._of_agent = next((found for found in [find_method(env, MASK)] if found and takes_agent(found)), None)
        self._of_team = next(((name, found) for name in OF_TEAM if (found := find_method(env, name))), None)
        self._checks = 0

    def read(self, acts: NDArray[np.bool_], in_obs: Sequence[Any], in_info: Sequence[Any]) -> NDArray[np.bool_]:
        """Return [N, A]; who does not act has action 0 alone.

        Args:
            acts: [N], who needs a mask.
            in_obs: per agent, the mask in its observation or None.
            in_info: per agent, the mask in its info or None.

        Raises:
            UserError: a mask that is missing, of the wrong length, not of 0 and 1, all 0, or unlike another.
        """
        avail = np.where(acts[:, None], self._whole, self._first)
        team = self._team_masks() if acts.any() else None
        for agent in np.flatnonzero(acts).tolist():
            given = {"its observation": in_obs[agent], "its info": in_info[agent]}
            if self._of_agent is not None:
                given[f"{MASK}(agent)"] = self._of_agent(self._agents[agent])
            if team is not None:
                given["what the env's method returns"] = team[agent]
            for where, mask in given.items():
                self._same_as_before(where, agent, mask)
                if mask is not None:
                    given[where] = self._checked(agent, where, mask)
            avail[agent] = self._agreed(agent, given)
        return avail

    def _same_as_before(self, where: str, agent: int, mask: Any) -> None:
        had = self._had.setdefault((where, agent), mask is not None)
        if had and mask is None:
            raise self._fault(
                agent,
                f"lacks the action mask that belongs in {where}; give it from reset on and at every step, the last too",
            )
        if not had and mask is not None:
            raise self._fault(
                agent,
                f"has an action mask in {where} that it did not have before; give it from reset on and at every step",
            )

    def _agreed(self, agent: int, given: Mapping[str, Any]) -> NDArray[np.bool_]:
        masks = [(where, mask) for where, mask in given.items() if mask is not None]
        if not masks:
            return self._whole[agent]
        first, agreed = masks[0]
        for where, other in masks[1:]:
            if not np.array_equal(agreed, other):
                raise self._fault(agent, f"has one action mask in {first} and another in {where}")
        return np.asarray(agreed)

    def _checked(self, agent: int, where: str, mask: Any) -> NDArray[np.bool_]:
        """Return a mask as [A] bools."""
        size = self._sizes[agent]
        try:
            array = np.asarray(mask)
        except ValueError:  # ragged lists
            array = np.empty(0, object)
        if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
            raise self._fault(agent, f"has the action mask {shown(mask)} in {where}, expected 0 and 1")
        padded = array.shape == (self._longest,) and not array[size:].any()  # one row of a team's [N, A]
        if array.shape != (size,) and not padded:
            raise self._fault(agent, f"has an action mask of shape {array.shape} in {where}, expected ({size},)")
        if not array.any():
            raise self._fault(agent, f"has no action, the mask in {where} is all 0; give it at least one (a no-op)")
        return np.pad(array[:size].astype(np.bool_), (0, self._longest - size))

    def _team_masks(self) -> list[Any] | None:
        return None if self._of_team is None else self.rows(self._of_team[1](), f"{self._of_team[0]}()")

    def rows(self, masks: Any, what: str) -> list[Any]:
        """Return one mask per agent of a team's: rows, a dict, or one row with all agents' actions (sb3-contrib)."""
        if masks is None:
            return [None] * len(self._agents)
        parts = (list, tuple, np.ndarray, Mapping)
        flat = isinstance(masks, parts[:2]) and not any(isinstance(mask, parts) for mask in masks)
        flat = flat or (isinstance(masks, np.ndarray) and masks.ndim == 1)
        if flat and len(masks) == sum(self._sizes):
            return np.split(np.asarray(masks), np.cumsum(self._sizes)[:-1])
        return self._split(masks, what)

    @property
    def in_doubt(self) -> bool:
        """Whether there may still be masks that nothing reads: `refuse_unread` is to look."""
        return self._checks < CHECKS

    def refuse_unread(self, unread: Mapping[str, Any]) -> None:
        """Raise UserError if no agent has a mask after the first reset or step, but something looks like one.

        Args:
            unread: what else the env gives, name -> dict.
        """
        self._checks += 1
        if any(self._had.values()):
            return
        for where, entries in unread.items():
            for key in entries:
                if isinstance(key, str) and ENTRY_LIKE_A_MASK.fullmatch(key) and _has_parts(entries[key]):
                    raise UserError(
                        f"env {self._name!r}: {key!r} in {where} is not read; give action masks as {MASK!r} there"
                    )
        inner = self._env.unwrapped if hasattr(self._env, "unwrapped") else self._env
        for name in sorted({*dir(self._env), *dir(inner)}):
            if LIKE_A_MASK.fullmatch(name):
                raise UserError(
                    f"env {self._name!r}: its {name} is not read; give action masks by a method {MASK}(agent), or "
                    f"as {MASK!r} in the infos"
                )

    def _fault(self, agent: int, what: str) -> UserError:
        return UserError(f"env {self._name!r}: agent {self._agents[agent]!r} {what}")


def _has_parts(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.size > 1
    return isinstance(value, (list, tuple, Mapping)) and len(value) > 0


def holder(env: Any, attribute: str) -> Any:
    """Return the env or the env inside it that has this attribute; None if neither has."""
    inner = env.unwrapped if hasattr(env, "unwrapped") else env
    return next((each for each in (env, inner) if hasattr(each, attribute)), None)


def find_method(env: Any, name: str) -> Callable[..., Any] | None:
    """Return the method of an env or of the env inside it; None if there is none."""
    owner = holder(env, name)
    method: Callable[..., Any] | None = None if owner is None else getattr(owner, name)
    return method if callable(method) else None


def takes_agent(method: Callable[..., Any]) -> bool:
    """Return whether a method is asked for one agent; Gymnasium's Taxi asks `action_mask(state)`."""
    parameters = list(inspect.signature(method).parameters)
    return len(parameters) > 0 and not any(word in parameters[0] for word in ("state", "obs"))
