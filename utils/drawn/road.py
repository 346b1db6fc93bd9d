"""Automobile and truck."""

import numpy as np

from utils.drawn.colours import BLACK, WHITE, between, chance, mix, paint, pick, shade
from utils.drawn.solids import TURN, Body

GLASS = ((0.12, 0.15, 0.19), (0.2, 0.25, 0.3), (0.45, 0.55, 0.62))
LAMP, TAIL, TYRE, CHROME = (0.98, 0.95, 0.75), (0.8, 0.08, 0.06), (0.06, 0.06, 0.07), (0.75, 0.76, 0.78)


def wheel(body, x, width, radius, hub, z=0.0):
    """Add an axle's two wheels: the tread, the tyre's outer side and the hub."""
    for side in (-1, 1):
        outer, inner = side * width / 2, side * (width / 2 - 0.18)
        ring = np.column_stack([x + radius * np.cos(TURN), z + radius * np.sin(TURN)])[::2]
        for (x0, z0), (x1, z1) in zip(ring, np.roll(ring, -1, axis=0)):
            body.face([(x0, inner, z0), (x1, inner, z1), (x1, outer, z1), (x0, outer, z0)], TYRE, layer=-1)
        body.disc((x, outer, z), radius, TYRE, layer=1, out=side)
        body.disc((x, outer * 1.01, z), 0.55 * radius, hub, layer=1.1, out=side)
        body.disc((x, outer * 1.02, z), 0.16 * radius, shade(hub, 0.5), layer=1.2, out=side)


def pane(body, corners, colour, width, layer=1.0):
    """Add the same window on both sides: `corners` (x, z) run anticlockwise as seen from the right.

    `width` is the body's width at each corner.
    """
    half = np.ones(len(corners)) * width / 2 + 0.005
    right = [(x, -h, z) for (x, z), h in zip(corners, half)]
    left = [(x, h, z) for (x, z), h in zip(corners, half)]
    body.face(right, colour, layer, one_sided=True)
    body.face(left[::-1], colour, layer, one_sided=True)


def crosswise(body, x, low, high, half, colour, front=True, layer=1.0, lean=0.0):
    """Add a rectangle across the body at `x`, from the height `low` to `high`; `half` is one width or (low, high)."""
    bottom, top = (half, half) if np.isscalar(half) else half
    points = [(x, -bottom, low), (x, bottom, low), (x + lean, top, high), (x + lean, -top, high)]
    body.face(points if front else points[::-1], colour, layer, one_sided=True)


def lamps(body, x, y, z, radius, colour, front=True, layer=1.1):
    for side in (-1, 1):
        points = [(x, side * y + 1.3 * radius * np.cos(t), z + radius * np.sin(t)) for t in TURN[::2]]
        body.face(points if front else points[::-1], colour, layer, one_sided=True)


# --- automobile --------------------------------------------------------------------------------------------

# Side views of the cabin, (x, z) anticlockwise as seen from the right: rear foot, front foot, front top, rear top.
CABINS = {
    "saloon": ((-1.45, 0.62), (0.85, 0.62), (0.2, 1.16), (-0.85, 1.16)),
    "hatchback": ((-1.75, 0.62), (0.8, 0.62), (0.2, 1.22), (-1.45, 1.2)),
    "estate": ((-2.0, 0.66), (0.8, 0.66), (0.25, 1.22), (-1.8, 1.22)),
    "coupe": ((-1.75, 0.6), (0.75, 0.6), (-0.1, 1.05), (-0.6, 1.05)),
    "jeep": ((-1.95, 0.75), (0.65, 0.75), (0.4, 1.45), (-1.9, 1.45)),
}


def cabin(body, corners, width, top, colour, glass):
    """Add roof and windows."""
    (x0, z0), (x1, _), (x2, z1), (x3, _) = corners
    body.prism(corners, width, colour, top_width=top, layer=0.5)
    low, high, middle = z0 + 0.1 * (z1 - z0), z0 + 0.84 * (z1 - z0), (x2 + x3) / 2
    widths = np.array([width, width, top, top]) + 0.02 * (width - top)
    front = [(middle + 0.04, low), (x1 - 0.2, low), (x2 - 0.02, high), (middle + 0.04, high)]
    rear = [(x0 + 0.2, low), (middle - 0.04, low), (middle - 0.04, high), (x3 + 0.06, high)]
    pane(body, front, glass, widths)
    pane(body, rear, glass, widths)
    low, high, halves = z0 + 0.08 * (z1 - z0), z0 + 0.88 * (z1 - z0), (0.44 * width, 0.43 * top)
    crosswise(body, x1 + 0.08 * (x2 - x1) + 0.02, low, high, halves, glass, lean=0.8 * (x2 - x1))
    crosswise(body, x0 + 0.08 * (x3 - x0) - 0.02, low, high, halves, glass, front=False, lean=0.8 * (x3 - x0))


