"""Learners: a batch of episodes in, better networks out."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "learner",
    {
        "q_learner": "pymarl.learners.q_learner:QLearner",
        "nq_learner": "pymarl.learners.nq_learner:NQLearner",
        "actor_critic_learner": "pymarl.learners.actor_critic_learner:ActorCriticLearner",
        "ppo_learner": "pymarl.learners.ppo_learner:PPOLearner",
        "happo_learner": "pymarl.learners.happo_learner:HAPPOLearner",
        "pqn_learner": "pymarl.learners.pqn_learner:PQNLearner",
        "qtran_learner": "pymarl.learners.qtran_learner:QTRANLearner",
        "wqmix_learner": "pymarl.learners.wqmix_learner:WQMIXLearner",
    },
)
