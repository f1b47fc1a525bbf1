"""StarCraft II through main.py, with the stand-in as the game: training through faults, replays of both runners."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pymarl.envs.sc2.installation import package_problem
from run_kit import models, read, run_folders, run_main
from sc2_standin.faults import VARIABLE
from sc2_standin.install import make_sc2path

MISSING = package_problem("smac") or package_problem("pysc2")
pytestmark = pytest.mark.sc2
needs_smac = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

GAMES = (
    "--config=qmix", "--env-config=sc2", "with", "seed=2", "t_max=200", "batch_size_run=2", "batch_size=4",
    "rnn_hidden_dim=16", "test_nepisode=3", "save_model=True", "runner_log_interval=50",
)  # fmt: skip


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sc2path(tmp_path_factory.mktemp("game") / "StarCraftII")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, game: Path) -> Path:
    """Return the folder of a run in which a game has crashed."""
    directory = tmp_path_factory.mktemp("sc2")
    code, _, err = run_main(directory, *GAMES, **{"SC2PATH": str(game), VARIABLE: "crash@40"})
    assert code == 0, err
    return directory


@needs_smac
def test_a_crash_is_counted_and_training_goes_on(trained: Path) -> None:
    (folder,) = run_folders(trained)
    assert read(folder, "run.json")["status"] == "COMPLETED"
    assert read(folder, "info.json")["env_restarts"][-1] == 1
    assert read(folder, "info.json")["return_mean_T"][-1] > 100


@needs_smac
@pytest.mark.parametrize(("runner", "games"), [("parallel", 2), ("episode", 1)])
def test_either_runner_saves_a_replay_per_game(
    trained: Path, game: Path, tmp_path: Path, runner: str, games: int
) -> None:
    words = (f"checkpoint_path={models(trained)}", "save_replay=True", f"runner={runner}", f"batch_size_run={games}")
    code, out, err = run_main(tmp_path, *GAMES, *words, SC2PATH=str(game))
    assert code == 0, err
    folder = run_folders(tmp_path)[-1]
    assert len(read(folder, "evaluation.json")) == 3
    paths = list((tmp_path / "results" / "replays").glob("3m_*.SC2Replay"))
    assert len(paths) == games
    assert sorted(read(folder, "run.json")["artifacts"]) == sorted(map(str, paths))
    assert out.count("Replay: ") == 1
    assert ("1 more beside it" in out) == (games == 2)
    assert not list(folder.glob("*.SC2Replay")), "they are stored once"


@needs_smac
def test_a_replay_dir_that_cannot_be_is_refused_before_anything_is_played(
    trained: Path, game: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = (f"checkpoint_path={models(trained)}", "save_replay=True", f"env_args.replay_dir={tmp_path / 'file'}")
    code, _, err = run_main(tmp_path, *GAMES, *words, SC2PATH=str(game))
    assert code == 1
    assert err.startswith(f"error: env_args.replay_dir='{tmp_path / 'file'}': cannot write ")
    assert not (tmp_path / "results").exists()


@needs_smac
@pytest.mark.parametrize(("env", "package", "map_name"), [("sc2", "smac", "MMM"), ("sc2v2", "smacv2", "10gen_terran")])
def test_hpn_trains_with_healers_and_teams_that_vary(
    game: Path, tmp_path: Path, env: str, package: str, map_name: str
) -> None:
    if missing := package_problem(package):
        pytest.skip(str(missing))
    words = ("--config=hpn_vdn", f"--env-config={env}", *GAMES[2:], "hpn_hyper_dim=16", f"env_args.map_name={map_name}")
    code, _, err = run_main(tmp_path, *words, SC2PATH=str(game))
    assert code == 0, err
    (folder,) = run_folders(tmp_path)
    assert len(read(folder, "info.json")["loss_td"]) > 0


def test_without_the_game_one_line_names_the_way_out(tmp_path: Path) -> None:
    code, _, err = run_main(tmp_path, *GAMES, SC2PATH=str(tmp_path / "nothing"))
    assert code == 1
    (line,) = err.splitlines()
    assert re.match(r"error: .*(no StarCraft II in|not installed).*install_sc2.sh.*--env-config=skirmish", line)
    assert not (tmp_path / "results").exists()
