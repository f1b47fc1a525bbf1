"""HPN's agents for battles of any size, and observations of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pymarl.envs.specs import Block, EntityLayout, total_size
from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.hpns_rnn_agent import HPNSRNNAgent
from pymarl.modules.inputs import Inputs, OneHot

ENEMY, ALLY, OWN, FIRST_TARGET = 5, 4, 3, 6
KEYS: dict[str, Any] = {
    "rnn_hidden_dim": 16, "hpn_hyper_dim": 16, "hpn_head_num": 2, "obs_agent_id": False, "obs_last_action": False,
}  # fmt: skip


class Battle(NamedTuple):
    """A battle of agents against enemies; the last of an agent's own features marks a healer, if there are any."""

    agents: int
    enemies: int
    healers: bool = False

    @property
    def n_actions(self) -> int:
        return FIRST_TARGET + max(self.enemies, self.agents * self.healers)

    @property
    def layout(self) -> EntityLayout:
        blocks = (Block("move", 1, 4), Block("enemies", self.enemies, ENEMY), Block("allies", self.agents - 1, ALLY),
                  Block("own", 1, OWN))  # fmt: skip
        marks = (total_size(blocks) - 1,) if self.healers else ()
        return EntityLayout(obs=blocks, state=(), first_target=FIRST_TARGET, healers=marks)


class View(NamedTuple):
    """What R agents see, apart: [R, 4], [R, M, ENEMY], [R, N - 1, ALLY], [R, OWN]."""

    move: Tensor
    enemies: Tensor
    allies: Tensor
    own: Tensor

    @property
    def obs(self) -> Tensor:
        return torch.cat([part.flatten(1) for part in self], dim=1)

    def inputs(self) -> Inputs:
        return Inputs(features=self.obs)


def make_agent(battle: Battle, **keys: Any) -> HPNSRNNAgent:
    """Return an agent whose heads differ, as they do once they are trained."""
    config = HPNSRNNAgent.Config(**{**KEYS, **keys})
    one_hots = battle.n_actions * config.obs_last_action + battle.agents * config.obs_agent_id
    spec = AgentSpec(
        input_shape=total_size(battle.layout.obs) + one_hots, n_actions=battle.n_actions, n_agents=battle.agents,
        entities=battle.layout,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        agent = HPNSRNNAgent(config, spec)
        for name, parameter in agent.named_parameters():
            if "unify" in name:
                parameter.data.normal_()
    return agent


def make_view(battle: Battle, teams: int = 4, seed: int = 1, healers: tuple[int, ...] = ()) -> View:
    """Return what the agents of some teams see; those of these numbers are healers."""
    draws, rows = torch.Generator().manual_seed(seed), teams * battle.agents
    shapes = ((4,), (battle.enemies, ENEMY), (battle.agents - 1, ALLY), (OWN,))
    view = View(*(torch.randn(rows, *shape, generator=draws) for shape in shapes))
    if battle.healers:
        view.own[:, -1] = torch.tensor([float(i in healers) for i in range(battle.agents)]).repeat(teams)
    return view


def make_one_hots(battle: Battle, teams: int = 4, seed: int = 2) -> tuple[OneHot, ...]:
    """Return last actions, of which some are none, and numbers of agents."""
    draws, rows = torch.Generator().manual_seed(seed), teams * battle.agents
    actions = torch.randint(-1, battle.n_actions, (rows,), generator=draws)
    return OneHot(actions, battle.n_actions), OneHot(torch.arange(battle.agents).repeat(teams), battle.agents)
