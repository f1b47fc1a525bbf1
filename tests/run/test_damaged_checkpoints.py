"""Damaged and foreign checkpoints: one line that names the file and what is wrong, and no run folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pymarl import main
from pymarl.utils.checkpoint import MANIFEST, steps_in
from run_kit import SMALL_HUNT, models, run_folders, run_main


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the token of a short run."""
    directory = tmp_path_factory.mktemp("trained")
    code, _, err = run_main(directory, *SMALL_HUNT, "t_max=400")
    assert code == 0, err
    return models(directory)


@pytest.fixture
def token(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it that may be damaged, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "token"))


def newest(token: Path) -> Path:
    return token / str(steps_in(token)[-1])


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run main in this process; return its one line of error."""
    assert main.main((*SMALL_HUNT, *words)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert not Path("results").exists()
    assert "weights_only" not in line
    return line


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 4
    path.write_bytes(data)


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit what a file of tensors holds; `edit` may return another value."""
    state = torch.load(path)
    torch.save(edit(state) or state, path)


WAYS = {"resume": "run.pt", "evaluate=True": "agent.th", "save_model=False": "opt.th"}
"""How a checkpoint is read, and a file that this reads."""


def words_of(way: str, token: Path) -> tuple[str, ...]:
    return (f"resume={token}",) if way == "resume" else (f"checkpoint_path={token}", way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("manifest", [True, False])
def test_a_flipped_bit_is_seen(way: str, manifest: bool, token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = newest(token) / WAYS[way]
    if not manifest:
        (newest(token) / MANIFEST).unlink()
    flip(path)
    line = error_of(capsys, *words_of(way, token))
    assert str(path) in line
    assert "damaged" in line


@pytest.mark.parametrize("file", ["agent.th", "buffer.pt"])
def test_resume_looks_at_every_file(file: str, token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(newest(token) / file, 0.3)
    assert file in error_of(capsys, f"resume={token}")


def whole_module(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


def numpy_scalars(path: Path) -> None:
    torch.save({"fc1.weight": np.float64(3)}, path)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:2000]), "cut short or damaged"),
    "empty": (lambda path: path.write_bytes(b""), "the file is empty"),
    "no checkpoint": (lambda path: path.write_text("hello"), "not a file that torch.save has written"),
    "random": (lambda path: path.write_bytes(bytes(range(256)) * 9), "not a file that torch.save has written"),
    "module": (whole_module, "a whole pickled module or object (torch.nn.modules.linear.Linear), exp"),
    "numpy": (numpy_scalars, "holds numpy values (numpy"),
    "a list": (lambda path: torch.save([1, 2], path), "a list"),
    "a tensor": (lambda path: torch.save(torch.zeros(3), path), "a tensor"),
    "other keys": (lambda path: torch.save({"x": torch.zeros(3)}, path), "lacks"),
    "another file": (lambda path: shutil.copy(path.parent / "mixer.th", path), "lacks"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_foreign_files_without_manifest(damage: str, token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, expected = DAMAGES[damage]
    (newest(token) / MANIFEST).unlink()
    for way in ("evaluate=True", "save_model=False"):
        path = newest(token) / WAYS[way]
        good = path.read_bytes()
        spoil(path)
        line = error_of(capsys, *words_of(way, token))
        assert str(path) in line
        assert expected in line
        path.write_bytes(good)


@pytest.mark.parametrize("file", ["agent.th", "run.pt", "buffer.pt"])
def test_a_folder_copied_in_part(file: str, token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (newest(token) / file).unlink()
    line = error_of(capsys, f"resume={token}")
    assert f"was copied in part: manifest.json lists {file}, which is missing; copy it too" in line
    assert ("empty replay buffer" in line) == (file == "buffer.pt")


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.pop(key) and None


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(state: dict[str, Any]) -> None:
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value

    return edit


RUN_STATES = {
    "format": (put("format", value=99), "has checkpoint format 99, this version reads 1"),
    "list": (lambda state: [state], "holds a list, expected a dict"),
    "no counters": (without("counters"), "it lacks counters"),
    "a word as counter": (put("counters", "episode", value="x"), "counters.episode is a str, expected an int"),
    "t_env": (put("runner", "t_env", value=None), "runner.t_env is None"),
    "networks": (lambda state: state["learner"].pop("mac.agent.fc1.weight") is None, "lacks mac.agent.fc1.weight"),
    "shape": (put("learner", "mac.agent.fc1.bias", value=torch.zeros(3)), "fc1.bias"),
    "moments": (
        put("learner", "_extra_state", "optimisers", "opt", "state", 0, "exp_avg", value=torch.zeros(3)),
        "parameter 0: exp_avg is",
    ),
    "epsilon": (put("selector", "epsilon", value="x"), "could not convert"),
    "generator": (put("selector", "generator", value=torch.zeros(3)), "run.pt"),
    "global": (put("global_rng", "numpy", value="{}"), "run.pt"),
    "logged": (put("logger", "info", value="[]"), "run.pt"),
    "stats": (put("stats", "returns", value=["x"]), "stats: expected numbers"),
    "range": (
        put("learner", "return_range", value=torch.zeros(5)),
        "learner.return_range is of shape [5], expected",
    ),
}


@pytest.mark.parametrize("case", RUN_STATES)
def test_run_states_that_do_not_fit(case: str, token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit, expected = RUN_STATES[case]
    (newest(token) / MANIFEST).unlink()
    change(newest(token) / "run.pt", edit)
    line = error_of(capsys, f"resume={token}")
    assert f"{newest(token)}/run.pt" in line
    assert expected in line


def test_a_buffer_of_another_shape(token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (newest(token) / MANIFEST).unlink()
    change(newest(token) / "buffer.pt", put("buffer_index", value=400))
    line = error_of(capsys, f"resume={token}")
    assert "buffer.pt: its contents are not of this run (buffer_index=400 with" in line


CONFIGS = {"list": (b"[1]", "expected a JSON object, got a list"), "cut": (b'{"seed": 1', "not JSON"),
           "latin": (b'{"name": "\xe9"}', "not JSON"), "empty": (b"{}", "lacks seed, env_args"),
           "deep": (b"[" * 100_000, "not JSON"),
           "env_args": (b'{"seed": 1, "env_args": 3}', "env_args is an int, expected a JSON object")}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_is_none(case: str, token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, expected = CONFIGS[case]
    (token / "config.json").write_bytes(data)
    line = error_of(capsys, f"resume={token}")
    assert f"{token}/config.json: " in line
    assert expected in line


def test_paths_that_are_no_token(token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step, empty = newest(token), token.parent / "empty"
    empty.mkdir()
    assert f"is a file; write the checkpoint folder that it lies in: '{step}'" in error_of(
        capsys, f"checkpoint_path={step}/agent.th", "evaluate=True"
    )
    assert f"write resume={token}, with load_step=" in error_of(capsys, f"resume={step}")
    assert f"write resume={token}, with load_step=" in error_of(capsys, f"resume={step}/run.pt")
    assert "no agent.th in" in error_of(capsys, f"checkpoint_path={empty}", "evaluate=True")
    assert "no config.json there" in error_of(capsys, f"resume={empty}")
    assert "too long" in error_of(capsys, f"resume={'x' * 300}")
    assert "too long" in error_of(capsys, f"checkpoint_path={'x' * 300}", "evaluate=True")
    (empty / "800").mkdir()
    (empty / "config.json").write_bytes((token / "config.json").read_bytes())
    assert "no run.pt in" in error_of(capsys, f"resume={empty}")


def test_networks_of_another_env_and_size(token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(capsys, f"checkpoint_path={token}", "evaluate=True", "env_args.n_agents=6", "rnn_hidden_dim=32")
    for fact in ("n_agents=4", "n_agents=6", "rnn_hidden_dim=16", "rnn_hidden_dim=32", "fc1.weight is of shape"):
        assert fact in line
    (newest(token) / "run.pt").unlink()
    (token / "config.json").unlink()
    line = error_of(capsys, f"checkpoint_path={token}", "evaluate=True", "rnn_hidden_dim=32")
    assert "fc1.weight is of shape [16, " in line


def test_results_that_cannot_be_written(token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    Path("link").symlink_to("nowhere")
    assert "file is a file, not a folder" in error_of(capsys, "local_results_path=file")
    assert "file is a file, not a folder" in error_of(capsys, "local_results_path=file/deep/results")
    assert "link is a broken link" in error_of(capsys, "local_results_path=link")
    Path("other").mkdir()
    for blocked in ("models", "sacred", "tb_logs"):
        (Path("other") / blocked).write_text("")
        line = error_of(capsys, "local_results_path=other", "use_tensorboard=True")
        assert f"other/{blocked} is a file, not a folder" in line
        (Path("other") / blocked).unlink()


def test_runs_and_tokens_name_each_other(token: Path) -> None:
    """A run that goes on from an older checkpoint than the newest gets a token of its own."""
    step, first = newest(token), token / str(steps_in(token)[0])
    code, out, err = run_main(Path(), *SMALL_HUNT, "t_max=400", f"resume={token}", f"load_step={first.name}")
    assert code == 0, err
    (folder,) = run_folders(Path())
    (other,) = Path("results/models").iterdir()
    assert json.loads((folder / "run.json").read_text())["models"] == str(other.absolute())
    assert json.loads((other / "runs.json").read_text()) == [{"run": str(folder.absolute()), "from": str(first)}]
    assert newest(token) == step
    assert f"evaluate.py {other}" in out
    code, _, err = run_main(Path(), *SMALL_HUNT, "t_max=500", f"resume={other}")
    assert code == 0, err
    runs = json.loads((other / "runs.json").read_text())
    assert [Path(run["run"]).name for run in runs] == ["1", "2"]
