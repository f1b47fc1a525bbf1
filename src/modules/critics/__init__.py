"""Critics by the name that `critic` takes in a YAML file: values of states or actions, for actor-critic learners."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "critic",
    {
        "mlp": "pymarl.modules.critics.mlp:MLPCritic",
        "cv_critic": "pymarl.modules.critics.mlp:MLPCritic",
        "cv_critic_ns": "pymarl.modules.critics.cv:CVCriticNS",
        "pac_critic": "pymarl.modules.critics.pac:PACCritic",
        "pac_critic_ns": "pymarl.modules.critics.pac:PACCriticNS",
        "pac_dcg_critic_ns": "pymarl.modules.critics.pac_dcg:DCGCriticNS",
    },
)
