"""Critics by the name that `critic` takes in a YAML file: values of states or actions, for actor-critic learners."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "critic",
    {
        "mlp": "pymarl.modules.critics.mlp:MLPCritic",
        "maddpg": "pymarl.modules.critics.maddpg:MADDPGCritic",
        "maddpg_ns": "pymarl.modules.critics.maddpg:MADDPGNSCritic",
        "fmac": "pymarl.modules.critics.fmac:FMACCritic",
        "dop": "pymarl.modules.critics.dop:DOPCritic",
    },
)
