"""Old generated code under protobuf's C backend: the hook on a planted package, then each package that needs it.

All of this holds under every backend; where protobuf is 3.20, the installed packages are tested without the hook.
"""

from __future__ import annotations

import ast
import copy
import importlib
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pymarl.utils import protobuf

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OLD_CODE = """
DESCRIPTOR = _descriptor.FileDescriptor(name={name!r}, syntax='proto2', serialized_pb={literal}, dependencies=[])
raise RuntimeError('the old generated code was run')
"""


def as_call(data: bytes) -> str:
    """Return the literal as old files have it: `_b` encodes it in Latin-1."""
    return f"_b({data.decode('latin1')!r})"


def package(name: str) -> ModuleType:
    """Import a module of a package with old generated code, or skip."""
    pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    pytest.importorskip(name.split(".")[0], reason=f"{name.split('.')[0]} is not installed")
    protobuf.use_fast_backend()
    return importlib.import_module(name)


@pytest.mark.parametrize("literal", [as_call, repr])
def test_the_literal_is_read(literal: Any) -> None:
    data = bytes(range(256))
    assert protobuf.serialized_descriptor(OLD_CODE.format(name="x.proto", literal=literal(data))) == data


@pytest.mark.parametrize(
    "source",
    ["", "DESCRIPTOR = None", "DESCRIPTOR = pool.Default().AddSerializedFile(b'new')", "X = f(serialized_pb=b'other')"],
)
def test_other_code_is_left_alone(source: str) -> None:
    assert protobuf.serialized_descriptor(source) is None


@pytest.mark.parametrize(("backend", "hooks"), [("upb", 1), ("cpp", 0), ("python", 0), (None, 0)])
def test_one_hook_and_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, backend: str | None, hooks: int) -> None:
    others = [finder for finder in sys.meta_path if not isinstance(finder, protobuf._Finder)]
    monkeypatch.setattr(sys, "meta_path", list(others))
    monkeypatch.setattr(protobuf, "backend", lambda: backend)
    for _ in range(3):
        protobuf.use_fast_backend()
    assert len(sys.meta_path) - len(others) == hooks
    assert sys.meta_path[hooks:] == others


