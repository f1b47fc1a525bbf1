"""One network shared by all agents: builds its inputs, keeps its state, chooses actions and unrolls episodes."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from pymarl.components.action_selectors import ActionSelector
from pymarl.components.episode_batch import EpisodeBatch, Packing
from pymarl.components.masking import mask_unavailable
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.utils.errors import UserError

if TYPE_CHECKING:
    from pymarl.envs.multiagentenv import EnvInfo


class _PackedInputs:
    """The packed inputs of the batch unrolled last; the online and the target controller share them."""

    def __init__(self) -> None:
        self._packing: weakref.ref[Packing] | None = None
        self._inputs: Inputs | None = None

    def get(self, mac: BasicMAC, batch: EpisodeBatch) -> Inputs:
        if self._inputs is None or self._packing is None or self._packing() is not batch.packing:
            self._inputs = mac.packed_inputs(batch)
            self._packing = weakref.ref(batch.packing)
        return self._inputs


class _Slots:
    """Views of every slot of a batch in progress: taking one from a list is cheaper than indexing a tensor."""

    def __init__(self, batch: EpisodeBatch) -> None:
        self._source = batch.data["obs"]
        self.obs = batch.data["obs"].unbind(1)  # T of [B, N, O]
        self.avail_actions = batch.data["avail_actions"].unbind(1)  # T of [B, N, A]
        self.actions = batch.data["actions"].select(-1, 0).unbind(1)  # T of [B, N]

    def shows(self, batch: EpisodeBatch) -> bool:
        return batch.data["obs"] is self._source


class BasicMAC:
    """Controller of PyMARL.

    Args:
        config: the class's Config.
        agent: the shared network.
        selector: picks actions from outputs.
        info: of the env.

    Attributes:
        hidden_states: [B, N, H], advanced by `forward`; None before `init_hidden`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """obs_agent_id, obs_last_action: append these one-hots to the observation. agent_output_type: "q" leaves
        outputs as they are, "pi_logits" makes probabilities of them, without the unavailable actions if
        mask_before_softmax.
        """

        obs_agent_id: bool
        obs_last_action: bool
        agent_output_type: Literal["q", "pi_logits"]
        mask_before_softmax: bool

    def __init__(self, config: Any, agent: Agent, selector: ActionSelector, info: EnvInfo) -> None:
        self.config, self.agent, self.action_selector, self.info = config, agent, selector, info
        self.n_agents = info.n_agents
        self.hidden_states: Tensor | None = None
        self._packed = _PackedInputs()
        self._slots: _Slots | None = None

    @staticmethod
    def input_shape(config: Any, info: EnvInfo) -> int:
        """Return E, the length of an agent's dense input."""
        return info.obs_shape + info.n_actions * config.obs_last_action + info.n_agents * config.obs_agent_id

    @classmethod
    def agent_spec(cls, config: Any, info: EnvInfo) -> AgentSpec:
        """Return what the agent network is built for."""
        return AgentSpec(input_shape=cls.input_shape(config, info), n_actions=info.n_actions, n_agents=info.n_agents)

    def init_hidden(self, batch_size: int) -> None:
        """Start `batch_size` episodes."""
        rows = batch_size * self.n_agents
        self._slots = None
        self._device = self.device
        self.hidden_states = self.agent.init_hidden(rows).view(batch_size, self.n_agents, -1)
        self._no_action = torch.full((rows,), -1, device=self.device)
        self._agent_id = OneHot(torch.arange(self.n_agents, device=self.device).repeat(batch_size), self.n_agents)

    @torch.no_grad()
    def select_actions(
        self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any = slice(None), test_mode: bool = False
    ) -> Tensor:
        """Advance the hidden states by slot `t_ep` and choose actions.

        Args:
            batch: episodes in progress.
            t_ep: slot to act in.
            t_env: env steps so far.
            bs: rows that still run, a slice, list or array; actions are chosen for these alone.
            test_mode: act as in a test.

        Returns:
            [len(bs), N] int64, each available to its agent.

        Raises:
            UserError: a running row has no available action, or a NaN output.
        """
        outputs = self.forward(batch, t_ep, test_mode=test_mode)
        avail_actions = self._slots_of(batch).avail_actions[t_ep]
        if not (isinstance(bs, slice) and bs == slice(None)):
            outputs, avail_actions = outputs[bs], avail_actions[bs]
        avail_actions = avail_actions.to(outputs.device)
        self._check(outputs, avail_actions, t_ep, bs)
        return self.action_selector.select_action(outputs, avail_actions, t_env, test_mode)

    def forward(self, batch: EpisodeBatch, t: int, test_mode: bool = False) -> Tensor:
        """Return [B, N, A] outputs of slot `t` and advance `hidden_states`."""
        if self.agent.training is test_mode:
            self.agent.train(not test_mode)
        assert self.hidden_states is not None, "init_hidden comes first"
        b, n, _ = self.hidden_states.shape
        step = self.agent if torch.is_grad_enabled() else self.agent.act
        out, hidden = step(self.step_inputs(batch, t), self.hidden_states.view(b * n, -1))  # [B*N, A], [B*N, H]
        self.hidden_states = hidden.view(b, n, -1)
        return self.policy(out.view(b, n, -1), self._slots_of(batch).avail_actions[t])

    def policy(self, outputs: Tensor, avail_actions: Tensor) -> Tensor:
        """Return what selectors and learners see of raw outputs [..., A]; see Config.agent_output_type."""
        if self.config.agent_output_type == "q":
            return outputs
        if self.config.mask_before_softmax:
            outputs = mask_unavailable(outputs, avail_actions.to(outputs.device))
        return outputs.softmax(dim=-1)

    def unroll(self, batch: EpisodeBatch) -> Tensor:
        """Return [B, T, N, A] outputs of all slots from fresh hidden states; 0 in the padding."""
        return batch.packing.unpack(self.unroll_packed(batch))

    def unroll_packed(self, batch: EpisodeBatch) -> Tensor:
        """Return [P, N, A] outputs of the filled slots, in the order of `batch.packing`."""
        counts = [count * self.n_agents for count in batch.packing.counts]
        outputs = self.agent.unroll(self._packed.get(self, batch), counts).outputs
        return self.policy_packed(outputs.unflatten(0, (-1, self.n_agents)), batch)

    def policy_packed(self, outputs: Tensor, batch: EpisodeBatch) -> Tensor:
        """Return `policy` of packed outputs [P, N, A]."""
        return self.policy(outputs, batch.packing.pack(batch["avail_actions"]))

    def step_inputs(self, batch: EpisodeBatch, t: int) -> Inputs:
        """Return the inputs of slot `t`, B * N rows. `init_hidden` comes first."""
        slots = self._slots_of(batch)
        last_action: Tensor | None = None
        if self.config.obs_last_action:
            last_action = slots.actions[t - 1].to(self._no_action).view(-1) if t else self._no_action  # [B*N]
        obs = slots.obs[t].reshape(-1, self.info.obs_shape)  # [B*N, O]
        return self._inputs(obs, last_action, self._agent_id if self.config.obs_agent_id else None, self._device)

    def _slots_of(self, batch: EpisodeBatch) -> _Slots:
        if self._slots is None or not self._slots.shows(batch):
            self._slots = _Slots(batch)
        return self._slots

    def packed_inputs(self, batch: EpisodeBatch) -> Inputs:
        """Return the inputs of all filled slots, P * N rows in the order of `batch.packing`."""
        packing = batch.packing
        last_action = None
        if self.config.obs_last_action:
            index = packing.index - 1  # the same episode, one slot earlier
            first = packing.counts[0]  # slot 0's rows come first; nothing came before them
            index[:first] = 0
            actions = batch.data["actions"].flatten(0, 1).index_select(0, index).long()  # [P, N, 1]
            actions[:first] = -1
            last_action = actions.view(-1)
        agent_id, device = None, self.device
        if self.config.obs_agent_id:
            ids = torch.arange(self.n_agents, device=device).repeat(len(packing.index))
            agent_id = OneHot(ids, self.n_agents)
        return self._inputs(packing.pack(batch["obs"]).flatten(0, 1), last_action, agent_id, device)

    def _inputs(self, obs: Tensor, last_action: Tensor | None, agent_id: OneHot | None, device: torch.device) -> Inputs:
        one_hots = []
        if last_action is not None:
            one_hots.append(OneHot(last_action.to(device), self.info.n_actions))
        if agent_id is not None:
            one_hots.append(agent_id)
        return Inputs(features=obs.to(device), one_hots=tuple(one_hots))

    def _check(self, outputs: Tensor, avail_actions: Tensor, t_ep: int, bs: Any) -> None:
        """Stop the run if a running row has no available action or a NaN output."""
        best = mask_unavailable(outputs, avail_actions).amax(dim=-1)
        if math.isfinite(best.sum().item()):
            return
        stuck = ~avail_actions.any(dim=-1)
        broken = stuck | outputs.isnan().any(dim=-1)  # infinite values may also have cancelled out
        places = broken.nonzero().tolist()
        if not places:
            return
        row, agent = places[0]
        env = torch.arange(self.hidden_states.shape[0])[bs][row].item()  # type: ignore[union-attr]
        where = f"env {env}, agent {agent}, step {t_ep}"
        if stuck[row, agent]:
            raise UserError(
                f"{where}: no action is available; expected at least one per agent, so mend the env's "
                f"get_avail_actions (an agent that can do nothing still needs a no-op)"
            )
        raise UserError(
            f"{where}: the agent's output is NaN; look for NaN or huge observations in the env, or lower lr "
            f"or grad_norm_clip"
        )

    @property
    def device(self) -> torch.device:
        """Where the agent's parameters are."""
        return next(self.agent.parameters()).device

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the agent's parameters."""
        return self.agent.parameters()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the agent's weights, under PyMARL2's names."""
        return self.agent.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load the agent's weights."""
        self.agent.load_state_dict(state)

    def to(self, device: torch.device | str) -> BasicMAC:
        """Move the agent to a device and return this controller."""
        self.agent.to(device)
        return self

    def target_copy(self) -> BasicMAC:
        """Return a controller with a frozen copy of the agent, for targets."""
        target = copy.copy(self)
        target.agent = copy.deepcopy(self.agent).requires_grad_(False)
        target.hidden_states = target._slots = None
        return target
