"""A value that no run can have ends in one line: too large, of a kind that no config holds, or out of range."""

from __future__ import annotations

from pathlib import Path

import pytest

from run_kit import error_line

HUNT = ("--config=qmix", "--env-config=stag_hunt")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("t_max=1e3", "t_max=1000.0: expected int, got float (write t_max=1000)"),
        ("mixer=null", "mixer='null': expected str or None, got str (write mixer=None)"),
        ("t_max=1e400", "t_max=inf: is or holds inf; numbers must be finite"),
        ("lr=-1e400", "numbers must be finite"),
        ("lr=nan", "lr='nan': expected float, got str"),
        ("lr=1j", "a value of type complex"),
        ("name=b'x'", "a value of type bytes, which a config cannot hold; write text"),
        ("env_args.world_shape={5,6}", "a value of type set, which a config cannot hold; write a list"),
        (f"t_max={'9' * 400}", "<int of 400 digits>; whole numbers must be below 2**63"),
        (f"lr={'9' * 400}", "<int of 400 digits>"),
        (f"lr={'9' * 5000}", "expected float, got str"),
        (f"env_args.n_agents={'9' * 400}", "<int of 400 digits>"),
        ("seed=4294967296", "seed=4294967296: expected int >= 0 and <= 4294967295"),
        ("seed=18446744073709551616", "seed=<int of 20 digits>"),
        ("seed=-1", "seed=-1: expected int >= 0 and <= 4294967295"),
        ("seed=", "seed='': expected int, got str"),
        ("seed=True", "seed=True: expected int, got bool"),
        ("=3", "with =3: expected key=value"),
        (".a=3", "with .a=3: expected key=value"),
        ("env_args.=3", "with env_args.=3: expected key=value"),
        ("a.b.c=1", "unknown key 'a'"),
        ("env_args=5", "env_args=5: expected `env_args:` with"),
        ("env_args={1:2}", "the key 1 of type int; keys are text"),
        ("env_args={'a.b':2}", "the key 'a.b'"),
        ("env_args.map_name.x=3", "env_args.map_name={'x': 3}: expected str, got dict"),
        ("env_args.world_shape=" + "[" * 2000, "expected tuple[int >= 1, int >= 1], got str"),
        ("env_args.world_shape=" + "[" * 60 + "]" * 60, "nested more than"),
        ("env_args.world_shape=" + "-" * 60000 + "1", "nested too deep to be read"),
        ("name=" + "x" * 100_000, "expected at most 65536 letters"),
        ("name=\udcff", "expected UTF-8 text"),
        ("critic_inputs=[state,obs]", "got str (write critic_inputs=\"['state', 'obs']\")"),
        ("mixer=[]", "mixer=[]: expected str or None, got list"),
        ("env=7", "env=7: expected str, got int"),
        ("env=" + "x" * 5000, "unknown env 'xxx"),
    ],
)  # fmt: skip
def test_values(word: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_line(capsys, tmp_path, *HUNT, "with", word)
    assert expected in line
    assert len(line) < 6000


@pytest.mark.parametrize(
    ("words", "lower"),
    [
        ("rnn_hidden_dim=1000000", "rnn_hidden_dim=1000000 needs 111,760.5 GiB for the agent's"),
        ("rnn_hidden_dim=9000000000000000000", "lower rnn_hidden_dim"),
        ("hypernet_embed=1000000000", "hypernet_embed=1000000000 needs"),
        ("mixing_embed_dim=100000000", "lower mixing_embed_dim"),
        ("batch_size_run=1000000", "batch_size_run=1000000 needs"),
        ("batch_size_run=9000000000000000000", "lower batch_size_run"),
        ("batch_size=10000000 buffer_size=10000000 buffer_max_gib=1e9", "lower batch_size or"),
        ("env_args.episode_limit=100000000000", "or the episode's limit"),
        ("env_args.world_shape=[200000,200000]", "Unable to allocate 298. GiB"),
        ("env_args.world_shape=[9000000000000000000,1]", "lower the sizes in env_args"),
        ("env_args.world_shape=[9000000000000000000,10]", "lower the sizes in env_args"),
        ("env_args.agent_obs=[100000,100000]", "Unable to allocate"),
        ("buffer_size=2000000000", "more than buffer_max_gib=16"),
    ],
)
def test_what_no_memory_holds(words: str, lower: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lower in error_line(capsys, tmp_path, *HUNT, "with", *words.split())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("../../escaped", "_._.._escaped"),
        ("/tmp/escaped", "_tmp_escaped"),
        ("a/b", "a_b"),
        ("..", "_."),
        (".", "_"),
        (".hidden", "_hidden"),
        ("a\nb", "a_b"),
        ("x" * 300, "x" * 91 + "-"),
    ],
)
def test_names_that_would_leave_the_results(
    name: str, write: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_line(capsys, tmp_path, *HUNT, "with", f"name={name}")
    assert "expected the name of a folder" in line
    assert f"write name='{write}" in line


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "a/b", ".."])
def test_replays_stay_in_their_folder(prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--config=qmix", "--env-config=skirmish", "with", f"env_args.replay_prefix={prefix}")
    assert "expected the beginning of a file's name" in error_line(capsys, tmp_path, *words)


@pytest.mark.parametrize(
    ("env", "word", "expected"),
    [
        ("sc2", "env_args.time_limit=5", "unknown key 'env_args.time_limit'; this env has env_args.continuing"),
        ("gymma", "env_args.seed=3", "unknown key 'env_args.seed'; did you mean 'seed', outside of env_args?"),
        ("stag_hunt", "time_limit=5", "unknown key 'time_limit'; --print-config lists the keys"),
        ("gymma", "time_limit=5", "unknown key 'time_limit'; did you mean 'env_args.time_limit'?"),
        ("gymma", "key=5", "unknown key 'key'; did you mean 'env_args.key'?"),
        ("stag_hunt", "qqqqq=5", "unknown key 'qqqqq'; --print-config lists the keys"),
        ("stag_hunt", "q" * 60000 + "=5", "--print-config lists the keys"),
    ],
)  # fmt: skip
def test_keys_that_are_not_there(
    env: str, word: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in error_line(capsys, tmp_path, "--config=qmix", f"--env-config={env}", "with", word)


def test_a_very_long_value_does_not_fill_the_screen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = error_line(capsys, tmp_path, "--config=qmix", "with", f"action_selector={'[' * 3000}")
    assert line.startswith("error: unknown action selector '[[[")
    assert line.endswith("or your own as 'module:Class')")
    assert len(line) < 1100
