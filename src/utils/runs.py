"""Run folders as sacred and a run leave them: which are training runs, what they were asked, whether they live."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymarl.utils.files import read_object
from pymarl.utils.info import EXPECTED, alive

RUNNING, DIED = "RUNNING", "DIED"
SILENT_SECONDS = 600
"""Without a heartbeat for this long, a run is taken for dead where no lock can say; a run beats every 10 s."""


# Keys that may change when a run goes on; any other change would make it another run.
FREE_ON_RESUME = frozenset(
    {"resume", "load_step", "t_max", "use_tensorboard", "local_results_path", "save_model", "save_model_interval",
     "keep_checkpoints", "save_buffer", "save_final", "absolute_episodes", "mongo_url", "mongo_db", "use_wandb",
     "wandb_team", "wandb_project", "wandb_mode", "wandb_save_model", "use_mlflow", "mlflow_uri", "use_trackio",
     "tracking_project", "track_files", "buffer_max_gib", "use_cuda", "buffer_cpu_only", "env_workers", "env_timeout",
     "max_restarts", "console_table", "ray_address", "ray_cpus_per_worker",
     "env_args.threads", "env_args.game_timeout", "env_args.replay_dir", "env_args.replay_prefix", "env_args.debug"}
)  # fmt: skip


FOR_EPYMARL = {"common_reward": True, "reward_scalarisation": "sum"}
"""Keys that EPyMARL has beside env_args, and without which its plot_results.py reads no config.json. Ours has them for
it alone."""


def for_epymarl(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what config.json holds for EPyMARL's plot_results.py: what the env is told, else its defaults."""
    env_args = config.get("env_args") or {}
    return {key: env_args.get(key, default) for key, default in FOR_EPYMARL.items()}


def dotted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the keys of env_args beside the others, as "env_args.<key>", and without FOR_EPYMARL."""
    env_args = config.get("env_args")
    inner = env_args if isinstance(env_args, Mapping) else {}
    rest = {key: value for key, value in config.items() if key != "env_args" and key not in FOR_EPYMARL}
    return rest | {f"env_args.{key}": value for key, value in inner.items()}


def scenario_of(config: Mapping[str, Any]) -> str:
    """Return what a run's env plays: its map, the key of its env, or the env's name where it has neither."""
    env_args = config["env_args"]
    return str(env_args.get("map_name") or env_args.get("key") or config["env"])


@dataclass(frozen=True)
class Record:
    """What a run folder says of its run; both are empty where sacred has left no such file."""

    folder: Path
    run: dict[str, Any]
    config: dict[str, Any]

    @property
    def status(self) -> str:
        """RUNNING, COMPLETED, INTERRUPTED, FAILED, DIED; "" if the folder does not say."""
        return str(self.run.get("status", ""))

    @property
    def last_heard(self) -> datetime | None:
        """The time of its last heartbeat, or of its start."""
        text = self.run.get("heartbeat") or self.run.get("start_time")
        try:
            return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
        except (TypeError, ValueError):
            return None

    def dead(self) -> bool:
        """Tell whether it says RUNNING, and nobody holds it.

        On this machine the lock on info.jsonl decides. A run of another machine that shares the folder, or on a file
        system without locks, is dead once it has been silent for SILENT_SECONDS.
        """
        if self.status != RUNNING:
            return False
        held = alive(self.folder)
        if held:
            return False
        if held is False and self.run.get("host", {}).get("hostname") == platform.node():
            return True
        heard = self.last_heard
        return heard is None or (datetime.now(UTC) - heard).total_seconds() > SILENT_SECONDS


def read_record(folder: Path) -> Record:
    """Return what a run folder says. UserError if a file is broken."""
    run, config = (
        read_object(path, EXPECTED) if path.is_file() else {} for path in (folder / "run.json", folder / "config.json")
    )
    return Record(folder, run, config)


def replays_of(record: Record, results: Path) -> list[Path]:
    """Return the replays of skirmish that a run has saved and that are still there, in the order of its episodes.

    Args:
        record: of its folder.
        results: where its results are now; they may have been moved since.
    """
    found = []
    for saved in (Path(str(name)) for name in record.run.get("artifacts") or []):
        places = (saved, record.folder / saved.name, results / "replays" / saved.name)
        if saved.suffix == ".npz" and (path := next((path for path in places if path.is_file()), None)):
            found.append(path)
    return found


def token_of(record: Record) -> Path | None:
    """Return the folder of a run's checkpoints, results/models/<token>; None if the run does not say."""
    if "models" in record.run:
        return Path(str(record.run["models"]))
    path = record.folder / "cout.txt"  # runs that did not write it down have printed it
    found = re.search(r"; models in (.+)", path.read_text(errors="replace")) if path.is_file() else None
    return Path(found[1].strip()) if found else None