def bumpers(body, colour, front, rear, rng):
    """Add lamps, grille, bumpers and number plates at both ends."""
    grille = pick(rng, (BLACK, CHROME, shade(colour, 0.4)))
    lamps(body, front, 0.58, 0.44, 0.12, LAMP)
    crosswise(body, front + 0.02, 0.32, 0.5, 0.36, grille)
    crosswise(body, front + 0.02, 0.12, 0.24, 0.66, shade(colour, 0.45))
    crosswise(body, front + 0.03, 0.2, 0.29, 0.17, WHITE, layer=1.1)
    lamps(body, rear, 0.6, 0.46, 0.1, TAIL, front=False)
    crosswise(body, rear - 0.01, 0.28, 0.38, 0.2, WHITE, front=False, layer=1.1)
    crosswise(body, rear, 0.1, 0.22, 0.7, shade(colour, 0.45), front=False)


def automobile(rng, look):
    """Return a saloon, hatchback, estate, coupé or jeep. `look` is not used: a car has no neck."""
    body, colour, glass, kind = Body(), paint(rng), pick(rng, GLASS), pick(rng, tuple(CABINS))
    corners, width, nose, tail = CABINS[kind], 1.55, between(rng, 1.75, 2.05), -2.05
    belt = corners[0][1]
    bonnet = [(nose + 0.08, 0.32), (nose - 0.05, belt - 0.12), (0.9, belt + 0.01)]
    body.prism([(tail, 0.08), (nose, 0.08), *bonnet, (tail + 0.04, belt + 0.01), (tail - 0.06, 0.35)], width, colour)
    cabin(body, corners, 0.97 * width, 0.74 * width, colour if chance(rng, 0.85) else BLACK, glass)
    hub = pick(rng, (CHROME, (0.45, 0.45, 0.47), (0.15, 0.15, 0.16)))
    for x in (-1.3, 1.2):
        wheel(body, x, width + 0.04, 0.44 if kind == "jeep" else 0.37, hub, z=0.08)
    pane(body, [(tail, 0.09), (nose, 0.09), (nose, 0.16), (tail, 0.16)], shade(colour, 0.4), width, layer=0.9)
    pane(body, [(-0.4, 0.5), (-0.18, 0.5), (-0.18, 0.54), (-0.4, 0.54)], shade(colour, 0.4), width)
    bumpers(body, colour, nose + 0.07, tail - 0.06, rng)
    return body


# --- truck -------------------------------------------------------------------------------------------------


def cab(body, colour, glass, nose, rng):
    """Add the driver's cab, in front of x = 0.9: flat-faced, or (nose above 0) with a bonnet."""
    width, front = 1.5, 2.0
    body.prism(
        [(0.95, 0.25), (front, 0.25), (front, 1.15), (front - 0.2, 1.95), (1.0, 2.0)], width, colour, top_width=1.36
    )
    pane(body, [(1.3, 1.2), (front - 0.12, 1.2), (front - 0.26, 1.78), (1.3, 1.78)], glass, (1.43, 1.43, 1.38, 1.38))
    crosswise(body, front + 0.01, 1.17, 1.84, (0.66, 0.62), glass, True, 1.0, -0.17)
    if nose:
        body.prism([(front, 0.25), (front + nose, 0.25), (front + nose, 1.0), (front, 1.15)], 1.15, colour, layer=1.3)
    x = front + nose + 0.02
    crosswise(body, x, 0.5, 0.98, 0.42, pick(rng, (CHROME, BLACK, shade(colour, 0.4))), layer=1.5)
    for z in (0.62, 0.74, 0.86):
        crosswise(body, x + 0.01, z, z + 0.05, 0.4, shade(colour, 0.3), layer=1.55)
    crosswise(body, x + 0.01, 0.2, 0.42, 0.72 if not nose else 0.6, CHROME, layer=1.5)
    lamps(body, x + 0.01, 0.58 if not nose else 0.48, 0.55, 0.1, LAMP, layer=1.6)
    for side in (-1, 1):
        body.tube([(front - 0.1, 0.86 * side, 1.35), (front - 0.1, 0.86 * side, 1.75)], 0.055, BLACK, layer=1.0)
        if nose and chance(rng, 0.7):
            body.tube([(0.95, 0.66 * side, 1.0), (0.95, 0.66 * side, 2.5)], 0.06, CHROME, layer=0.2)


def box_load(body, colour, rng, rear):
    """Add a closed box, with a stripe or panels on its side and doors behind."""
    top = between(rng, 2.2, 2.6)
    body.box((rear, -0.78, 0.6), (0.85, 0.78, top), colour)
    crosswise(body, rear - 0.01, 0.65, top - 0.08, 0.7, shade(colour, 0.85), front=False)
    crosswise(body, rear - 0.02, 0.65, top - 0.08, 0.02, BLACK, front=False, layer=1.1)
    if chance(rng, 0.6):
        low = between(rng, 0.9, 1.5)
        pane(body, [(rear + 0.2, low), (0.7, low), (0.7, low + 0.4), (rear + 0.2, low + 0.4)], paint(rng), 1.56)


