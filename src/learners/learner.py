"""What every learner is: a module that registers what it trains, and makes optimiser steps. It knows no method."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from pymarl.components.buffers.buffer import Sample, Uses
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.model_files import load_model, load_models, save_models
from pymarl.learners.optimisers import Optimiser, make_optimiser
from pymarl.learners.train_result import TrainResult, Unseen
from pymarl.modules.agents.agent import Agent
from pymarl.utils.config import NonNegativeFloat, PositiveFloat, Probability
from pymarl.utils.devices import upload
from pymarl.utils.registry import Registry
from pymarl.utils.tensors import misfit

M = TypeVar("M", bound=nn.Module)


class NetworkKind(NamedTuple):
    """A network that a learner is given beside the controller's.

    Attributes:
        registry: its config key names an entry of it.
        base: its class is derived from this one. An agent is built for an AgentSpec, any other for the EnvInfo.
        optional: it may be null.
    """

    registry: Registry
    base: type[nn.Module]
    optional: bool = False


class _Target(NamedTuple):
    """A copy of a network that follows it: whole after each `every` (episodes, or what is counted), or by `tau`."""

    source: nn.Module
    copy: nn.Module
    every: int | None
    tau: float | None


class Learner(nn.Module):
    """Base of all learners. A subclass writes `train` and extends `Config` with the keys that it reads.

    Networks that are attributes, and what `add_optimiser` and `add_target` return, counters and buffers are by that
    alone in `state_dict`, in checkpoints and on the right device.

    Attributes:
        networks: config key -> what it names. `mixer=...` then is a keyword of the constructor, None where the config
            says null.
        trains_on: what a buffer may give, of "replay", "rollout" and "on_off"; the first is the default's kind.
        gives_priorities: its results have priorities, and it heeds a sample's weights.
        agent: what the controller's agent must be derived from.
        reads: outputs of the controller that the method can use, of "q", "logits" and "probs".
        stores: what acting keeps: "probs", [A] of the behaviour policy, and "acted_at", each row's t_env, if it counts.
        individual_rewards: the method can use one reward per agent.
        unsaved: networks, and optimisers, of which other projects have no such file: their folders train on without.
        counters: name -> int, part of the state.

    Args:
        config: the subclass's Config.
        mac: the controller to train; it stays shared with the runner.
        info: of the env.
        generator: source of all draws (minibatches), on the CPU.
    """

    networks: ClassVar[Mapping[str, NetworkKind]] = {}
    trains_on: ClassVar[tuple[Uses, ...]] = ("replay",)
    gives_priorities: ClassVar[bool] = False
    agent: ClassVar[type[Agent]] = Agent
    reads: ClassVar[frozenset[str]] = frozenset({"q"})
    stores: ClassVar[tuple[str, ...]] = ()
    individual_rewards: ClassVar[bool] = False
    unsaved: ClassVar[tuple[str, ...]] = ()

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of every learner; see config/default.yaml."""

        lr: PositiveFloat
        optimizer: Literal["adam", "radam", "rmsprop"]
        optim_alpha: Probability
        optim_eps: PositiveFloat
        weight_decay: NonNegativeFloat
        grad_norm_clip: PositiveFloat
        gamma: Probability

    def __init__(self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.info, self.generator = config, info, generator
        self.mac = mac
        self.counters: dict[str, int] = {}
        self.t_env = self.episode_num = 0  # of the update that is being made
        self._optimisers: dict[str, Optimiser] = {}
        self._targets: list[_Target] = []
        self._target_moments: list[int] = []
        self._unseen: Unseen | None = None

    # nn.Module's `train(mode)` gives way to PyMARL's: a learner itself has no training mode, its networks have.
    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Learn from a sample: one update, or epochs of minibatches, as the method has it.

        Args:
            sample: of a buffer that gives what `trains_on` says, on the learner's device.
            t_env: env steps so far.
            episode_num: training episodes so far.

        Returns:
            Metrics and priorities, nothing of which has been read from the device.

        Raises:
            UserError: as `step` does.
        """
        raise NotImplementedError

    def add_optimiser(
        self, name: str, *modules: nn.Module | Iterable[nn.Parameter] | None, lr: float | None = None,
        clip: float | None = None,
    ) -> Optimiser:  # fmt: skip
        """Return an optimiser of the kind that the config says.

        Args:
            name: of its file in a checkpoint, `<name>.th`: PyMARL's are "opt", or "agent_opt" and "critic_opt".
            modules: what it trains, in this order, on which the meaning of the file rests; None is skipped.
            lr: learning rate, by default the config's.
            clip: largest L2 norm of the gradient, by default the config's grad_norm_clip.
        """
        c = self.config
        params: list[nn.Parameter] = []
        for module in modules:
            params += [] if module is None else module.parameters() if isinstance(module, nn.Module) else module
        optimiser = make_optimiser(
            c.optimizer, params, lr=c.lr if lr is None else lr, weight_decay=c.weight_decay, alpha=c.optim_alpha,
            eps=c.optim_eps, clip=c.grad_norm_clip if clip is None else clip,
        )  # fmt: skip
        if name in self._optimisers:
            raise ValueError(f"there is an optimiser {name!r} already")
        self._optimisers[name] = optimiser
        return optimiser

    def add_target(self, module: M, *, every: int | None = None, tau: float | None = None) -> M:
        """Return a frozen copy of a network that `update_targets` lets follow it.

        Args:
            module: the network.
            every: how far `update_targets` counts between copies of the whole.
            tau: share of the network in each update, in (0, 1] (Polyak averaging); instead of `every`.
        """
        if (every is None) == (tau is None):
            raise ValueError("expected one of every and tau")
        target = copy.deepcopy(module).requires_grad_(False)
        self._targets.append(_Target(module, target, every, tau))
        self._target_moments.append(0)
        return target

    @torch.no_grad()
    def update_targets(self, now: int) -> None:
        """Let the targets follow where it is time to; `now` is what their `every` counts, as a rule episodes."""
        for index, (source, target, every, tau) in enumerate(self._targets):
            if every is not None and now - self._target_moments[index] >= every:
                target.load_state_dict(source.state_dict())
                self._target_moments[index] = now
            elif tau is not None:
                for theirs, ours in zip(target.parameters(), source.parameters(), strict=True):
                    theirs.lerp_(ours, tau)
                for kept, seen in zip(target.buffers(), source.buffers(), strict=True):
                    kept.copy_(seen)

    def copy_targets(self) -> None:
        """Make every target a copy of its network, as after loading one."""
        for source, target, _, _ in self._targets:
            target.load_state_dict(source.state_dict())

    def step(self, optimiser: Optimiser, loss: Tensor, name: str = "loss_td") -> Tensor:
        """Make an optimiser step on a loss [] that may share its graph with no later one.

        Args:
            optimiser: one of this learner's.
            name: of the loss, for messages.
        Returns: the norm of the gradient before clipping, 0-d.

        Raises:
            UserError: the loss or the norm is not finite; the networks stay unspoilt. A GPU is not waited for: what it
                says of a step is looked at in the next one, or in `check_steps`.
        """
        grad_norm = optimiser.gradients(loss)
        unseen = Unseen({name: loss.detach(), "grad_norm": grad_norm}, self.t_env)
        if loss.is_cpu:
            unseen.check()
            optimiser.apply()
        else:  # a GPU has this step's work to do while the last one's numbers are looked at
            self.check_steps()
            self._unseen = unseen
            optimiser.apply(unseen.tensor)
        return grad_norm

    def check_steps(self) -> None:
        """Look at the last step's numbers where a GPU had not told them yet; raises UserError as `step` does."""
        unseen, self._unseen = self._unseen, None
        if unseen is not None:
            unseen.check()

    @torch.no_grad()
    def with_last_actions(self, batch: EpisodeBatch, probs: Tensor | None = None) -> EpisodeBatch:
        """Return a batch with an action in each episode's last slot, drawn as the behaviour policy would choose it.

        For methods that bootstrap from an action's value: none was taken there. `probs` [P, N, A] are its, if known.
        """
        if probs is None:
            outputs = self.mac.unroll_packed(batch).outputs
            probs = self.mac.action_selector.distribution(outputs, batch.packed("avail_actions"), self.t_env)
        rows = torch.arange(batch.batch_size, device=probs.device)
        last = batch.packing.unpack(probs)[rows, upload(batch.lengths, probs.device)]  # [B, N, A]
        race = upload(torch.empty(last.shape).exponential_(generator=self.generator), last.device)
        return batch.with_last_actions((last / race).argmax(-1))

    def minibatches(self, rows: int, count: int, epochs: int) -> Iterator[Tensor]:
        """Yield, `epochs` times, the rows of `count` disjoint random parts of 0 .. rows - 1, or fewer of fewer rows."""
        for _ in range(epochs):
            yield from torch.randperm(rows, generator=self.generator).tensor_split(min(count, rows))

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.mac.device

    def files(self) -> dict[str, nn.Module | Optimiser]:
        """Return what stands in each file of a checkpoint, in PyMARL's way: agent.th, mixer.th or critic.th, opt.th.

        Every other module that is an attribute has a file of its name, too; targets follow from their networks.
        """
        targets = {id(target.copy) for target in self._targets}
        own = {name: part for name, part in self.named_children() if name != "mac" and id(part) not in targets}
        return {"agent.th": self.mac.agent, **{f"{name}.th": part for name, part in (own | self._optimisers).items()}}

    def check_registered(self) -> None:
        """Raise ValueError if an optimiser or target works on what is no module of this learner: none would save it."""
        known = {id(parameter) for parameter in self.parameters()}
        for name, optimiser in self._optimisers.items():
            if not known.issuperset(map(id, optimiser.params)):
                raise ValueError(
                    f"optimiser {name!r} trains parameters of no module that is an attribute of the learner"
                )
        for _, target, _, _ in self._targets:
            if not known.issuperset(map(id, target.parameters())):
                raise ValueError("a target is no attribute of the learner; write self.target_x = self.add_target(...)")

    def save_models(self, directory: Path) -> None:
        """Write `files` to a folder. Each appears whole or not at all. Raises UserError as `check_steps` does."""
        self.check_steps()
        save_models(self.files(), directory)

    def load_models(self, directory: Path, *, transfer: bool = False) -> list[str]:
        """Read what `save_models` or PyMARL2 wrote; the targets become copies, lr and its like stay as set.

        With `transfer` only the agent has to fit. Returns the files of what stays as it is: it did not, or has none.

        Raises:
            UserError: a file is missing or does not fit these networks.
        """
        anew = load_models(self.files(), directory, self.device, transfer=transfer, ours=self.unsaved)
        self.copy_targets()
        return anew

    def load_agent(self, directory: Path) -> None:
        """Read agent.th alone, which is all that acting takes. UserError if it is missing or does not fit."""
        load_model(self.mac.agent, directory, "agent.th", self.device)

    def get_extra_state(self) -> dict[str, Any]:
        """Return what is no tensor of a module: optimisers, moments of the targets, counters, draws. For state_dict."""
        return {
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()},
            "target_moments": list(self._target_moments),
            "counters": dict(self.counters),
            "generator": self.generator.get_state(),
        }

    def set_extra_state(self, state: Any) -> None:
        """Continue where `get_extra_state` was taken. ValueError if it is not of such a learner."""
        own = self.get_extra_state() | {"optimisers": {name: {} for name in self._optimisers}}
        if problem := misfit(own, state):
            raise ValueError(problem)
        if len(state["target_moments"]) != len(self._targets):
            raise ValueError(f"target_moments: {len(state['target_moments'])}, expected {len(self._targets)}")
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self._target_moments = [int(moment) for moment in state["target_moments"]]
        self.counters = dict(state["counters"])
        self.generator.set_state(state["generator"].cpu())
