"""Turn replays of skirmish into a web page, or one of them into a GIF or a film.

python src/tools/replay.py                          # the battles of the newest evaluation in results/, one page
python src/tools/replay.py A.npz B.npz --out page.html
python src/tools/replay.py A.npz --gif battle.gif
"""

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
from pymarl.utils.doors import as_called, command_parser
from pymarl.utils.errors import UserError, refuse
from pymarl.utils.runs import read_record, replays_of


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = command_parser("python src/tools/replay.py", __doc__ or "")
    parser.add_argument(
        "replays", type=Path, nargs="*", metavar="REPLAY",
        help="a .npz that save_replay=True wrote, in results/replays, or a folder of them; "
        "none: those of the newest evaluation",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="where evaluations are (default: results)"
    )
    parser.add_argument(
        "--out", "--html", dest="html", type=Path,
        help="page to write, of all the battles; it needs no network (default: beside the first replay)",
    )  # fmt: skip
    parser.add_argument("--gif", type=Path, help="GIF to write, of one replay")
    parser.add_argument("--mp4", type=Path, help="film to write, of one; needs ffmpeg or the package imageio-ffmpeg")
    parser.add_argument("--width", type=int, default=720, help="of GIF and film, pixels, 64 to 4096 (default: 720)")
    parser.add_argument("--speed", type=float, default=1.0, help="1 is 16 game loops per second (default: 1)")
    return parser


SUFFIXES = {"html": (".html", ".htm"), "gif": (".gif",), "mp4": (".mp4",)}
OPTIONS = {"html": "--out"}


def check_outputs(options: argparse.Namespace, replays: Sequence[Path]) -> None:
    """Raise UserError if a file to write has another ending than its kind, or is a replay or a folder."""
    for kind, suffixes in SUFFIXES.items():
        path, option = vars(options)[kind], OPTIONS.get(kind, f"--{kind}")
        if path is None:
            continue
        if path.resolve() in {replay.resolve() for replay in replays}:
            raise UserError(f"{path}: a replay itself; name another file to write")
        if path.suffix.lower() not in suffixes:
            raise UserError(f"{option} {path}: expected a name that ends in {' or '.join(suffixes)}")
        if path.is_dir():
            raise UserError(f"{option} {path}: a folder; expected the name of a file")
        if kind != "html" and len(replays) > 1:
            raise UserError(
                f"{option} {path}: {len(replays)} replays were given; expected one, or --out for a page of all"
            )


def chosen(options: argparse.Namespace) -> list[Path]:
    """Return the replays that the command line means. UserError if there are none."""
    if not options.replays:
        return newest_evaluation(options.results)
    found: list[Path] = []
    for path in options.replays:
        inside = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no replay in this folder; expected .npz files as save_replay=True writes them")
        found += inside
    return list(dict.fromkeys(found))


def newest_evaluation(results: Path) -> list[Path]:
    """Return the replays of the evaluation that was started last. UserError if none has saved any."""
    runs = sorted(results.glob("sacred/*/*/*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for run in runs:
        if found := replays_of(read_record(run.parent), results):
            return found
    raise UserError(
        f"{results}: no evaluation here has saved a replay of skirmish; make one with "
        f"`{as_called('python src/evaluate.py')} RUN save_replay=True`, or name .npz files, or another folder "
        "with --results"
    )


def page_beside(replays: Sequence[Path]) -> Path:
    """Return where a page goes if nobody says: beside the first replay."""
    first = replays[0]
    more = f"_and_{len(replays) - 1}_more" if len(replays) > 1 else ""
    return first.with_name(f"{first.stem}{more}.html")


def write_all(options: argparse.Namespace) -> list[Path]:
    """Write what the options name and return the paths."""
    if not 64 <= options.width <= 4096:
        raise UserError(f"--width {options.width}: expected 64 to 4096 pixels")
    if not 0.05 <= options.speed <= 100:
        raise UserError(f"--speed {options.speed}: expected 0.05 to 100")
    paths = chosen(options)
    check_outputs(options, paths)
    replays = [read_replay(path) for path in paths]
    pictures = {"width": options.width, "speed": options.speed}
    if not (options.html or options.gif or options.mp4):
        options.html = page_beside(paths)
    if options.html:
        write_page(replays, options.html)
    if options.gif:
        write_gif(replays[0], options.gif, **pictures)
    if options.mp4:
        write_mp4(replays[0], options.mp4, **pictures)
    return [path for path in (options.html, options.gif, options.mp4) if path]


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    try:
        for path in write_all(parser().parse_args(argv)):
            print(path)
    except (UserError, OSError) as error:
        return refuse(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
