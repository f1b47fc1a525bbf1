"""Folders that other projects' methods write: they train on, and what has no file, or another one, starts anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from learner_kit import SMALL, flat_config, make_batch, make_learner
from pymarl.components.buffers.buffer import Sample
from pymarl.learners.optimisers import make_optimiser
from pymarl.run.config import RunConfig
from pymarl.run.parts import load_networks
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError

KEYS = {"rnn_hidden_dim": 8, "critic_hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6}
LACKING = {  # what their folders do not hold, what starts anew with it
    "ippo": (["critic.th", "value_stats.th"], ["agent_opt.th", "critic.th", "value_stats.th"]),
    "riit": (["critic.th", "agent_opt.th", "critic_opt.th"], ["agent_opt.th", "critic.th", "critic_opt.th"]),
    "epymarl/pac_ns": (["state_value.th"], ["agent_opt.th", "critic_opt.th", "state_value.th"]),
    "dop": ([], ["critic_opt.th"]),
}


def written(alg: str, directory: Path) -> tuple[Any, dict[str, Any]]:
    """Return the learner that wrote a folder as PyMARL2 or EPyMARL would have, and its keys."""
    flat = flat_config(alg, seed=1, **KEYS)
    writer = make_learner(flat)
    batch = make_batch([5, 3], SMALL)
    writer.train(Sample(batch=batch, replayed=batch if alg in ("dop", "riit") else None), 0, 0)
    writer.save_models(directory)
    for name in LACKING[alg][0]:
        (directory / name).unlink()
    if alg == "riit":
        torch.save(make_optimiser_of(writer.mac.agent).state_dict(), directory / "opt.th")
    if alg == "dop":
        for name in ("critic", "mixer"):
            torch.save(make_optimiser_of(getattr(writer, name)).state_dict(), directory / f"{name}_opt.th")
    return writer, flat


def make_optimiser_of(network: nn.Module) -> Any:
    params = list(network.parameters())
    return make_optimiser("rmsprop", params, lr=0.1, weight_decay=0.0, alpha=0.99, eps=1e-5, clip=1.0)


@pytest.mark.parametrize("alg", LACKING)
def test_it_trains_on(alg: str, tmp_path: Path) -> None:
    writer, flat = written(alg, tmp_path)
    reader = make_learner(flat, seed=9)
    config = build_config(RunConfig, flat | {"checkpoint_path": str(tmp_path)}, {})
    told = load_networks(reader, flat, config, SMALL, tmp_path)
    missing, anew = LACKING[alg]
    assert told.endswith("start anew")
    assert all(name in told for name in anew)
    expected = "has no" if missing else f"was not written by learner={flat['learner']!r}: "
    assert f"{tmp_path} {expected}" in told
    for name in ("mac.agent", *(["mixer"] if alg in ("riit", "dop") else [])):
        pairs = zip(writer.get_submodule(name).parameters(), reader.get_submodule(name).parameters(), strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    assert sorted(reader.load_models(tmp_path)) == anew


@pytest.mark.parametrize(("alg", "name"), [("coma", "critic.th"), ("happo", "critic.th"), ("epymarl/ia2c", "critic.th"),
                                           ("dop", "critic.th"), ("dop", "agent_opt.th")])  # fmt: skip
def test_what_others_write_too_may_not_be_missing(alg: str, name: str, tmp_path: Path) -> None:
    learner = make_learner(flat_config(alg, **KEYS))
    learner.save_models(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name}: no such file"):
        learner.load_models(tmp_path)
