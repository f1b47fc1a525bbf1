"""Replay files, what is read out of them, the page and the command."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skirmish_battles import Battle, marines, mixed

from pymarl.envs.skirmish.battle.arrays import UNIT
from pymarl.envs.skirmish.replay import events
from pymarl.envs.skirmish.replay.page import page_data, render_page
from pymarl.envs.skirmish.replay.replay import Replay, frames_of, read_replay, replay_path, save_replay
from pymarl.envs.skirmish.replay.theme import battle_box, glyphs, palettes
from pymarl.tools.replay import main
from pymarl.utils.errors import UserError

SRC = Path(__file__).resolve().parents[2] / "src"


def saved(directory: Path, battle: Battle) -> Path:
    return save_replay(directory / "battle.npz", *battle.play())


def still(battle: Battle, n_steps: int = 4) -> Replay:
    """Return a replay in which nothing happens, to put something into."""
    meta, frames, steps = battle.play()
    for name, frame in frames.items():
        frames[name] = np.repeat(frame[:1], n_steps * 8 + 1, axis=0)
    frames["fired"][:] = frames["target"][:] = -1
    return Replay(meta, frames, {name: array[:n_steps] for name, array in steps.items()})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    meta, frames, steps = mixed().play()
    replay = read_replay(save_replay(tmp_path / "new" / "battle.npz", meta, frames, steps))
    assert replay.meta == json.loads(json.dumps(meta))
    assert replay.meta["seed"] == "8000000000000007"
    assert len(frames) == 11
    assert len(steps) == 4
    for given, read in ((frames, replay.frames), (steps, replay.steps)):
        assert {name: array.shape for name, array in read.items()} == {name: np.shape(a) for name, a in given.items()}
        assert all(np.array_equal(array, np.asarray(given[name], array.dtype)) for name, array in read.items())
    assert replay.n_loops == 8 * len(steps["actions"])
    with np.load(tmp_path / "new" / "battle.npz") as file:  # numpy alone opens it
        assert np.array_equal(file["frame_x"], frames["x"])
    assert meta["ground"][32 - 1 - 20][:20] == "." * 14 + "^##^.."  # row y = 20, north first


def test_names_never_collide(tmp_path: Path) -> None:
    path = replay_path(tmp_path, "maps/my map.yaml", 2**64 - 1)
    assert re.fullmatch(r"my_map_f{16}_\d{4}(-\d\d){5}\.npz", path.name)
    played = [marines(seed=seed).play() for seed in range(3)]
    paths = [save_replay(path, *parts) for parts in played]
    assert [p.name for p in paths] == [path.name, f"{path.stem}_2.npz", f"{path.stem}_3.npz"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for p, (_, frames, _) in zip(paths, played, strict=True):
        assert np.array_equal(read_replay(p).frames["x"], frames["x"])


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        saved(tmp_path, marines())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m, f, s: f.pop("energy"), r"missing \['energy'\], unknown \[\]"),
        (lambda m, f, s: f.update(z=f["x"]), r"missing \[\], unknown \['z'\]"),
        (lambda m, f, s: f.update(x=f["x"][1:]), r"x has shape \(144, 6\), expected \(145, 6\)"),
        (lambda m, f, s: s.update(avail=s["avail"][:, :, 1:]), r"avail has shape \(18, 3, 8\), expected \(18, 3, 9\)"),
        (lambda m, f, s: m.update(n_enemies=4), r"6 unit_kinds, expected 3 agents \+ 4 enemies"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, spoil: Callable[..., Any], message: str) -> None:
    parts = marines().play()
    spoil(*parts)
    with pytest.raises(ValueError, match=message):
        save_replay(tmp_path / "battle.npz", *parts)
    assert list(tmp_path.iterdir()) == []


def broken_files(path: Path) -> dict[str, bytes]:
    whole, other, old = path.read_bytes(), io.BytesIO(), io.BytesIO()
    np.savez(other, a=np.arange(3))
    with np.load(path) as file:
        entries = {name: file[name] for name in file.files}
    entries["meta"] = np.frombuffer(bytes(entries["meta"]).replace(b'"format": 1', b'"format": 9'), np.uint8)
    np.savez(old, **entries)
    return {
        "half": whole[: len(whole) // 2],
        "text": b"hello",
        "empty": b"",
        "other": other.getvalue(),
        "old": old.getvalue(),
    }


def test_broken_files_are_named(tmp_path: Path) -> None:
    for name, content in broken_files(saved(tmp_path, marines())).items():
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}\.npz: .*expected") as error:
            read_replay(tmp_path / f"{name}.npz")
        assert "\n" not in str(error.value)
        assert ("format 9, expected 1" in str(error.value)) == (name == "old")
    with pytest.raises(UserError, match=r"missing\.npz: no such file; expected"):
        read_replay(tmp_path / "missing.npz")


def test_frames_name_whom_a_unit_is_after() -> None:
    units = np.zeros((2, 3), UNIT)
    units["target"], units["aim"] = [[-1, 2, 2]] * 2, [[-1, -1, 1]] * 2
    units["x"], units["order"] = 1 / 4096, 4
    frames = frames_of(units, np.array([[-1, -1, -1], [0, -1, 1]]))
    assert frames["target"].tolist() == [[-1, 2, 1]] * 2
    assert frames["fired"].tolist() == [[-1, -1, -1], [0, -1, 1]]
    assert frames["x"].dtype == np.float32
    assert float(frames["x"][0, 0]) * 4096 == 1


def test_shots_fly_and_blows_come_twice() -> None:
    replay = still(Battle(["stalker"], ["zealot"]))
    frames = replay.frames
    frames["x"][:] = [10, 16]
    frames["y"][:] = 16
    frames["fired"][5, 0], frames["fired"][7, 1] = 1, 0
    replay.meta["kinds"][1] |= {"hits": 2, "hit_gap": 4.5}
    # The missile flies 6 cells less the zealot's radius at 1.17 cells per loop: 4.7, which the fifth loop ends.
    expected = [[7, 7, 1, 0, events.MELEE], [5, 10, 0, 1, events.MISSILE], [11.5, 11.5, 1, 0, events.MELEE]]
    assert np.allclose(events.shots_of(replay), expected)


def test_heals_deaths_and_blasts() -> None:
    replay = still(Battle(["medivac", "marine"], ["baneling"]))
    replay.frames["fired"][3:6, 0] = replay.frames["fired"][9:11, 0] = 1
    replay.frames["health"][12:, 2] = 0
    replay.frames["health"][20:, 1] = 0
    assert events.heals_of(replay).tolist() == [[3, 5, 0, 1], [9, 10, 0, 1]]
    assert events.shots_of(replay).size == 0
    assert np.allclose(events.deaths_of(replay), [[12, 2, 2.2], [20, 1, 0]])


def test_units_look_where_they_go_and_then_at_their_target() -> None:
    replay = still(Battle(["marine"], ["marine"]))
    replay.frames["x"][:, 0] = 10 + 0.15 * np.minimum(np.arange(33), 12)
    replay.frames["target"][20:, 0], replay.frames["y"][:, 1] = 1, 20
    replay.frames["x"][:, 1] = replay.frames["x"][-1, 0]
    facing = events.facing_of(replay)
    assert np.allclose(facing[:20, 0], 0, atol=0.02)
    assert np.allclose(facing[32, 0], np.pi / 2, atol=0.05)  # the enemy is in the north
    assert np.allclose(np.abs(facing[:, 1]), np.pi, atol=0.02)  # enemies look west at first


def test_signs_differ() -> None:
    assert glyphs(["marine", "marauder", "medivac"]) == ["M", "R", "+"]
    assert glyphs(["mutalisk", "marine", "ultralisk"]) == ["U", "M", "L"]


def unpacked(packed: dict[str, Any]) -> NDArray[Any]:
    array = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), packed["type"])
    return np.cumsum(array.reshape(-1, packed["width"]), axis=0, dtype=array.dtype) if packed["delta"] else array


def test_the_page_holds_the_battle() -> None:
    replay = Replay(*mixed().play())
    data = page_data(replay)
    for name, scale in (
        ("x", "place_scale"),
        ("y", "place_scale"),
        ("health", "point_scale"),
        ("shield", "point_scale"),
    ):
        shown = unpacked(data["arrays"][name]) / data[scale]
        assert np.abs(shown - replay.frames[name]).max() <= 1.01 / data[scale]
        assert np.array_equal(shown > 0, replay.frames[name] > 0)
    avail = replay.steps["avail"]
    values = unpacked(data["arrays"]["values"]).reshape(avail.shape) / 65535
    values = data["value_low"] + values * (data["value_high"] - data["value_low"])
    assert np.abs(values - replay.steps["values"])[avail].max() < 1e-3
    assert np.array_equal(unpacked(data["arrays"]["chosen"]), replay.steps["actions"].ravel())
    west, east, south, north = battle_box(replay)
    assert west < replay.frames["x"].min() < replay.frames["x"].max() < east
    assert south < replay.frames["y"].min() < replay.frames["y"].max() < north


def test_the_page_holds_what_its_list_says_and_cooldowns() -> None:
    replays = [Replay(*marines().play()), Replay(*mixed().play())]
    for replay, battle in zip(replays, page_facts(render_page(replays))["battles"], strict=True):
        assert battle["map"] == replay.meta["map"]
        assert battle["n_steps"] == len(replay.steps["reward"])
        assert battle["return"] == pytest.approx(replay.steps["reward"].sum())
        given, shown = replay.frames["cooldown"], unpacked(battle["arrays"]["cooldown"]) / battle["cooldown_scale"]
        assert given.max() > 10
        assert np.abs(shown - np.maximum(given, 0)).max() <= 1.01 / battle["cooldown_scale"]


def test_replays_of_before_have_no_cooldowns(tmp_path: Path) -> None:
    meta, frames, steps = marines().play()
    del frames["cooldown"]
    replay = read_replay(save_replay(tmp_path / "old.npz", meta, frames, steps))
    assert "cooldown" not in page_data(replay)["arrays"]


def page_facts(page: str) -> dict[str, Any]:
    text = page.split('<script type="application/json" id="replay">')[1].split("</script>")[0]
    facts: dict[str, Any] = json.loads(text)
    return facts


def test_each_colour_has_two_sides_and_the_page_uses_both() -> None:
    page = render_page([Replay(*marines().play())])
    dark, light = palettes()["dark"], palettes()["light"]
    assert dark.keys() == light.keys()
    used = set(re.findall(r"var\(--([\w-]+)\)", page)) - {"row", "side", "shape"}
    assert used <= {name.replace("_", "-") for name in dark}
    assert set(re.findall(r"COLOURS\.(\w+)", page)) <= dark.keys()
    assert page_facts(page)["palettes"] == {"dark": dark, "light": light}
    for colours in (dark, light):  # WCAG 2: 4.5 for text, 3 for what is not
        for front in ("text", "dim", "ally", "enemy"):
            assert contrast(colours[front], colours["card"]) >= 4.5, (colours["scheme"], front)
        for front, back, least in (
            ("good", "good_back", 4.5), ("bad", "bad_back", 4.5), ("accent_text", "accent", 4.0), ("faint", "card", 3),
            ("ally", "ground_low", 3), ("enemy", "ground_low", 3), ("ally", "ground_high", 3),
            ("enemy", "ground_high", 3), ("health_high", "bar_back", 3), ("health_mid", "bar_back", 3),
            ("health_low", "bar_back", 3), ("shield", "bar_back", 3), ("energy", "bar_back", 3),
        ):  # fmt: skip
            assert contrast(colours[front], colours[back]) >= least, (colours["scheme"], front, back)


def contrast(front: str, back: str) -> float:
    """Return the ratio of the luminances of two colours, as WCAG 2 defines it."""
    high, low = sorted(map(luminance, (front, back)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_page_stands_alone() -> None:
    meta, frames, steps = marines().play()
    page = render_page([Replay(meta | {"map": "</script><b>&"}, frames, steps)])
    assert not re.findall(r"https?:|//cdn|src=|href=|@import|url\(|\bimport\b|\bfetch\(|@@", page)
    assert page.count("</script>") == 2
    assert "<title>&lt;/script>&lt;b>&amp;" in page or "<title>&lt;/script&gt;" in page


def test_large_battles_stay_small(tmp_path: Path) -> None:
    battle, rng = marines(27, 30, n_steps=1), np.random.default_rng(3)
    meta, frames, steps = battle.play()
    n_steps, n_loops, n_units = 180, 180 * 8, 57
    frames = {name: np.repeat(frame[:1], n_loops + 1, axis=0) for name, frame in frames.items()}
    for name in ("x", "y"):  # everybody runs about all the time, at up to 0.2 cells per loop
        walk = np.cumsum(rng.uniform(-0.2, 0.2, (n_loops + 1, n_units)), axis=0) + frames[name]
        frames[name] = np.rint((16 + 7 * np.sin(walk / 7)) * 4096) / 4096
    frames["fired"][::14] = rng.integers(0, n_units, n_units)
    steps = {name: np.repeat(array[:1], n_steps, axis=0) for name, array in steps.items()}
    steps["values"] = rng.normal(size=(n_steps, 27, 36))
    steps["avail"] = rng.random((n_steps, 27, 36)) < 0.6
    path = save_replay(tmp_path / "large.npz", meta, frames, steps)
    page = render_page([read_replay(path)])
    assert n_loops == read_replay(path).n_loops
    assert path.stat().st_size < 2e6
    assert len(page.encode()) < 2e6


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, marines())
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == f"{path.with_suffix('.html')}\n"
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    assert page == render_page([read_replay(path)])
    gif, html = tmp_path / "new" / "a.gif", tmp_path / "b.html"
    assert main([str(path), "--gif", str(gif), "--html", str(html), "--width", "200", "--speed", "8"]) == 0
    assert html.read_text(encoding="utf-8") == page
    assert gif.read_bytes().startswith(b"GIF89a")
    other = save_replay(tmp_path / "other.npz", *marines(5, 6, n_steps=3).play())
    assert main([str(path), str(other), str(path)]) == 0
    assert capsys.readouterr().out.endswith("battle_and_1_more.html\n")
    both = page_facts((tmp_path / "battle_and_1_more.html").read_text(encoding="utf-8"))["battles"]
    assert [battle["map"] for battle in both] == ["3_vs_3", "5_vs_6"]
    assert main([str(path), str(other), "--gif", str(gif)]) == 1
    assert "2 replays were given; expected one, or --out" in capsys.readouterr().err
    for arguments in (["nothing.npz"], [str(path), "--width", "9"], [str(path), "--speed", "0"]):
        assert main(arguments) == 1
        assert re.fullmatch(r"error: .*expected .*\n", capsys.readouterr().err)


def test_without_a_replay_it_is_the_newest_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    assert (
        "results: no evaluation here has saved a replay of skirmish; make one with `python src/evaluate.py RUN"
        in capsys.readouterr().err
    )
    for number, names in enumerate((["a"], ["b", "gone", "c"], [])):  # the newest of all has saved none
        paths = [tmp_path / "results" / "replays" / f"{name}.npz" for name in names]
        for path in paths:
            if path.stem != "gone":
                save_replay(path, *marines(n_steps=2, seed=ord(path.stem)).play())
        run = tmp_path / "results" / "sacred" / "3m" / "qmix" / str(number) / "run.json"
        run.parent.mkdir(parents=True)
        run.write_text(json.dumps({"artifacts": [str(Path("/elsewhere") / path.name) for path in paths]}))
        os.utime(run, (1000 + number, 1000 + number))
    assert main([]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == Path("results/replays/b_and_1_more.html")
    seeds = [battle["seed"] for battle in page_facts(page.read_text(encoding="utf-8"))["battles"]]
    assert seeds == [f"{2**63 + ord(name):x}" for name in "bc"]
    assert main(["results/replays", "--out", "all.html"]) == 0
    assert len(page_facts(Path("all.html").read_text(encoding="utf-8"))["battles"]) == 3
    assert main(["results/sacred"]) == 1
    assert "no replay in this folder; expected" in capsys.readouterr().err


def test_the_command_runs_from_anywhere(tmp_path: Path) -> None:
    command = [sys.executable, str(SRC / "tools" / "replay.py"), "nothing.npz"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: nothing.npz: no such file")