def test_importing_it_imports_no_protobuf() -> None:
    code = "import sys, utils.protobuf; sys.exit('google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS.parent / "src", check=False).returncode == 0


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on sys.path with two packages of old generated code, of which the hook knows `planted_old`."""
    pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    from google.protobuf import descriptor_pb2

    base = descriptor_pb2.FileDescriptorProto(name="planted_old/base.proto", package="planted")
    colour = base.enum_type.add(name="Colour")
    colour.value.add(name="Red", number=1), colour.value.add(name="Blue", number=7)
    user = descriptor_pb2.FileDescriptorProto(name="planted_old/user.proto", package="planted")
    user.dependency.append(base.name)
    outer = user.message_type.add(name="Outer")
    outer.field.add(name="colour", number=1, type=14, label=1, type_name=".planted.Colour")
    outer.field.add(name="inner", number=2, type=11, label=3, type_name=".planted.Outer.Inner")
    inner = outer.nested_type.add(name="Inner")
    inner.field.add(name="size", number=1, type=5, label=1)
    inner.enum_type.add(name="Kind").value.add(name="Small", number=3)
    for folder in ("planted_old", "planted_other"):
        (tmp_path / folder).mkdir()
        for proto in (base, user):
            code = OLD_CODE.format(name=proto.name, literal=as_call(proto.SerializeToString()))
            (tmp_path / folder / f"{Path(proto.name).stem}_pb2.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(protobuf, "OLD_PACKAGES", ("planted_old",))
    monkeypatch.setattr(sys, "meta_path", [protobuf._Finder(), *sys.meta_path])
    return tmp_path


def test_old_code_becomes_a_module_without_being_run(planted: Path) -> None:
    user: Any = importlib.import_module("planted_old.user_pb2")
    base: Any = importlib.import_module("planted_old.base_pb2")
    assert user.__file__ == str(planted / "planted_old" / "user_pb2.py")
    assert (base.Red, base.Colour.Value("Blue"), base.Colour.Name(7)) == (1, 7, "Blue")
    assert user.Outer.Inner.Small == user.Outer.Inner.Kind.Value("Small") == 3
    made = user.Outer(colour=base.Blue, inner=[user.Outer.Inner(size=5)])
    assert made.SerializeToString() == b"\x08\x07\x12\x02\x08\x05"  # 1: 7, 2: {1: 5}
    assert user.Outer.FromString(b"\x08\x07\x12\x02\x08\x05") == made
    assert user.Outer.__module__ == "planted_old.user_pb2"


def test_packages_that_are_not_listed_keep_their_loader(planted: Path) -> None:
    with pytest.raises((NameError, RuntimeError)):  # it was run
        importlib.import_module("planted_other.base_pb2")


SC2_FILES = ("common", "data", "debug", "error", "query", "raw", "sc2api", "score", "spatial", "ui")


@pytest.mark.parametrize("name", SC2_FILES)
def test_s2clientprotocol_has_every_name_that_its_file_defines(name: str) -> None:
    module = package(f"s2clientprotocol.{name}_pb2")
    tree = ast.parse(Path(str(module.__file__)).read_text())
    targets = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    names = {target.id for target in targets if isinstance(target, ast.Name)} - {"_b", "_sym_db"}
    assert len(names) >= 10
    assert {name for name in names if name not in vars(module)} == set()


def test_the_backend_of_s2clientprotocol_is_the_fast_one() -> None:
    raw: Any = package("s2clientprotocol.raw_pb2")
    if protobuf.backend() != "upb":
        pytest.skip(f"protobuf's backend is {protobuf.backend()}")
    assert type(raw.Unit.DESCRIPTOR).__module__ == "google._upb._message"


def test_units_as_smac_uses_them() -> None:
    sc_pb: Any = package("s2clientprotocol.sc2api_pb2")
    raw: Any = package("s2clientprotocol.raw_pb2")
    common: Any = package("s2clientprotocol.common_pb2")
    assert (sc_pb.VeryHard, common.Race.Value("Zerg"), common.Protoss, sc_pb.Status.Name(3)) == (7, 2, 3, "in_game")
    assert sc_pb.ResponseCreateGame.InvalidMapData == 3
    # tag 300, pos {x 1.5}, health 45: written by hand
    wire = b"\x18\xac\x02" + b"\x32\x05\x0d" + struct.pack("<f", 1.5) + b"\x75" + struct.pack("<f", 45)
    seen = sc_pb.ResponseObservation()
    seen.observation.raw_data.units.add().ParseFromString(wire)
    unit = seen.observation.raw_data.units[0]
    assert (unit.tag, unit.pos.x, unit.health, unit.HasField("shield"), unit.shield) == (300, 1.5, 45, False, 0)
    before = copy.deepcopy({0: unit})
    unit.health = 0.1
    assert seen.observation.raw_data.units[0].health == struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert before[0].health == 45
    assert before[0].SerializeToString() == wire
    del seen
    assert unit.tag == 300  # outlives its observation
    action = sc_pb.Action(action_raw=raw.ActionRaw(unit_command=raw.ActionRawUnitCommand(unit_tags=[300])))
    assert sc_pb.Request(action=sc_pb.RequestAction(actions=[action])).WhichOneof("request") == "action"


def test_pysc2_talks_and_the_benchmark_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    package("s2clientprotocol.sc2api_pb2")
    pytest.importorskip("pysc2", reason="pysc2 is not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    benchmark: Any = importlib.import_module("protobuf")
    game = benchmark.controller(benchmark.responses(3, 2))
    sc_pb: Any = package("s2clientprotocol.sc2api_pb2")
    game.create_game(sc_pb.RequestCreateGame())
    game.join_game(sc_pb.RequestJoinGame())
    lives = [[unit.health for unit in benchmark.messages(game, 3).observation.raw_data.units] for _ in range(3)]
    assert lives == [[44] * 5, [45] * 5, [44] * 5]
    found = benchmark.measure("3m", 0.001)
    assert found["bytes"] > 1000
    assert min(found["messages"], found["copies"]) > 0


def test_tensorboard_logger_writes_events(tmp_path: Path) -> None:
    package("tensorboard_logger.tf_protobuf.event_pb2")
    import tensorboard_logger

    board = tensorboard_logger.Logger(str(tmp_path), dummy_time=1000.5)
    board.log_value("loss", 0.25, step=300)
    data = next(tmp_path.glob("events.out.tfevents.1000.*")).read_bytes()
    records = []
    while data:  # length, its checksum, bytes, their checksum
        size = struct.unpack("<Q", data[:8])[0]
        records.append(data[12 : 12 + size])
        data = data[16 + size :]
    time = b"\x09" + struct.pack("<d", 1000.5)
    value = b"\x0a\x04loss\x15" + struct.pack("<f", 0.25)
    assert records == [
        time + b"\x1a\x0dbrain.Event:2",
        time + b"\x10\xac\x02" + b"\x2a\x0d" + b"\x0a\x0b" + value,
    ]
    events = [sys.modules["tensorboard_logger.tf_protobuf.event_pb2"].Event.FromString(record) for record in records]
    assert [event.WhichOneof("what") for event in events] == ["file_version", "summary"]
    assert (events[1].step, events[1].summary.value[0].simple_value) == (300, 0.25)
