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

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.specs import EnvInfo
from pymarl.modules.inputs import Inputs, OneHot


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
        own = torch.arange(info.n_agents) if agents is None else torch.tensor(list(agents))
        own = own.to(batch.device)
        features = [FEATURES[name](batch, own) for name in names if name in FEATURES]
        one_hots = [
            OneHot(index.flatten(0, 1).to(device), width)
            for name in names
            if name in ONE_HOTS
            for index, width in ONE_HOTS[name](batch, own, info)
        ]
        joined = features[0] if len(features) == 1 else torch.cat(features, -1)  # [P, n, D]
        batch.derived[key] = Inputs(features=joined.flatten(0, 1).to(device), one_hots=tuple(one_hots), agents=key[3])
    inputs: Inputs = batch.derived[key]
    return inputs


def last_actions(batch: EpisodeBatch) -> Tensor:
    """Return [P, N] int64, the action before each filled slot; -1 where there was none."""
    packing = batch.packing
    index = packing.index - 1  # the same episode, one slot earlier
    first = packing.counts[0]  # slot 0's rows come first; nothing of this batch came before them
    index[:first] = 0
    actions = batch.data["actions"].flatten(0, 1).index_select(0, index).long().squeeze(-1)  # [P, N]
    actions[:first] = -1
    if "start_action" in batch.data:
        actions[:first] = batch.data["start_action"].index_select(0, packing.order)[:first, :, 0]
    return actions


def _own(batch: EpisodeBatch, own: Tensor) -> Tensor:
    obs = batch.packing.pack(batch["obs"])
    return obs if len(own) == obs.shape[1] else obs.index_select(1, own)


def _for_each(batch: EpisodeBatch, own: Tensor, joint: Tensor) -> Tensor:
    """Return [P, n, D] of what all agents see alike, [P, D]."""
    return joint.unsqueeze(1).expand(-1, len(own), -1)


FEATURES: dict[str, Callable[[EpisodeBatch, Tensor], Tensor]] = {
    "obs": _own,
    "state": lambda batch, own: _for_each(batch, own, batch.packing.pack(batch["state"])),
    "joint_obs": lambda batch, own: _for_each(batch, own, batch.packing.pack(batch["obs"]).flatten(1)),
}

Hots = list[tuple[Tensor, int]]
"""Index [P, n] and width of each one-hot."""


def _taken(batch: EpisodeBatch) -> Tensor:
    return batch.packing.pack(batch["actions"]).squeeze(-1).long()  # [P, N]


def _all_agents(actions: Tensor, own: Tensor, info: EnvInfo, *, but_own: bool = False) -> Hots:
    """Return a one-hot of each agent's action [P, N], the same for all rows; `but_own` leaves out the row's own."""
    hots: Hots = []
    for agent in range(info.n_agents):
        index = actions[:, agent : agent + 1].expand(-1, len(own))
        hots.append((torch.where(own == agent, -1, index) if but_own else index, info.n_actions))
    return hots


ONE_HOTS: dict[str, Callable[[EpisodeBatch, Tensor, EnvInfo], Hots]] = {
    "last_action": lambda batch, own, info: [(last_actions(batch)[:, own], info.n_actions)],
    "agent_id": lambda batch, own, info: [(own.expand(len(batch.packing.index), -1), info.n_agents)],
    "actions": lambda batch, own, info: [(_taken(batch)[:, own], info.n_actions)],
    "joint_actions": lambda batch, own, info: _all_agents(_taken(batch), own, info),
    "others_actions": lambda batch, own, info: _all_agents(_taken(batch), own, info, but_own=True),
    "joint_last_action": lambda batch, own, info: _all_agents(last_actions(batch), own, info),
}
