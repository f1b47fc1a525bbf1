"""Mixers: Q-values of the agents in, Q-value of the team out.

PyMARL2's `qmix` names two networks: config/foreign_keys.yaml says which one a file means.
"""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "mixer",
    {
        "vdn": "pymarl.modules.mixers.vdn:VDNMixer",
        "nmix": "pymarl.modules.mixers.nmix:Mixer",
        "qmix": "pymarl.modules.mixers.qmix:QMixer",
        "qatten": "pymarl.modules.mixers.qatten:QattenMixer",
        "qplex": "pymarl.modules.mixers.qplex:QPLEXMixer",
        "qplex_qatten": "pymarl.modules.mixers.qplex_qatten:QPLEXQattenMixer",
        "dop": "pymarl.modules.mixers.dop:DOPMixer",
        "qtran_base": "pymarl.modules.mixers.qtran:QTranBase",
        "qtran_alt": "pymarl.modules.mixers.qtran_alt:QTranAlt",
    },
)
