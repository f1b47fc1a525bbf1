"""Agents, mixers, selectors and envs written for PyMARL run as they are; a mistake is one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import run_kit
from learner_kit import SMALL, flat_config, make_batch, train
from pymarl import main
from pymarl.learners.value_learner import ValueLearner
from pymarl.modules.foreign import same
from pymarl.run.check import check
from pymarl.run.config import Classes
from pymarl.run.foreign import take_foreign
from pymarl.run.parts import build, build_mac, pymarl_args
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge
from pymarl.utils.pymarl_args import _read_in

THEIRS = "written_for_pymarl"
NAMES = {f"{layer}.{part}" for layer in ("fc1", "fc2") for part in ("weight", "bias")}
NAMES |= {f"rnn.{part}_{of}" for part in ("weight", "bias") for of in ("ih", "hh")}
JOB = ["--config=qmix", "with", "env=meeting:Meeting", "env_args.length=5", "t_max=80", "batch_size=4", "seed=1",
       "buffer_size=16", "batch_size_run=1", "runner=episode", "test_nepisode=2", "rnn_hidden_dim=8",
       "learner_log_interval=1", "epsilon_anneal_time=50"]  # fmt: skip
PARTS = [f"agent={THEIRS}:TeamsAgent", f"mixer={THEIRS}:GatedSum", f"action_selector={THEIRS}:Softmax", "gate_width=4",
         "team_share=0.25"]  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "extension"))
    monkeypatch.chdir(tmp_path)


def learner_of(**keys: Any) -> ValueLearner:
    """Return a learner with these parts, as a run builds it."""
    flat = flat_config("qmix", seed=1, rnn_hidden_dim=8, gate_width=4, test_greedy=True) | keys
    classes, device = Classes.of(flat), torch.device("cpu")
    torch.manual_seed(0)
    mac = build_mac(flat, classes, SMALL, 1, device)
    mixer = build(classes.networks["mixer"], flat, SMALL, pymarl=pymarl_args(flat, classes, SMALL, device))
    learner: ValueLearner = build(classes.learner, flat, mac, SMALL, torch.Generator(), mixer=mixer)
    return learner


def test_all_kinds_train_in_one_run_that_repeats_itself_and_play_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*JOB, *PARTS, "save_model=True", "save_model_interval=30"]) == 0
    whole = run_kit.numbers(run_kit.run_folders(tmp_path)[0])
    assert "does not read" not in capsys.readouterr().err
    assert len(whole["loss_td"]) > 5
    newest = max(run_kit.models(tmp_path).glob("[0-9]*"), key=lambda path: int(path.name))
    assert set(torch.load(newest / "agent.th", weights_only=True)) == NAMES
    assert {name.split(".")[0] for name in torch.load(newest / "mixer.th", weights_only=True)} == {"gate", "value"}
    assert main.main([*JOB, *PARTS, f"checkpoint_path={newest.parent}", "evaluate=True"]) == 0
    (tmp_path / "again").mkdir()
    assert main.main([*JOB, *PARTS, "local_results_path=again"]) == 0
    assert run_kit.numbers(run_kit.run_folders(tmp_path / "again")[0])["loss_td"] == whole["loss_td"]


def test_an_agent_of_the_same_layers_learns_and_saves_as_ours() -> None:
    theirs, ours = learner_of(agent=f"{THEIRS}:RowsAgent"), learner_of(agent="rnn")
    assert set(theirs.mac.agent.state_dict()) == NAMES
    ours.mac.agent.load_state_dict(theirs.mac.agent.state_dict())
    theirs.load_state_dict(ours.state_dict())  # and back, inside of all the rest
    batch = make_batch([5, 3, 8])
    for episode in (0, 300):  # then the targets follow
        told = [train(learner, batch, 0, episode).metrics for learner in (theirs, ours)]
        torch.testing.assert_close(told[0], told[1])
    for learner in (theirs, ours):
        assert set(learner.files()) == set(ours.files())
    pairs = zip(theirs.mac.parameters(), ours.mac.parameters(), strict=True)
    assert all(same(a, b) for a, b in pairs)


@pytest.mark.parametrize(("agent", "of_teams"), [("RowsAgent", False), ("TeamsAgent", True), ("AttendingAgent", True)])
def test_the_inputs_that_an_agent_takes_are_found_out(agent: str, of_teams: bool) -> None:
    """An attention takes both, and would let episodes see each other if its inputs were not of teams."""
    learner = learner_of(agent=f"{THEIRS}:{agent}", mixer=f"{THEIRS}:Sum")
    batch = make_batch([5, 3, 8])
    outputs = learner.mac.unroll(batch)
    assert outputs.shape == (3, 9, SMALL.n_agents, SMALL.n_actions)
    torch.testing.assert_close(outputs[1:2, :4], learner.mac.unroll(batch[1:2, :4]))
    dims: list[int] = []
    learner.mac.agent.network.register_forward_pre_hook(lambda _, given: dims.append(given[0].dim()))
    learner.mac.init_hidden(3)
    steps = torch.stack([learner.mac.forward(batch, t) for t in range(4)], dim=1)
    torch.testing.assert_close(outputs[:, :4], steps)
    assert dims == [2 + of_teams] * 4


def test_a_mixer_gets_each_rows_values_and_state() -> None:
    learner = learner_of(mixer=f"{THEIRS}:GatedSum")
    assert learner.mixer is not None
    batch = make_batch([5, 3])
    rows = learner.rows(batch)
    value = learner.value(rows).value
    picked = rows.q.gather(-1, rows.actions.unsqueeze(-1)).squeeze(-1)
    expected = learner.mixer.network(picked[None], rows.state[None])[0]  # all rows as one episode's
    torch.testing.assert_close(value, expected)
    assert train(learner, batch, 0, 0).metrics["grad_norm"] > 0
    target = learner.target_mixer
    assert target is not None
    assert target.network is not learner.mixer.network


def test_keys_under_another_name_are_found_under_both() -> None:
    layers = merge("epymarl/qmix", None, {"seed": 1, "agent": f"{THEIRS}:RowsAgent", "mixer": f"{THEIRS}:GatedSum"})
    layers.add({"hidden_dim": 24, "gate_width": 2}, "with")
    take_foreign(layers)
    classes = Classes.of(layers.values)
    args = pymarl_args(layers.values, classes, SMALL, torch.device("cpu"))
    assert args is not None
    assert (args.rnn_hidden_dim, args.gate_width) == (24, 2)
    assert {name: vars(args)[name] for name in SMALL.sizes()} == SMALL.sizes()
    assert (args.device, args.use_cuda, getattr(args, "team_share", 0.5)) == ("cpu", False, 0.5)


EXTRA = """
import torch as th
import torch.nn as nn
from written_for_pymarl import RowsAgent, GatedSum, Softmax

