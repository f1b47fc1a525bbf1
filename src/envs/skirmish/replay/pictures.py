"""GIFs and films of replays."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pymarl.envs.skirmish.replay.painter import Painter
from pymarl.envs.skirmish.replay.replay import LOOPS_PER_SECOND, Replay
from pymarl.utils.errors import UserError
from pymarl.utils.files import replacing_file

GIF_PICTURE = 120
"""Milliseconds per picture; GIFs know hundredths of a second, and browsers slow down below 20 ms."""

GIF_COLOURS = 96
FILM_RATE = 30
"""Pictures per second of a film."""

END_SECONDS = 1.5
"""How long the last picture stays."""


def write_gif(replay: Replay, path: Path, *, width: int = 640, speed: float = 1.0) -> None:
    """Write a replay as a GIF that plays for ever.

    Args:
        replay: what to show.
        path: of the file; an old one is replaced.
        width: pixels.
        speed: 1 is 16 game loops per second.
    """
    pictures = _pictures(Painter(replay, width), 1000 / GIF_PICTURE, speed)
    colours = _shared_colours(Painter(replay, width))
    frames = (picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture in pictures)
    first = next(frames)
    with replacing_file(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=frames, duration=GIF_PICTURE, loop=0, disposal=1)


def write_mp4(replay: Replay, path: Path, *, width: int = 960, speed: float = 1.0) -> None:
    """Write a replay as a film (H.264). Arguments as in `write_gif`.

    Raises:
        UserError: there is no ffmpeg, or it failed.
    """
    painter = Painter(replay, width)
    with replacing_file(path) as temporary:
        command = [
            *(ffmpeg(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"),
            *("-s", "{}x{}".format(*painter.size), "-r", str(FILM_RATE), "-i", "-", "-an", "-c:v", "libx264"),
            *("-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"),
            str(temporary),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            try:
                for picture in _pictures(painter, FILM_RATE, speed):
                    process.stdin.write(picture.tobytes())
                process.stdin.close()
            except BrokenPipeError:  # ffmpeg has given up; it says why below
                pass
            message = process.stderr.read().decode(errors="replace").strip()
        if process.returncode:
            raise UserError(f"{path}: ffmpeg failed: {' '.join(message.split())}; try --gif or --out")


def ffmpeg() -> str:
    """Return ffmpeg's path: the system's, else that of the package imageio-ffmpeg.

    Raises:
        UserError: neither is there.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError as error:
        raise UserError("an MP4 needs ffmpeg: pip install imageio-ffmpeg, or write a --gif or a page") from error
    return str(get_ffmpeg_exe())


def _pictures(painter: Painter, rate: float, speed: float) -> Iterator[Image.Image]:
    """Yield `rate` pictures per second of the whole replay, the last one for END_SECONDS."""
    n_loops = painter.replay.n_loops
    for time in np.arange(0, n_loops, LOOPS_PER_SECOND * speed / rate):
        yield painter.paint(float(time))
    last = painter.paint(float(n_loops))
    for _ in range(round(END_SECONDS * rate)):
        yield last


def _shared_colours(painter: Painter) -> Image.Image:
    """Return the palette of a few moments together; palettes of their own would make still ground flicker."""
    moments = [painter.paint(float(time)) for time in np.linspace(0, painter.replay.n_loops, 6)]
    sheet = Image.new("RGB", (painter.size[0], painter.size[1] * len(moments)))
    for k, moment in enumerate(moments):
        sheet.paste(moment, (0, painter.size[1] * k))
    return sheet.quantize(GIF_COLOURS)