def tipper_load(body, colour, rng, rear):
    """Add an open, sloping skip with ribs, heaped with earth or sand."""
    body.prism([(rear + 0.1, 0.65), (0.75, 0.65), (0.85, 1.6), (rear - 0.15, 1.5)], 1.4, colour, top_width=1.6)
    for x in np.arange(rear + 0.3, 0.7, 0.45):
        pane(body, [(x, 0.7), (x + 0.1, 0.7), (x + 0.1, 1.5), (x, 1.5)], shade(colour, 0.6), (1.42, 1.42, 1.6, 1.6))
    heap = pick(rng, ((0.45, 0.32, 0.2), (0.8, 0.7, 0.5), (0.4, 0.4, 0.4)))
    body.ball(((rear + 0.85) / 2, 0, 1.5), (0.42 * (0.85 - rear), 0.65, 0.4), heap, layer=-0.1)


def tank_load(body, colour, rng, rear):
    """Add a round tank with hoops."""
    body.box((rear, -0.6, 0.6), (0.85, 0.6, 0.75), BLACK)
    body.tube([(0.3, 0, 1.35), (rear + 0.5, 0, 1.35)], 0.68, colour, layer=0.1)
    for x in np.linspace(rear + 0.6, 0.2, 4):
        hoop = [(x, 0.69 * np.cos(t), 1.35 + 0.69 * np.sin(t)) for t in np.linspace(np.pi / 2, 3 * np.pi / 2, 9)]
        body.tube(hoop, 0.035, shade(colour, 0.6), layer=0.2)
        body.tube([(x, -y, z) for x, y, z in hoop], 0.035, shade(colour, 0.6), layer=0.2)
    body.tube([(rear / 2, 0, 2.0), (rear / 2, 0, 2.15)], 0.15, shade(colour, 0.6))


def ladder_load(body, colour, rng, rear):
    """Add a fire engine's lockers, with a ladder and a blue light on top."""
    body.box((rear, -0.76, 0.35), (0.92, 0.76, 1.85), colour)
    for x in np.arange(rear + 0.2, 0.6, 0.62):
        pane(body, [(x, 0.75), (x + 0.5, 0.75), (x + 0.5, 1.5), (x, 1.5)], CHROME, 1.53)
    pane(body, [(rear, 0.5), (0.9, 0.5), (0.9, 0.62), (rear, 0.62)], WHITE, 1.53)
    rise = between(rng, 0, 0.9)
    for side in (-0.25, 0.25):
        body.tube([(rear - 0.1, side, 2.0), (1.6, side, 2.1 + rise)], 0.055, CHROME, layer=1.2)
    for t in np.linspace(0, 1, 9):
        x, z = rear - 0.1 + t * (1.7 - rear), 2.0 + t * (0.1 + rise)
        body.tube([(x, -0.25, z), (x, 0.25, z)], 0.035, CHROME, layer=1.2)
    body.box((1.2, -0.4, 1.98), (1.5, 0.4, 2.15), (0.15, 0.3, 0.9), layer=1.2)


def log_load(body, colour, rng, rear):
    """Add a flat bed with stakes, loaded with logs or crates."""
    body.box((rear, -0.76, 0.55), (0.85, 0.76, 0.75), shade(colour, 0.7))
    if chance(rng, 0.5):
        for y, z in ((-0.5, 0.95), (0, 0.95), (0.5, 0.95), (-0.25, 1.35), (0.25, 1.35), (0, 1.7)):
            wood = mix((0.5, 0.34, 0.2), (0.3, 0.2, 0.13), rng.random())
            body.tube([(0.75, y, z), (rear + 0.1, y, z)], 0.24, wood, layer=z)
            body.ball((rear + 0.0, y, z), (0.14, 0.21, 0.21), (0.8, 0.65, 0.45), layer=z)
    else:
        for x in np.arange(rear + 0.1, 0.5, 0.75):
            body.box((x, -0.6, 0.76), (x + 0.68, 0.6, between(rng, 1.1, 1.8)), paint(rng), layer=0.2)


def truck(rng, look):
    """Return a lorry with one of five loads. `look` is not used."""
    body, colour, glass = Body(), paint(rng), pick(rng, GLASS)
    load = pick(rng, (box_load, box_load, tipper_load, tank_load, ladder_load, log_load))
    rear = between(rng, -3.4, -1.3) if load in (box_load, tank_load) else between(rng, -2.1, -1.3)
    nose = pick(rng, (0, 0, between(rng, 0.5, 0.8)))
    body.box((rear + 0.1, -0.5, 0.3), (1.2, 0.5, 0.6), BLACK, layer=-0.5)
    cargo = pick(rng, (WHITE, paint(rng), colour)) if load in (box_load, tank_load) else colour
    load(body, cargo, rng, rear)
    cab(body, colour, glass, nose, rng)
    crosswise(body, rear - 0.02, 0.35, 0.55, 0.72, BLACK, front=False)
    lamps(body, rear - 0.03, 0.55, 0.48, 0.08, TAIL, front=False)
    hub = pick(rng, (CHROME, (0.45, 0.45, 0.47), (0.2, 0.2, 0.2)))
    axles = [1.5 + 0.8 * nose, rear + 0.55] + ([rear + 1.4] if rear < -1.6 else []) + ([0.3] if rear < -2.5 else [])
    for x in axles:
        wheel(body, x, 1.58, 0.4, hub, z=0.2)
    return body
