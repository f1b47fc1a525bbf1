"""Learners: a batch of episodes in, better networks out."""

from utils.registry import Registry

REGISTRY = Registry(
    "learner",
    {
        "q_learner": "learners.q_learner:QLearner",
        "nq_learner": "learners.nq_learner:NQLearner",
    },
)
