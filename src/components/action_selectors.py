"""How actions are picked from an agent's outputs. An unavailable action is never picked."""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from pymarl.components.epsilon_schedules import DecayThenFlatSchedule
from pymarl.components.masking import epsilon_greedy_actions, greedy_actions, mask_unavailable
from pymarl.utils.config import PositiveInt, Probability
from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "action selector",
    {
        "epsilon_greedy": "pymarl.components.action_selectors:EpsilonGreedyActionSelector",
        "multinomial": "pymarl.components.action_selectors:MultinomialActionSelector",
        "gumbel": "pymarl.components.action_selectors:GumbelSoftmaxMultinomialActionSelector",
    },
)

GENERATOR_BYTES = (5056, 16)
"""Of a generator's state on the CPU and on a GPU."""

_TEST_STREAM = 0x7E57  # separates the test generator's seed from the training one's


class ActionSelector:
    """Base of all selectors.

    Tests draw from a generator of their own, so that they leave training as it was.

    Args:
        config: an instance of the class's own `Config`.
        generator: source of all training draws; its device is where the outputs are.

    Attributes:
        reads: what outputs it can choose from, of "q", "logits" and "probs".
        epsilon: exploration rate of the last call, in [0, 1]; 0 if the selector has none.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"q", "logits", "probs"})

    def __init__(self, config: Any, generator: torch.Generator) -> None:
        self.config = config
        self.epsilon = 0.0
        self._draw_from(generator)

    def _draw_from(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.test_generator = torch.Generator(device=generator.device)
        self.test_generator.manual_seed(generator.initial_seed() ^ _TEST_STREAM)

    def twin(self, generator: torch.Generator) -> Self:
        """Return a selector like this one, with another source of draws: to act somewhere else."""
        other = copy.copy(self)
        other._draw_from(generator)
        return other

    @property
    def varies(self) -> bool:
        """Whether `distribution` changes with t_env, of which it then takes one for each row, too."""
        return False

    def select_action(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int, test_mode: bool) -> Tensor:
        """Return actions.

        Args:
            agent_outputs: [B, N, A], q values, probabilities or logits, without gradient.
            avail_actions: [B, N, A] bool, at least one per row.
            t_env: env steps so far.
            test_mode: act as in a test.

        Returns:
            [B, N] int64.
        """
        raise NotImplementedError

    def distribution(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: Any) -> Tensor:
        """Return the probabilities with which `select_action` chooses in training, the behaviour policy.

        Args:
            agent_outputs: [..., A], as for select_action; gradients flow.
            avail_actions: [..., A] bool, at least one per row.
            t_env: env steps so far, an int; of a selector that `varies` also [..., 1] int64.

        Returns:
            [..., A], 0 for unavailable actions, summing to 1.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say with which probabilities it chooses")

    def __deepcopy__(self, memo: dict[int, Any]) -> ActionSelector:
        """Return itself: a copied controller, such as a target, is no second source of random numbers."""
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both generators and epsilon."""
        return {
            "epsilon": self.epsilon,
            "generator": self.generator.get_state(),
            "test_generator": self.test_generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; on another kind of device with other draws, which follow from it."""
        self.epsilon = float(state["epsilon"])
        for name in ("generator", "test_generator"):
            generator, given = getattr(self, name), state[name].cpu()
            if len(given) == len(generator.get_state()):
                generator.set_state(given)
            elif len(given) not in GENERATOR_BYTES:
                raise ValueError(f"{name}: a state of {len(given)} bytes is no generator's")
            else:
                generator.manual_seed(zlib.crc32(given.numpy().tobytes()) ^ generator.initial_seed())

    def _rand(self, shape: tuple[int, ...], test_mode: bool) -> Tensor:
        """Return uniform numbers in [0, 1) from the generator for this mode."""
        generator = self.test_generator if test_mode else self.generator
        return torch.rand(shape, generator=generator, device=generator.device)


def available_share(probs: Tensor, avail_actions: Tensor) -> Tensor:
    """Return probabilities [..., A] among the available actions alone; uniform ones where they have none at all."""
    avail = avail_actions.to(probs.dtype)
    probs = probs * avail
    total = probs.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, probs / total.clamp(min=torch.finfo(probs.dtype).tiny), avail / avail.sum(-1, True))


def _mixed_with_uniform(probs: Tensor, avail_actions: Tensor, epsilon: float | Tensor) -> Tensor:
    """Return [..., A], (1 - epsilon) of `probs` and epsilon ([..., 1]) of a uniform choice of the available actions."""
    avail = avail_actions.to(probs.dtype)
    return (1 - epsilon) * probs + epsilon * avail / avail.sum(dim=-1, keepdim=True)


