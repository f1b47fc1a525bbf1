"""What a run is: `config["run"]` names an entry, called with (_run, config, _log)."""

from types import FunctionType

from pymarl.utils.registry import Registry

REGISTRY = Registry("run", {"default": "pymarl.run.run:run"}, holds=FunctionType)
