"""Critics by the name that `critic` takes in a YAML file: values of states or actions, for actor-critic learners."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "critic",
    {
        "mlp": "pymarl.modules.critics.mlp:MLPCritic",
        "coma": "pymarl.modules.critics.coma:COMACritic",
        "coma_ns": "pymarl.modules.critics.coma:COMANSCritic",
        "lica": "pymarl.modules.critics.lica:LICACritic",
    },
)
