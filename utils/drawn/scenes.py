"""Where a picture was taken: the background, and what stands in front of the camera.

Everything is in units of the picture: (0, 0) is its upper left corner, (1, 1) its lower right one.
"""

import numpy as np
from PIL import Image, ImageDraw

from utils.drawn.colours import between, chance, from_palette, mix, paint, pick, shade

SKIES = ("6fa3d8", "9cc3e6", "c8d6e0", "b7b7b4", "e8c9a0", "d98e6a", "51708f", "dfe6ea", "8796a5", "3c4d66", "a9c6d6")
GRASS = ("5f8a3a", "7ba044", "4a6b34", "98a455", "b8a862", "6e7a40", "8c7f4e", "3f5a30", "a58f52")
EARTH = ("c9b183", "b0926a", "8a6f52", "d8c8a4", "9a8a78", "6b5a48", "a87858")
SNOWS = ("e8edf2", "d5dde6", "f4f4f2", "b9c6d3", "cfd0d2")
ROADS = ("6a6a6c", "86868a", "505256", "9c9890", "77706a", "b4b0a8")
WATER = ("3f6f8f", "5a8fa8", "2f5064", "7fa8a8", "8a9aa0", "4d7a6a", "a39a8c", "6b7f9c", "c0a890")
WALLS = ("d8cfc0", "b5a58c", "8fa3ad", "c48f6a", "7d6a5a", "e6e2d8", "6f7f6a", "a8a4b4", "5a4a42", "c9b8a8", "4a5a6a")
WOODS = ("3d5230", "54683a", "6d5a3c", "8a6a3a", "2e3c2c", "7a8450", "9a5f34", "56504a")
FLOORS = ("8a6a4a", "b08a60", "c8b090", "6a4a36", "a09890", "d0c8bc", "7a3a34", "4a5a6a", "5a6a4a", "c0a8a0")


class Canvas:
    """An image to draw on in units of the picture."""

    def __init__(self, pixels, mode="RGB"):
        self.image = Image.new(mode, (pixels, pixels))
        self.draw, self.pixels, self.mode = ImageDraw.Draw(self.image), pixels, mode

    def _fill(self, colour):
        fill = tuple(max(0, min(255, int(255 * c))) for c in colour)
        return (*fill, 255) if self.mode == "RGBA" else fill

    def polygon(self, points, colour):
        self.draw.polygon([float(c) * self.pixels for point in points for c in point], self._fill(colour))

    def box(self, x0, y0, x1, y1, colour):
        self.polygon(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), colour)

    def oval(self, x, y, rx, ry, colour):
        box = [(x - rx) * self.pixels, (y - ry) * self.pixels, (x + rx) * self.pixels, (y + ry) * self.pixels]
        self.draw.ellipse(box, self._fill(colour))

    def line(self, points, width, colour):
        flat = [float(c) * self.pixels for point in points for c in point]
        self.draw.line(flat, self._fill(colour), max(1, round(width * self.pixels)))

    def gradient(self, y0, y1, top, bottom):
        """Fill the band from y0 to y1 with a blend of two colours, in 16 steps."""
        for i in range(16):
            start = (y0 + (y1 - y0) * i / 16) * self.pixels
            band = (0, start, self.pixels, max(start, y1 * self.pixels))
            self.draw.rectangle(band, self._fill(mix(top, bottom, i / 15)))


def anything(rng):
    """Return the colour of a thing that is nobody's class."""
    palette = pick(rng, (EARTH, WOODS, WALLS, None))
    return from_palette(rng, palette) if palette else mix(paint(rng), (0.5, 0.5, 0.5), 0.4)


# --- what there is behind ------------------------------------------------------------------------------------


def sky(canvas, rng, horizon):
    """Fill the upper part with a sky, with clouds or without."""
    top = from_palette(rng, SKIES)
    canvas.gradient(0, horizon, top, mix(top, pick(rng, ((0.95, 0.93, 0.9), from_palette(rng, SKIES))), rng.random()))
    if chance(rng, 0.5):
        for _ in range(int(between(rng, 2, 6))):
            x, y, width = rng.random(), rng.random() * horizon, between(rng, 0.08, 0.25)
            cloud = mix(top, (1, 1, 1), between(rng, 0.25, 0.8))
            for dx, dy, r in rng.uniform((-1, -0.3, 0.4), (1, 0.3, 1), (5, 3)):
                canvas.oval(x + dx * width, y + dy * width * 0.4, r * width * 0.6, r * width * 0.3, cloud)


def far(canvas, rng, horizon):
    """Set something on the horizon: hills, a row of trees, roofs, or nothing."""
    what = pick(rng, ("hills", "trees", "roofs", "nothing"))
    tint = from_palette(rng, WOODS if what != "roofs" else WALLS)
    if what == "hills":
        heights = horizon - rng.uniform(0.02, 0.2, 6)
        canvas.polygon([(0, horizon), *zip(np.linspace(0, 1, 6), heights), (1, horizon)], tint)
    if what == "trees":
        for x in rng.uniform(0, 1, 9):
            size = between(rng, 0.05, 0.16)
            canvas.oval(x, horizon - 0.5 * size, 0.8 * size, size, shade(tint, between(rng, 0.7, 1.2)))
    if what == "roofs":
        for x in rng.uniform(-0.1, 1, 6):
            canvas.box(
                x,
                horizon - between(rng, 0.05, 0.25),
                x + between(rng, 0.1, 0.3),
                horizon,
                shade(tint, between(rng, 0.6, 1.2)),
            )


