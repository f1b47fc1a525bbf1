"""Learners on synthetic episodes, built from the shipped defaults: for tests and benchmarks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from pymarl import controllers, learners
from pymarl.components.action_selectors import REGISTRY as SELECTORS
from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch, smallest_integer
from pymarl.components.transforms import OneHot
from pymarl.envs.specs import Block, EntityLayout, EnvInfo
from pymarl.learners.value_learner import TDLearner
from pymarl.modules.agents import REGISTRY as AGENTS
from pymarl.modules.agents.agent import Agent
from pymarl.run.foreign import take_foreign
from pymarl.utils.config import build_config, config_class
from pymarl.utils.layers import CONFIG, Layers, shipped_files

LAYOUT = EntityLayout(obs=(Block("own", 1, 7),), state=(Block("allies", 3, 2), Block("enemies", 1, 3)), first_target=0)
SMALL = EnvInfo(n_agents=3, n_actions=5, obs_shape=7, state_shape=9, episode_limit=8, entity_layout=LAYOUT)


def flat_config(alg: str | None = None, **overrides: Any) -> dict[str, Any]:
    """Return default.yaml, under config/algs/<alg>.yaml if named, under the overrides."""
    flat = _read(CONFIG / "default.yaml")
    if alg is not None:
        flat = flat | _read(shipped_files("algs")[alg])
    return copy.deepcopy(flat) | overrides


@functools.cache
def _read(path: Path) -> dict[str, Any]:
    flat: dict[str, Any] = yaml.safe_load(path.read_text())
    return flat


def flat_of(key: str, name: str | None) -> dict[str, Any]:
    """Return default.yaml under the first shipped algorithm with this part, whose keys may stand there alone."""
    for alg, path in shipped_files("algs").items():
        if _read(path).get(key) == name:
            return flat_config(alg)
    return flat_config()


def td_learners() -> list[tuple[str, str | None]]:
    """Return every learner of a TD error with the mixers that shipped algorithms give it, and without where it may."""
    files = [translated(_read(path)) for path in shipped_files("algs").values()]
    pairs: list[tuple[str, str | None]] = []
    for name in learners.REGISTRY:
        if issubclass(learners.REGISTRY[name], TDLearner):
            mixers = {flat["mixer"] for flat in files if flat["learner"] == name}
            mixers |= {None} if learners.REGISTRY[name].networks["mixer"].optional else set()
            pairs += [(name, mixer) for mixer in sorted(mixers, key=str)]
    return pairs


def translated(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the keys of another PyMARL are here, over our defaults."""
    layers = Layers()
    layers.add(flat_config(), "config/default.yaml")
    layers.add(flat, "theirs")
    take_foreign(layers)
    return layers.values


def build_part(cls: Any, flat: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Return cls(its Config or None, *args, **kwargs)."""
    config = config_class(cls)
    return cls(None if config is None else build_config(config, flat, {}), *args, **kwargs)


def make_learner(flat: Mapping[str, Any], info: EnvInfo = SMALL, seed: int = 0, device: str = "cpu") -> Any:
    """Return the learner that `flat` names, with freshly initialised networks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mac_class = controllers.REGISTRY[flat["mac"]]
        mac_config = build_config(mac_class.Config, flat, {})
        spec = mac_class.agent_spec(mac_config, info)
        agent = build_part(AGENTS[flat["agent"]], flat, spec)
        learner_class = learners.REGISTRY[flat["learner"]]
        classes = {key: flat[key] and kind.registry[flat[key]] for key, kind in learner_class.networks.items()}
        networks = {
            key: cls and build_part(cls, flat, spec if issubclass(cls, Agent) else info).to(device)
            for key, cls in classes.items()
        }
    selector = build_part(SELECTORS[flat["action_selector"]], flat, torch.Generator().manual_seed(seed))
    mac = mac_class(mac_config, agent.to(device), selector, info, learner_class.stores)
    generator = torch.Generator().manual_seed(seed)
    return build_part(learner_class, flat, mac, info, generator, **networks).to(device)


def train(learner: Any, batch: EpisodeBatch, t_env: int, episode_num: int, weights: torch.Tensor | None = None) -> Any:
    """Let a learner make an update on a batch."""
    return learner.train(Sample(batch=batch, weights=weights), t_env, episode_num)


def scheme_of(info: EnvInfo) -> dict[str, dict[str, Any]]:
    """Return the scheme of a run with this env."""
    return {
        "state": {"vshape": info.state_shape},
        "obs": {"vshape": info.obs_shape, "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": smallest_integer(info.n_actions - 1)},
        "avail_actions": {"vshape": (info.n_actions,), "group": "agents", "dtype": torch.bool},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.bool},
    }


