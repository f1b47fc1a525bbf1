"""A config file that cannot be used ends in one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from run_kit import error_line


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"name: \xff\xfe\n", "mine.yaml: byte 6 is not UTF-8 text"),
        (b"", "mine.yaml:1: the file is empty; expected `key: value` lines"),
        (b"# nothing\n", "the file is empty"),
        (b"- a\n- b\n", "got list"),
        (b"5\n", "got int"),
        (b"lr: 0.1\n---\nlr: 0.2\n", "mine.yaml:2: not YAML"),
        (b"lr:\t0.1\n\tgamma: 0.5\n", "not YAML"),
        (b"lr: \x01\n", "not YAML"),
        (b"a: " + b"[" * 2000, "nested too deep"),
        (b"a: " + b"[" * 200 + b"]" * 200, "nested"),
        (b"a: " + b"{a: " * 500 + b"1" + b"}" * 500, "nested too deep"),
        (b"a: &x [*x]\n", "mine.yaml"),
        (BOMB.encode(), "more than 100000 items"),
        (MERGES.encode(), "mine.yaml"),
        (b"lr: 1\nlr: 2\n", "mine.yaml:2: key 'lr' is given twice, as 1 and 2"),
        (b"1: 2\n", "mine.yaml:1: expected a name before the colon"),
        (b"null: 2\n", "mine.yaml:1: expected a name before the colon"),
        (b"[a]: 2\n", "mine.yaml:1: expected a name before the colon"),
        (b"my-key: 2\n", "unknown key 'my-key'"),
        (b"env_args.n_agents: 2\n", "in a file write `env_args:` and, indented below it, `n_agents:`"),
        (b"a.b: 2\n", "the key 'a.b'"),
        (b"'': 2\n", "the key ''"),
        (b"env_args: 5\n", "mine.yaml: env_args=5: expected"),
        (b"env_args: [1]\n", "mine.yaml: env_args=[1]: expected"),
        (b"env_args:\n", "mine.yaml: env_args=None: expected"),
        (b"env_args: {py/object: os.system}\n", "the key 'py/object'"),
        (b"lr: !!binary aGk=\n", "a value of type bytes"),
        (b"lr: !!set {a, b}\n", "a value of type set"),
        (b"lr: !!python/object:os.system {}\n", "mine.yaml:1: could not determine a constructor"),
        (b"lr: .inf\n", "numbers must be finite"),
        (b"lr: 1e400\n", "numbers must be finite"),
        (b"t_max: 1e3\n", "t_max=1000.0: expected int, got float (write t_max=1000)"),
        (b"t_max: " + b"9" * 400, "<int of 400 digits>"),
        (b"t_max: " + b"9" * 5000, "mine.yaml:1: no int: Exceeds the limit"),
        (b"t_max: 0x\n", "mine.yaml"),
        (b"name: x\nlr: !!bool maybe\n", "mine.yaml:2: no bool: 'maybe'"),
        (b"lr: 2024-01-31\n", "lr='2024-01-31': expected float, got str"),
        (b"lr: !!timestamp 2024-13-45\n", "mine.yaml"),
        (b"#" * 2**21, "has more than 1 MiB; is it a config?"),
    ],
)  # fmt: skip
def test_files(text: bytes, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_bytes(text)
    line = error_line(capsys, tmp_path, "--config=mine.yaml", "--env-config=stag_hunt")
    assert expected in line
    assert "mine.yaml" in line


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--config=qmix.yaml", "no config file 'qmix.yaml'; did you mean --config=qmix?"),
        ("--env-config=skirmish.yml", "no config file 'skirmish.yml'; did you mean --env-config=skirmish?"),
        ("--config=skirmish", "no config 'skirmish' in src/config/algs; did you mean --env-config=skirmish?"),
        ("--config=src/config/algs/none.yaml", "no config file 'src/config/algs/none.yaml'; expected an existing"),
        ("--config=" + "x" * 5000, "no config 'xxx"),
        ("--config=" + "x" * 5000 + ".yaml", "no config file 'xxx"),
        ("--config=folder.yaml", "no config file 'folder.yaml'"),
        ("--config=.", "no config '.'"),
    ],
)
def test_files_that_are_not_there(word: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.yaml").mkdir()
    assert expected in error_line(capsys, tmp_path, word)


def test_ten_thousand_keys_are_answered_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("".join(f"key_number_{i}: {i}\n" for i in range(10_000)))
    assert "unknown key 'key_number_0'" in error_line(capsys, tmp_path, "--config=mine.yaml")
