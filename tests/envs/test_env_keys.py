"""Keys of gymma and pettingzoo: EPyMARL's, packages that are missing, envs that cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from zoo_kit import install

from pymarl.envs.keys import other_key
from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError
from pymarl.utils.packages import SOURCES


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("mpe:SimpleSpread-v0", "--env-config=pettingzoo with env_args.key=mpe2:simple_spread_v3"),
        ("mpe:SimpleSpeakerListener-v0", "--env-config=pettingzoo with env_args.key=mpe2:simple_speaker_listener_v4"),
        ("pz-mpe-simple-spread-v3", "--env-config=pettingzoo with env_args.key=mpe2:simple_spread_v3"),
        ("pz-butterfly-pistonball-v6", "--env-config=pettingzoo with env_args.key=pettingzoo.butterfly:pistonball_v6"),
        ("pettingzoo.mpe:simple_tag_v3", "--env-config=pettingzoo with env_args.key=mpe2:simple_tag_v3"),
        ("mpe2:simple_tag_v3", "--env-config=pettingzoo with env_args.key=mpe2:simple_tag_v3"),
        ("smaclite/2s3z-v0", "--env-config=smaclite with env_args.map_name=2s3z "),
    ],
)
def test_keys_of_epymarl_say_what_to_write(key: str, other: str) -> None:
    with pytest.raises(UserError, match="is no key of gymma; write ") as error:
        make_env("gymma", {"key": key}, seed=0)
    assert other in str(error.value)


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("pettingzoo.mpe:simple_tag_v3", "mpe2:simple_tag_v3"),
        ("mpe:simple_tag_v3", "mpe2:simple_tag_v3"),
        ("pz-mpe-simple-spread-v3", "mpe2:simple_spread_v3"),
    ],
)
def test_pettingzoo_says_it_too(key: str, other: str) -> None:
    with pytest.raises(UserError, match=f"write --env-config=pettingzoo with env_args.key={other}"):
        make_env("pettingzoo", {"key": key}, seed=0)


def test_mpes_keys_name_modules_that_exist() -> None:
    mpe2 = pytest.importorskip("mpe2.all_modules")
    known = {module.__name__.replace("mpe2.", "mpe2:") for module in mpe2.mpe_environments.values()}
    ids = ("Adversary", "Crypto", "Push", "Reference", "SpeakerListener", "Spread", "Tag", "WorldComm", "")
    written = {str(other_key(f"mpe:Simple{name}-v0")).split("key=")[1] for name in ids}
    assert len(written) == 9
    assert written <= known


@pytest.mark.parametrize(
    ("key", "source"), [("smaclite:smaclite/2s3z-v0", "smaclite"), ("matrixgames:x-v0", "matrixgames")]
)
def test_a_known_package_is_named_by_its_source(key: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, source, None)
    with pytest.raises(UserError, match="which is not installed; `pip install git") as error:
        make_env("gymma", {"key": key}, seed=0)
    assert SOURCES[source] in str(error.value)


@pytest.mark.parametrize("name", ["gymma", "pettingzoo"])
def test_no_package_is_guessed(name: str) -> None:
    with pytest.raises(UserError, match="'no_such_park', which is not installed; if it is your own") as error:
        make_env(name, {"key": "no_such_park:x_v0"}, seed=0)
    assert "pip install" not in str(error.value)


def fails(**kwargs: Any) -> Any:
    raise ValueError("size must be\neven")


def leaves(**kwargs: Any) -> Any:
    sys.exit("no licence")


CONSTRUCTORS = [
    (fails, "cannot be made: ValueError: size must be even \\(test_env_keys.py, line \\d+\\)"),
    (leaves, "cannot be made: SystemExit: no licence"),
    (lambda: None, "does not take them: TypeError"),
]


@pytest.mark.parametrize(("make", "message"), CONSTRUCTORS)
def test_a_constructor_that_raises(make: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = install(monkeypatch, tmp_path, parallel_env=make)
    gym.register(id="PyFails-v0", entry_point=make)
    try:
        for name, its_key in (("pettingzoo", key), ("gymma", "PyFails-v0")):
            with pytest.raises(UserError, match=message) as error:
                make_env(name, {"key": its_key, "env_kwargs": {"size": 3}}, seed=0)
            assert its_key in str(error.value)
            assert "{'size': 3}" in str(error.value)
            assert "\n" not in str(error.value)
    finally:
        del gym.registry["PyFails-v0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('no GPU')", r"RuntimeError: no GPU \(bad_v0.py, line 1\)"),
        ("def x(:", "SyntaxError: .*bad_v0.py, line 1"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_thing", "needs the Python module 'no_such_thing'"),
    ],
)
def test_a_module_that_cannot_be_imported(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    park = f"park_{tmp_path.name}"  # a name of its own: modules stay imported
    (tmp_path / park).mkdir()
    (tmp_path / park / "__init__.py").write_text("")
    (tmp_path / park / "bad_v0.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, key in (("pettingzoo", f"{park}:bad_v0"), ("gymma", f"{park}.bad_v0:X-v0")):
        with pytest.raises(UserError, match=message):
            make_env(name, {"key": key}, seed=0)


@pytest.mark.parametrize("key", ["json.decoder:x", ":x", "mpe2:", "a:b:c", "  : ", ".:x", "mpe2:.."])
def test_odd_keys(key: str) -> None:
    for name in ("gymma", "pettingzoo"):
        with pytest.raises(UserError, match=r"env_args\.key="):
            make_env(name, {"key": key}, seed=0)
