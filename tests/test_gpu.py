"""What only a GPU can show; tests/learners/test_waiting.py has the rest on a stand-in."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learner_kit import SMALL, flat_config, gradients, make_batch, make_learner, spoil_padding, td_learners, train
from pymarl import main
from pymarl.components.buffers.buffer import Clock, Sample
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.modules.agents import REGISTRY as AGENTS
from pymarl.run.parts import choose_device
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError
from run_kit import SMALL_HUNT, models, read, run_folders

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
LENGTHS = [5, 1, 8, 3]


@pytest.fixture(autouse=True)
def _as_in_a_run() -> None:
    if torch.cuda.is_available():
        choose_device(True, None)  # type: ignore[arg-type]


@contextmanager
def waits(mode: str) -> Iterator[list[Any]]:
    """Let torch name, or forbid ("error"), what waits for the GPU."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode(mode)
        try:
            yield seen
        finally:
            torch.cuda.set_sync_debug_mode("default")


def pair(learner: str = "nq_learner", mixer: str | None = "nmix", **keys: Any) -> tuple[Any, Any]:
    """Return the same learner on the CPU and on the GPU."""
    flat = flat_config("qmix", rnn_hidden_dim=32) | {"learner": learner, "mixer": mixer} | keys
    return make_learner(flat), make_learner(flat, device="cuda")


@pytest.mark.parametrize(("learner", "mixer"), td_learners())
def test_updates_are_those_of_the_cpu_and_wait_for_nothing(learner: str, mixer: str | None) -> None:
    flat = flat_config() | {"abs": True, "hypernet_layers": 2, "td_lambda": 0.6, "q_lambda": False}
    keys = {key: value for key, value in flat.items() if key not in flat_config("qmix")}
    here, there = pair(learner, mixer, **keys)
    for seed in range(4):
        batch = spoil_padding(make_batch(LENGTHS, seed=seed))
        with waits("default" if seed == 0 else "error") as seen:  # what the first allocates may wait
            told = there.train(Sample(batch=batch).to(there.device), seed, seed)
        assert not [each for each in seen if "single contiguous chunk" in str(each.message)]
        expected = train(here, batch, seed, seed)
        assert told.read() == pytest.approx(expected.read(), rel=1e-2, abs=1e-3)
        assert told.priorities.tolist() == pytest.approx(expected.priorities.tolist(), rel=1e-2, abs=1e-3)
        if seed == 0:  # later weights differ, by as much as Adam makes of rounding
            for name, gradient in gradients(there).items():
                torch.testing.assert_close(gradient.cpu(), gradients(here)[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", AGENTS)
def test_unrolls_are_those_of_the_cpu(name: str) -> None:
    here, there = pair(agent=name, use_layer_norm=True)
    batch = make_batch(LENGTHS)
    outputs = there.mac.unroll(batch.to("cuda"))
    torch.testing.assert_close(outputs.cpu(), here.mac.unroll(batch), rtol=1e-4, atol=1e-5)
    if name in {"rnn", "n_rnn"}:
        cell = there.mac.agent.rnn
        assert len({weight.untyped_storage().data_ptr() for weight in cell.parameters()}) == 1


@pytest.mark.parametrize("rows", [slice(None), np.array([0, 2])])
def test_an_acting_step_waits_once_and_chooses_as_the_cpu(rows: Any) -> None:
    here, there = pair()
    batch = make_batch([8] * 4)
    for learner in (here, there):
        learner.mac.init_hidden(4)
    for t in range(5):
        with waits("warn" if t > 1 else "default") as seen:
            chosen = there.mac.select_actions(batch, t, 0, rows, test_mode=True)
        assert len([each for each in seen if "called a synchronizing" in str(each.message)]) == (t > 1)
        assert chosen.tolist() == here.mac.select_actions(batch, t, 0, rows, test_mode=True).tolist()


def test_a_nan_stops_the_run_and_leaves_the_networks() -> None:
    _, there = pair()
    batch = make_batch(LENGTHS).to("cuda")
    train(there, batch, 10, 0)
    before = [weight.clone() for weight in there.mac.parameters()]
    broken = make_batch(LENGTHS)
    broken.data["reward"][0, 0] = math.nan
    train(there, broken.to("cuda"), 20, 0)
    with pytest.raises(UserError, match=r"loss_td=nan at t_env=20"):
        train(there, batch, 30, 0)
    assert all(torch.equal(ours, old) for ours, old in zip(there.mac.parameters(), before, strict=True))


@pytest.mark.parametrize("kept", ["cpu", "cuda"])
def test_samples_are_those_of_the_cpu(kept: str) -> None:
    batch = make_batch(LENGTHS)
    config = build_config(ReplayBuffer.Config, flat_config(batch_size=3, buffer_size=9), {})

    def sample(device: str, sample_device: str) -> Any:
        args = (batch.scheme, batch.groups, SMALL.episode_limit + 1, batch.preprocess, np.random.default_rng(0))
        buffer = ReplayBuffer(config, *args, device=device, sample_device=sample_device)
        for _ in range(3):
            buffer.insert_episode_batch(batch)
            (drawn,) = buffer.samples(Clock(0, 4))
        return drawn.batch

    ours, theirs = sample("cpu", "cpu"), sample(kept, "cuda")
    assert ours.lengths.tolist() == theirs.lengths.tolist()
    for key, value in ours.data.items():
        assert theirs.data[key].is_cuda
        assert torch.equal(theirs.data[key].cpu(), value), key


@pytest.mark.parametrize("cpu_only", [True, False])
@pytest.mark.parametrize("more", [(), ("use_per=True", "updates_per_collect=2"), ("rollout_steps=15",)])
def test_a_run_trains_and_goes_on(
    cpu_only: bool, more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*SMALL_HUNT, "use_cuda=True", f"buffer_cpu_only={cpu_only}", *more]
    assert main.main(words) == 0
    token = models(tmp_path)
    assert main.main([*words, f"resume={token}", "load_step=600"]) == 0
    assert main.main([*words, f"checkpoint_path={token}", "evaluate=True", "use_cuda=False"]) == 0
    for folder in run_folders(tmp_path)[:2]:
        assert json.loads((folder / "run.json").read_text())["status"] == "COMPLETED"
        assert all(map(math.isfinite, read(folder, "info.json")["loss_td"]))
