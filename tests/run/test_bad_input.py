"""Bad input ends in one line that says what is wrong, with a non-zero exit code and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

import run_kit
from pymarl import main
from pymarl.utils.checkpoint import steps_in
from run_kit import error_line

HUNT = ("--config=qmix", "--env-config=stag_hunt")
MATRIX = ("--config=qmix", "--env-config=one_step_matrix_game")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--config=qmxi", "--env-config=stag_hunt"), "no config 'qmxi' in src/config/algs; did you mean 'qmix'?"),
        (("--config=qmix", "--env-config=none.yaml"), "no config file 'none.yaml'"),
        (("--config=pac", "--env-config=stag_hunt"), "did you mean 'epymarl/pac_ns'?"),
        ((*HUNT, "with", "mixing_embed_dims=8"), "unknown key 'mixing_embed_dims'; did you mean 'mixing_embed_dim'?"),
        ((*HUNT, "with", "double_q=false"), "double_q='false': expected bool, got str (write double_q=False)"),
        ((*HUNT, "with", "batch_size=64.5"), "batch_size=64.5: expected int, got float"),
        ((*HUNT, "with", "gamma=1.5"), "gamma=1.5: expected float"),
        ((*HUNT, "with", "lr=1e-4x"), "lr='1e-4x': expected float, got str"),
        ((*HUNT, "with", "learner=q_lerner"), "unknown learner 'q_lerner'; did you mean 'q_learner'?"),
        ((*HUNT, "with", "mixer=vnd"), "unknown mixer 'vnd'; did you mean 'vdn'?"),
        ((*HUNT, "with", "env_args.n_agent=3"), "unknown key 'env_args.n_agent'; did you mean 'env_args.n_agents'?"),
        ((*HUNT, "with", "n_agents=3"), "unknown key 'n_agents'; did you mean 'env_args.n_agents'?"),
        ((*HUNT, "with", "env_args.n_agents=two"), "env_args.n_agents='two': expected int"),
        ((*HUNT, "with", "runner=episode"), "batch_size_run=8 with runner='episode'"),
        (
            (*HUNT, "with", "env_workers=9", "env=fake_envs:RandomWalk"),
            "env_workers=9 processes for batch_size_run=8 envs; write env_workers=8 or",
        ),
        ((*HUNT, "with", "env_workers=0"), "env_workers=0: expected"),
        ((*HUNT, "with", "env_workers=4"), "env_workers=4: stag_hunt steps all envs of a batch itself"),
        (
            ("--config=qmix", "with", "env=fake_envs:OwnRewards"),
            "learner='nq_learner' trains on one reward for the team, but this env gives one to each of 2 agents; write "
            "env_args.common_reward=True",
        ),
        (
            ("--config=qmix", "with", "env=fake_envs:Continuous"),
            "env 'fake_envs:Continuous' has continuous actions, Box(low=-1.0, high=1.0, shape=(3,))",
        ),
        ((*HUNT, "with", "buffer_size=8"), "batch_size=128 episodes can never be drawn from buffer_size=8"),
        ((*HUNT, "with", "evaluate=True"), "evaluate=True needs networks to play with"),
        ((*HUNT, "with", "checkpoint_path=nowhere"), "no checkpoint folder 'nowhere'"),
        ((*HUNT, "with", "resume=nowhere"), "resume='nowhere': no config.json there"),
        ((*HUNT, "with", "action_selector=multinomial"), "'multinomial' chooses from probabilities, but mac='n_mac'"),
        ((*HUNT, "with", "learner=pathlib:Path"), "expected a class derived from pymarl.learners.learner.Learner"),
        ((*HUNT, "with", "buffer_size=2000000000"), "more than buffer_max_gib=16"),
        (("--conifg=qmix", "--env-config=stag_hunt"), "unknown option '--conifg'; did you mean '--config'?"),
        ((*HUNT, "seed=1"), "'seed=1' comes before `with`; write: with seed=1"),
        ((*HUNT, "with", "foo.yaml"), "with foo.yaml: expected key=value"),
        ((*HUNT, "with", "env=no_such:Env"), "env 'no_such:Env' needs the Python module 'no_such'"),
        ((*HUNT, "with", "env=:Y"), "env ':Y': expected 'module:Class'"),
        ((*HUNT, "with", "env=os:getcwd"), "env 'os:getcwd': expected a class"),
        ((*HUNT, "with", "mixer=.:X"), "mixer '.:X': expected 'module:Class'"),
        ((*HUNT, "with", "env_timeout=0"), "env_timeout=0: expected float >= 0.1 and <= 1000000 or None"),
        (("--config=qmix", "with", "env=fake_envs:NoState"), "env 'fake_envs:NoState': method get_state is missing"),
        (("--config=pqn_vdn", "--env-config=stag_hunt", "with", "minibatches=100"), "write minibatches=64 or a larger"),
        ((*HUNT, "with", "mongo_url=4"), "mongo_url=4: expected str or None, got int"),
    ],
)  # fmt: skip
def test_one_line(words: tuple[str, ...], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in error_line(capsys, tmp_path, *words)


def test_a_typo_in_a_file_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("mixing_embed_dims: 8\n")
    line = error_line(capsys, tmp_path, "--config=mine.yaml", "--env-config=stag_hunt")
    assert line.endswith("mine.yaml: unknown key 'mixing_embed_dims'; did you mean 'mixing_embed_dim'?")


def test_broken_yaml_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("lr: 0.1\nname: [\n")
    assert "mine.yaml:3: not YAML" in error_line(capsys, tmp_path, "--config=mine.yaml", *HUNT[1:])
    (tmp_path / "mine.yaml").write_text("lr: 0.1\nlr: 0.2\n")
    assert "mine.yaml:2: key 'lr' is given twice" in error_line(capsys, tmp_path, "--config=mine.yaml", *HUNT[1:])


def test_an_env_that_returns_a_wrong_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_line(capsys, tmp_path, "--config=qmix", "with", "env=fake_envs:RandomWalk",
                      "env_args.trouble=shape", "env_args.at=0")  # fmt: skip
    assert "get_obs" in line
    assert "(2, 4)" in line


def test_a_missing_package_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = error_line(capsys, tmp_path, "--config=qmix", "--env-config=gymma", "with", "env_args.key=no_such_pkg:X-v0")
    assert "no_such_pkg" in line
    assert "pip install" not in line  # a guessed name may be a stranger's package


MINE = """\
import fake_envs

