"""Agent networks by the name that `agent` takes in a YAML file."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "agent",
    {
        "rnn": "pymarl.modules.agents.rnn_agent:RNNAgent",
        "n_rnn": "pymarl.modules.agents.n_rnn_agent:NRNNAgent",
        "ln_rnn": "pymarl.modules.agents.ln_rnn_agent:LNRNNAgent",
        "ff": "pymarl.modules.agents.ff_agent:FFAgent",
        "rnn_ns": "pymarl.modules.agents.ns_agent:RNNNSAgent",
        "n_rnn_ns": "pymarl.modules.agents.ns_agent:NRNNNSAgent",
        "ff_ns": "pymarl.modules.agents.ns_agent:FFNSAgent",
    },
)
