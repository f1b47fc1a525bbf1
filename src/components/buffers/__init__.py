"""Buffers by the name that `buffer` takes in a YAML file; null there is the learner's own choice."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "buffer",
    {
        "replay": "pymarl.components.buffers.replay:ReplayBuffer",
        "prioritized": "pymarl.components.buffers.prioritized:PrioritizedReplayBuffer",
        "rollout": "pymarl.components.buffers.rollout:RolloutBuffer",
        "on_off": "pymarl.components.buffers.on_off:OnOffBuffer",
    },
)
