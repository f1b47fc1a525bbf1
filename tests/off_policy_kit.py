"""Small learners of MADDPG, FMAC and DOP, for their tests."""

from __future__ import annotations

from typing import Any

import torch

from learner_kit import SMALL, flat_config, make_batch, make_learner
from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch

ALGS = ("riit", "riit_online", "fmac", "dop", "epymarl/maddpg", "epymarl/maddpg_ns")
LENGTHS, ENDS = [5, 1, 8, 3], [True, False, False, True]
KEYS = {"rnn_hidden_dim": 8, "critic_hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6, "critic_lr": None}


def small_learner(alg: str, seed: int = 0, **overrides: Any) -> Any:
    """Return the learner of a shipped algorithm with small networks."""
    return make_learner(flat_config(alg, **KEYS | overrides), seed=seed)


def mixed_batch(**kwargs: Any) -> EpisodeBatch:
    """Return episodes of each kind of end."""
    return make_batch(LENGTHS, terminated=ENDS, **kwargs)


def sample_of(alg: str, batch: EpisodeBatch, replayed: EpisodeBatch | None = None) -> Sample:
    """Return a sample as the algorithm's buffer gives it."""
    return Sample(batch=batch, replayed=replayed if alg in ("riit", "dop") else None)


def steps_of(learner: Any) -> list[tuple[float, dict[str, torch.Tensor]]]:
    """Return a list that will hold the loss of each optimiser step to come and the gradients of what it trains."""
    seen: list[tuple[float, dict[str, torch.Tensor]]] = []
    step, named = learner.step, trained(learner)

    def watched(optimiser: Any, loss: torch.Tensor, name: str = "loss_td") -> torch.Tensor:
        norm = step(optimiser, loss, name)
        mine = {id(p) for p in optimiser.params}
        found = {n: p.grad.clone() for n, p in named.items() if id(p) in mine and p.grad is not None}
        seen.append((loss.item(), found))
        return norm

    learner.step = watched
    return seen


def trained(learner: Any) -> dict[str, torch.Tensor]:
    """Return {name: parameter} of agent, critic and mixer."""
    parts = {"agent": learner.mac.agent, "critic": learner.critic, "mixer": getattr(learner, "mixer", None)}
    return {
        f"{part}.{name}": parameter
        for part, network in parts.items()
        if network is not None
        for name, parameter in network.named_parameters()
    }


assert SMALL.episode_limit >= max(LENGTHS)
