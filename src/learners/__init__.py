"""Learners: a batch of episodes in, better networks out."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "learner",
    {
        "q_learner": "pymarl.learners.q_learner:QLearner",
        "nq_learner": "pymarl.learners.nq_learner:NQLearner",
        "pqn_learner": "pymarl.learners.pqn_learner:PQNLearner",
        "qtran_learner": "pymarl.learners.qtran_learner:QTRANLearner",
        "wqmix_learner": "pymarl.learners.wqmix_learner:WQMIXLearner",
        "actor_critic_learner": "pymarl.learners.actor_critic_learner:ActorCriticLearner",
        "ppo_learner": "pymarl.learners.ppo_learner:PPOLearner",
        "happo_learner": "pymarl.learners.happo_learner:HAPPOLearner",
        "coma_learner": "pymarl.learners.coma_learner:COMALearner",
        "lica_learner": "pymarl.learners.lica_learner:LICALearner",
        "vmix_learner": "pymarl.learners.vmix_learner:VMIXLearner",
        "maddpg_learner": "pymarl.learners.maddpg_learner:MADDPGLearner",
        "fmac_learner": "pymarl.learners.fmac_learner:FMACLearner",
        "dop_learner": "pymarl.learners.dop_learner:DOPLearner",
        "pac_learner": "pymarl.learners.pac_learner:PACLearner",
        "pac_dcg_learner": "pymarl.learners.pac_dcg_learner:PACDCGLearner",
    },
)
