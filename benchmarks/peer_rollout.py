"""Drive a PyMARL2 checkout's own runner. Runs INSIDE the checkout, through peer.py:

    python benchmarks/peer.py DIR benchmarks/peer_rollout.py '{"alg": "qmix", "env": "stag_hunt", "updates": {...}}'

Each line on stdin is a number of seconds to roll out for; the answer is `rollout STEPS SECONDS`. `updates` are keys
over the checkout's own YAML files.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml

from components.transforms import OneHot
from controllers import REGISTRY as CONTROLLERS
from runners import REGISTRY as RUNNERS


class Silent:
    """Stands in for the peer's logger."""

    console_logger = SimpleNamespace(info=lambda *_: None)

    def log_stat(self, *_: Any) -> None:
        """Drop a statistic."""


def settings(spec: dict[str, Any]) -> SimpleNamespace:
    """Return the peer's flat keys: default < env < alg < updates."""
    config: dict[str, Any] = {}
    folder = Path(sys.path[0]) / "config"
    files = [folder / "default.yaml", folder / "envs" / f"{spec['env']}.yaml", folder / "algs" / f"{spec['alg']}.yaml"]
    for layer in [*(yaml.safe_load(path.read_text()) for path in files), spec["updates"]]:
        env_args = config.get("env_args", {}) | layer.get("env_args", {})
        config.update(layer)
        config["env_args"] = env_args
    if config["env"] == "sc2":
        config["env_args"]["seed"] = config["seed"]
    return SimpleNamespace(**config, device="cpu")


def build(args: SimpleNamespace) -> Any:
    """Return the peer's runner, ready to run."""
    runner = RUNNERS[args.runner](args=args, logger=Silent())
    info = runner.get_env_info()
    args.n_agents, args.n_actions, args.state_shape = info["n_agents"], info["n_actions"], info["state_shape"]
    args.obs_shape = info["obs_shape"]
    scheme = {
        "state": {"vshape": info["state_shape"]},
        "obs": {"vshape": info["obs_shape"], "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
        "avail_actions": {"vshape": (info["n_actions"],), "group": "agents", "dtype": torch.int},
        "probs": {"vshape": (info["n_actions"],), "group": "agents", "dtype": torch.float},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.uint8},
    }
    groups = {"agents": args.n_agents}
    preprocess = {"actions": ("actions_onehot", [OneHot(out_dim=args.n_actions)])}
    onehot = {"actions_onehot": {"vshape": (args.n_actions,), "dtype": torch.float32, "group": "agents"}}
    mac = CONTROLLERS[args.mac](scheme | onehot, groups, args)
    runner.setup(scheme=scheme, groups=groups, preprocess=preprocess, mac=mac)
    return runner


def main() -> None:
    warnings.simplefilter("ignore")  # of today's PyTorch about the checkout's code
    runner = build(settings(json.loads(sys.argv[1])))
    with torch.no_grad():
        runner.run(test_mode=False)
        print("rollout ready", flush=True)
        for line in sys.stdin:
            first, begin = runner.t_env, time.perf_counter()
            while time.perf_counter() - begin < float(line):
                runner.run(test_mode=False)
            print(f"rollout {runner.t_env - first} {time.perf_counter() - begin:.6f}", flush=True)
    runner.close_env()


if __name__ == "__main__":
    main()
