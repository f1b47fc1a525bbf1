"""What every learner shares: the optimiser step, target networks, metrics, priorities, state and model files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.learners.optimisers import load_moments, make_optimiser
from pymarl.learners.values import Loss, Rows
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer
from pymarl.utils.checkpoint import load_file
from pymarl.utils.config import NonNegativeFloat, PositiveFloat, PositiveInt, Probability
from pymarl.utils.errors import UserError
from pymarl.utils.files import replacing_file
from pymarl.utils.tensors import misfit, save_tensors


class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class DoesNotFit(UserError):
    """A file is whole, but of other networks than this run's."""


@dataclass(frozen=True)
class TrainResult:
    """What one update says of itself.

    Attributes:
        metrics: name -> 0-d tensor on the learner's device: loss_td, grad_norm, td_error_abs (mean |TD error| per
            transition), q_taken_mean and target_mean (per transition and agent, as PyMARL).
        priorities: [B] for prioritised replay, on the learner's device.
        t_env: env steps at the update, for messages.
    """

    metrics: Mapping[str, Tensor]
    priorities: Tensor
    t_env: int

    def read(self) -> dict[str, float]:
        """Return the metrics as floats, waiting for the device once.

        Raises:
            UserError: the loss or the gradient norm is not finite.
        """
        values = dict(zip(self.metrics, torch.stack(list(self.metrics.values())).tolist(), strict=True))
        check_finite({name: values[name] for name in ("loss_td", "grad_norm")}, self.t_env)
        return values


def check_finite(values: Mapping[str, float], t_env: int) -> None:
    """Raise UserError if one of the values is NaN or infinite."""
    for name, value in values.items():
        if not abs(value) < float("inf"):
            raise UserError(
                f"{name}={value} at t_env={t_env}: expected a finite number; lower lr or grad_norm_clip, "
                f"or look for NaN or huge rewards and observations in the env"
            )