class ReadsGain(RowsAgent):
    def __init__(self, input_shape, args):
        super().__init__(input_shape, args)
        self.gian = args.gian

class Three(RowsAgent):
    def forward(self, inputs, hidden_state):
        q, h = super().forward(inputs, hidden_state)
        return q, q.sum(-1), h

class OverTime(GatedSum):
    def forward(self, agent_qs, states):
        return super().forward(agent_qs, states) + agent_qs.mean((1, 2), keepdim=True)

class NeedsMore(GatedSum):
    def forward(self, agent_qs, states, actions):
        return super().forward(agent_qs, states)

class First(Softmax):
    def select_action(self, agent_inputs, avail_actions, t_env, test_mode=False):
        return th.full(avail_actions.shape[:2], avail_actions.shape[2] - 1)

class HiddenDim(RowsAgent):
    def __init__(self, input_shape, args):
        super().__init__(input_shape, args)
        self.width = args.hidden_dim
"""


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"agent": "extra:ReadsGain"}, "agent='extra:ReadsGain' cannot be built as in PyMARL, ReadsGain(15, args): "
         "MissingKey: args.gian: this run has no such key; did you mean 'gain'?; write gian=VALUE in your YAML"),
        ({"agent": "extra:Three"}, "agent='extra:Three' cannot be called as in PyMARL, q, h = agent(inputs, "
         "hidden_state); with inputs [B * N, E]: ValueError: too many values to unpack"),
        ({"mixer": "extra:OverTime"}, "mixer='extra:OverTime' mixes the steps of an episode, and here a mixer gets"),
        ({"mixer": "extra:NeedsMore"}, "cannot be called as in PyMARL, mixer(agent_qs [2, 3, 3], states [2, 3, 9]): "
         "TypeError"),
        ({"mixer": f"{THEIRS}:Softmax"}, "expected a class derived from pymarl.modules.mixers.mixer.BaseMixer"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    keys: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_kit.own_module(tmp_path, monkeypatch, "extra", EXTRA)
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        learner_of(**keys)
    assert "\n" not in str(caught.value)


def test_a_slip_in_a_key_of_their_own_is_told_its_name() -> None:
    """What the sources of a class read of args is known; anything else is not."""
    parts = {"seed": 1, "agent": f"{THEIRS}:TeamsAgent", "mixer": f"{THEIRS}:GatedSum", "gate_width": 4}
    assert check(merge("qmix", "stag_hunt", parts | {"team_share": 0.25})) == []
    with pytest.raises(UserError, match="unknown key 'gate_widht'; did you mean 'gate_width'"):
        check(merge("qmix", "stag_hunt", parts | {"gate_widht": 4}))


def test_a_key_of_ours_stands_for_epymarls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_kit.own_module(tmp_path, monkeypatch, "extra", EXTRA)
    network = learner_of(agent="extra:HiddenDim").mac.agent.network
    assert isinstance(network, nn.Module)
    assert (network.width, network.fc1.out_features) == (8, 8)


def test_an_unavailable_choice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_kit.own_module(tmp_path, monkeypatch, "extra", EXTRA)
    words = ["--config=qmix", "--env-config=skirmish", "with", "env_args.map_name=3m", "batch_size_run=1", "seed=1"]
    assert main.main([*words, "action_selector=extra:First"]) == 1
    assert "action_selector=First chose an action that is not available" in capsys.readouterr().err


def test_calls_that_name_no_key_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text("getattr(*pair)\nhasattr(args, name)\ngetattr(self.args, 'lr', 0)\nargs.gamma\n")
    assert set(_read_in(file)) == {"lr", "gamma"}