def make_batch(
    lengths: Sequence[int],
    info: EnvInfo = SMALL,
    seed: int = 0,
    slots: int | None = None,
    terminated: Sequence[bool] | bool = True,
) -> EpisodeBatch:
    """Return random episodes of these lengths (transitions).

    Args:
        lengths: [B].
        info: sizes.
        seed: of all content; an episode's content depends on neither `slots` nor the other episodes' lengths.
        slots: T; max(lengths) + 1 unless given.
        terminated: which episodes end in a terminal state, the others at a time limit.
    """
    generator = torch.Generator().manual_seed(seed)
    size, limit = len(lengths), max(info.episode_limit, *lengths) + 1
    n, actions = info.n_agents, info.n_actions
    avail = torch.rand(size, limit, n, actions, generator=generator) < 0.7
    avail[..., 0] |= ~avail.any(-1)
    chosen = (torch.rand(size, limit, n, actions, generator=generator) * avail).argmax(-1, keepdim=True)
    ends = torch.zeros(size, limit, 1, dtype=torch.bool)
    ends[torch.arange(size), torch.as_tensor(lengths) - 1, 0] = torch.as_tensor(terminated).expand(size)
    data = {
        "state": torch.randn(size, limit, info.state_shape, generator=generator),
        "obs": torch.randn(size, limit, n, info.obs_shape, generator=generator),
        "actions": chosen,
        "avail_actions": avail,
        "reward": torch.randn(size, limit, 1, generator=generator),
        "terminated": ends,
    }
    data["reward"][torch.arange(size), torch.as_tensor(lengths)] = 0.0  # the last slot holds no transition
    scheme, groups = scheme_of(info), {"agents": n}
    preprocess = {"actions": ("actions_onehot", [OneHot(out_dim=actions)])}
    slots = max(lengths) + 1 if slots is None else slots
    batch = EpisodeBatch(scheme, groups, size, slots, preprocess)
    filled = torch.arange(slots) <= torch.as_tensor(lengths)[:, None]  # [B, T]
    for key, value in data.items():
        batch.data[key][filled] = value[filled[:, :limit].nonzero(as_tuple=True)].to(batch.data[key].dtype)
    batch.set_lengths(torch.as_tensor(lengths))
    return batch


def matrix_game(payoff: Sequence[Sequence[float]]) -> tuple[EnvInfo, EpisodeBatch]:
    """Return the env of a matrix game of two agents, and one episode of one step for each joint action, row by row."""
    info = EnvInfo(n_agents=2, n_actions=len(payoff), obs_shape=1, state_shape=1, episode_limit=1)
    joint = torch.cartesian_prod(torch.arange(info.n_actions), torch.arange(info.n_actions))  # [A * A, 2]
    batch = EpisodeBatch(scheme_of(info), {"agents": 2}, len(joint), 2)
    for name in ("obs", "state", "avail_actions"):
        batch.data[name].fill_(1)
    batch.data["actions"][:, 0, :, 0] = joint
    batch.data["reward"][:, 0, 0] = torch.tensor(payoff).flatten()
    batch.data["terminated"][:, 0] = True
    batch.set_lengths(torch.ones(len(joint), dtype=torch.int64))
    return info, batch


def spoil_padding(batch: EpisodeBatch, seed: int = 1) -> EpisodeBatch:
    """Return a copy whose padding holds garbage: NaN where a float is, random actions and flags elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    padded = torch.arange(batch.max_seq_length) > batch.lengths[:, None]  # [B, T]
    data = {}
    for key, value in batch.data.items():
        data[key] = value.clone()
        if value.is_floating_point():
            data[key][padded] = float("nan")
        else:
            high = 2 if value.dtype == torch.bool else 5
            data[key][padded] = torch.randint(high, data[key][padded].shape, generator=generator).to(value.dtype)
    return EpisodeBatch(
        batch.scheme, batch.groups, batch.batch_size, batch.max_seq_length, batch.preprocess, data=data,
        lengths=batch.lengths,
    )  # fmt: skip


def gradients(learner: Any) -> dict[str, torch.Tensor]:
    """Return name -> gradient of every parameter that has one; its network's file comes first: "agent." or "mixer."."""
    parts = {file.removesuffix("th"): part for file, part in learner.files().items() if isinstance(part, nn.Module)}
    named = {f"{part}{name}": p for part, net in parts.items() for name, p in net.named_parameters()}
    return {name: p.grad for name, p in named.items() if p.grad is not None}
