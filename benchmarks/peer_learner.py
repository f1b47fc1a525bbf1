"""Drive a PyMARL2 checkout's own learner. Runs INSIDE the checkout, through peer.py:

    python benchmarks/peer.py DIR benchmarks/peer_learner.py SPECS.pt OUT.pt    the numbers of each spec's updates
    python benchmarks/peer.py DIR benchmarks/peer_learner.py SPEC.pt            one update per line on stdin, timed

SPECS is a torch.save of a list of specs, SPEC of one. A spec is a dict: `args` (the peer's flat keys), `dims`
(n_agents, n_actions, obs_shape, state_shape), `batch` ({field: [B, T, ...]}), and, if given, `networks` ({"agent",
"mixer", "target_agent", "target_mixer"} state_dicts), `weights` ([B] importance weights), `noise` (tensors that
torch.randn returns where it is asked for their sizes), `load_dir`, `save_dir` and `updates` (1 unless given); `threads`
and `device` ("cpu" or "cuda") to be timed with.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

import torch

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from controllers import REGISTRY as CONTROLLERS
from learners import REGISTRY as LEARNERS


class Recorder:
    """Stands in for the peer's logger and keeps the last value of each statistic."""

    def __init__(self) -> None:
        self.stats: dict[str, float] = {}
        self.console_logger = SimpleNamespace(info=lambda *_: None)

    def log_stat(self, key: str, value: Any, t: int) -> None:
        self.stats[key] = float(value)


def build(spec: dict[str, Any]) -> tuple[Any, Any, Recorder]:
    """Return the peer's learner, its batch and the recorder behind it."""
    dims = spec["dims"]
    args = SimpleNamespace(**spec["args"], **dims)
    if spec.get("device", "cpu") == "cpu":  # its QPLEX moves a tensor to the GPU unasked
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    args.epsilon_start, args.epsilon_finish, args.epsilon_anneal_time = 1.0, 0.05, 1000
    n, actions = dims["n_agents"], dims["n_actions"]
    scheme = {
        "state": {"vshape": dims["state_shape"]},
        "obs": {"vshape": dims["obs_shape"], "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
        "avail_actions": {"vshape": (actions,), "group": "agents", "dtype": torch.int},
        "reward": {"vshape": tuple(spec["batch"]["reward"].shape[2:])},
        "terminated": {"vshape": (1,), "dtype": torch.uint8},
    }
    if "probs" in spec["batch"]:
        scheme["probs"] = {"vshape": (actions,), "group": "agents"}
    groups = {"agents": n}
    size, slots = spec["batch"]["reward"].shape[:2]
    onehot = {"actions": ("actions_onehot", [OneHot(out_dim=actions)])}
    batch = EpisodeBatch(scheme, groups, size, slots, preprocess=onehot)
    stored = batch.data.transition_data
    for key, value in spec["batch"].items():
        stored[key].copy_(value)
    stored["actions_onehot"].copy_(OneHot(out_dim=actions).transform(stored["actions"]))
    mac = CONTROLLERS[args.mac](batch.scheme, groups, args)
    recorder = Recorder()
    return LEARNERS[args.learner](mac, batch.scheme, recorder, args), batch, recorder


def load(learner: Any, spec: dict[str, Any]) -> None:
    """Put the spec's weights and files into the learner."""
    networks = spec.get("networks", {})
    parts = {"agent": learner.mac.agent, "target_agent": learner.target_mac.agent}
    if learner.mixer is not None:
        parts |= {"mixer": learner.mixer, "target_mixer": learner.target_mixer}
    for name, state in networks.items():
        parts[name].load_state_dict(state)
    if "load_dir" in spec:
        learner.load_models(spec["load_dir"])
        if learner.mixer is not None:  # its own load_models leaves the target mixer as it was
            learner.target_mixer.load_state_dict(learner.mixer.state_dict())


def update(learner: Any, batch: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Make one update and return what the peer's learner returns (None from its older one becomes {})."""
    weights = [] if "weights" not in spec else [spec["weights"].double().numpy()]
    return learner.train(batch, 0, 0, *weights) or {}


def numbers(spec: dict[str, Any]) -> dict[str, Any]:
    """Return statistics, gradients, parameters and priorities after the spec's updates."""
    learner, batch, recorder = build(spec)
    load(learner, spec)
    if spec.get("noise"):
        noise = {tensor.shape: tensor for tensor in spec["noise"]}
        torch.randn = lambda size, **_: noise[size]
    for _ in range(spec.get("updates", 1)):
        learner.log_stats_t = -(10**9)
        info = update(learner, batch, spec)
    if "save_dir" in spec:
        learner.save_models(spec["save_dir"])
    networks = {"agent": learner.mac.agent} | ({} if learner.mixer is None else {"mixer": learner.mixer})
    named = {f"{part}.{name}": p for part, net in networks.items() for name, p in net.named_parameters()}
    return {
        "stats": recorder.stats,
        "gradients": {name: p.grad.clone() for name, p in named.items() if p.grad is not None},
        "parameters": {name: p.detach().clone() for name, p in named.items()},
        "priorities": info["td_errors_abs"].reshape(-1).clone() if "td_errors_abs" in info else None,
    }


def serve(spec: dict[str, Any]) -> None:
    """Make one update for every line on stdin and answer with its seconds."""
    spec["args"]["device"] = spec["device"]
    learner, batch, _ = build(spec)
    settle = int
    if spec["device"] == "cuda":
        learner.cuda()
        batch.to("cuda")
        settle = torch.cuda.synchronize
    print("ready", flush=True)
    for _ in sys.stdin:
        settle()
        begin = time.perf_counter()
        update(learner, batch, spec)
        settle()
        print(f"seconds {time.perf_counter() - begin:.6f}", flush=True)


def main() -> None:
    given = torch.load(sys.argv[1])
    if len(sys.argv) > 2:
        torch.save([numbers(spec) for spec in given], sys.argv[2])
    else:
        torch.set_num_threads(given["threads"])
        serve(given)


if __name__ == "__main__":
    main()
