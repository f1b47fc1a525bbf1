"""One network shared by all agents: keeps its state, chooses actions and unrolls episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pymarl.components.action_selectors import ActionSelector
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import make_inputs, own_numbers, packed_inputs
from pymarl.components.masking import can_choose, choosable, mask_unavailable
from pymarl.controllers.choosing import check_choice, told
from pymarl.envs.specs import EnvInfo
from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.inputs import Inputs, OneHot, input_shape
from pymarl.utils.devices import upload
from pymarl.utils.errors import UserError

Outputs = Literal["q", "logits", "probs"]


class _Slots:
    """Views of every slot of a batch in progress: taking one from a list is cheaper than indexing a tensor."""

    def __init__(self, batch: EpisodeBatch) -> None:
        self._source = batch.data["obs"]
        self.obs = batch.data["obs"].unbind(1)  # T of [B, N, O]
        self.avail_actions = batch.data["avail_actions"].unbind(1)  # T of [B, N, A]
        self.actions = batch.data["actions"].select(-1, 0).unbind(1)  # T of [B, N]

    def shows(self, batch: EpisodeBatch) -> bool:
        return batch.data["obs"] is self._source


PYMARLS = {("obs",), ("obs", "last_action"), ("obs", "agent_id"), ("obs", "last_action", "agent_id")}
"""What its agents see."""


class _Slot:
    """What one slot of episodes in progress shows; see components.inputs."""

    def __init__(self, mac: BasicMAC, batch: EpisodeBatch, t: int) -> None:
        self.mac, self.batch, self.t = mac, batch, t

    def size(self) -> int:
        return self.batch.batch_size

    def obs(self) -> Tensor:
        return self.batch.data["obs"][:, self.t]

    def state(self) -> Tensor:
        return self.batch.data["state"][:, self.t]

    def last_actions(self) -> Tensor:
        return self.mac.last_action(self.batch, self.t).view(-1, self.mac.n_agents)

    def actions(self) -> Tensor:
        raise UserError("an agent cannot see the action that it is about to choose; mend input_names")


class _Acting:
    """What changes from step to step: an attribute of a plain object is set several times as fast as a module's."""

    def __init__(self) -> None:
        self.hidden: Tensor | None = None  # [B, N, H]
        self.fresh: Tensor  # [N, H], of the start of an episode
        self.agent: Agent | None = None  # to be found without a module's look-up
        self.slots: _Slots | None = None
        self.restarted: Tensor | None = None  # rows in which an episode begins at the next slot

    def __deepcopy__(self, memo: dict[int, Any]) -> _Acting:
        return _Acting()  # a copied controller plays nothing yet