class Fails(fake_envs.RandomWalk):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.find_level()

    def find_level(self):
        raise FileNotFoundError("no level here")
"""


@pytest.mark.parametrize(
    ("text", "expected", "below"),
    [
        (MINE, "env 'mine:Fails' failed in row 0 during start: FileNotFoundError: no level here", "in find_level"),
        (MINE + "}", "env 'mine:Fails': module 'mine' cannot be imported: SyntaxError: unmatched '}'", "line 10"),
        ("raise SystemExit", "module 'mine' ends the program when it is imported", 'mine.py", line 1'),
    ],
)
def test_a_mistake_in_the_users_module_shows_his_lines(
    text: str, expected: str, below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run_kit.own_module(tmp_path, monkeypatch, "mine", text)
    assert main.main(["--config=qmix", "with", "env=mine:Fails"]) == 1
    line, *details = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert below in "\n".join(details)
    assert str(run_kit.SRC) not in "\n".join(details)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("runner", "trouble", "says"),
    [
        ("episode", "raise", "during step: ZeroDivisionError: planted fault"),
        ("episode", "loop", "has not come back from step 3 of its episode in row 0"),
        ("parallel", "raise", "during step: ZeroDivisionError: planted fault"),
    ],
)
def test_a_fault_of_the_env_fails_the_run_and_saves_what_was_learned(
    runner: str, trouble: str, says: str, tmp_path: Path
) -> None:
    code, _, err = run_kit.run_main(
        tmp_path, "--config=qmix", "with", "env=fake_envs:Late", f"env_args.trouble={trouble}", "env_args.whole=12",
        "env_timeout=1.5", f"runner={runner}", f"batch_size_run={2 if runner == 'parallel' else 1}", "t_max=3000",
        "test_nepisode=1",
        PYTHONPATH=str(Path(run_kit.__file__).parent),
    )  # fmt: skip
    assert code == 1
    (folder,) = run_kit.run_folders(tmp_path)
    record = run_kit.read(folder, "run.json")
    assert record["status"] == "FAILED"
    assert says in "".join(record["fail_trace"])
    assert "in _misbehave" in "".join(record["fail_trace"])
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert says in line
    below = err[err.index(line) :]
    assert "in _misbehave" in below
    assert str(run_kit.SRC) not in below
    assert steps_in(run_kit.models(tmp_path))
