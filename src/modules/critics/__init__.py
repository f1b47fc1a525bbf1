"""Critics by the name that `critic` takes in a YAML file: values of states or actions, for actor-critic learners."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "critic",
    {
        "ac_critic": "pymarl.modules.critics.ac:ACCritic",
        "ac_critic_ns": "pymarl.modules.critics.ac:ACCriticNS",
        "cv_critic": "pymarl.modules.critics.cv:CVCritic",
        "cv_critic_ns": "pymarl.modules.critics.cv:CVCriticNS",
        "rnn_critic": "pymarl.modules.critics.rnn:RNNCritic",
        "rnn_critic_ns": "pymarl.modules.critics.rnn:RNNCriticNS",
        "cv_rnn_critic": "pymarl.modules.critics.rnn:CVRNNCritic",
        "cv_rnn_critic_ns": "pymarl.modules.critics.rnn:CVRNNCriticNS",
        "coma_critic": "pymarl.modules.critics.coma:COMACritic",
        "coma_critic_ns": "pymarl.modules.critics.coma:COMANSCritic",
        "lica": "pymarl.modules.critics.lica:LICACritic",
        "maddpg_critic": "pymarl.modules.critics.maddpg:MADDPGCritic",
        "maddpg_critic_ns": "pymarl.modules.critics.maddpg:MADDPGNSCritic",
        "fmac": "pymarl.modules.critics.fmac:FMACCritic",
        "fmac_ns": "pymarl.modules.critics.fmac:FMACNSCritic",
        "dop": "pymarl.modules.critics.dop:DOPCritic",
        "dop_ns": "pymarl.modules.critics.dop:DOPNSCritic",
        "pac_critic": "pymarl.modules.critics.pac:PACCritic",
        "pac_critic_ns": "pymarl.modules.critics.pac:PACCriticNS",
        "pac_dcg_critic_ns": "pymarl.modules.critics.pac_dcg:DCGCriticNS",
    },
)
