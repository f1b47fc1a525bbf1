"""Plans: which runs they name, what is wrong with one, and what a run has in common with its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pymarl.experiments.plan import Grid, Job, grid_of, jobs_of, key_of, read_plan, seeds_of
from pymarl.utils.errors import UserError


def grid(*updates: str, maps: tuple[str, ...] = ("3m", "8m"), seeds: tuple[int, ...] = (1, 2)) -> Grid:
    return Grid(("qmix", "vdn"), ("skirmish",), maps, seeds, updates)


def the(*updates: str) -> Job:
    """Return the one job of a grid."""
    jobs, _ = jobs_of([Grid(("qmix",), ("skirmish",), (), (1,), updates)])
    (job,) = jobs
    return job


def test_every_combination_is_a_run() -> None:
    jobs, _ = jobs_of([grid("t_max=5000", "env_args.step_mul=4")])
    assert [job.label for job in jobs] == [
        f"{alg} {env_map} seed {seed}" for alg in ("qmix", "vdn") for env_map in ("3m", "8m") for seed in (1, 2)
    ]
    seen = [(job.config["mixer"], job.config["env_args"]["map_name"], job.config["seed"]) for job in jobs]
    assert seen == [(mixer, env_map, seed) for mixer in ("nmix", "vdn") for env_map in ("3m", "8m") for seed in (1, 2)]
    assert {(job.t_max, job.config["env_args"]["step_mul"]) for job in jobs} == {(5000, 4)}
    assert len({job.key for job in jobs}) == 8
    assert jobs_of([grid("t_max=5000", "env_args.step_mul=4")] * 2)[0] == jobs, "named twice, a run is one"


def test_a_map_that_is_not_there_is_told_before_the_first_run_where_they_play_here() -> None:
    typo = grid("t_max=5000", maps=("3m", "3mm"))
    assert len(jobs_of([typo])[0]) == 8, "another machine may have maps that this one has not"
    with pytest.raises(UserError, match=r"^qmix 3mm seed 1: map_name='3mm': no such map; did you mean '3m'\?"):
        jobs_of([typo], here=True)


def test_files_of_one_name_are_told_apart() -> None:
    jobs, _ = jobs_of([Grid(("mappo", "epymarl/mappo"), ("skirmish",), ("3m",), (1,), ())])
    assert [job.label for job in jobs] == ["mappo 3m seed 1", "epymarl/mappo 3m seed 1"]


def test_runs_can_go_on() -> None:
    """They save ten times and go on from what is there, unless the user says otherwise."""
    job = the("t_max=5000")
    assert job.words[-1] == "save_model_interval=500"
    assert {"save_model=True", "save_buffer=True", "resume=auto"} < set(job.words)
    own = the("t_max=5000", "save_model_interval=9", "save_buffer=False")
    assert own.words[-2] == "save_buffer=False"
    assert own.config["save_model_interval"] == 9
    assert own.key == job.key


def test_the_map_of_an_env_without_map_name() -> None:
    jobs, _ = jobs_of([Grid(("qmix",), ("gymma",), ("lbforaging:Foraging-8x8-2p-3f-v3",), (1,), ())])
    assert jobs[0].config["env_args"]["key"] == "lbforaging:Foraging-8x8-2p-3f-v3"
    Path("own.yaml").write_text("env: fake\n")
    with pytest.raises(UserError, match=r"--maps: --env-config=.*own\.yaml has neither .*; leave --maps out"):
        jobs_of([Grid(("qmix",), ("own.yaml",), ("a",), (1,), ())])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("updates", "line"),
    [
        (("lrr=1",), r"^qmix 3m seed 1: unknown key 'lrr'; did you mean 'lr'\?"),
        (("env_args.map_nam=3m",), "^qmix 3m seed 1: unknown key 'env_args.map_nam'"),
        (("seed=2",), "^with seed=2: write --seeds instead"),
        (("env_args.map_name=8m",), "^with env_args.map_name=8m: write --maps instead"),
        (("evaluate=True", "checkpoint_path=x"), "^qmix 3m seed 1: evaluate and save_replay train nothing"),
    ],
)
def test_what_could_not_start_is_said_before_anything_does(updates: tuple[str, ...], line: str) -> None:
    with pytest.raises(UserError, match=line):
        jobs_of([grid(*updates)])


@pytest.mark.parametrize(
    ("given", "seeds"),
    [("3", (1, 2, 3)), (2, (1, 2)), ("1,5,7", (1, 5, 7)), ([0, 4], (0, 4)), ([3], (3,)), ("7,", (7,)), ("0,", (0,))],
)
def test_seeds(given: object, seeds: tuple[int, ...]) -> None:
    assert seeds_of(given) == seeds


@pytest.mark.parametrize("given", ["", ",", "7,,", "0", "-1", "x", "1,-2", [], None, True, 1.5])
def test_no_seeds(given: object) -> None:
    with pytest.raises(
        UserError, match=r"--seeds=.*: expected how many \(3\), or the seeds themselves \(1,5,7 or 7,\)"
    ):
        seeds_of(given)


def test_a_file_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "configs: [qmix, vdn]\nenv_configs: skirmish\nmaps: 3m,8m\nseeds: 2\nwith: {t_max: 5000, env_args: {seed: 3}}\n"
    )
    expected = [grid("t_max=5000", "env_args.seed=3")]
    assert read_plan(path) == expected
    text = "".join(f"  {line}\n" for line in path.read_text().splitlines())
    path.write_text("runs:\n- " + text[2:] + "- {configs: iql, env_configs: stag_hunt}\n")
    assert read_plan(path) == [*expected, Grid(("iql",), ("stag_hunt",), (), (1,), ())]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("config: qmix\n", r"group 1: unknown key 'config'; did you mean 'configs'\?"),
        ("configs: qmix\n", "group 1: no env_configs; name one at least, such as skirmish"),
        ("configs: [1]\nenv_configs: skirmish\n", r"group 1: configs=\[1\]: expected names"),
        ("runs: [3]\n", "group 1: expected configs"),
        ("configs: qmix\nenv_configs: skirmish\nwith: 3\n", "group 1: with: expected `key: value` lines"),
        ("configs: qmix\nenv_configs: skirmish\nseeds: x\n", "group 1: seeds='x': expected how many"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=line):
        read_plan(path)


def test_nothing_named_is_one_line() -> None:
    with pytest.raises(UserError, match="no configs; name one at least, such as qmix"):
        grid_of({"configs": [], "env_configs": ["skirmish"], "maps": []}, (1,), (), "launch.py")


def test_a_key_is_what_makes_the_run() -> None:
    job = the()
    assert key_of(json.loads(json.dumps(job.config))) == job.key
    assert the("t_max=1", "use_cuda=False", "keep_checkpoints=3", "local_results_path=x").key == job.key
    for update in ("lr=0.1", "env_args.map_name=8m", "env_args.step_mul=4"):
        assert the(update).key != job.key, update
