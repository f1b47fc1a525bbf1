"""An action selector that was written for PyMARL, as it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pymarl.components.action_selectors import REGISTRY, ActionSelector
from pymarl.utils.errors import UserError
from pymarl.utils.pymarl_args import Args, build_as_pymarl


class PyMARLSelector(ActionSelector):
    """The selector that `args.action_selector` names, built as `Selector(args)`, asked by `select_action`.

    It is handed agent_inputs and avail_actions, both [B, N, A], t_env and test_mode=..., as in PyMARL. It draws from
    torch's global generator, which is seeded anew for each call: its draws follow from the run's seed.

    Args:
        args: the run's keys.
        generator: source of all training draws.

    Raises:
        UserError: it cannot be built so; in acting, it chooses what is not available.
    """

    def __init__(self, args: Args, generator: torch.Generator) -> None:
        super().__init__(None, generator)
        self.selector: Any = build_as_pymarl("action_selector", REGISTRY[args.action_selector], args)

    def select_action(self, agent_outputs: Tensor, avail_actions: Tensor, t_env: int, test_mode: bool) -> Tensor:
        """Return [B, N] actions; see ActionSelector.select_action."""
        generator = self.test_generator if test_mode else self.generator
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(int(seed))
            actions: Tensor = self.selector.select_action(agent_outputs, avail_actions, t_env, test_mode=test_mode)
        if not test_mode and hasattr(self.selector, "epsilon"):
            self.epsilon = float(self.selector.epsilon)
        actions = actions.reshape(avail_actions.shape[:2]).long()
        if not avail_actions.gather(-1, actions.unsqueeze(-1)).all():
            raise UserError(f"action_selector={type(self.selector).__name__} chose an action that is not available")
        return actions
