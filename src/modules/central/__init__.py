"""Networks of an unrestricted joint value, which only training sees: agents and mixers of weighted QMIX."""

from pymarl.utils.registry import Registry

AGENTS = Registry("central agent", {"central_rnn": "pymarl.modules.central.central_rnn:CentralRNNAgent"})
MIXERS = Registry(
    "central mixer",
    {
        "ff": "pymarl.modules.central.ff:CentralFFMixer",
        "atten": "pymarl.modules.central.atten:CentralAttenMixer",
    },
)
