"""Turn replays of skirmish into web pages, GIFs and films: `python src/tools/replay.py REPLAY --gif battle.gif`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: python has put src/tools on the path, not src
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pymarl.envs.skirmish.replay.page import write_page
from pymarl.envs.skirmish.replay.pictures import write_gif, write_mp4
from pymarl.envs.skirmish.replay.replay import read_replay
from pymarl.utils.doors import command_parser
from pymarl.utils.errors import UserError, short_line


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = command_parser("python src/tools/replay.py", __doc__ or "")
    parser.add_argument("replay", type=Path, help="a .npz that save_replay=True wrote, in results/replays")
    parser.add_argument("--html", type=Path, help="page to write; it needs no network. Without options: REPLAY.html")
    parser.add_argument("--gif", type=Path, help="GIF to write")
    parser.add_argument("--mp4", type=Path, help="film to write; needs ffmpeg or the package imageio-ffmpeg")
    parser.add_argument("--width", type=int, default=720, help="of GIF and film, pixels, 64 to 4096 (default: 720)")
    parser.add_argument("--speed", type=float, default=1.0, help="1 is 16 game loops per second (default: 1)")
    return parser


SUFFIXES = {"html": (".html", ".htm"), "gif": (".gif",), "mp4": (".mp4",)}


def check_outputs(options: argparse.Namespace) -> None:
    """Raise UserError if a file to write has another ending than its kind, or is the replay or a folder."""
    for kind, suffixes in SUFFIXES.items():
        path = vars(options)[kind]
        if path is None:
            continue
        if path.resolve() == options.replay.resolve():
            raise UserError(f"{path}: the replay itself; name another file to write")
        if path.suffix.lower() not in suffixes:
            raise UserError(f"--{kind} {path}: expected a name that ends in {' or '.join(suffixes)}")
        if path.is_dir():
            raise UserError(f"--{kind} {path}: a folder; expected the name of a file")


def write_all(options: argparse.Namespace) -> list[Path]:
    """Write what the options name and return the paths."""
    if not 64 <= options.width <= 4096:
        raise UserError(f"--width {options.width}: expected 64 to 4096 pixels")
    if not 0.05 <= options.speed <= 100:
        raise UserError(f"--speed {options.speed}: expected 0.05 to 100")
    check_outputs(options)
    replay = read_replay(options.replay)
    pictures = {"width": options.width, "speed": options.speed}
    if not (options.html or options.gif or options.mp4):
        options.html = options.replay.with_suffix(".html")
    if options.html:
        write_page(replay, options.html)
    if options.gif:
        write_gif(replay, options.gif, **pictures)
    if options.mp4:
        write_mp4(replay, options.mp4, **pictures)
    return [path for path in (options.html, options.gif, options.mp4) if path]


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    try:
        for path in write_all(parser().parse_args(argv)):
            print(path)
    except (UserError, OSError) as error:
        print(f"error: {short_line(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
