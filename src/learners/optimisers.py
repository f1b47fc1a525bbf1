"""Optimisers as PyMARL sets them up, clipped, and loading what they had averaged."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from pymarl.utils.tensors import misfit


class Optimiser:
    """A torch optimiser with the parameters that it trains and the largest norm of their gradient.

    Args:
        torch_optimiser: of one group, `params`.
        params: what it trains.
        clip: largest L2 norm.
    """

    def __init__(self, torch_optimiser: torch.optim.Optimizer, params: list[nn.Parameter], clip: float) -> None:
        self.torch_optimiser, self.params, self.clip = torch_optimiser, params, clip

    def gradients(self, loss: Tensor) -> Tensor:
        """Set the parameters' gradients to those of a loss, clipped; return their norm before that, 0-d."""
        self.torch_optimiser.zero_grad()
        loss.backward()
        return nn.utils.clip_grad_norm_(self.params, self.clip)

    def apply(self, unseen: Tensor | None = None) -> None:
        """Move the parameters along their gradients.

        Args:
            unseen: numbers on a GPU that nobody has looked at: if one of them is not finite the parameters stay.
        """
        if unseen is None:
            self._step()
        else:
            self._step_unless(unseen.isfinite().all().logical_not())
        increment_version(self.params)  # a fused step does not, and who keeps something made of weights looks at it

    @torch.no_grad()
    def _step(self) -> None:
        """Make the optimiser's step as its class defines it, without what torch wraps around it for its compiler and
        its profiler: the first call of that imports the compiler, 1.5 s for nothing (see `_leave_the_compiler_out`).
        """
        inspect.unwrap(type(self.torch_optimiser).step)(self.torch_optimiser)

    @torch.no_grad()
    def _step_unless(self, broken: Tensor) -> None:
        """Make a step that changes neither parameters nor averages where `broken`, a 0-d bool on their device."""
        adam: Any = self.torch_optimiser
        if adam.defaults.get("fused"):
            adam.found_inf = broken.float()  # as torch.amp.GradScaler tells it
            self._step()
            return
        for param in self.params:
            if param.grad is not None:
                param.grad.masked_fill_(broken, 0.0)  # averages that are new in this step begin without a NaN
        averages = [value for state in adam.state.values() for value in state.values() if torch.is_tensor(value)]
        changing = [*self.params, *(value for value in averages if value.device == broken.device)]
        before = [tensor.clone() for tensor in changing]
        self._step()
        for tensor, old in zip(changing, before, strict=True):
            tensor.copy_(torch.where(broken, old, tensor))

    def anneal(self, passed: float) -> None:
        """Let the next steps have what is left of the config's learning rate once a share `passed` of it is gone."""
        for group in self.torch_optimiser.param_groups:
            group["lr"] = self.torch_optimiser.defaults["lr"] * max(0.0, 1.0 - passed)

    def state_dict(self) -> dict[str, Any]:
        """Return the running averages and settings, as torch has them."""
        return self.torch_optimiser.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take running averages; lr and other settings stay those of this run's config.

        Raises:
            ValueError: they are not of these parameters, or of another kind of optimiser.
        """
        _load_moments(self.torch_optimiser, state)


def make_optimiser(
    name: str, params: list[nn.Parameter], *, lr: float, weight_decay: float, alpha: float, eps: float, clip: float
) -> Optimiser:
    """Return "adam" or "radam", with PyTorch's own eps as PyMARL2 has it, or "rmsprop" with `alpha` and `eps`."""
    _leave_the_compiler_out()
    if name == "adam":
        fused = all(param.device.type in {"cpu", "cuda"} for param in params)
        return Optimiser(torch.optim.Adam(params, lr=lr, weight_decay=weight_decay, fused=fused), params, clip)
    if name == "radam":
        return Optimiser(torch.optim.RAdam(params, lr=lr, weight_decay=weight_decay, foreach=True), params, clip)
    return Optimiser(torch.optim.RMSprop(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay), params, clip)


def _leave_the_compiler_out() -> None:
    """Let optimisers be made, used and loaded without torch's compiler, which they import to be left alone by it.

    That takes 1.5 s, for which every run had to wait. Torch keeps what the compiler makes of such a method in an
    attribute of it; where a version keeps it elsewhere this changes nothing. Whoever has imported the compiler before
    gets what it makes.
    """
    if "torch._dynamo" in sys.modules:
        return
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        method = vars(torch.optim.Optimizer)[name]
        if hasattr(method, "__wrapped__") and not hasattr(method.__wrapped__, "__dynamo_disable"):
            method.__wrapped__.__dynamo_disable = method.__wrapped__


def _load_moments(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's running averages; its lr and other settings stay those of this run's config.

    Raises:
        ValueError: they are not of these parameters, or of another kind of optimiser.
    """
    problem = misfit({"state": {}, "param_groups": []}, state)
    if problem:
        raise ValueError(problem)
    if orphans := state["state"].keys() - {key for group in state["param_groups"] for key in group["params"]}:
        raise ValueError(f"averages of {', '.join(map(str, orphans))}, which are no parameters of it")
    groups = []
    for own, given in zip(optimiser.param_groups, state["param_groups"], strict=True):
        _check_group(type(optimiser).__name__, own, given, state["state"])
        groups.append({**own, "params": given["params"]})
    optimiser.load_state_dict({**state, "param_groups": groups})  # which puts `step` where this kind keeps it


def _check_group(kind: str, own: dict[str, Any], given: Any, moments: dict[Any, Any]) -> None:
    """Raise ValueError if averages are not of these parameters: torch looks at neither their names nor their shapes."""
    if not isinstance(given, dict) or not isinstance(given.get("params"), list):
        raise ValueError("param_groups lack params")
    if ("betas" in own) != ("betas" in given):
        raise ValueError(f"another kind of optimiser than {kind} wrote it")
    averages = ("exp_avg", "exp_avg_sq") if "betas" in own else ("square_avg",)
    for key, param in zip(given["params"], own["params"], strict=True):
        if key not in moments:
            continue  # never stepped
        if not isinstance(moments[key], dict) or not {"step", *averages} <= moments[key].keys():
            raise ValueError(f"parameter {key} has no step, {', '.join(averages)}")
        if not 0 <= float(moments[key]["step"]) < float("inf"):
            raise ValueError(f"parameter {key}: step={moments[key]['step']}")
        if problem := misfit({name: param for name in averages}, {name: moments[key][name] for name in averages}):
            raise ValueError(f"parameter {key}: {problem}")
