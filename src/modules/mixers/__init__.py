"""Mixers: Q-values of the agents in, Q-value of the team out.

A YAML file's `mixer` is resolved by the learner, because PyMARL2's `qmix` names two networks: see
`Learner.mixer_class`.
"""

from utils.registry import Registry

REGISTRY = Registry(
    "mixer",
    {
        "vdn": "modules.mixers.vdn:VDNMixer",
        "nmix": "modules.mixers.nmix:Mixer",
        "qmix": "modules.mixers.qmix:QMixer",
    },
)
