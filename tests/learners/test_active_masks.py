"""active_masks in every learner of policies: an agent with one available action is nothing to the policy's loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import SMALL, flat_of, make_batch, make_learner
from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.learners import REGISTRY
from pymarl.learners.policy_learner import PolicyLearner

LENGTHS = [5, 4, 8, 3]
NAMES = [name for name in REGISTRY if issubclass(REGISTRY[name], PolicyLearner)]
KEYS = {"rnn_hidden_dim": 8, "critic_hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6, "lr": 1e-12,
        "critic_lr": None, "epochs": 1, "minibatches": 1, "entropy_coef": 0.7, "final_entropy_coef": None,
        "adaptive_entropy": False, "vf_coef": 0.0, "standardise_advantages": False,
        "share_optimiser": False}  # fmt: skip
OF_THE_TEAM = ("lica_learner", "fmac_learner")
"""Their policies climb the team's values, in which all agents have a share: the entropy alone is each agent's."""


@pytest.mark.parametrize(("name", "keys"), [("fmac_learner", {"mixer": None}), ("maddpg_learner", {"reg": 0.0})])
def test_the_dead_do_not_count_for_values_of_each_agents_own(name: str, keys: dict[str, Any]) -> None:
    steps = sum(LENGTHS) * SMALL.n_agents
    share = steps / (steps - len(LENGTHS) * SMALL.n_agents)
    (plain, _), (active, _) = (update(name, active_masks=mask, **keys) for mask in (False, True))
    torch.testing.assert_close(active, share * plain, rtol=1e-3, atol=1e-6)


def with_dead() -> EpisodeBatch:
    """Return episodes in which agent i can do nothing in slot i: as many steps of each agent."""
    batch = make_batch(LENGTHS, SMALL)
    batch.data["avail_actions"][:] = True
    for agent in range(SMALL.n_agents):
        batch.data["avail_actions"][:, agent, agent, 1:] = False
        batch.data["actions"][:, agent, agent] = 0
    return batch


def update(name: str, **keys: Any) -> tuple[torch.Tensor, float]:
    """Return the gradients of the agents' losses in an update, [losses, parameters], and the entropy that it logs."""
    learner = make_learner(flat_of("learner", name) | KEYS | keys)
    step, found = learner.step, []
    agents = {id(parameter) for parameter in learner.mac.agent.parameters()}

    def watched(optimiser: Any, loss: torch.Tensor, what: str = "loss_td") -> torch.Tensor:
        params = [parameter for parameter in optimiser.params if id(parameter) in agents]
        if params:
            grads = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
            found.append(torch.cat([grad.flatten() for grad in grads if grad is not None]))
        return step(optimiser, loss, what)

    learner.step = watched
    metrics = learner.train(Sample(batch=with_dead()), 0, 0).read()
    return torch.stack(found), metrics.get("entropy", 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_who_has_no_choice_does_not_count(name: str) -> None:
    """It gives the loss no gradient and has no entropy, so that it can only be in what these are divided by."""
    steps = sum(LENGTHS) * SMALL.n_agents
    share = steps / (steps - len(LENGTHS) * SMALL.n_agents)
    (plain, entropy), (active, active_entropy) = (update(name, active_masks=mask) for mask in (False, True))
    if name in OF_THE_TEAM:
        of_team, _ = update(name, entropy_coef=0.0)
        plain, active = plain - of_team, active - of_team
    assert len(plain) == (SMALL.n_agents if name == "happo_learner" else 1)
    torch.testing.assert_close(active, share * plain, rtol=1e-3, atol=1e-6)
    assert plain.abs().max() > 1e-4
    assert active_entropy == pytest.approx(share * entropy, rel=1e-4)
