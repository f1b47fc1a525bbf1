"""The fast backend of protobuf for packages whose generated code is too old for it.

s2clientprotocol and tensorboard-logger ship `*_pb2.py` files that protoc wrote before 2022. They build every descriptor
in Python, which protobuf's C backend (upb, since 4.21) refuses: what is left to them is protobuf 3.20 in pure Python.
But each file also holds, as one literal, the serialized FileDescriptorProto that it was generated from, and a `_pb2.py`
file of today consists of nothing else. So an import hook reads this literal from the installed file, without running
the file, and hands it to protobuf as today's generated code does. Nothing of these packages is copied.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# The hook leaves every other package alone, and files of these that hold no such literal.
OLD_PACKAGES = ("s2clientprotocol", "tensorboard_logger")


def use_fast_backend() -> None:
    """Let the packages with old generated code be imported under a protobuf whose backend is upb.

    Call it before they are imported; more calls than one change nothing. Where protobuf runs them as they are (3.20, or
    PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python), or is not installed, it does nothing.
    """
    if backend() == "upb" and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def backend() -> str | None:
    """Return protobuf's implementation: "upb" (C), "cpp" (C++, before 4.21), "python" (slow); None: no protobuf."""
    try:
        from google.protobuf.internal import api_implementation
    except ModuleNotFoundError:
        return None
    return str(api_implementation.Type())


class _Finder(MetaPathFinder):
    """Finds the `*_pb2` modules of `OLD_PACKAGES` where everyone does, and swaps the loader of the old ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.endswith("_pb2") or fullname.split(".")[0] not in OLD_PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, InspectLoader):
            return None
        serialized = serialized_descriptor(spec.loader.get_source(fullname) or "")
        if serialized is None:
            return None
        spec.loader = _Loader(serialized)
        return spec


class _Loader(Loader):
    """Fills a module with the messages and enums of one serialized FileDescriptorProto."""

    def __init__(self, serialized: bytes) -> None:
        self.serialized = serialized

    def exec_module(self, module: ModuleType) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool
        from google.protobuf.internal import builder

        for proto in descriptor_pb2.FileDescriptorProto.FromString(self.serialized).dependency:
            importlib.import_module(proto.removesuffix(".proto").replace("/", ".") + "_pb2")
        # From here on: what protoc writes into a file today.
        content = vars(module)
        content["DESCRIPTOR"] = descriptor_pool.Default().AddSerializedFile(self.serialized)
        builder.BuildMessageAndEnumDescriptors(content["DESCRIPTOR"], content)
        builder.BuildTopDescriptorsAndMessages(content["DESCRIPTOR"], module.__name__, content)


def serialized_descriptor(source: str) -> bytes | None:
    """Return the serialized FileDescriptorProto in generated code of the old form, or None if `source` is not that.

    The old form is `DESCRIPTOR = FileDescriptor(..., serialized_pb=_b('...'))`, or the bytes literal without `_b`.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node) == "DESCRIPTOR":
            for keyword in node.value.keywords:
                if keyword.arg == "serialized_pb":
                    return _literal(keyword.value)
    return None


def _name(node: ast.Assign) -> str | None:
    return node.targets[0].id if isinstance(node.targets[0], ast.Name) else None


def _literal(node: ast.expr) -> bytes:
    if isinstance(node, ast.Call):  # _b('...') is '...'.encode("latin1")
        node = node.args[0]
    value = ast.literal_eval(node)
    return value.encode("latin1") if isinstance(value, str) else value