def clutter(canvas, rng, horizon):
    """Scatter stones, bushes, boxes: things that are nobody's class."""
    for _ in range(int(between(rng, 0, 5))):
        x, y = rng.random(), between(rng, horizon, 1)
        size, tint = between(rng, 0.02, 0.12), anything(rng)
        if chance(rng, 0.7):
            canvas.oval(x, y, 1.4 * size, 0.8 * size, tint)
        else:
            canvas.box(x, y - size, x + 1.5 * size, y + size, tint)


def open_land(canvas, rng, palette):
    """Draw ground of one palette below a sky, with tufts or ripples."""
    horizon = between(rng, 0.05, 0.6)
    sky(canvas, rng, horizon)
    far(canvas, rng, horizon)
    ground = from_palette(rng, palette)
    canvas.gradient(horizon, 1, mix(ground, (0.7, 0.75, 0.75), 0.3), shade(ground, between(rng, 0.6, 1.1)))
    for x, y in rng.uniform((0, horizon), (1, 1), (int(between(rng, 0, 40)), 2)):
        size = 0.02 + 0.05 * (y - horizon)
        canvas.line([(x, y), (x + between(rng, -1, 1) * size, y - size)], 0.012, shade(ground, between(rng, 0.6, 1.3)))
    clutter(canvas, rng, horizon)


def meadow(canvas, rng):
    open_land(canvas, rng, GRASS)


def sand(canvas, rng):
    open_land(canvas, rng, EARTH)


def snow(canvas, rng):
    open_land(canvas, rng, SNOWS)


def heaven(canvas, rng):
    sky(canvas, rng, 1.0)
    if chance(rng, 0.3):
        far(canvas, rng, 1.0)


def wood(canvas, rng):
    """Draw trunks and leaves, dark or autumnal."""
    leaf, bark = from_palette(rng, WOODS), from_palette(rng, EARTH)
    horizon = between(rng, 0.4, 0.8)
    canvas.gradient(0, horizon, shade(leaf, between(rng, 0.6, 1.3)), shade(leaf, 0.8))
    canvas.gradient(horizon, 1, from_palette(rng, GRASS + EARTH), from_palette(rng, GRASS + EARTH))
    for x, y in rng.uniform((0, 0), (1, horizon), (24, 2)):
        size = between(rng, 0.03, 0.1)
        canvas.oval(x, y, size, 0.8 * size, shade(leaf, between(rng, 0.5, 1.5)))
    for x in rng.uniform(0, 1, int(between(rng, 1, 6))):
        width = between(rng, 0.015, 0.07)
        canvas.box(x, 0, x + width, horizon + between(rng, 0, 0.1), shade(bark, between(rng, 0.4, 0.9)))


def street(canvas, rng):
    """Draw houses with windows behind a road."""
    horizon = between(rng, 0.25, 0.65)
    sky(canvas, rng, horizon)
    x = -0.1
    while x < 1:
        wide, high, tint = between(rng, 0.15, 0.45), horizon * between(rng, -0.2, 0.8), from_palette(rng, WALLS)
        canvas.box(x, high, x + wide, horizon, tint)
        for column in np.arange(x + 0.04, x + wide - 0.05, 0.1):
            for row in np.arange(high + 0.05, horizon - 0.08, 0.13):
                canvas.box(column, row, column + 0.05, row + 0.07, shade(tint, 0.5))
        x += wide + (between(rng, 0, 0.3) if chance(rng, 0.3) else 0)
    road = from_palette(rng, ROADS)
    canvas.gradient(horizon, 1, shade(road, 1.1), shade(road, between(rng, 0.7, 1.1)))
    if chance(rng, 0.5):
        kerb = horizon + between(rng, 0.03, 0.12)
        canvas.box(0, horizon, 1, kerb, from_palette(rng, ROADS + GRASS))
    if chance(rng, 0.4):
        y = between(rng, 0.8, 0.97)
        for x in np.arange(0, 1, 0.3):
            canvas.box(x, y, x + 0.17, y + 0.02, (0.92, 0.9, 0.8))


def sea(canvas, rng):
    """Draw water with waves, under a sky or up to the upper edge."""
    horizon = between(rng, 0.2, 0.65) if chance(rng, 0.85) else 0.0
    sky(canvas, rng, max(horizon, 0.01))
    if horizon:
        far(canvas, rng, horizon)
    water = from_palette(rng, WATER)
    canvas.gradient(horizon, 1, mix(water, (0.8, 0.85, 0.88), 0.3), shade(water, between(rng, 0.6, 1)))
    for x, y in rng.uniform((0, horizon), (1, 1), (36, 2)):
        size = 0.03 + 0.12 * (y - horizon)
        canvas.line([(x - size, y), (x + size, y)], 0.012, shade(water, between(rng, 0.6, 1.5)))


