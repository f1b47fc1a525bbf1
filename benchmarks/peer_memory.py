"""Fill a PyMARL2 checkout's own replay buffer. Runs INSIDE the checkout, through peer.py:

    python benchmarks/peer.py DIR benchmarks/peer_memory.py '{"alg": "qmix", "env": "skirmish", "updates": {...}}'

Its runner plays until the buffer holds buffer_size episodes. The answer is `episode BYTES GREW STEPS`: bytes of tensors
and growth of the process (RSS) per episode, and an episode's mean length in env steps.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import psutil
import torch

from components.episode_buffer import ReplayBuffer

sys.path.append(str(Path(__file__).resolve().parent))

from peer_rollout import build, settings


def main() -> None:
    warnings.simplefilter("ignore")  # of today's PyTorch about the checkout's code
    args = settings(json.loads(sys.argv[1]))
    runner = build(args)
    with torch.no_grad():
        runner.run(test_mode=False)  # so that what playing takes is not counted
        resident, played = psutil.Process().memory_info().rss, runner.t_env
        buffer = ReplayBuffer(
            runner.scheme, runner.groups, args.buffer_size, runner.episode_limit + 1, preprocess=runner.preprocess
        )
        while buffer.episodes_in_buffer < args.buffer_size:
            buffer.insert_episode_batch(runner.run(test_mode=False))
    stored = sum(tensor.untyped_storage().nbytes() for tensor in buffer.data.transition_data.values())
    grew = psutil.Process().memory_info().rss - resident
    count = args.buffer_size
    print(f"episode {stored / count:.0f} {grew / count:.0f} {(runner.t_env - played) / count:.1f}", flush=True)
    runner.close_env()


if __name__ == "__main__":
    main()
