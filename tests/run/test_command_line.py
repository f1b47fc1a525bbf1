"""The command line: options anywhere, sacred's own ones work as their help says or are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import run_kit
from pymarl import main
from pymarl.run.command import parse_command, parse_updates
from pymarl.utils.errors import UserError
from pymarl.utils.observers import mongo_observer
from run_kit import error_line

HUNT = ("--config=qmix", "--env-config=stag_hunt")
MATRIX = ("--config=qmix", "--env-config=one_step_matrix_game")
QUICK = ("with", "seed=1", "t_max=20", "rnn_hidden_dim=8", "test_nepisode=1")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_words_it_says_how_to_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python src/main.py --config=ALG --env-config=ENV")
    assert "qmix" in err
    assert max(map(len, err.splitlines())) <= 120
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("--config=qmix", "--env-config=stag_hunt", "with", "seed=1", "t_max=5"),
        ("with", "seed=1", "t_max=5", "--config=qmix", "--env-config=stag_hunt"),
        ("with", "--config", "qmix", "seed=1", "--env-config", "stag_hunt", "t_max=5"),
        ("--config=qmix", "with", "seed=1", "--env-config=stag_hunt", "with", "t_max=5"),
    ],
)
def test_options_stand_anywhere(words: tuple[str, ...]) -> None:
    command = parse_command(words)
    assert (command.config, command.env_config, command.updates) == ("qmix", "stag_hunt", ("seed=1", "t_max=5"))


@pytest.mark.parametrize("words", [("with", "seed=1", "--print-config"), ("--print-config", "with", "seed=1")])
def test_print_config_stands_anywhere(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main.main([*HUNT, *words]) == 0
    assert "seed = 1 " in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
@pytest.mark.parametrize("before", [(), ("with", "seed=1")])
def test_help_stands_anywhere(word: str, before: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    if word != "help" or not before:
        assert main.main([*before, word]) == 0
        assert capsys.readouterr().out.startswith("usage: python src/main.py")


@pytest.mark.parametrize(
    ("words", "sacred"),
    [
        (("-u",), {"--unobserved": True}),
        (("with", "seed=1", "-u"), {"--unobserved": True}),
        (("-c", "two words"), {"--comment": "two words"}),
        (("-cword",), {"--comment": "word"}),
        (("--comment=a=b",), {"--comment": "a=b"}),
        (("-uc", "word"), {"--unobserved": True, "--comment": "word"}),
        (("-l", "error"), {"--loglevel": 40}),
        (("-l10",), {"--loglevel": 10}),
        (("--beat-interval=2.5",), {"--beat-interval": 2.5}),
        (("-p",), {"--print-config": True}),
        (("-i", "mine"), {"--id": "mine"}),
        (("-C", "fd"), {"--capture": "fd"}),
    ],
)
def test_sacreds_options(words: tuple[str, ...], sacred: dict[str, Any]) -> None:
    assert parse_command(words).sacred == sacred


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-m localhost:27017:db", "-m: write instead: with mongo_url=mongodb://HOST:PORT mongo_db=NAME"),
        ("-m", "-m needs a value: Add a MongoDB Observer"),
        ("-P text", "-P text: nothing here starts queued runs"),
        ("--priority=3", "--priority 3: nothing here starts queued runs"),
        ("-q", "-q: nothing here starts queued runs; leave it out"),
        ("-l text", "-l 'text': expected DEBUG, INFO, WARNING, ERROR, CRITICAL or a number from 0 to 50"),
        ("-l 99", "-l '99': expected DEBUG"),
        ("-b 0", "-b '0': expected seconds > 0"),
        ("-b nan", "-b 'nan': expected seconds > 0"),
        ("--name=mine", "--name=mine would not name the run here; write: with name=mine"),
        ("-n mine", "write: with name=mine"),
        ("-e", "-e: version control is not recorded here"),
        ("-i ../x", "-i '../x': expected a name for the run's folder"),
        ("-i _sources", "-i '_sources': expected a name for the run's folder"),
        ("-C all", "-C 'all': expected no, sys or fd"),
        ("-S bad", "Valid bucket specification not found"),
        ("-F mine.yaml/x", "--file_storage 'mine.yaml/x': NotADirectoryError"),
        ("-c", "-c needs a value: Add a comment to this run."),
        ("-u=3", "unknown option '-3'"),
        ("--unobserved=3", "--unobserved takes no value"),
        ("-x", "unknown option '-x'"),
        ("--unobs", "unknown option '--unobs'; did you mean '--unobserved'?"),
        ("--config=", "--config needs a value, such as --config=qmix"),
        ("--print-config=3", "--print-config takes no value"),
        ("--config=vdn", "--config is given twice, as 'qmix' and 'vdn'; keep one"),
        ("train", "'train' is no option, and no command of sacred's (print_config,"),
        ("print_config save_config", "'save_config' stands behind the command 'print_config'"),
        ("seed=1 with t_max=3", "'seed=1' comes before `with`; write: with seed=1 t_max=3"),
    ],
)
def test_what_cannot_work(words: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("")
    assert expected in error_line(capsys, tmp_path, *MATRIX, *words.split())


@pytest.mark.parametrize(("flag", "package"), [("-t", "hashfs"), ("-s", "sqlalchemy"), ("-S", "boto3")])
def test_a_missing_package_of_sacreds_is_named(
    flag: str, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {"-t": "runs_db", "-s": "sqlite:///x", "-S": "s3://bucket/x"}[flag]
    try:
        __import__(package)
    except ImportError:
        assert f"{package!r}; `pip install` it" in error_line(capsys, tmp_path, *MATRIX, flag, value)
    else:
        pytest.skip(f"{package} is installed")


@pytest.mark.parametrize("task", ["print_config", "print_dependencies", "print_named_configs", "save_config"])
def test_sacreds_commands(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*MATRIX, task, "with", "seed=1"]) == 0
    assert task in capsys.readouterr().out
    assert not (tmp_path / "results" / "sacred").exists()


def test_a_run_has_the_folder_and_the_observers_that_were_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*MATRIX, "-i", "mine", "-F", "elsewhere", "-c", "two words", *QUICK]
    assert main.main(words) == 0
    (folder,) = (tmp_path / "results" / "sacred").glob("*/*/mine")
    assert run_kit.read(folder, "run.json")["meta"]["comment"] == "two words"
    assert (tmp_path / "elsewhere" / "mine" / "run.json").is_file()
    capsys.readouterr()
    assert main.main(words) == 1
    assert "exists; choose another name" in capsys.readouterr().err


def test_passwords_are_used_and_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def observer(url: str, name: str) -> Any:
        from sacred.observers import RunObserver

        used.append((url, name))
        return RunObserver()

    monkeypatch.setattr("pymarl.utils.observers.mongo_observer", observer)
    url = "mongodb://me:hunter2@host:27017"
    assert main.main([*MATRIX, *QUICK, f"mongo_url={url}"]) == 0
    assert used == [(url, "pymarl")]
    assert main.main([*MATRIX, *QUICK, f"mongo_url={url}", "--print-config"]) == 0
    assert main.main([*MATRIX, "print_config", *QUICK, f"mongo_url={url}"]) == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len([path for path in written if path.name == "config.json"]) == 2  # sacred's and the token's
    assert not [path for path in written if b"hunter2" in path.read_bytes()]
    output = capsys.readouterr()
    assert "hunter2" not in output.out + output.err
    assert "mongodb://me:***@host:27017" in output.out


def test_a_mongodb_that_does_not_answer_keeps_the_secret(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = error_line(capsys, tmp_path, *MATRIX, "with", "mixer=5", "mongo_url=mongodb://me:hunter2@host")
    assert "hunter2" not in line
    with pytest.raises(UserError) as error:
        mongo_observer("mongodb://me:hunter2@127.0.0.1:9", "pymarl")
    assert "hunter2" not in str(error.value)


def test_updates() -> None:
    words = ["a=1", "b.c=[1, 2]", "b.d=text", "e= x ", "f=", "g=a=b", "h='5'", "i=1e-4", "j=(1, 2)", "k=\\d"]
    assert parse_updates(words) == {
        "a": 1, "b": {"c": [1, 2], "d": "text"}, "e": "x", "f": "", "g": "a=b", "h": "5", "i": 1e-4, "j": (1, 2),
        "k": "\\d",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words", [["env_args=5", "env_args.x=3"], ["env_args.x=3", "env_args=5"], ["a.b=1", "a.b.c=2"]]
)
def test_updates_that_contradict(words: list[str]) -> None:
    with pytest.raises(UserError, match="keep one of the two"):
        parse_updates(words)
