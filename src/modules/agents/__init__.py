"""Agent networks by the name that `agent` takes in a YAML file."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "agent",
    {
        "rnn": "pymarl.modules.agents.rnn_agent:RNNAgent",
        "n_rnn": "pymarl.modules.agents.n_rnn_agent:NRNNAgent",
        "ln_rnn": "pymarl.modules.agents.ln_rnn_agent:LNRNNAgent",
        "att_rnn": "pymarl.modules.agents.att_rnn_agent:AttRNNAgent",
        "noisy_rnn": "pymarl.modules.agents.noisy_rnn_agent:NoisyRNNAgent",
        "conv_agent": "pymarl.modules.agents.conv_agent:ConvAgent",
        "ff": "pymarl.modules.agents.ff_agent:FFAgent",
        "rnn_ppo": "pymarl.modules.agents.rnn_ppo_agent:RNNPPOAgent",
        "rnn_ns": "pymarl.modules.agents.ns_agent:RNNNSAgent",
        "n_rnn_ns": "pymarl.modules.agents.ns_agent:NRNNNSAgent",
        "hpns_rnn": "pymarl.modules.agents.hpns_rnn_agent:HPNSRNNAgent",
        "ff_ns": "pymarl.modules.agents.ns_agent:FFNSAgent",
    },
)
