"""Whole runs through main.py: what they write, how they end, and that resuming equals never stopping."""

from __future__ import annotations

import json
import re
import shlex
import signal
from pathlib import Path

import pytest
import torch

from pymarl.envs.adapter import constructor_seeds
from pymarl.utils.checkpoint import steps_in
from run_kit import (
    SMALL_HUNT,
    called_from,
    kill_and_resume,
    models,
    numbers,
    read,
    run_folders,
    run_main,
    start_main,
    untimed,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was never stopped."""
    directory = tmp_path_factory.mktemp("whole")
    code, _, err = run_main(directory, *SMALL_HUNT, "use_tensorboard=True")
    assert code == 0, err
    return directory


def test_a_run_writes_everything_and_completes(whole: Path) -> None:
    folder = run_folders(whole)[0]
    assert folder.relative_to(whole / "results").parts[:3] == ("sacred", "stag_hunt", "qmix_env=8_adam_td_lambda")
    assert read(folder, "run.json")["status"] == "COMPLETED"
    assert read(folder, "config.json")["seed"] == 3
    info = read(folder, "info.json")
    for key in ("return_mean", "test_return_mean", "ep_length_mean", "test_ep_length_mean", "loss_td", "grad_norm",
                "td_error_abs", "q_taken_mean", "target_mean", "epsilon", "episode", "gradient_steps", "steps_per_s",
                "steps_per_s_collect", "steps_per_s_test", "updates_per_s", "memory_gib"):  # fmt: skip
        assert len(info[key]) == len(info[f"{key}_T"]) > 0, key
    assert info["return_mean"] == read(folder, "metrics.json")["return_mean"]["values"]
    assert "Recent Stats" in (folder / "cout.txt").read_text()
    (board,) = (whole / "results" / "tb_logs").iterdir()
    token = models(whole).name
    assert board.name == token.replace("td_lambda__", "td_lambda__seed3__").replace("qmix_env", "stag_hunt__qmix_env")
    assert list(board.glob("events.*"))
    checkpoints = steps_in(models(whole))
    assert {(models(whole) / str(t)).stat().st_mode for t in checkpoints} == {models(whole).stat().st_mode}
    assert [(models(whole) / str(t) / "buffer.pt").exists() for t in checkpoints] == [False, False, False, True]


def test_a_run_says_what_it_is_and_what_came_of_it(whole: Path) -> None:
    folder, token = run_folders(whole)[0], models(whole)
    run, said = read(folder, "run.json"), (folder / "cout.txt").read_text()
    assert run["models"] == str(token)
    assert json.loads((token / "runs.json").read_text()) == [{"run": str(folder), "from": None}]
    assert run["command_line"] == shlex.join(["python", "src/main.py", *SMALL_HUNT, "use_tensorboard=True"])
    assert run["versions"]["torch"] == torch.__version__
    assert {"commit", "dirty", "machine"} <= run.keys()
    assert "qmix_env=8_adam_td_lambda on stag_hunt, seed 3 (CPU, 1 thread)" in said
    assert f"run folder {folder.relative_to(whole)}\n" in said
    assert said.count("left, at ") == 1
    end = said[said.index("Finished Training: ") :]
    steps = max(steps_in(token))
    assert re.search(rf"Finished Training: {steps:,} env steps in \d+ s\n", end)
    assert re.search(r"last test  return [\d.]+ in 6 episodes, at 1,200\n  best test  return [\d.]+ in 6 ", end)
    assert f"networks   {(token / str(steps)).relative_to(whole)}\n" in end
    assert f"evaluate   {called_from(whole, 'evaluate.py')} {token.relative_to(whole)}\n" in end
    table = said[said.index("Recent Stats") :].partition("\n")[2].partition("[INFO")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "loss_td:" in table
    assert "grad_norm:" not in table  # console_table=short


def test_resume_equals_never_stopping(whole: Path, tmp_path: Path) -> None:
    """Run 2N; run N, kill -9, resume: the same numbers and the same weights, bit for bit."""
    token = kill_and_resume(tmp_path, (*SMALL_HUNT, "keep_checkpoints=2"), 1200)
    assert numbers(run_folders(tmp_path)[-1]) == numbers(run_folders(whole)[0])
    assert untimed(run_folders(tmp_path)[-1]) == untimed(run_folders(whole)[0])
    assert len(steps_in(token)) == 2
    last = max(steps_in(models(whole)))
    for name in ("agent.th", "mixer.th"):
        ours = torch.load(models(whole) / str(last) / name)
        theirs = torch.load(token / str(last) / name)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


FORAGING = (
    "--config=iql", "--env-config=gymma", "with", "seed=5", "t_max=800", "batch_size_run=4", "batch_size=8",
    "buffer_size=30", "rnn_hidden_dim=16", "env_args.time_limit=12", "test_interval=200", "test_nepisode=4",
    "log_interval=200", "runner_log_interval=100", "learner_log_interval=100", "save_model=True",
    "save_model_interval=200", "use_per=True", "env_workers=2",
)  # fmt: skip


@pytest.mark.nightly
def test_resume_is_exact_with_workers_and_priorities(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert run_main(whole, *FORAGING)[0] == 0
    kill_and_resume(broken, FORAGING, 800)
    assert numbers(run_folders(broken)[-1]) == numbers(run_folders(whole)[0])


@pytest.mark.nightly
def test_resume_in_the_midst_of_episodes(tmp_path: Path) -> None:
    """Pieces: episodes under way are played again up to where they stood, in workers; PQN does it in a native env."""
    words = (*FORAGING, "rollout_steps=5")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    code, _, err = run_main(whole, *words)
    assert code == 0, err
    assert "begins anew" not in err
    kill_and_resume(broken, words, 800)
    assert numbers(run_folders(broken)[-1]) == numbers(run_folders(whole)[0])
    seen = numbers(run_folders(whole)[0])
    assert seen["gradient_steps"][-1] > 3


def test_another_seed_is_another_run(whole: Path, tmp_path: Path) -> None:
    assert run_main(tmp_path, *SMALL_HUNT, "seed=4", "t_max=300", "save_model=False", "save_final=False")[0] == 0
    assert not list((tmp_path / "results" / "models").iterdir())
    ours, theirs = numbers(run_folders(whole)[0])["return_mean"], numbers(run_folders(tmp_path)[0])["return_mean"]
    assert ours[: len(theirs)] != theirs


def test_resume_refuses_another_config(whole: Path) -> None:
    before = run_folders(whole)
    code, _, err = run_main(whole, *SMALL_HUNT, "lr=0.5", f"resume={models(whole)}")
    assert code == 1
    assert "resume: lr=0.5, but the run had 0.001" in err
    assert run_folders(whole) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.nightly)])
def test_a_signal_saves_and_is_recorded(tmp_path: Path, number: signal.Signals) -> None:
    process = start_main(tmp_path, *SMALL_HUNT, "t_max=10000000", "save_model=False")
    try:
        while "Recent Stats" not in (process.stdout.readline() if process.stdout else "Recent Stats"):
            assert process.poll() is None
        for _ in range(3 if number == signal.SIGHUP else 1):  # a terminal that is closed sends more than one
            process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    (folder,) = run_folders(tmp_path)
    assert read(folder, "run.json")["status"] == "INTERRUPTED"
    (step,) = steps_in(models(tmp_path))
    assert (models(tmp_path) / str(step) / "run.pt").exists()


def test_evaluate_writes_a_row_per_episode(whole: Path, tmp_path: Path) -> None:
    words = (*SMALL_HUNT, f"checkpoint_path={models(whole)}", "evaluate=True")
    code, out, err = run_main(tmp_path, *words)
    assert code == 0, err
    folder = run_folders(tmp_path)[-1]
    rows = read(folder, "evaluation.json")
    assert len(rows) == 6
    assert len({row["seed"] for row in rows}) == 6
    assert all(row["length"] <= 30 for row in rows)
    assert (folder / "evaluation.csv").read_text().count("\n") == 7
    assert read(folder, "info.json")["test_return_mean"] == [sum(row["return"] for row in rows) / 6]
    assert "bootstrap 95% interval over 6 episodes" in out
    again, _, _ = run_main(tmp_path, *words)
    assert again == 0
    assert read(run_folders(tmp_path)[-1], "evaluation.json") == rows


SMALL_WALK = (
    "--config=qmix", "with", "seed=3", "t_max=60", "batch_size_run=2", "batch_size=2", "buffer_size=12",
    "rnn_hidden_dim=16", "test_nepisode=2", "save_model=True", "max_restarts=1",
)  # fmt: skip
WITH_FAKES = {"PYTHONPATH": str(Path(__file__).parents[1])}


def test_an_evaluation_that_ends_early_keeps_what_it_has_played(tmp_path: Path) -> None:
    words = (*SMALL_WALK, "env=fake_envs:Fragile", "env_args.whole=3", "env_args.at=1")
    code, _, err = run_main(tmp_path, *words, "env_args.breaks=0", **WITH_FAKES)
    assert code == 0, err
    evaluation = (f"checkpoint_path={models(tmp_path)}", "save_replay=True", "test_nepisode=20", "env_args.breaks=9")
    code, out, err = run_main(tmp_path, *words, *evaluation, **WITH_FAKES)
    assert code == 1
    assert "an episode could not be played to its end, with max_restarts=1" in err
    assert "6 of 20 episodes were played" in out + err
    folder, replays = run_folders(tmp_path)[-1], list((tmp_path / "results" / "replays").iterdir())
    assert len(read(folder, "evaluation.json")) == 6
    assert len(replays) == 2
    assert read(folder, "info.json")["env_restarts"] == [4]
    assert "test_return_mean" not in read(folder, "info.json")
    assert read(folder, "run.json")["status"] == "FAILED"
    assert sorted(read(folder, "run.json")["artifacts"]) == sorted(map(str, replays))
    assert list(folder.glob("*.txt")) == [folder / "cout.txt"], "replays are stored once"


def test_replays_beside_one_that_cannot_be_saved_are_kept(tmp_path: Path) -> None:
    words = (*SMALL_WALK, "env=fake_envs:BadReplay", f"env_args.bad_seed={constructor_seeds(3, 2)[1]}")
    code, _, err = run_main(tmp_path, *words, **WITH_FAKES)
    assert code == 0, err
    evaluation = (f"checkpoint_path={models(tmp_path)}", "save_replay=True")
    code, out, err = run_main(tmp_path, *words, *evaluation, **WITH_FAKES)
    assert (code, err) == (1, "error: no room for the replay\n")
    (path,) = (tmp_path / "results" / "replays").iterdir()
    assert re.search(rf"Replay: .*{path.name}", out)
    assert read(run_folders(tmp_path)[-1], "run.json")["artifacts"] == [str(path)]
    assert len(read(run_folders(tmp_path)[-1], "evaluation.json")) == 2


def test_save_replay_without_replays_is_an_error(whole: Path, tmp_path: Path) -> None:
    code, _, err = run_main(tmp_path, *SMALL_HUNT, f"checkpoint_path={models(whole)}", "save_replay=True")
    assert code == 1
    assert "has no replays" in err
