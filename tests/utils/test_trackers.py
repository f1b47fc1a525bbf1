"""What W&B, MLflow, Trackio and TensorBoard have of a run, read back from their files; nothing here needs a network."""

from __future__ import annotations

import json
import logging
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pymarl.utils.errors import UserError
from pymarl.utils.logging import Logger
from pymarl.utils.protobuf import use_fast_backend
from pymarl.utils.tracking import tensorboard
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.mlflow import MLflow
from pymarl.utils.tracking.tensorboard import TensorBoard
from pymarl.utils.tracking.tracker import Tracker
from pymarl.utils.tracking.tracking import Tracking
from pymarl.utils.tracking.trackio import Trackio
from pymarl.utils.tracking.wandb import WandB
from tracking_kit import tracked_run

Curve = list[tuple[int, float]]
WANDB = WandB.Config(
    wandb_team=None, wandb_project=None, wandb_mode="offline", wandb_save_model=False, tracking_project="marl"
)


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"needs the package {package}")


def play(name: str, tracker: Tracker, results: Path, caplog: pytest.LogCaptureFixture, t: tuple[int, ...]) -> None:
    """Let a tracker have a run, or one that goes on at the first of these steps, and networks at its end."""
    caplog.set_level(logging.INFO)
    logger = Logger(logging.getLogger("test"))
    for before in range(0, t[0], 10):
        logger.log_stat("test_return_mean", before / 2, before)
    tracking = Tracking({name: tracker}, logger.console_logger, keeps=True)
    tracking.start(tracked_run(results, t_env=max(t[0] - 1, 0)), logger, results)
    for step in t:
        logger.log_stats({"test_return_mean": step / 2, "epsilon": 0.1}, step)
    (results / "agent.th").write_bytes(b"weights")
    logger.keep_files(Files(kind="networks", t_env=t[-1], last=True, files={f"{t[-1]}/agent.th": results / "agent.th"}))
    tracking.finish("completed")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def blocks(path: Path, start: int) -> Iterator[bytes]:
    """Yield the records of a log in LevelDB's format: blocks of 32 KiB, of a checksum, a length and a kind each."""
    data, record, at = path.read_bytes(), b"", start
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
        length, kind = struct.unpack_from("<HB", data, at + 4)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


@needs("wandb")
def test_wandb_offline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    play("wandb", WandB(WANDB), tmp_path, caplog, (0, 10, 20))
    (path,) = (tmp_path / "wandb").glob("offline-run-*-a1b2c3d4/run-a1b2c3d4.wandb")
    records = [Record.FromString(record) for record in blocks(path, 7)]
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.display_name, run.run_group, run.project) == ("qmix-3m-seed1", "qmix-3m", "marl")
    assert list(run.tags) == ["qmix", "skirmish", "3m"]
    assert {item.key: json.loads(item.value_json) for item in run.config.update}["env_args"] == {"map_name": "3m"}
    curve: Curve = []
    for record in records:
        items = {"".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
        if "test/return_mean" in items:
            curve.append((json.loads(items["_step"]), json.loads(items["test/return_mean"])))
    assert curve == [(0, 0.0), (10, 5.0), (20, 10.0)]
    artifacts = [record.artifact for record in records if record.HasField("artifact")]
    artifacts += [record.request.log_artifact.artifact for record in records if record.request.HasField("log_artifact")]
    kept = [(each.name, each.type, [entry.path for entry in each.manifest.contents]) for each in artifacts]
    assert kept == [("networks-a1b2c3d4", "model", ["20/agent.th"])]
    assert "wandb: wandb sync " in caplog.text


@needs("wandb")
def test_wandb_online_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(UserError, match="wandb_mode=online: no API key on this machine; `wandb login`"):
        WandB(replace(WANDB, wandb_mode="online")).check()


@needs("wandb")
def test_a_server_that_does_not_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run neither waits for it nor fails."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and says nothing
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setattr("pymarl.utils.tracking.tracking.FINISH_SECONDS", 3)
        logger = Logger(logging.getLogger("test"))
        tracking = Tracking({"wandb": WandB(replace(WANDB, wandb_mode="online"))}, logger.console_logger, keeps=True)
        tracking.start(tracked_run(tmp_path), logger, None)
        started = time.monotonic()
        for t in range(1000):
            logger.log_stat("loss_td", 0.5, t)
        assert time.monotonic() - started < 1
        tracking.finish("completed")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["wandb was stopped before it had sent all"]


@needs("mlflow")
@pytest.mark.nightly
def test_mlflow_in_a_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from mlflow import MlflowClient

    tracker = MLflow(MLflow.Config(mlflow_uri=None, tracking_project="marl"))
    play("mlflow", tracker, tmp_path, caplog, (0, 10, 20))
    play("mlflow", tracker, tmp_path, caplog, (30, 40))
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("marl")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.tags["group"]) == ("qmix-3m-seed1", "FINISHED", "qmix-3m")
    assert run.data.params == {"name": "qmix", "lr": "0.5", "mixer": "None", "env_args.map_name": "3m"}
    curve = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "test/return_mean")]
    assert curve == [(step, step / 2) for step in (0, 10, 20, 30, 40)]
    copy = client.download_artifacts(run.info.run_id, "networks/40/agent.th", str(tmp_path))
    assert Path(copy).read_bytes() == b"weights"
    assert str(tmp_path / "mlartifacts") in experiment.artifact_location


