"""docs/porting.md: its tables are up to date, its lists those of the checkouts, its learner the same before and after.

Each checkout that an environment variable names (PYMARL_DIR, PYMARL2_DIR, EPYMARL_DIR) is gone through.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from docs_kit import files_shown
from learner_kit import SMALL, flat_config, make_batch, train
from pymarl import main
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.run.check import check
from pymarl.run.config import Classes
from pymarl.run.foreign import take_foreign
from pymarl.run.parts import build, build_mac
from pymarl.tools import porting
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge
from run_kit import read, run_folders

TEXT = porting.OUT.read_text()
FILES = files_shown(porting.OUT)
PLACES = {"run": "run", "runner": "runners", "mac": "controllers", "agent": "modules/agents", "learner": "learners",
          "critic": "modules/critics", "action_selector": "components/action_selectors.py", "env": "envs"}  # fmt: skip
"""Config key -> where in src the registry of its names is."""
KEYS = {"lr": 0.01, "mixer": "vdn", "optimizer": "rmsprop", "target_update_interval": 200, "omega": 3.0,
        "learner": "mellow:MellowLearner", "rnn_hidden_dim": 8}  # fmt: skip
each_checkout = pytest.mark.parametrize("project", porting.projects())


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setitem(sys.modules, name[:-3], ModuleType(name[:-3]))  # so that each test imports its own
        del sys.modules[name[:-3]]
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_the_tables_are_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "porting.md"
    assert porting.main(["--out", str(written)]) == 0
    assert written.read_text() == TEXT, "run python src/tools/porting.py"
    for name, make in porting.MAKE.items():
        assert len(list(make())) > 4, name
        assert f"<!-- table: {name} -->" in TEXT
    assert porting.main(["--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_name_is_what_the_program_takes_it_for() -> None:
    assert porting.meaning("agent", "rnn") == ""
    assert porting.meaning("agent", "central_rnn") == "`central_agent=central_rnn`"
    assert porting.meaning("mac", "conv_mac") == "`mac=basic_mac`"
    assert porting.meaning("mixer", "qmix") == "beside `learner=nq_learner` `mixer=nmix`, else the same"
    assert porting.meaning("run", "per_run") == "`run=default`, `buffer=prioritized`"
    assert porting.meaning("env", "gfootball") == "not here, `env=module:Class` may take its class"
    layers = merge("qmix", "stag_hunt", {"seed": 1, "run": "per_run"})
    take_foreign(layers)
    assert (layers.values["run"], layers.values["buffer"]) == ("default", "prioritized")


def checkout_of(project: str) -> Path:
    variable = porting.projects()[project]["checkout"]
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout")
    return Path(os.environ[variable], "src")


@each_checkout
def test_the_lists_are_those_of_the_checkout(project: str) -> None:
    src, listed = checkout_of(project), porting.projects()[project]
    for kind in ("algs", "envs"):
        assert listed[kind] == sorted(path.stem for path in (src / "config" / kind).glob("*.yaml"))
    parts = {}
    for key, place in PLACES.items():
        file = src / place if place.endswith(".py") else src / place / "__init__.py"
        names = re.findall(r'^\s*REGISTRY\["(\w+)"\]', file.read_text(), re.MULTILINE) if file.exists() else []
        parts |= {key: names} if names else {}
    code = "".join(path.read_text() for path in (src / "learners").glob("*.py"))
    for key in ("mixer", "central_mixer"):
        if names := sorted(set(re.findall(rf'args\.{key} == "(\w+)"', code))):
            parts[key] = names
    assert {key: sorted(names) for key, names in listed["parts"].items()} == {
        key: sorted(n) for key, n in parts.items()
    }


@each_checkout
def test_its_files_load_and_those_of_envs_that_are_not_here_are_refused(project: str) -> None:
    src, listed = checkout_of(project), porting.projects()[project]
    for kind in ("algs", "envs"):
        for path in sorted((src / "config" / kind).glob("*.yaml")):
            alg, env = (str(path), "stag_hunt") if kind == "algs" else (None, str(path))
            layers = merge(alg, env, {"seed": 1, "env_args": listed.get("open", {}).get(path.stem, {})})
            if f"`{path.stem}`, of an env that is not here" in TEXT:
                with pytest.raises(UserError, match=f"unknown env '{path.stem}'"):
                    check(layers)
            else:
                take_foreign(layers)
                check(layers)


class TheirMAC(BasicMAC):
    """With what PyMARL's has beside ours."""

    def load_state(self, other: BasicMAC) -> None:
        self.agent.load_state_dict(other.agent.state_dict())


class TheirVDN(torch.nn.Module):
    def __init__(self, args: Any) -> None:
        super().__init__()

    def forward(self, qs: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        return qs.sum(2, keepdim=True)


def both_learners(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return the page's learner before and after, of the same weights."""
    flat = flat_config("vdn", seed=1) | KEYS
    classes, device = Classes.of(flat), torch.device("cpu")
    macs = []
    for mac in (TheirMAC, BasicMAC):
        torch.manual_seed(0)
        macs.append(build_mac(flat, dataclasses.replace(classes, mac=mac), SMALL, 1, device))
    after = build(classes.learner, flat, macs[1], SMALL, torch.Generator(),
                  mixer=build(classes.networks["mixer"], flat, SMALL))  # fmt: skip
    import mellow_before

    monkeypatch.setattr(mellow_before, "mixer_REGISTRY", {"vdn": TheirVDN})
    logged: dict[str, float] = {}
    logger = SimpleNamespace(log_stat=lambda key, value, t_env: logged.update({key: value}))
    before = mellow_before.MellowLearner(macs[0], None, logger, SimpleNamespace(**flat))
    before.logged = logged
    return before, after


def pymarls(batch: EpisodeBatch) -> EpisodeBatch:
    """Return a batch whose actions and masks have the types of PyMARL's."""
    return batch.replaced(actions=batch["actions"].long(), avail_actions=batch["avail_actions"].int())


def test_the_learner_of_the_page_is_the_same_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = both_learners(monkeypatch)
    for number, episode in enumerate((0, 250, 300)):  # the targets follow once
        batch = make_batch([5, 3, 8], seed=number)
        before.train(pymarls(batch), 100 * number, episode)
        metrics = train(after, batch, 100 * number, episode).metrics
        assert metrics["loss_td"].item() == pytest.approx(before.logged["loss"], rel=1e-4)
        assert metrics["grad_norm"].item() == pytest.approx(before.logged["grad_norm"], rel=1e-4)
    pairs = zip(before.mac.parameters(), after.mac.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs)
    targets = zip(before.target_mac.parameters(), after.target_mac.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in targets)


def test_it_takes_20_lines() -> None:
    texts = ([line.strip() for line in FILES[name].splitlines()] for name in ("mellow_before.py", "mellow.py"))
    new = [line for line in difflib.ndiff(*texts) if line.startswith("+ ") and line[2:]]
    assert 10 < len(new) <= 20, new


def test_it_trains(tmp_path: Path) -> None:
    words = ["--config=vdn", "--env-config=one_step_matrix_game", "with", "learner=mellow:MellowLearner", "omega=5.0",
             "seed=1", "t_max=120", "batch_size=8", "buffer_size=32", "batch_size_run=4", "test_nepisode=2",
             "rnn_hidden_dim=8", "learner_log_interval=1"]  # fmt: skip
    assert main.main(words) == 0
    assert len(read(run_folders(tmp_path)[0], "info.json")["loss_td"]) > 3
