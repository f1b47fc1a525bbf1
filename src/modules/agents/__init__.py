"""Agent networks by the name that `agent` takes in a YAML file."""

from utils.registry import Registry

REGISTRY = Registry(
    "agent",
    {
        "rnn": "modules.agents.rnn_agent:RNNAgent",
        "n_rnn": "modules.agents.n_rnn_agent:NRNNAgent",
        "ff": "modules.agents.ff_agent:FFAgent",
    },
)
