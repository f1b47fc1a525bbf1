"""What agents and critics see of a batch, built in one place: named parts, of which one-hots stay indices.

| name | of one row, which is one agent in one filled slot |
|---|---|
| obs | the agent's observation [O] |
| state | the state [S] |
| joint_obs | the observations of all agents [N * O] |
| last_action | one-hot of its last action, zeros where there was none [A] |
| agent_id | one-hot of its number [N] |
| actions | one-hot of the action it takes [A] |
| joint_actions | the actions that all agents take [N * A] |
| others_actions | the same with zeros for its own [N * A] |
| joint_last_action | the last actions of all agents [N * A] |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.specs import EnvInfo
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.utils.devices import upload


def packed_inputs(
    batch: EpisodeBatch, names: Sequence[str], info: EnvInfo, device: torch.device, agents: Sequence[int] | None = None
) -> Inputs:
    """Return the inputs of all filled slots, [P * N] rows in the order of `batch.packing`, features before one-hots.

    They are made once for a batch and kept with it until slots of it are written.

    Args:
        batch: whose `start_action`, if it has one, is the last action of slot 0.
        names: parts, see the table above.
        info: of the env.
        device: of the network.
        agents: whose rows; None: all N.
    """
    key = ("inputs", tuple(names), device, None if agents is None else tuple(agents))
    if key not in batch.derived:
        seen = _Packed(batch)
        if [name for name in names if name in FEATURES] == ["obs"]:
            batch.derived[key] = _of_stored_obs(seen, names, info, device, agents)
        else:
            batch.derived[key] = make_inputs(seen, names, info, device, agents)
    inputs: Inputs = batch.derived[key]
    return inputs


class Seen(Protocol):
    """What P rows of the env show: the filled slots of a batch, or one slot of all its episodes."""

    def size(self) -> int:
        """Return P."""

    def obs(self) -> Tensor:
        """Return [P, N, O]."""

    def state(self) -> Tensor:
        """Return [P, S]."""

    def last_actions(self) -> Tensor:
        """Return [P, N] int64, -1 where there was none."""

    def actions(self) -> Tensor:
        """Return [P, N] int64, of no meaning in an episode's last slot."""


def make_inputs(
    seen: Seen, names: Sequence[str], info: EnvInfo, device: torch.device, agents: Sequence[int] | None = None
) -> Inputs:
    """Return the inputs of P * n rows; arguments as for `packed_inputs`."""
    obs = seen.obs()
    own = own_numbers(info, agents, obs.device)
    features = [FEATURES[name](seen, own) for name in names if name in FEATURES]
    if not features:
        features = [obs.new_empty(len(obs), len(own), 0)]
    joined = features[0] if len(features) == 1 else torch.cat(features, -1)  # [P, n, D]
    return Inputs(
        features=upload(joined.flatten(0, 1), device), one_hots=_one_hots(seen, names, info, own, device),
        agents=None if agents is None else tuple(agents),
    )  # fmt: skip


def own_numbers(info: EnvInfo, agents: Sequence[int] | None, device: torch.device) -> Tensor:
    """Return [n] int64, the agents' numbers."""
    if agents is None:
        return torch.arange(info.n_agents, device=device)
    return upload(torch.tensor(list(agents)), device)


def _one_hots(seen: Seen, names: Sequence[str], info: EnvInfo, own: Tensor, device: torch.device) -> tuple[OneHot, ...]:
    return tuple(
        OneHot(upload(index.flatten(0, 1), device), width)
        for name in names
        if name in ONE_HOTS
        for index, width in ONE_HOTS[name](seen, own, info)
    )


def _of_stored_obs(
    seen: _Packed, names: Sequence[str], info: EnvInfo, device: torch.device, agents: Sequence[int] | None
) -> Inputs:
    """Return inputs whose features are observations alone: they stay where they are stored until someone needs them."""
    obs, packing = seen.batch.data["obs"], seen.batch.packing  # [B, T, N, O]
    own = own_numbers(info, agents, obs.device)
    index = (packing.index[:, None] * info.n_agents + own).flatten()
    return Inputs.gathered(
        upload(obs.flatten(0, 2), device), upload(index, device), one_hots=_one_hots(seen, names, info, own, device),
        agents=None if agents is None else tuple(agents),
    )  # fmt: skip


class _Packed:
    """All filled slots of a batch, in the order of its packing."""

    def __init__(self, batch: EpisodeBatch) -> None:
        self.batch = batch

    def size(self) -> int:
        return len(self.batch.packing.index)

    def obs(self) -> Tensor:
        return self.batch.packed("obs")

    def state(self) -> Tensor:
        return self.batch.packed("state")

    def actions(self) -> Tensor:
        return self.batch.packed_actions()

    def last_actions(self) -> Tensor:
        packing = self.batch.packing
        index = packing.index - 1  # the same episode, one slot earlier
        first = packing.counts[0]  # slot 0's rows come first; nothing of this batch came before them
        index[:first] = 0
        actions = self.batch.data["actions"].flatten(0, 1).index_select(0, index).long().squeeze(-1)
        actions[:first] = -1
        if "start_action" in self.batch.data:
            actions[:first] = self.batch.data["start_action"].index_select(0, packing.order)[:first, :, 0]
        return actions


def _of(own: Tensor, of_all: Tensor) -> Tensor:
    """Return [P, n, ...] of some agents, of [P, N, ...]."""
    return of_all if len(own) == of_all.shape[1] else of_all.index_select(1, own)


def _for_each(own: Tensor, joint: Tensor) -> Tensor:
    """Return [P, n, D] of what all agents see alike, [P, D]."""
    return joint.unsqueeze(1).expand(-1, len(own), -1)


FEATURES: dict[str, Callable[[Seen, Tensor], Tensor]] = {
    "obs": lambda seen, own: _of(own, seen.obs()),
    "state": lambda seen, own: _for_each(own, seen.state()),
    "joint_obs": lambda seen, own: _for_each(own, seen.obs().flatten(1)),
}

Hots = list[tuple[Tensor, int]]
"""Index [P, n] and width of each one-hot."""


def _all_agents(actions: Tensor, own: Tensor, info: EnvInfo, *, but_own: bool = False) -> Hots:
    """Return a one-hot of each agent's action [P, N], the same for all rows; `but_own` leaves out the row's own."""
    hots: Hots = []
    for agent in range(info.n_agents):
        index = actions[:, agent : agent + 1].expand(-1, len(own))
        hots.append((torch.where(own == agent, -1, index) if but_own else index, info.n_actions))
    return hots


ONE_HOTS: dict[str, Callable[[Seen, Tensor, EnvInfo], Hots]] = {
    "last_action": lambda seen, own, info: [(_of(own, seen.last_actions()), info.n_actions)],
    "agent_id": lambda seen, own, info: [(own.expand(seen.size(), -1), info.n_agents)],
    "actions": lambda seen, own, info: [(_of(own, seen.actions()), info.n_actions)],
    "joint_actions": lambda seen, own, info: _all_agents(seen.actions(), own, info),
    "others_actions": lambda seen, own, info: _all_agents(seen.actions(), own, info, but_own=True),
    "joint_last_action": lambda seen, own, info: _all_agents(seen.last_actions(), own, info),
}
