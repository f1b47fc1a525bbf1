"""Where sacred writes a run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from sacred.observers import FileStorageObserver
from sacred.serializer import flatten

from utils.errors import UserError
from utils.files import write_json


class RunFolder(FileStorageObserver):
    """sacred's folder of a run, whose JSON files are whole at every moment."""

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory))

    def save_json(self, obj: Any, filename: str) -> None:
        """Replace a JSON file."""
        write_json(Path(self.dir) / filename, flatten(obj))

    def add(self, **entries: Any) -> None:
        """Add entries to run.json."""
        self.run_entry = {**self.run_entry, **entries}  # another thread may be writing the old one
        self.save_json(self.run_entry, "run.json")

    def heartbeat_event(self, info: Any, captured_out: str, beat_time: datetime, result: Any) -> None:
        """Write info.json; `info` is copied first, for the run goes on filling it in another thread."""
        info = {key: list(value) if isinstance(value, list) else value for key, value in list(info.items())}
        super().heartbeat_event(info, captured_out, beat_time, result)


def mongo_observer(url: str, db_name: str) -> Any:
    """Return sacred's MongoObserver. UserError if pymongo is missing or the server does not answer."""
    try:
        import pymongo
        from sacred.observers import MongoObserver

        pymongo.MongoClient(url, serverSelectionTimeoutMS=3000).server_info()
        return MongoObserver(url=url, db_name=db_name)
    except ImportError as error:
        raise UserError("mongo_url needs the package pymongo; `pip install pymongo`") from error
    except Exception as error:
        raise UserError(
            f"mongo_url={url!r}: no MongoDB answers there ({error}); start it or set mongo_url=null"
        ) from error