def room(canvas, rng):
    """Draw a wall and a floor, with a window, a shelf or a sofa."""
    edge = between(rng, 0.35, 0.85)
    wall, floor = from_palette(rng, WALLS), from_palette(rng, FLOORS)
    canvas.gradient(0, edge, shade(wall, between(rng, 0.7, 1.2)), wall)
    canvas.gradient(edge, 1, shade(floor, 0.8), floor)
    for _ in range(int(between(rng, 0, 4))):
        x, y, tint = between(rng, -0.1, 0.9), between(rng, -0.1, edge), anything(rng)
        wide, high = between(rng, 0.1, 0.5), between(rng, 0.1, 0.5)
        canvas.box(x, y, x + wide, y + high, tint)
        canvas.box(x + 0.02, y + 0.02, x + wide - 0.02, y + high - 0.02, shade(tint, between(rng, 0.6, 1.4)))
    if chance(rng, 0.4):
        for x in np.arange(0, 1, between(rng, 0.08, 0.2)):
            canvas.line([(x, edge), (2 * x - 0.5, 1)], 0.012, shade(floor, 0.75))


def wall(canvas, rng):
    """Draw one smooth surface, as in a studio."""
    tone = pick(rng, (from_palette(rng, WALLS), from_palette(rng, SNOWS), from_palette(rng, ROADS), anything(rng)))
    canvas.gradient(0, 1, shade(tone, between(rng, 0.7, 1.3)), shade(tone, between(rng, 0.7, 1.3)))


def leaves(canvas, rng):
    """Fill everything with leaves or pebbles, large and out of focus."""
    tint = from_palette(rng, pick(rng, (WOODS, GRASS, GRASS, EARTH, WATER)))
    canvas.gradient(0, 1, shade(tint, 0.7), tint)
    for x, y in rng.random((30, 2)):
        size, tone = between(rng, 0.04, 0.16), shade(tint, between(rng, 0.55, 1.5))
        dx, dy = rng.uniform(-1, 1, 2) * size
        canvas.polygon(
            [(x - dx, y - dy), (x + 0.5 * dy, y - 0.5 * dx), (x + dx, y + dy), (x - 0.5 * dy, y + 0.5 * dx)], tone
        )


# --- what there is in front ------------------------------------------------------------------------------------


def blades(canvas, rng):
    """Let grass stand before the lower edge."""
    tint = from_palette(rng, GRASS)
    for x in rng.uniform(0, 1, int(between(rng, 6, 18))):
        tip, lean = 1 - between(rng, 0.08, 0.3), between(rng, -0.1, 0.1)
        canvas.polygon([(x - 0.015, 1), (x + 0.015, 1), (x + lean, tip)], shade(tint, between(rng, 0.6, 1.3)))


def branch(canvas, rng):
    """Let a twig with leaves hang in from one side."""
    side, y, reach = pick(rng, (0, 1)), between(rng, 0.0, 1), between(rng, 0.2, 0.5)
    end = abs(side - reach), y + between(rng, -0.3, 0.3)
    canvas.line([(side, y), end], 0.03, (0.25, 0.18, 0.12))
    tint = from_palette(rng, WOODS + GRASS)
    for t in rng.random(6):
        x, h = side + t * (end[0] - side), y + t * (end[1] - y)
        canvas.oval(x, h + between(rng, -0.06, 0.06), 0.06, 0.04, shade(tint, between(rng, 0.6, 1.4)))


def post(canvas, rng):
    """Let a post or a lamp's pole stand in the way."""
    x, width, tint = (
        rng.random(),
        between(rng, 0.02, 0.09),
        pick(rng, (from_palette(rng, ROADS), from_palette(rng, EARTH))),
    )
    canvas.box(x, -0.01, x + width, 1.01, tint)
    canvas.box(x + 0.65 * width, -0.01, x + width, 1.01, shade(tint, 0.6))


def fence(canvas, rng):
    """Let wires or rails run from side to side."""
    tint, width = pick(rng, (from_palette(rng, EARTH), (0.2, 0.2, 0.2), (0.8, 0.8, 0.8))), between(rng, 0.012, 0.035)
    low = between(rng, 0.5, 0.9)
    for y in (low, low + 0.18, low + 0.36):
        canvas.line([(0, y), (1, y + between(rng, -0.04, 0.04))], width, tint)
    x = rng.random()
    canvas.box(x, low - 0.08, x + 1.8 * width, 1.01, tint)


def corner(canvas, rng):
    """Let something large and near cover a corner or an edge."""
    x, y = pick(rng, (0, 1, between(rng, 0, 1))), pick(rng, (0, 1, 1))
    canvas.oval(x, y, between(rng, 0.12, 0.3), between(rng, 0.1, 0.22), anything(rng))


OCCLUDERS = (blades, branch, post, fence, corner)
