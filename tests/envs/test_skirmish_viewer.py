"""The page in a browser, and the pictures."""

from __future__ import annotations

import builtins
import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skirmish_battles import marines, mixed

from pymarl.envs.skirmish.replay import pictures
from pymarl.envs.skirmish.replay.page import render_page, write_page
from pymarl.envs.skirmish.replay.painter import Painter
from pymarl.envs.skirmish.replay.pictures import END_SECONDS, GIF_PICTURE, write_gif, write_mp4
from pymarl.envs.skirmish.replay.replay import Replay
from pymarl.envs.skirmish.replay.theme import battle_box
from pymarl.utils.errors import UserError

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium found; apt-get install chromium")


def browse(page: Path, address: str, *arguments: str) -> str:
    """Open a page without a window, let two virtual seconds pass and return what chromium prints."""
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--window-size=1440,900", "--force-device-scale-factor=1", "--virtual-time-budget=2000"]
    command += [f"--user-data-dir={page.parent / 'profile'}", *arguments, f"{page.as_uri()}#{address}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "Uncaught" not in result.stderr
    return html.unescape(result.stdout)


def scripted(replays: Sequence[Replay], path: Path, script: str) -> Path:
    """Write the page of replays with a script that runs once it is ready; `press` presses a key."""
    helpers = """
      const press = (key, shiftKey = false) => document.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey }));
      const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const ready = setInterval(async () => {
        if (document.body.dataset.state === "loading") return;
        clearInterval(ready);
    """
    # Virtual time has no frames of its own.
    frames = "window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);"
    whole = render_page(replays).replace("<body", f"<script>{frames}</script><body", 1)
    whole = whole.replace("</body>", f"<script>{helpers}{script}}}, 10);</script></body>")
    path.write_text(whole, encoding="utf-8")
    return path


def side_at(picture: NDArray[np.int64], x: float, y: float, r: float) -> str:
    """Say whether a disc, without the letter in its middle, is blue, red or neither."""
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    distance = np.hypot(columns - x, rows - y)
    red, _, blue = picture[(distance > 0.75 * r) & (distance < 0.95 * r)].mean(axis=0)
    return "ally" if blue > red + 40 else "enemy" if red > blue + 40 else "nobody"


@needs_browser
@pytest.mark.parametrize("loop", [0, 60])
def test_the_screenshot_shows_the_units(tmp_path: Path, loop: int) -> None:
    replay = Replay(*marines(5, 6, seed=2).play())
    page = tmp_path / "battle.html"
    mark = "#arena-box { border-color: #f0f !important; border-radius: 0 !important }</style>"
    page.write_text(render_page([replay]).replace("</style>", mark), encoding="utf-8")
    browse(page, f"t={loop / 8}&bars=0&agent=none", f"--screenshot={tmp_path / 'shot.png'}")
    picture = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB")).astype(np.int64)
    assert picture.shape == (900, 1440, 3)
    rows, columns = np.nonzero((picture == (255, 0, 255)).all(axis=2))
    left, top, width, height = columns.min() + 1, rows.min() + 1, np.ptp(columns) - 1, np.ptp(rows) - 1
    assert width > 800
    assert height > 500
    west, east, south, north = battle_box(replay)
    scale = min(width / (east - west), height / (north - south))
    centre = left + width / 2, top + height / 2
    seen = 0
    for unit in range(replay.n_units):
        if replay.frames["health"][loop, unit] > 0:
            x = centre[0] + (replay.frames["x"][loop, unit] - (west + east) / 2) * scale
            y = centre[1] - (replay.frames["y"][loop, unit] - (south + north) / 2) * scale
            assert side_at(picture, x, y, 0.375 * scale) == ("ally" if unit < 5 else "enemy"), unit
            seen += 1
    assert seen >= 8
    assert side_at(picture, left + 60, top + 90, 0.375 * scale) == "nobody"


@needs_browser
def test_the_panel_says_what_happens(tmp_path: Path) -> None:
    replay = Replay(*mixed().play())
    write_page([replay], tmp_path / "battle.html")
    dom = browse(tmp_path / "battle.html", "t=18.75&agent=8&theme=light", "--dump-dom")
    text = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", dom.split("</header>")[1].split("<script")[0]))
    assert 'data-state="ready"' in dom
    assert 'data-loop="150"' in dom
    step, alive = 150 // 8, replay.frames["health"][150] > 0
    assert f"step {step} of {len(replay.steps['actions'])}" in text
    assert f"Agents {alive[:9].sum()} / 9" in text
    assert f"Enemies {alive[9:].sum()} / 13" in text
    assert f"Last reward {replay.steps['reward'][step - 1]:.2f}" in text
    assert f"Return so far {replay.steps['reward'][:step].sum():.2f}" in text
    agents = re.findall(r'class="act">([^<]*)<', dom)
    names = [*replay.meta["actions"][:6], *(f"attack {k}" for k in range(13))]
    actions = replay.steps["actions"][step]
    expected = [names[action] if up else "dead" for action, up in zip(actions, alive[:9], strict=True)]
    assert expected.count("dead") >= 3
    expected[4] = expected[4].replace("attack", "heal ally")  # the medivac
    assert agents == expected
    assert 'data-theme="light"' in dom
    check_options(replay, dom, step, 8)
    assert len(re.findall(r'class="loss[ "]', dom)) == (replay.frames["health"][-1] <= 0).sum()


def check_options(replay: Replay, dom: str, step: int, agent: int) -> None:
    """Check the bars of the picked agent: each action by name, the unavailable ones grey, the chosen one marked."""
    option = (
        r'class="option([^"]*)"><u[^>]*>([^<]*)</u><span[^>]*>([^<]*)</span>.*?width: ([\d.]+)%?.*?<em[^>]*>([^<]*)<'
    )
    options = re.findall(option, dom)
    avail, values = replay.steps["avail"][step, agent], replay.steps["values"][step, agent]
    chosen, best = replay.steps["actions"][step, agent], np.where(avail, values, -np.inf).argmax()
    assert len(options) == len(avail)
    assert [line[2].split()[0] for line in options[:6]] == [*replay.meta["actions"][:6]]
    assert all(line[2].startswith(f"attack {k} ") for k, line in enumerate(options[6:]))
    assert [" off" in line[0] for line in options] == [not free for free in avail]
    assert [" chosen" in line[0] for line in options] == [action == chosen for action in range(len(avail))]
    assert options[chosen][1] == "▶"
    assert best == chosen or options[best][1] == "★"
    shown = np.array([float(line[4]) if line[4] else np.nan for line in options])
    assert np.allclose(shown[avail], values[avail], atol=2e-3)
    assert np.isnan(shown[~avail]).all()
    low, high = values[avail].min(), values[avail].max()
    widths = np.array([float(line[3]) for line in options])
    assert np.allclose(widths[avail], 3 + 97 * (values[avail] - low) / (high - low), atol=0.2)
    assert avail.sum() > 3


@needs_browser
def test_keys_move_through_time(tmp_path: Path) -> None:
    replay = Replay(*marines().play())
    script = """
      const seen = [], now = async () => { await frame(); seen.push(Number(document.body.dataset.loop)); };
      for (const [key, shift] of [["."], ["ArrowRight"], ["ArrowRight"], [","], ["ArrowLeft"],
        ["ArrowRight", true], ["ArrowLeft", true], ["End"], ["ArrowRight"], ["Home"], ["ArrowLeft"]]) {
        press(key, shift);
        await now();
      }
      for (const key of ["9", "ArrowDown", "4", " "]) press(key);
      await new Promise((done) => setTimeout(done, 500));
      press(" "); await now();
      for (const key of ["o", "i", "b", "a", "a"]) press(key);
      await frame();
      const on = [...document.querySelectorAll("button.on")].map((button) => button.textContent);
      const detail = document.querySelector("#detail h2").textContent, help = document.getElementById("help");
      press("?");
      const helped = [help.hidden, help.textContent.includes("Space")];
      press("Escape");
      helped.push(help.hidden);
      const { dataset } = document.documentElement, themes = [dataset.theme];
      press("d");
      document.title = JSON.stringify([seen, on, detail, location.hash, helped, [...themes, dataset.theme]]);
    """
    dom = browse(scripted([replay], tmp_path / "battle.html", script), "", "--dump-dom")
    loops, on, detail, address, helped, themes = json.loads(re.search("<title>(.*?)</title>", dom)[1])
    last = replay.n_loops
    assert loops[:-1] == [1, 8, 16, 15, 8, 9, 8, last, last, 0, 0]
    assert 20 <= loops[-1] <= 45  # half a second at 4 x 16 loops per second
    assert on == ["4\u00d7", "Orders", "Ids"]
    assert detail.startswith("Agent 2")
    assert address == f"#t={loops[-1] / 8:g}&agent=2&bars=0&orders=1&ids=1"
    assert helped == [False, True, True]
    assert sorted(themes) == ["dark", "light"]


@needs_browser
def test_a_link_leads_to_the_moment(tmp_path: Path) -> None:
    replays = [Replay(*marines(seed=seed).play()) for seed in (1, 2)]
    script = """
      const seen = [], { dataset } = document.body;
      const say = async () => { await frame(); seen.push([dataset.battle, dataset.loop]); };
      await say();
      location.hash = "t=3"; await frame(); await say();
      location.hash = "battle=1&t=1.5"; await frame(); await say();
      location.hash = "t=99999"; await frame(); await say();
      location.hash = "t=none&battle=x&speed=-3&agent="; await frame(); await say();
      document.title = JSON.stringify([seen, location.hash]);
    """
    dom = browse(scripted(replays, tmp_path / "battle.html", script), "battle=2&t=7.25", "--dump-dom")
    seen, address = json.loads(re.search("<title>(.*?)</title>", dom)[1])
    assert seen == [["2", "58"], ["2", "24"], ["1", "12"], *[["1", str(replays[0].n_loops)]] * 2]
    assert address.startswith("#t=none")  # what the page does not understand stays as it was typed


@needs_browser
def test_several_battles_in_one_page(tmp_path: Path) -> None:
    replays = [Replay(*marines(seed=4).play()), Replay(*mixed().play()), Replay(*marines(5, 6, seed=2).play())]
    script = """
      const seen = [], map = () => document.getElementById("map").textContent, loop = () => document.body.dataset.loop;
      const later = async () => {
        for (let k = 0; k < 6; k++) await frame();
        seen.push([map(), loop(), document.querySelectorAll(".agent").length]);
      };
      press("End"); press("n"); await later();
      press("n"); await later(); press("n"); await later(); press("p"); await later();
      document.querySelector("#battles button").click(); await later();
      document.title = JSON.stringify([seen, location.hash]);
    """
    dom = browse(scripted(replays, tmp_path / "battles.html", script), "", "--dump-dom")
    seen, address = json.loads(re.search("<title>(.*?)</title>", dom)[1])
    maps = [replay.meta["map"] for replay in replays]
    assert seen == [[maps[k], "0", replays[k].meta["n_agents"]] for k in (1, 2, 2, 1, 0)]
    assert address == "#battle=1&t=0"
    lines = re.findall(r"<button[^>]*><b[^>]*>([^<]*)</b><span[^>]*>([^<]*)</span><small[^>]*>([^<]*)</small>", dom)
    results = ["time limit" if replay.meta["result"] == "truncated" else replay.meta["result"] for replay in replays]
    assert lines == [
        (f"{k + 1} · {maps[k]}", results[k], f"return {rew.sum():.2f} · {len(rew)} steps")
        for k, rew in enumerate(np.asarray(replay.steps["reward"], np.float64) for replay in replays)
    ]
    won = sum(replay.meta["result"] == "won" for replay in replays)
    assert f"3 battles, {won} won" in dom
    assert len(re.findall("aria-current", dom.split("<section")[0].split("<main")[1])) == 1


@needs_browser
@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_the_theme_of_a_link(tmp_path: Path, scheme: str, bright: bool) -> None:
    write_page([Replay(*marines().play())], tmp_path / "battle.html")
    browse(tmp_path / "battle.html", f"theme={scheme}&t=3", f"--screenshot={tmp_path / 'shot.png'}")
    picture = np.asarray(Image.open(tmp_path / "shot.png").convert("L"))
    for place in ((2, 2), (450, 200), (800, 300), (500, 1400)):  # page, ground, timeline or controls, panel
        assert (picture[place] > 128) == bright, place


@needs_browser
def test_a_page_without_values_and_one_without_steps(tmp_path: Path) -> None:
    meta, frames, steps = marines().play(values=False)
    start = {name: array[:1] for name, array in frames.items()}
    nothing = {name: np.asarray(array)[:0] for name, array in steps.items()}
    for name, replay in (("a", Replay(meta, frames, steps)), ("b", Replay(meta, start, nothing))):
        write_page([replay], tmp_path / f"{name}.html")
        dom = browse(tmp_path / f"{name}.html", "t=1.125&agent=1&orders&ranges&ids", "--dump-dom")
        assert 'data-state="ready"' in dom
        assert "Available actions" in dom


@needs_browser
def test_a_page_that_cannot_be_shown_says_so(tmp_path: Path) -> None:
    replay = Replay(*marines().play())
    page = tmp_path / "battle.html"
    page.write_text(re.sub(r'("shots":\{[^}]*"data":")[^"]*', r"\1AAAA", render_page([replay])), encoding="utf-8")
    dom = browse(page, "", "--dump-dom")
    assert 'data-state="failed"' in dom
    assert "This replay cannot be shown: " in dom


def test_pictures_show_the_living(tmp_path: Path) -> None:
    replay = Replay(*marines(5, 6, seed=2).play())
    painter = Painter(replay, 641)
    assert painter.size[0] == 640
    assert painter.size[1] % 2 == 0
    r, checked = 0.375 * painter.scale / 2, {"ally": 0, "enemy": 0, "nobody": 0}
    for loop in (0, 40, replay.n_loops):
        picture = np.asarray(painter.paint(loop)).astype(np.int64)
        assert picture.shape == (painter.size[1], 640, 3)
        for unit in range(replay.n_units):
            alive = replay.frames["health"][loop, unit] > 0
            gone = (replay.frames["health"][max(loop - 15, 0) : loop + 1, unit] <= 0).all()
            x = (replay.frames["x"][loop, unit] - painter.left) * painter.scale / 2
            y = (painter.top - replay.frames["y"][loop, unit]) * painter.scale / 2
            if alive or gone:
                side = "nobody" if gone else "ally" if unit < 5 else "enemy"
                assert side_at(picture, x, y, r) == side, (loop, unit)
                checked[side] += 1
    assert min(checked.values()) >= 3


def test_gif(tmp_path: Path) -> None:
    replay = Replay(*mixed(n_steps=20).play())
    write_gif(replay, tmp_path / "a.gif", width=240, speed=2.0)
    with Image.open(tmp_path / "a.gif") as picture:
        seconds = replay.n_loops / 16 / 2 + END_SECONDS
        durations = []
        for frame in range(picture.n_frames):
            picture.seek(frame)
            durations.append(picture.info["duration"])
        assert picture.size[0] == 240
        assert picture.info["loop"] == 0
    assert min(durations) == GIF_PICTURE
    assert sum(durations) / 1000 == pytest.approx(seconds, abs=0.2)
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def has_ffmpeg() -> bool:
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        return shutil.which("ffmpeg") is not None
    return True


@pytest.mark.skipif(not has_ffmpeg(), reason="no ffmpeg found; pip install imageio-ffmpeg")
def test_mp4(tmp_path: Path) -> None:
    replay = Replay(*marines(n_steps=4).play())
    write_mp4(replay, tmp_path / "a.mp4", width=160)
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_what_ffmpeg_complains_of_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "ffmpeg"
    failing.write_text("#!/bin/sh\necho no such >&2\necho codec >&2\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(pictures, "ffmpeg", lambda: str(failing))
    with pytest.raises(UserError, match=r"a\.mp4: ffmpeg failed: no such codec; try --gif or --out"):
        write_mp4(Replay(*marines(n_steps=2).play()), tmp_path / "a.mp4", width=640)
    assert [p.name for p in tmp_path.iterdir()] == ["ffmpeg"]


def test_without_ffmpeg_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_imageio(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("imageio_ffmpeg"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(builtins, "__import__", no_imageio)
    with pytest.raises(UserError, match="an MP4 needs ffmpeg: pip install imageio-ffmpeg, or write a --gif or a page"):
        write_mp4(Replay(*marines(n_steps=2).play()), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