@needs("trackio")
def test_trackio_in_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    tracker = Trackio(Trackio.Config(tracking_project="marl"))
    play("trackio", tracker, tmp_path, caplog, (0, 10, 20))
    play("trackio", tracker, tmp_path, caplog, (30, 40))
    import sqlite3

    with sqlite3.connect(tmp_path / "trackio" / "marl.db") as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
    assert {name for name, *_ in rows} == {"qmix-3m-seed1-a1b2c3d4"}
    found = [(step, json.loads(metrics).get("test/return_mean")) for _, step, metrics in rows]
    assert [point for point in found if point[1] is not None] == [(step, step / 2) for step in (0, 10, 20, 30, 40)]
    blobs = [path for path in (tmp_path / "trackio").rglob("*") if path.is_file() and path.read_bytes() == b"weights"]
    assert len(blobs) == 1


@needs("tensorboard")
def test_tensorboard_by_torch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    play("tensorboard", TensorBoard(), tmp_path, caplog, (0, 10, 20))
    time.sleep(1.1)  # files are named by the second
    play("tensorboard", TensorBoard(), tmp_path, caplog, (10, 20, 30))  # 20 was logged after its checkpoint
    events = EventAccumulator(str(tmp_path / "tb_logs" / "token")).Reload()
    curve = [(event.step, event.value) for event in events.Scalars("test/return_mean")]
    assert curve == [(step, step / 2) for step in (0, 10, 20, 30)]
    assert "train/epsilon" in events.Tags()["scalars"]
    assert "lr" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    plugin = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hparams = HParamsPluginData.FromString(plugin).session_start_info.hparams
    assert hparams["lr"].number_value == 0.5
    assert hparams["env_args.map_name"].string_value == "3m"
    plugin = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    metrics = HParamsPluginData.FromString(plugin).experiment.metric_infos
    assert [metric.name.tag for metric in metrics][:2] == ["test/return_mean", "test/battle_won_mean"]


def records(path: Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file: each behind its length and a checksum, and before another."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def test_tensorboard_by_its_logger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fast_backend()
    from tensorboard_logger.tf_protobuf.event_pb2 import Event

    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    play("tensorboard", TensorBoard(), tmp_path, caplog, (0, 10, 20))
    (path,) = (tmp_path / "tb_logs" / "token").iterdir()
    events: list[Any] = [Event.FromString(record) for record in records(path)]
    values = [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]
    assert [(t, value) for t, tag, value in values if tag == "test/return_mean"] == [(0, 0.0), (10, 5.0), (20, 10.0)]
    assert {tag for _, tag, _ in values} == {"test/return_mean", "train/epsilon"}
