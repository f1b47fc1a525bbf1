"""Drawing a moment of a replay with pillow, for GIFs and films."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from pymarl.envs.skirmish.battle.arrays import AIR_LAYER
from pymarl.envs.skirmish.replay.events import MELEE, MISSILE, SWEEP, events_of
from pymarl.envs.skirmish.replay.replay import Replay
from pymarl.envs.skirmish.replay.theme import battle_box, glyphs, palette

SMOOTH = 2
"""Pictures are drawn that many times larger and then shrunk: pillow's lines are jagged."""

FADE_LOOPS, SHOT_LOOPS, BLAST_LOOPS = 14.0, 5.0, 11.0
"""How long the dead, shots and blasts stay visible."""

BEAM_HALF = 1.25
"""Half the length of the strip that a beam sweeps, cells."""

MAX_ASPECT = 2.2
"""A picture is at most that many times as wide as high, and never higher than wide."""

BARS = ("shield", "health", "energy")
"""From top to bottom."""

Colour = tuple[int, int, int, int]


def tint(colour: str, alpha: float = 1.0, towards: str = "#000000", part: float = 0.0) -> Colour:
    """Return a colour of the palette, mixed with another one, with its opacity in [0, 1]."""
    mixed = [
        round(a + (b - a) * part)
        for a, b in zip(ImageColor.getrgb(colour)[:3], ImageColor.getrgb(towards)[:3], strict=True)
    ]
    return mixed[0], mixed[1], mixed[2], round(255 * min(max(alpha, 0.0), 1.0))


