"""A controller without a network, for the tests of runners."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch


class FakeMAC:
    """Draws available actions from its own generator in training; in test mode takes the first available one."""

    def __init__(self, seed: int = 0, with_probs: bool = False) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.with_probs = with_probs
        self.calls: list[dict[str, Any]] = []
        self.hidden_rows = 0
        self.hidden_states: Tensor | None = None

    def init_hidden(self, batch_size: int) -> None:
        self.hidden_rows = batch_size
        self.hidden_states = torch.zeros(batch_size, 1, 0)

    def restart(self, rows: Any) -> None:
        """There is no state to begin anew."""

    def select_actions(self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any, test_mode: bool) -> Any:
        available = batch["avail_actions"][:, t_ep].float()  # [B, N, A]
        noise = 0 if test_mode else torch.rand(available.shape, generator=self.generator)
        scores = (available * (1 + noise))[bs]
        actions = scores.argmax(-1)
        self.calls.append({"t_ep": t_ep, "t_env": t_env, "rows": len(actions), "test_mode": test_mode})
        probs: Tensor = scores / scores.sum(-1, keepdim=True)
        return (actions, {"probs": probs}) if self.with_probs else actions
