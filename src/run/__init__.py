"""What a run is: `config["run"]` names an entry, called with (_run, config, _log)."""

from types import FunctionType

from utils.registry import Registry

REGISTRY = Registry("run", {"default": "run.run:run"}, holds=FunctionType)
