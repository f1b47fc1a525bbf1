"""Bad input ends in one line that says what is wrong, with a non-zero exit code and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

import main
import run_kit

HUNT = ("--config=qmix", "--env-config=stag_hunt")
MATRIX = ("--config=qmix", "--env-config=one_step_matrix_game")


def error_line(capsys: pytest.CaptureFixture[str], directory: Path, *words: str) -> str:
    """Run main in this process; return its one line of error."""
    assert main.main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert not (directory / "results").exists()
    assert not [child for child in psutil.Process().children(recursive=True) if "envs.worker" in str(child.cmdline())]
    return lines[0]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--config=qmxi", "--env-config=stag_hunt"), "no config 'qmxi' in src/config/algs; did you mean 'qmix'?"),
        (("--config=qmix", "--env-config=none.yaml"), "no config file 'none.yaml'"),
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
        ((*HUNT, "with", "env_workers=9"), "env_workers=9 processes for batch_size_run=8 envs; write env_workers=8 or"),
        ((*HUNT, "with", "env_workers=0"), "env_workers=0: expected"),
        ((*HUNT, "with", "buffer_size=8"), "batch_size=128 episodes can never be drawn from buffer_size=8"),
        ((*HUNT, "with", "evaluate=True"), "evaluate=True needs networks to play with"),
        ((*HUNT, "with", "checkpoint_path=nowhere"), "no checkpoint folder 'nowhere'"),
        ((*HUNT, "with", "resume=nowhere"), "resume='nowhere': no config.json there"),
        ((*HUNT, "with", "action_selector=multinomial"), "'multinomial' samples from probabilities"),
        ((*HUNT, "with", "learner=pathlib:Path"), "expected a class derived from learners.base.Learner"),
        ((*HUNT, "with", "buffer_size=2000000000"), "more than buffer_max_gib=16"),
        (("--conifg=qmix", "--env-config=stag_hunt"), "unknown option '--conifg'; did you mean '--config'?"),
        ((*HUNT, "seed=1"), "'seed=1' comes before `with`; write: with seed=1"),
        ((*HUNT, "with", "foo.yaml"), "with foo.yaml: expected key=value"),
        ((*HUNT, "with", "env=no_such:Env"), "env 'no_such:Env' needs the Python module 'no_such'"),
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
    assert "mine.yaml, line 3: not YAML" in error_line(capsys, tmp_path, "--config=mine.yaml", *HUNT[1:])
    (tmp_path / "mine.yaml").write_text("lr: 0.1\nlr: 0.2\n")
    assert "line 2: key 'lr' is given twice" in error_line(capsys, tmp_path, "--config=mine.yaml", *HUNT[1:])


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


def test_an_exception_in_an_env_fails_the_run_with_its_traceback(tmp_path: Path) -> None:
    code, _, err = run_kit.run_main(
        tmp_path, "--config=qmix", "with", "env=fake_envs:RandomWalk", "env_args.trouble=raise", "t_max=100",
        PYTHONPATH=str(Path(run_kit.__file__).parent),
    )  # fmt: skip
    assert code != 0
    (folder,) = run_kit.run_folders(tmp_path)
    record = run_kit.read(folder, "run.json")
    assert record["status"] == "FAILED"
    assert "planted fault" in "".join(record["fail_trace"])
    assert "planted fault" in err
