"""HPN's agent: it looks at entities one by one, so that neither their order nor their number matters.

Hao et al., "Boosting Multi-Agent Reinforcement Learning via Permutation Invariant and Permutation Equivariant
Networks", ICLR 2023 (arXiv:2203.05285). Names of parameters are those of the authors' code, whose agent.th loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.envs.specs import total_size
from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.entities import EntityView, Seen, by_number
from pymarl.modules.layers.entity_hypernetwork import EntityHypernetwork, Merger
from pymarl.modules.layers.folded import Folded, FoldedNetwork, FoldedStep
from pymarl.modules.layers.gru import GRUNetwork
from pymarl.modules.layers.plain import fits_gru, is_plain, is_untouched, linear_layers, linear_of, stamp_of, weights_of
from pymarl.utils.config import PositiveInt
from pymarl.utils.devices import upload
from pymarl.utils.errors import UserError

NAMES = {"enemies": "hyper_enemy", "allies": "hyper_ally"}
AIMERS = {"enemies": "unify_output_heads", "allies": "unify_output_heads_rescue"}
EMBEDDINGS = {"last_action": "action_id_embedding", "agent_id": "agent_id_embedding"}
"""In the order in which a controller appends their one-hots."""


class HPNSRNNAgent(Agent):
    """Permutation-invariant input, GRU, permutation-equivariant output. Hidden state [R, rnn_hidden_dim].

    A hypernetwork writes the weights with which an entity is read from the entity's own features, and the weights of
    the value of the action that aims at it; what is read of all enemies and allies is added up. Move features and the
    agent's own go through a plain layer, and so do the values of actions that aim at nothing. Healers aim at allies
    with the actions that aim at enemies for others: theirs are written from the allies.

    It assumes an env that says what its observations are made of. An entity that is dead or out of sight is all zeros
    and adds nothing. Heads write K sets of weights, whose mean is used: since what writes them is linear they learn
    otherwise than one, but can express no more.
    """

    needs_entities: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of the GRU's state; hpn_hyper_dim: hidden width of the hypernetworks; hpn_head_num: K.

        obs_agent_id, obs_last_action: add a vector of each agent's own, of each action's own, to what is read. There
        are as many as agents and actions, so that such an agent plays on other maps only where these are as many.
        """

        rnn_hidden_dim: PositiveInt
        hpn_hyper_dim: PositiveInt
        hpn_head_num: PositiveInt
        obs_agent_id: bool
        obs_last_action: bool

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        layout, hidden, heads = spec.entities, config.rnn_hidden_dim, config.hpn_head_num
        self.view, self.n_agents, self.targets = EntityView(layout), spec.n_agents, spec.n_actions - layout.first_target
        self.transfers = not (config.obs_agent_id or config.obs_last_action)
        one_hots = {
            "last_action": spec.n_actions * config.obs_last_action,
            "agent_id": spec.n_agents * config.obs_agent_id,
        }
        if spec.input_shape != (expected := total_size(layout.obs) + sum(one_hots.values())):
            raise UserError(
                f"agent='hpns_rnn' looks at the entities of an observation: expected inputs of {expected} features, "
                f"got {spec.input_shape}; write mac=basic_mac, or another agent"
            )
        if not self.view.kinds:
            raise UserError(
                "agent='hpns_rnn' looks at enemies and allies: expected observations that have blocks of either, "
                f"got {', '.join(block.name for block in layout.obs)}; write another agent"
            )
        self.fc1_own = nn.Linear(self.view.own, hidden)
        aimed = {"enemies": self.targets > 0, "allies": bool(layout.healers)}
        self._aimed = [name for name in self.view.kinds if aimed[name]]
        for name, block in self.view.kinds.items():
            net = EntityHypernetwork(block.width, config.hpn_hyper_dim, hidden, heads, aimed=aimed[name])
            setattr(self, NAMES[name], net)
        self.unify_input_heads = Merger(heads, hidden)
        for name in self._aimed:
            setattr(self, AIMERS[name], Merger(heads, 1))
        self.rnn = nn.GRUCell(hidden, hidden)
        self.fc2_normal_actions = nn.Linear(hidden, layout.first_target)
        for name, count in one_hots.items():
            if count:
                setattr(self, EMBEDDINGS[name], nn.Embedding(count, hidden))
        self._acting: FoldedStep | None = None

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, rnn_hidden_dim] zeros."""
        self._acting = None  # weights may have changed
        return self.fc1_own.weight.new_zeros(rows, self.rnn.hidden_size)

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step, as the paper has it; see Agent.forward."""
        seen = self.view(inputs.features)
        x, read, written = self.fc1_own(seen.own), [], {}
        for embedding, one_hot in zip(self._parts(EMBEDDINGS), inputs.one_hots, strict=True):
            x = x + embedding(one_hot.index.clamp(min=0)) * (one_hot.index >= 0).unsqueeze(1)
        for name, entities in seen.entities.items():
            net = self._part(NAMES[name])
            written[name] = net(entities)  # [R, M, the weights of one entity]
            read.append(net.read(entities, written[name]))
        hidden = self.rnn((x + self.unify_input_heads(sum(read))).relu(), hidden)
        aimed = {}
        for name in self._aimed:
            of_heads = self._part(NAMES[name]).aimed(hidden, written[name])  # [R, M, K]
            aimed[name] = self._part(AIMERS[name])(of_heads.unsqueeze(-1)).squeeze(-1)
        return self._values(self.fc2_normal_actions(hidden), aimed, seen, inputs.agents), hidden

    def act(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without gradient; see Agent.act. What the weights fold to is kept until one changes."""
        weights = self._plain_weights()
        if weights is None:
            return super().act(inputs, hidden)
        with torch.no_grad():
            stamp = stamp_of(weights)
            if self._acting is None or self._acting.stamp != stamp:
                self._acting = FoldedStep(self._folded(), weights, stamp)
            seen = self.view(inputs.features)
            out, hidden = self._acting(self._acting.network.read(seen, inputs), hidden)
            return self._values(*self._acting.network.aimed(out, seen), seen, inputs.agents), hidden

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole packed sequences; see Agent.unroll. All slots' entities are read at once."""
        if self._plain_weights() is None:
            return super().unroll(inputs, counts, hidden, states=states)
        network, seen = self._folded(), self.view(inputs.features)
        out, after = network.gru.unroll(
            network.read(seen, inputs), counts, self._initial(counts, hidden), states=states
        )
        return Unrolled(self._values(*network.aimed(out, seen), seen, inputs.agents), after)

    def _values(self, normal: Tensor, aimed: dict[str, Tensor], seen: Seen, agents: tuple[int, ...] | None) -> Tensor:
        """Return [R, A] of the values of aiming at nothing [R, first_target], at enemies and at allies [R, count]."""
        if not self.targets:
            return normal
        enemies = aimed["enemies"]
        values = F.pad(enemies, (0, self.targets - enemies.shape[1]))
        if seen.heals is not None:
            device = values.device
            own = torch.arange(self.n_agents, device=device) if agents is None else upload(torch.tensor(agents), device)
            numbers = own.repeat(len(values) // len(own))
            patients = by_number(aimed["allies"], numbers, self.targets)
            values = torch.where(seen.heals.unsqueeze(1), patients, values)
        return torch.cat([normal, values], dim=1)

    def _part(self, name: str) -> Any:
        return self._modules[name]

    def _parts(self, names: dict[str, str]) -> list[Any]:
        """Return those of some modules that there are, in the order of their names."""
        return [self._modules[name] for name in names.values() if name in self._modules]

    def _plain_weights(self) -> list[Tensor] | None:
        """Return all weights if the layers are exactly torch's own, so that they may be folded; else None."""
        hypers = [linear_layers(net) for net in self._parts(NAMES)]
        mergers = [self.unify_input_heads, *self._parts(AIMERS)]
        plain = (
            is_untouched(self)
            and fits_gru(self.fc1_own, self.rnn, self.fc2_normal_actions)
            and all(is_plain(merger, Merger) for merger in mergers)
            and all(is_plain(embedding, nn.Embedding) for embedding in self._parts(EMBEDDINGS))
        )
        if not plain or None in hypers:
            return None
        linears = [layer for layers in hypers for layer in cast("list[nn.Linear]", layers)]
        return weights_of(self.fc1_own, self.rnn, self.fc2_normal_actions, *mergers, *self._parts(EMBEDDINGS), *linears)

    def _folded(self) -> FoldedNetwork:
        """Return the network that this comes to."""
        sides = {}
        for name in self.view.kinds:
            aimer = self._part(AIMERS[name]) if name in self._aimed else None
            sides[name] = Folded.of(self._part(NAMES[name]), self.unify_input_heads, aimer)
        read = [side.reads.t() for side in sides.values()]
        embeddings = [embedding.weight.t() for embedding in self._parts(EMBEDDINGS)]
        normal, aims = self.fc2_normal_actions, [sides[name].aims for name in self._aimed]
        fc1 = linear_of(torch.cat([self.fc1_own.weight, *read, *embeddings], dim=1), self.fc1_own.bias)
        weights, biases = zip((normal.weight, normal.bias), *cast(Any, aims), strict=True)
        return FoldedNetwork(sides, GRUNetwork(fc1, self.rnn, linear_of(torch.cat(weights), torch.cat(biases))))