class EpsilonGreedyActionSelector(ActionSelector):
    """With probability epsilon a uniformly random available action, otherwise the one with the highest q value."""

    reads = frozenset({"q"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """epsilon falls from epsilon_start to epsilon_finish over epsilon_anneal_time env steps; tests use test_noise
        instead.
        """

        epsilon_start: Probability
        epsilon_finish: Probability
        epsilon_anneal_time: PositiveInt
        test_noise: Probability

    def __init__(self, config: Any, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.schedule = DecayThenFlatSchedule(config.epsilon_start, config.epsilon_finish, config.epsilon_anneal_time)
        self.epsilon = self.schedule.eval(0)

    def select_action(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int, test_mode: bool) -> Tensor:
        """Return [B, N] actions; see ActionSelector.select_action."""
        epsilon = self.config.test_noise
        if not test_mode:
            epsilon = self.epsilon = self.schedule.eval(t_env)
        if test_mode and not epsilon:
            return greedy_actions(agent_outputs, avail_actions)
        b, n, a = agent_outputs.shape
        draws = self._rand((b, n, a + 1), test_mode)
        return epsilon_greedy_actions(agent_outputs, avail_actions, draws, epsilon)

    def distribution(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int) -> Tensor:
        """Return [..., A]; see ActionSelector.distribution."""
        best = torch.zeros_like(agent_outputs).scatter_(
            -1, greedy_actions(agent_outputs, avail_actions).unsqueeze(-1), 1.0
        )
        return _mixed_with_uniform(best, avail_actions, self.schedule.eval(t_env))


class MultinomialActionSelector(ActionSelector):
    """Samples from probabilities, mixed with epsilon of a uniform choice."""

    reads = frozenset({"probs"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """epsilon as in epsilon_greedy, of training alone; with test_greedy tests take the most probable action, else
        they sample.
        """

        epsilon_start: Probability
        epsilon_finish: Probability
        epsilon_anneal_time: PositiveInt
        test_greedy: bool

    def __init__(self, config: Any, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.schedule = DecayThenFlatSchedule(config.epsilon_start, config.epsilon_finish, config.epsilon_anneal_time)
        self.epsilon = self.schedule.eval(0)

    @property
    def varies(self) -> bool:
        """Whether epsilon falls."""
        return bool(self.config.epsilon_start != self.config.epsilon_finish)

    def select_action(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int, test_mode: bool) -> Tensor:
        """Return [B, N] actions for probabilities `agent_outputs`; see ActionSelector.select_action."""
        if test_mode and self.config.test_greedy:
            return greedy_actions(agent_outputs, avail_actions)
        if not test_mode:
            self.epsilon = self.schedule.eval(t_env)
        probs = self._probs(agent_outputs, avail_actions, 0.0 if test_mode else self.epsilon)
        # An exponential race: action a wins with probability probs[a].
        draws = -torch.log1p(-self._rand(tuple(probs.shape), test_mode)) + 1e-30
        return greedy_actions(probs / draws, avail_actions)

    def distribution(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int | Tensor) -> Tensor:
        """Return [..., A]; see ActionSelector.distribution."""
        if isinstance(t_env, Tensor):
            epsilon: float | Tensor = self.schedule.of_rows(t_env).to(agent_outputs.dtype)
        else:
            epsilon = self.schedule.eval(t_env)
        return self._probs(agent_outputs, avail_actions, epsilon)

    def _probs(self, agent_outputs: Tensor, avail_actions: Tensor, epsilon: float | Tensor) -> Tensor:
        return _mixed_with_uniform(available_share(agent_outputs, avail_actions), avail_actions, epsilon)


class GumbelSoftmaxMultinomialActionSelector(ActionSelector):
    """Samples an available action with probability proportional to exp(output), by adding Gumbel noise."""

    reads = frozenset({"logits"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """With test_greedy tests take the highest output, else they sample."""

        test_greedy: bool

    def select_action(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int, test_mode: bool) -> Tensor:
        """Return [B, N] actions for logits `agent_outputs`; see ActionSelector.select_action."""
        if test_mode and self.config.test_greedy:
            return greedy_actions(agent_outputs, avail_actions)
        draws = -torch.log1p(-self._rand(tuple(agent_outputs.shape), test_mode)) + 1e-30  # exponential
        return greedy_actions(agent_outputs - draws.log(), avail_actions)

    def distribution(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int) -> Tensor:
        """Return [..., A]; see ActionSelector.distribution."""
        return mask_unavailable(agent_outputs, avail_actions).softmax(dim=-1)