class BasicMAC(nn.Module):
    """Controller of PyMARL.

    Args:
        config: the class's Config.
        agent: the shared network.
        selector: picks actions from outputs.
        info: of the env.
        stores: what acting keeps beside the actions, "probs" or "acted_at"; see Learner.
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

    def __init__(
        self, config: Any, agent: Agent, selector: ActionSelector, info: EnvInfo, stores: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.config, self.agent, self.action_selector, self.info = config, agent, selector, info
        self.n_agents = info.n_agents
        self.stores = tuple(key for key in stores if key != "acted_at" or selector.varies)
        self.names = self.input_names(config)
        self._pymarls = tuple(self.names) in PYMARLS
        self._acting = _Acting()

    @property
    def hidden_states(self) -> Tensor | None:
        """[B, N, H], advanced by `forward`; None before `init_hidden`."""
        return self._acting.hidden

    @hidden_states.setter
    def hidden_states(self, hidden: Tensor | None) -> None:
        self._acting.hidden = hidden

    @staticmethod
    def outputs(config: Any) -> Outputs:
        """Return what the outputs are, which selectors and learners have to be able to read."""
        return "q" if config.agent_output_type == "q" else "probs"

    @staticmethod
    def input_names(config: Any) -> list[str]:
        """Return the parts of an agent's input; see components.inputs."""
        return ["obs", *["last_action"] * config.obs_last_action, *["agent_id"] * config.obs_agent_id]

    @classmethod
    def agent_spec(cls, config: Any, info: EnvInfo) -> AgentSpec:
        """Return what the agent network is built for."""
        shape = input_shape(cls.input_names(config), info)
        return AgentSpec(
            input_shape=shape, n_actions=info.n_actions, n_agents=info.n_agents, entities=info.entity_layout
        )

    def init_hidden(self, batch_size: int) -> None:
        """Start `batch_size` episodes."""
        rows = batch_size * self.n_agents
        self._acting = acting = _Acting()
        acting.agent = self.agent
        self._device = self.device
        acting.hidden = self.agent.init_hidden(rows).view(batch_size, self.n_agents, -1)
        acting.fresh = acting.hidden[0].clone()
        self._no_action = torch.full((rows,), -1, device=self._device)
        self._agent_id = OneHot(torch.arange(self.n_agents, device=self._device).repeat(batch_size), self.n_agents)

    def restart(self, rows: NDArray[np.int64]) -> None:
        """Let new episodes start in some rows, at the slot that comes next."""
        assert self.hidden_states is not None, "init_hidden comes first"
        self._acting.restarted = upload(torch.from_numpy(rows), self._device)
        fresh = self._acting.fresh.expand(len(rows), -1, -1)
        self.hidden_states = self.hidden_states.index_copy(0, self._acting.restarted, fresh)

    @torch.no_grad()
    def select_actions(
        self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any = slice(None), test_mode: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Advance the hidden states by slot `t_ep` and choose actions.

        Args:
            batch: episodes in progress.
            t_ep: slot to act in.
            t_env: env steps so far.
            bs: rows that still run, a slice, list or array; actions are chosen for these alone.
            test_mode: act as in a test.

        Returns:
            [len(bs), N] int64, each available to its agent; where the learner has asked for more, with {"probs":
            [len(bs), N, A] of the behaviour policy}.

        Raises:
            UserError: a running row has no available action, or a NaN output.
        """
        if not test_mode and self._acting.agent is not None:
            self._acting.agent.resample(self.action_selector.generator)
        outputs = self.forward(batch, t_ep, test_mode=test_mode)
        avail_actions = self._slots_of(batch).avail_actions[t_ep]
        if not (isinstance(bs, slice) and bs == slice(None)):
            rows: Any = bs if outputs.is_cpu else upload(torch.arange(len(outputs))[bs], outputs.device)
            outputs, avail_actions = outputs[rows], avail_actions[bs]
        avail_actions = upload(avail_actions, outputs.device)
        if outputs.is_cpu and not can_choose(outputs, avail_actions):
            check_choice(outputs, avail_actions, t_ep, batch.batch_size, bs)
        actions = self.action_selector.select_action(outputs, avail_actions, t_env, test_mode)
        kept = {}
        if "probs" in self.stores:
            kept["probs"] = self.action_selector.distribution(outputs, avail_actions, t_env)
        if not outputs.is_cpu:  # it is asked once for all of it, when the actions are chosen
            actions, kept, sure = told(actions, kept, choosable(outputs, avail_actions))
            if not sure:
                check_choice(outputs, avail_actions, t_ep, batch.batch_size, bs)
        return (actions, kept) if kept else actions

    def forward(self, batch: EpisodeBatch, t: int, test_mode: bool = False) -> Tensor:
        """Return [B, N, A] outputs of slot `t` and advance `hidden_states`."""
        acting = self._acting
        assert acting.agent is not None and acting.hidden is not None, "init_hidden comes first"  # noqa: PT018
        if acting.agent.training is test_mode:
            acting.agent.train(not test_mode)
        b, n, _ = acting.hidden.shape
        step = acting.agent if torch.is_grad_enabled() else acting.agent.act
        out, hidden = step(self.step_inputs(batch, t), acting.hidden.view(b * n, -1))  # [B*N, A], [B*N, H]
        acting.hidden = hidden.view(b, n, -1)
        return self.policy(out.view(b, n, -1), self._slots_of(batch).avail_actions[t])

    def policy(self, outputs: Tensor, avail_actions: Tensor) -> Tensor:
        """Return what selectors and learners see of raw outputs [..., A]; see Config.agent_output_type."""
        if self.config.agent_output_type == "q":
            return outputs
        if self.config.mask_before_softmax:
            outputs = mask_unavailable(outputs, upload(avail_actions, outputs.device))
        return outputs.softmax(dim=-1)

    def unroll(self, batch: EpisodeBatch) -> Tensor:
        """Return [B, T, N, A] outputs of all slots from the episodes' first states; 0 in the padding."""
        return batch.packing.unpack(self.unroll_packed(batch).outputs)

    def unroll_packed(
        self, batch: EpisodeBatch, *, states: bool = False, agents: Sequence[int] | None = None
    ) -> Unrolled:
        """Run over whole episodes, or pieces from what they began with (`start_hidden`, `start_action`).

        Args:
            batch: the episodes.
            states: the hidden states are wanted, too.
            agents: of these alone; None: all N.

        Returns:
            outputs [P, n, A] of the filled slots, in the order of `batch.packing`, and states [P, n, H] after each of
            them, or None.
        """
        n = self.n_agents if agents is None else len(agents)
        inputs = packed_inputs(batch, self.names, self.info, self.device, agents)
        counts = [count * n for count in batch.packing.counts]
        run = self.agent.unroll(inputs, counts, self._start(batch, agents), states=states)
        outputs = run.outputs.unflatten(0, (-1, n))
        avail_actions = batch.packed("avail_actions")
        if agents is not None:
            avail_actions = avail_actions.index_select(1, own_numbers(self.info, agents, avail_actions.device))
        return Unrolled(
            self.policy(outputs, avail_actions), None if run.states is None else run.states.unflatten(0, (-1, n))
        )

    def _start(self, batch: EpisodeBatch, agents: Sequence[int] | None) -> Tensor | None:
        """Return the hidden states before slot 0, [rows of slot 0, H]; None: the agent's own."""
        if "start_hidden" not in batch.data:
            return None
        hidden = batch.data["start_hidden"].index_select(0, batch.packing.order)[: batch.packing.counts[0]]
        if agents is not None:
            hidden = hidden.index_select(1, own_numbers(self.info, agents, hidden.device))
        return hidden.flatten(0, 1).to(self.device)

    def step_inputs(self, batch: EpisodeBatch, t: int) -> Inputs:
        """Return the inputs of slot `t`, B * N rows. `init_hidden` comes first."""
        if not self._pymarls:
            return make_inputs(_Slot(self, batch, t), self.names, self.info, self._device)
        one_hots = []  # the same without building what is constant in every step
        if "last_action" in self.names:
            one_hots.append(OneHot(self.last_action(batch, t), self.info.n_actions))
        if "agent_id" in self.names:
            one_hots.append(self._agent_id)
        obs = self._slots_of(batch).obs[t].reshape(-1, self.info.obs_shape)  # [B*N, O]
        return Inputs(features=upload(obs, self._device), one_hots=tuple(one_hots))

    def last_action(self, batch: EpisodeBatch, t: int) -> Tensor:
        """Return [B*N] int64, the actions of the slot before; -1 where an episode begins."""
        if t:
            last = upload(self._slots_of(batch).actions[t - 1], self._device).to(self._no_action).reshape(-1)
        elif "start_action" in batch.data:
            last = upload(batch.data["start_action"], self._device).to(self._no_action).view(-1)
        else:
            last = self._no_action
        if self._acting.restarted is not None:
            last = last.view(-1, self.n_agents).index_fill(0, self._acting.restarted, -1).view(-1)
            self._acting.restarted = None
        return last

    def _slots_of(self, batch: EpisodeBatch) -> _Slots:
        if self._acting.slots is None or not self._acting.slots.shows(batch):
            self._acting.slots = _Slots(batch)
        return self._acting.slots

    @property
    def device(self) -> torch.device:
        """Where the agent's parameters are."""
        return next(self.agent.parameters()).device