class Learner:
    """Base of all learners. A subclass writes `loss` and extends `Config` with the keys that it reads.

    Attributes:
        mixer_names: what a YAML file's `mixer` means for this learner, where that is not the registry's own name.
        individual_rewards: it can train on a reward per agent, [B, T-1, N].

    Args:
        config: the subclass's Config.
        mac: the controller to train; it stays shared with the runner.
        mixer: [P, N] -> [P, 1], or None for independent agents.
        device: where to train; mac and mixer are on it already.
    """

    mixer_names: ClassVar[Mapping[str, str]] = {}
    individual_rewards: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of every learner; see config/default.yaml."""

        lr: PositiveFloat
        optimizer: Literal["adam", "rmsprop"]
        optim_alpha: Probability
        optim_eps: PositiveFloat
        weight_decay: NonNegativeFloat
        grad_norm_clip: PositiveFloat
        target_update_interval: PositiveInt
        gamma: Probability
        return_priority: bool

    def __init__(self, config: Any, mac: BasicMAC, mixer: BaseMixer | None, device: torch.device) -> None:
        self.config = config
        self.mac = mac
        self.mixer = mixer
        self.device = device
        self.target_mac = mac.target_copy()
        self.target_mixer = None if mixer is None else _frozen_copy(mixer)
        # PyMARL's order, on which the meaning of opt.th rests.
        self.params = list(mac.parameters()) + ([] if mixer is None else list(mixer.parameters()))
        self.optimiser = make_optimiser(
            config.optimizer,
            self.params,
            lr=config.lr,
            weight_decay=config.weight_decay,
            alpha=config.optim_alpha,
            eps=config.optim_eps,
        )
        self.last_target_update_episode = 0
        self.return_range = torch.tensor([float("inf"), -float("inf")], device=device)

    @classmethod
    def mixer_class(cls, name: str | None) -> type[BaseMixer] | None:
        """Return the class that a YAML file's `mixer` stands for with this learner; None means independent agents.

        Raises:
            UserError: no such mixer.
        """
        return None if name is None else MIXERS[cls.mixer_names.get(name, name)]

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return the loss of a batch; `weights` [B] are importance weights of its episodes, None for equal ones."""
        raise NotImplementedError

    def train(self, batch: EpisodeBatch, t_env: int, episode_num: int, weights: Tensor | None = None) -> TrainResult:
        """Make one update.

        Args:
            batch: episodes on the learner's device.
            t_env: env steps so far.
            episode_num: training episodes so far; target networks follow every `target_update_interval` of them.
            weights: [B] importance weights of prioritised replay.

        Returns:
            Metrics and priorities, nothing of which has been read from the device.

        Raises:
            UserError: the loss or the gradient norm is not finite (on a GPU only `TrainResult.read` looks).
        """
        self.mac.agent.train()
        loss = self.loss(batch, weights)
        grad_norm = self._step(loss.value, t_env)
        if (episode_num - self.last_target_update_episode) / self.config.target_update_interval >= 1.0:
            self.update_targets()
            self.last_target_update_episode = episode_num
        with torch.no_grad():
            count = loss.mask.sum()
            metrics = {
                "loss_td": loss.value.detach(),
                "grad_norm": grad_norm,
                "td_error_abs": loss.td_error.abs().sum() / count,
                "q_taken_mean": (loss.q_taken * loss.mask).sum() / (count * batch.n_agents),
                "target_mean": (loss.targets * loss.mask).sum() / (count * batch.n_agents),
            }
            return TrainResult(metrics, self._priorities(batch, loss), t_env)

    def rows(self, batch: EpisodeBatch) -> Rows:
        """Return a batch's rows with the Q-values of both networks."""
        q = self.mac.unroll_packed(batch)
        with torch.no_grad():
            target_q = self.target_mac.unroll_packed(batch)
        pack = batch.packing.pack
        actions = pack(batch["actions"]).squeeze(-1).long()  # [P, N]
        return Rows(q, target_q, pack(batch["avail_actions"]), actions, pack(batch["state"]))

    def update_targets(self) -> None:
        """Copy the trained networks into the target networks."""
        self.target_mac.load_state_dict(self.mac.state_dict())
        if self.mixer is not None and self.target_mixer is not None:
            self.target_mixer.load_state_dict(self.mixer.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return what training needs to go on: networks, targets, optimiser, counter, range of returns."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        return state | {
            "last_target_update_episode": self.last_target_update_episode,
            "return_range": self.return_range.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        for name, part in self._parts().items():
            if part is self.optimiser:
                load_moments(self.optimiser, state[name])
            else:
                part.load_state_dict(state[name])
        own = {"last_target_update_episode": 0, "return_range": self.return_range}
        if problem := misfit(own, {key: state[key] for key in own}):
            raise ValueError(problem)
        self.last_target_update_episode = state["last_target_update_episode"]
        self.return_range = state["return_range"].to(self.device)

    def save_models(self, directory: Path) -> None:
        """Write agent.th, mixer.th and opt.th as PyMARL2 does: plain state_dicts. Each appears whole or not at all."""
        for name, part in self._files().items():
            with replacing_file(directory / name) as temporary:
                save_tensors(part.state_dict(), temporary)

    def load_models(self, directory: Path) -> None:
        """Read what `save_models` or PyMARL2 wrote; the target networks become copies, lr and its like stay as set.

        Raises:
            UserError: a file is missing or does not fit these networks.
        """
        for name, part in self._files().items():
            self._load(name, part, directory)
        self.update_targets()

    def load_agent(self, directory: Path) -> None:
        """Read agent.th alone, which is all that acting takes.

        Raises:
            UserError: it is missing or does not fit this network.
        """
        self._load("agent.th", self.mac, directory)

    def _load(self, name: str, part: _Stateful, directory: Path) -> None:
        path = directory / name
        if not path.is_file():
            raise UserError(f"{path}: no such file; a checkpoint folder holds {', '.join(self._files())}")
        state = load_file(directory, name, self.device)
        try:
            if part is self.optimiser:
                load_moments(self.optimiser, state)
            else:
                if problem := misfit(part.state_dict(), state):
                    raise ValueError(problem)
                part.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            reason = " ".join(str(error).split())
            raise DoesNotFit(
                f"{path} does not fit this run's networks ({reason}); use the config and env it was trained with"
            ) from error

    def _files(self) -> dict[str, _Stateful]:
        mixer: dict[str, _Stateful] = {} if self.mixer is None else {"mixer.th": self.mixer}
        return {"agent.th": self.mac, **mixer, "opt.th": self.optimiser}

    def _parts(self) -> dict[str, _Stateful]:
        parts: dict[str, _Stateful] = {"mac": self.mac, "target_mac": self.target_mac, "optimiser": self.optimiser}
        if self.mixer is not None and self.target_mixer is not None:
            parts |= {"mixer": self.mixer, "target_mixer": self.target_mixer}
        return parts

    def _step(self, loss: Tensor, t_env: int) -> Tensor:
        """Make the optimiser step and return the norm of the gradient before clipping, 0-d."""
        self.optimiser.zero_grad()
        loss.backward()
        grad_norm = nn.utils.clip_grad_norm_(self.params, self.config.grad_norm_clip)
        if loss.device.type == "cpu":  # here looking costs nothing, and the networks stay unspoilt
            check_finite({"loss_td": loss.item(), "grad_norm": grad_norm.item()}, t_env)
        self.optimiser.step()
        return grad_norm

    def _priorities(self, batch: EpisodeBatch, loss: Loss) -> Tensor:
        """Return PyMARL2's priorities [B]: sum |td| / sqrt(length), or the return scaled by the range seen so far."""
        if self.config.return_priority:
            steps = batch.transitions()
            returns = steps.reward.masked_fill(steps.mask == 0, 0.0).sum(1)[:, 0]  # [B]
            low, high = returns.min(), returns.max()
            self.return_range = torch.stack(
                [torch.minimum(self.return_range[0], low), torch.maximum(self.return_range[1], high)]
            )
            return (returns - self.return_range[0]) / (self.return_range[1] - self.return_range[0] + 1e-5)
        per_agent = loss.td_error.abs().sum(1) / loss.mask.sum(1).sqrt()  # [B, A]
        return per_agent.mean(-1)


def _frozen_copy(mixer: BaseMixer) -> BaseMixer:
    return copy.deepcopy(mixer).requires_grad_(False)
