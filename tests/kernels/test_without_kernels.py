"""Without the folder of kernels the program is slower and equal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, sys
import torch
import learner_kit as kit
import pymarl
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.envs.specs import Block, EntityLayout
from pymarl.utils.compiled import kernels

blocks = (Block("move", 1, 4), Block("enemies", 3, 5), Block("allies", 2, 5), Block("own", 1, 1))
info = EnvInfo(
    n_agents=3, n_actions=9, obs_shape=30, state_shape=48, episode_limit=20,
    entity_layout=EntityLayout(obs=blocks, state=(Block("state", 1, 48),), first_target=6),
)
results = {"kernels": kernels is not None}
for config in ("qmix", "vdn", "hpn_qmix"):
    learner = kit.make_learner(kit.flat_config(config), info)
    batch = kit.make_batch([20, 3, 11, 20, 7, 15], info)
    for update in range(3):
        result = kit.train(learner, batch, 0, 1)
    results[config] = result.read() | {name: float(p.double().abs().sum()) for name, p in learner.named_parameters()}
    learner.mac.init_hidden(batch.batch_size)
    results[config] |= {f"act {t}": learner.mac.forward(batch, t).abs().sum().item() for t in range(3)}
print(json.dumps(results))
"""


def run(source: Path) -> dict[str, dict[str, float]]:
    path = os.pathsep.join([str(source), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_fault_of_the_kernels_is_no_missing_folder(tmp_path: Path) -> None:
    """Numba that cannot be imported although it is there, as with a NumPy that is too new for it."""
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.2 or less')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    program = "import pymarl; from pymarl.utils.compiled import kernels; print(kernels)"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Numba needs NumPy 2.2 or less" in done.stderr


def test_losses_weights_and_outputs_are_the_same(tmp_path: Path) -> None:
    without = tmp_path / "src"
    shutil.copytree(ROOT / "src", without, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(without / "kernels")
    ours, plain = run(ROOT / "src"), run(without)
    assert ours.pop("kernels")
    assert not plain.pop("kernels")
    for config, numbers in ours.items():
        for name, number in numbers.items():
            assert number == pytest.approx(plain[config][name], rel=1e-5, abs=1e-7), (config, name)