class Painter:
    """Draws any moment of a replay.

    Args:
        replay: what to draw.
        width: of the pictures, pixels; even, as films need it.
    """

    def __init__(self, replay: Replay, width: int) -> None:
        self.replay = replay
        self.events = events_of(replay)
        west, east, south, north = battle_box(replay)
        height = max(width * min(max((north - south) / (east - west), 1 / MAX_ASPECT), 1.0), 2)
        self.size = (width // 2 * 2, round(height / 2) * 2)
        self.scale = SMOOTH * min(self.size[0] / (east - west), self.size[1] / (north - south))
        self.left = (west + east) / 2 - SMOOTH * self.size[0] / self.scale / 2
        self.top = (south + north) / 2 + SMOOTH * self.size[1] / self.scale / 2
        self._radius = replay.per_unit("radius")
        self._layer = replay.per_unit("layer")
        self._glyph = np.array(glyphs([kind["name"] for kind in replay.meta["kinds"]]))[replay.meta["unit_kinds"]]
        sides = ["ally"] * replay.meta["n_agents"] + ["enemy"] * replay.meta["n_enemies"]
        self._colour = [palette()[side] for side in sides]
        self._dies = np.full(replay.n_units, np.inf)
        self._dies[self.events.deaths[:, 1].astype(int)] = self.events.deaths[:, 0]
        self._order = np.lexsort((-self._radius, self._layer))
        self._fonts = {r: ImageFont.load_default(max(r * self.scale * 1.2, 6)) for r in set(self._radius.tolist())}
        self._text = ImageFont.load_default(15 * SMOOTH)
        self._ground = self._paint_ground()

    def paint(self, time: float) -> Image.Image:
        """Return an RGB picture of the moment `time`, in loops; between two loops units are in between, too."""
        picture = self._ground.copy()
        pen = ImageDraw.Draw(picture, "RGBA")
        x, y = self._place(time)
        self._crosses(pen, time, x, y)
        for unit in self._order:
            self._unit(pen, unit, time, x[unit], y[unit])
        self._bars(pen, time, x, y)
        self._heals(pen, time, x, y)
        self._shots(pen, time, x, y)
        self._blasts(pen, time, x, y)
        self._caption(pen, time)
        return picture.reduce(SMOOTH)

    def _paint_ground(self) -> Image.Image:
        meta, colours = self.replay.meta, palette()
        picture = Image.new("RGB", (self.size[0] * SMOOTH, self.size[1] * SMOOTH), colours["void"])
        pen = ImageDraw.Draw(picture)
        level = np.array([[int(row[i : i + 2], 16) for i in range(0, len(row), 2)] for row in meta["levels"]], float)
        code = np.array([list(row) for row in meta["ground"]])
        free = level[code == "."]
        low, span = (free.min(), max(np.ptp(free), 1.0)) if free.size else (0.0, 1.0)
        part = np.where(np.ptp(free) > 0, (level - low) / span, 0.4) if free.size else level
        for row, column in np.ndindex(code.shape):
            north, west = meta["height"] - row, column
            ground = tint(colours["ground_low"], 1, colours["ground_high"], float(np.clip(part[row, column], 0, 1)))
            fill = {"#": tint(colours["wall"]), "^": tint(colours["cliff"])}.get(str(code[row, column]), ground)
            pen.rectangle((*self._pixel(west, north), *self._pixel(west + 1, north - 1)), fill)
            for down, right in ((1, 0), (0, 1)):  # an edge where the ground changes
                inside = row + down < code.shape[0] and column + right < code.shape[1]
                if inside and code[row, column] != code[row + down, column + right]:
                    ends = (west + right, north - down), (west + 1, north - 1)
                    pen.line([self._pixel(*end) for end in ends], colours["wall_edge"], 2 * SMOOTH)
        return picture

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.left) * self.scale, (self.top - y) * self.scale

    def _rows(self, time: float) -> tuple[int, int, float]:
        loop = min(int(time), self.replay.n_loops)
        return loop, min(loop + 1, self.replay.n_loops), time - loop

    def _between(self, array: NDArray[np.float32], time: float) -> NDArray[np.float64]:
        loop, after, part = self._rows(time)
        return array[loop].astype(np.float64) * (1 - part) + array[after] * part

    def _place(self, time: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = (self._between(self.replay.frames[name], time) for name in ("x", "y"))
        return (x - self.left) * self.scale, (self.top - y) * self.scale

    def _crosses(self, pen: ImageDraw.ImageDraw, time: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        arm = 0.2 * self.scale
        for unit in np.nonzero(self._dies <= time)[0]:
            colour = tint(self._colour[unit], 0.4)
            for flip in (-1, 1):
                ends = (x[unit] - arm, y[unit] - arm * flip, x[unit] + arm, y[unit] + arm * flip)
                pen.line(ends, colour, SMOOTH * 2)

    def _unit(self, pen: ImageDraw.ImageDraw, unit: int, time: float, x: float, y: float) -> None:
        age = time - self._dies[unit]
        if age > FADE_LOOPS:
            return
        alpha = 1.0 if age < 0 else 0.8 * (1 - age / FADE_LOOPS) ** 2
        r, colour = self._radius[unit] * self.scale, self._colour[unit]
        drop = r * (0.5 if self._layer[unit] == AIR_LAYER else 0.12)
        pen.circle((x + drop * 0.6, y + drop), r, tint("#000000", 0.4 * alpha))
        angle = float(self.events.facing[self._rows(time)[0], unit])
        nose = [
            (x + math.cos(angle + turn) * r * far, y - math.sin(angle + turn) * r * far)
            for turn, far in ((0, 1.38), (0.5, 0.9), (-0.5, 0.9))
        ]
        pen.polygon(nose, tint(colour, alpha))
        pen.circle((x, y), r, tint(colour, alpha, "#05070b", 0.5), tint(colour, alpha), max(SMOOTH, round(r * 0.12)))
        if alpha > 0.3:  # pillow's text is never translucent
            font = self._fonts[float(self._radius[unit])]
            pen.text((x, y), str(self._glyph[unit]), palette()["glyph"], font, "mm", stroke_width=1)

    def _bars(self, pen: ImageDraw.ImageDraw, time: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        loop, thick = self._rows(time)[0], round(max(2 * SMOOTH, self.scale * 0.09))
        for unit in np.nonzero(self._dies > time)[0]:
            kind = self.replay.meta["kinds"][self.replay.meta["unit_kinds"][unit]]
            parts = {
                name: self.replay.frames[name][loop, unit] / max(kind[name], 1e-9) for name in kind if name in BARS
            }
            life = parts["health"]
            green = "#58d66b" if life > 0.6 else "#e6c84f" if life > 0.3 else "#f05545"
            colours = {"shield": palette()["shield"], "health": green, "energy": palette()["energy"]}
            shown = [name for name in BARS if kind[name] > 0]
            width = self._radius[unit] * self.scale * 1.8
            top = y[unit] - self._radius[unit] * self.scale - len(shown) * (thick + SMOOTH) - SMOOTH
            for name in shown:
                left = x[unit] - width / 2
                pen.rectangle((left, top, left + width, top + thick), palette()["bar_back"])
                if parts[name] > 0:
                    pen.rectangle((left, top, left + width * min(parts[name], 1), top + thick), colours[name])
                top += thick + SMOOTH

    def _near(self, time: float) -> Iterator[tuple[float, float, int, int, int]]:
        """Yield the shots that can be seen: start, hit, attacker, target, style."""
        shots = self.events.shots
        seen = (shots[:, 0] <= time + 0.6) & (shots[:, 1] >= time - SHOT_LOOPS)
        for start, hit, attacker, target, style in shots[seen].tolist():
            yield start, hit, int(attacker), int(target), int(style)

    def _shots(self, pen: ImageDraw.ImageDraw, time: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        for start, hit, attacker, target, style in self._near(time):
            fade = 1 - max(time - hit, 0) / SHOT_LOOPS
            colour = self._colour[attacker]
            a, b = np.array([x[attacker], y[attacker]]), np.array([x[target], y[target]])
            along = (b - a) / max(np.hypot(*(b - a)), 1e-9)
            a, b = a + along * self._radius[attacker] * self.scale, b - along * self._radius[target] * self.scale * 0.6
            if style == MISSILE:
                part = (time - start) / max(hit - start, 0.1)
                if part < 1:
                    tip, tail = a + (b - a) * max(part, 0), a + (b - a) * max(part - 0.2, 0)
                    self._line(pen, tail, tip, tint(colour, 0.8, "#ffffff", 0.4), 0.1)
                    pen.circle(tuple(tip), self.scale * 0.14, tint("#ffffff"))
            elif style == SWEEP:
                self._sweep(pen, a, b, along, min((time - start) / max(hit - start, 0.1), 1), fade)
            elif style == MELEE:
                across = np.array([-along[1], along[0]]) * self.scale * 0.35
                self._line(pen, b - across, b + across, tint(colour, fade, "#ffffff", 0.5), 0.1)
            else:
                self._line(pen, a, b, tint(colour, 0.8 * fade, "#ffffff", 0.35), 0.05)
                pen.circle(tuple(b), self.scale * 0.13, tint("#fff3d0", fade))

    def _sweep(
        self,
        pen: ImageDraw.ImageDraw,
        a: NDArray[np.float64],
        b: NDArray[np.float64],
        along: NDArray[np.float64],
        part: float,
        fade: float,
    ) -> None:
        across = np.array([-along[1], along[0]]) * self.scale * BEAM_HALF
        for way in (1, -1):
            tip = b + across * way * (2 * part - 1)
            self._line(pen, b - across * way, tip, tint("#ff9b3d", 0.4 * fade), 0.25)
            if part < 1:
                self._line(pen, a, tip, tint("#fff2d8", 0.9), 0.07)

    def _heals(self, pen: ImageDraw.ImageDraw, time: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        for first, last, healer, healed in self.events.heals.tolist():
            if first - 1 <= time <= last + 1:
                a, b = (np.array([x[int(unit)], y[int(unit)]]) for unit in (healer, healed))
                self._line(pen, a, b, tint(palette()["heal"], 0.3), 0.22)
                self._line(pen, a, b, tint(palette()["heal"], 0.9), 0.07)

    def _blasts(self, pen: ImageDraw.ImageDraw, time: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        for loop, unit, radius in self.events.deaths.tolist():
            age = time - loop + 0.5
            if radius > 0 and 0 <= age <= BLAST_LOOPS:
                fade = 1 - age / BLAST_LOOPS
                place, r = (x[int(unit)], y[int(unit)]), radius * self.scale * min(1, 0.35 + age / 3)
                colour = palette()["blast"]
                pen.circle(place, r, tint(colour, 0.3 * fade), tint(colour, 0.9 * fade), 2 * SMOOTH)

    def _line(
        self,
        pen: ImageDraw.ImageDraw,
        a: NDArray[np.float64],
        b: NDArray[np.float64],
        colour: Colour,
        cells: float,
    ) -> None:
        pen.line((*a.tolist(), *b.tolist()), colour, max(round(cells * self.scale), SMOOTH))

    def _caption(self, pen: ImageDraw.ImageDraw, time: float) -> None:
        meta, reward = self.replay.meta, self.replay.steps["reward"]
        played = min(int(time // meta["step_mul"]), len(reward))
        text = f"{meta['map']}   step {played}/{len(reward)}   return {reward[:played].sum():.2f}"
        if time >= self.replay.n_loops:
            text += f"   {'time limit' if meta['result'] == 'truncated' else meta['result']}"
        place = (10 * SMOOTH, 8 * SMOOTH)
        pen.text(place, text, tint("#dbe4f3"), self._text, stroke_width=SMOOTH, stroke_fill=tint("#05070b", 0.8))
        width, height = self.size[0] * SMOOTH, self.size[1] * SMOOTH
        part = time / max(self.replay.n_loops, 1)
        pen.rectangle((0, height - 3 * SMOOTH, width * part, height), tint("#e8c15a", 0.9))
