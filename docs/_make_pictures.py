"""Make docs/pictures anew, from runs that it plays: some minutes on two cores.

    pip install playwright pyte && python docs/_make_pictures.py     # a chromium must be in /usr/bin

Nothing in the pictures is drawn by hand: the terminal is what `src/main.py` printed on one of 80 columns, the battle is
the page of `src/tools/replay.py`, the curves are those of `src/report.py`.
"""

from __future__ import annotations

import html
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyte
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, LINES = 80, 36
FAST = "t_max=120000 test_interval=5000 epsilon_anneal_time=40000 batch_size_run=32 batch_size=32 minibatches=8 seed=2"
COLOURS = {"default": "#d7dae0", "red": "#f0717c", "green": "#98c379", "brown": "#e5c07b", "blue": "#61afef",
           "cyan": "#56b6c2", "magenta": "#c678dd"}  # fmt: skip


def python(*words: str) -> None:
    """Run a script of src/ here."""
    subprocess.run([sys.executable, ROOT / "src" / words[0], *words[1:]], check=True)


def on_terminal(command: str) -> pyte.Screen:
    """Run a command line of main.py on a terminal of its own, and return what is on it at the end."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    stream.feed(f"$ {command}\r\n".encode())
    words = [sys.executable, str(ROOT / "src" / "main.py"), *command.split()[2:]]
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
        os.execv(words[0], words)
    while True:
        try:
            stream.feed(os.read(terminal, 65536))
        except OSError:  # how Linux says that nobody writes any more
            break
    if os.waitpid(child, 0)[1]:
        sys.exit("\n".join(screen.display))
    return screen


def page_of(screen: pyte.Screen) -> str:
    """Return a terminal's content as HTML."""
    rows = []
    for y in range(LINES):
        cells = [screen.buffer[y][x] for x in range(COLUMNS)]
        spans = (f"<span style='color:{COLOURS.get(cell.fg, COLOURS['default'])}'>{html.escape(cell.data)}</span>"
                 for cell in cells)  # fmt: skip
        rows.append("".join(spans))
    while rows and not screen.display[len(rows) - 1].strip():
        rows.pop()
    style = "margin:0; padding:14px 18px; background:#1e222a; display:inline-block; "
    style += "font:13px/1.35 'DejaVu Sans Mono',monospace"
    return f"<body style='margin:0'><pre style=\"{style}\">" + "\n".join(rows) + "</pre>"


def small(path: Path) -> None:
    """Keep a picture below 200 kB: 256 colours are enough for what is in it."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256).save(path, optimize=True)
    print(path, path.stat().st_size // 1000, "kB")


def shoot(browser: Browser, url: str, name: str, size: tuple[int, int], scheme: str = "light") -> None:
    """Save what a browser shows."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_timeout(1000)
    target = page.locator("pre") if name == "terminal" else page
    target.screenshot(path=PICTURES / f"{name}.png")
    page.close()
    small(PICTURES / f"{name}.png")


def main() -> None:
    """Play, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    os.chdir(tempfile.mkdtemp())
    screen = on_terminal(f"python src/main.py --config=pqn_vdn --env-config=skirmish with {FAST}")
    Path("terminal.html").write_text(page_of(screen), encoding="utf-8")
    token = next(Path("results/models").iterdir())
    python("evaluate.py", str(token), "save_replay=True", "test_nepisode=1")
    replay = next(Path("results/replays").glob("*.npz"))
    python("tools/replay.py", str(replay))
    shutil.rmtree("results/sacred")
    python("launch.py", "--configs=pqn_vdn,mappo", "--env-configs=skirmish", "--maps=3m", "--seeds=3", "with",
           "t_max=120000", "test_interval=5000", "test_nepisode=32")  # fmt: skip
    python("report.py", "results/sacred", "--out", "report")
    shutil.copy("report/figures/curves.png", PICTURES / "curves.png")
    small(PICTURES / "curves.png")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        shoot(browser, Path("terminal.html").resolve().as_uri(), "terminal", (900, 900))
        shoot(browser, replay.with_suffix(".html").resolve().as_uri() + "#t=13", "battle", (1000, 660))
        shoot(browser, Path("report/index.html").resolve().as_uri(), "report", (1000, 860))
        browser.close()


if __name__ == "__main__":
    main()
