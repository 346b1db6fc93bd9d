"""Airplane and ship."""

import numpy as np

from utils.drawn.colours import BLACK, WHITE, between, chance, mix, paint, pick, shade
from utils.drawn.road import GLASS, crosswise, pane
from utils.drawn.solids import Body

SILVER, WOOD, CRANE = (0.72, 0.74, 0.77), (0.35, 0.25, 0.16), (0.75, 0.65, 0.3)
CANVAS = (WHITE, WHITE, (0.9, 0.85, 0.72), (0.6, 0.25, 0.2), (0.25, 0.3, 0.45))

# --- airplane ----------------------------------------------------------------------------------------------


def wings(body, root, tip, span, height, rise, colour, layer=0.0):
    """Add two wings: `root` and `tip` are (rear, front) in x; the tips are `rise` above the root."""
    for side in (-1, 1):
        y, z = span * side, height + rise
        corners = [(root[0], 0.08 * side, height), (root[1], 0.08 * side, height), (tip[1], y, z), (tip[0], y, z)]
        body.face(corners, shade(colour, 0.92 if side > 0 else 0.8), layer)
        flap = [corners[0], corners[3], (tip[0] + 0.06, y, z), (root[0] + 0.1, 0.08 * side, height)]
        body.face(flap, shade(colour, 0.6), layer)


def fin(body, root, tip, height, colour, y=0.0, lean=0.0):
    """Add an upright fin between `root` and `tip`, each (rear, front) in x."""
    upper = [(tip[1], y + lean, height), (tip[0], y + lean, height)]
    body.face([(root[0], y, 0.08), (root[1], y, 0.08), *upper], colour)


def portholes(body, start, stop, step, y, z, size, colour):
    for x in np.arange(start, stop, step):
        body.face([(x, -y, z), (x + size, -y, z), (x + size, -y, z + size), (x, -y, z + size)], colour, 0.5, True)
        body.face([(x, y, z), (x, y, z + size), (x + size, y, z + size), (x + size, y, z)], colour, 0.5, True)


def wheels_down(body, places, length):
    for x, y in places:
        body.tube([(x, y, -0.05), (x, y, -length)], 0.022, (0.4, 0.4, 0.42))
        body.ball((x, y, -length), (0.07, 0.035, 0.07), BLACK)


def airliner(body, colour, rng, landed):
    """Add a long fuselage with swept wings, engines below them, and a fin in the airline's colour."""
    livery, span, rise = paint(rng), between(rng, 1.1, 1.35), between(rng, 0.05, 0.25)
    fuselage = [(-1.35, 0, 0.1), (-0.75, 0, 0.02), (0.85, 0, 0), (1.1, 0, -0.02), (1.22, 0, -0.04)]
    body.tube(fuselage, (0.04, 0.155, 0.16, 0.12, 0.06), colour)
    wings(body, (-0.25, 0.3), (-0.62, -0.45), span, -0.06, rise, mix(colour, SILVER, 0.6))
    wings(body, (-1.3, -1.0), (-1.45, -1.32), 0.45, 0.1, 0.05, colour)
    fin(body, (-1.32, -0.85), (-1.48, -1.22), between(rng, 0.5, 0.65), livery)
    portholes(body, -0.75, 0.85, 0.1, 0.162, 0.02, 0.05, shade(colour, 0.3))
    body.face([(1.03, -0.1, 0.06), (1.03, 0.1, 0.06), (0.93, 0.1, 0.13), (0.93, -0.1, 0.13)], BLACK, 0.5)
    engine = mix(livery, SILVER, pick(rng, (0, 1)))
    for y in (0.42, -0.42, 0.75, -0.75)[: pick(rng, (2, 2, 4))]:
        x = 0.2 - 0.45 * abs(y)
        body.tube([(x, y, -0.14), (x + 0.32, y, -0.14)], (0.055, 0.085), engine)
        body.ball((x + 0.33, y, -0.14), (0.03, 0.065, 0.065), BLACK)
    if landed:
        wheels_down(body, ((0.85, 0), (-0.1, 0.25), (-0.1, -0.25)), 0.36)


def jet_fighter(body, colour, rng, landed):
    """Add a pointed fuselage with a canopy, delta wings and one fin or two."""
    fuselage = [(-0.95, 0, 0), (-0.5, 0, 0), (0.4, 0, 0), (0.85, 0, 0), (1.35, 0, -0.02)]
    body.tube(fuselage, (0.12, 0.16, 0.14, 0.09, 0.01), colour)
    body.ball((-1.0, 0, 0), (0.04, 0.1, 0.1), BLACK)
    body.ball((0.55, 0, 0.11), (0.28, 0.075, 0.1), pick(rng, ((0.1, 0.12, 0.16), (0.5, 0.6, 0.65))), layer=0.1)
    wings(body, (-0.75, 0.35), (-0.7, -0.45), between(rng, 0.7, 0.9), 0, -0.03, colour)
    wings(body, (-1.1, -0.7), (-1.2, -1.02), 0.42, 0, 0, shade(colour, 0.9))
    if chance(rng, 0.5):
        for side in (-1, 1):
            fin(body, (-1.0, -0.45), (-1.12, -0.82), 0.45, shade(colour, 0.75), 0.13 * side, 0.1 * side)
    else:
        fin(body, (-1.0, -0.4), (-1.15, -0.85), 0.5, shade(colour, 0.75))
    if landed:
        wheels_down(body, ((0.6, 0), (-0.3, 0.2), (-0.3, -0.2)), 0.3)


def propeller(body, x, radius):
    """Add a propeller's two blades and its hub."""
    for side in (-1, 1):
        tip = [(x, side * radius * np.cos(t), side * radius * np.sin(t)) for t in (0.6, 0.95)]
        body.face([(x, 0, 0), *tip], (0.15, 0.14, 0.13))
    body.ball((x, 0, 0), 0.05, BLACK)


def light_plane(body, colour, rng, landed):
    """Add a short fuselage with straight wings, one or two pairs, and a propeller."""
    stripe, span = paint(rng), between(rng, 1.1, 1.3)
    body.tube([(-1.15, 0, 0.08), (-0.3, 0, 0.02), (0.3, 0, 0), (0.62, 0, -0.02)], (0.04, 0.17, 0.19, 0.15), colour)
    heights = pick(rng, ((0.22,), (-0.08,), (-0.12, 0.32)))
    for z in heights:
        tint = pick(rng, (colour, stripe))
        wings(body, (-0.1, 0.3), (-0.05, 0.25), span, z, 0.06, tint, layer=0.1 if z > 0 else 0)
    for y in (-0.6, 0.6) if len(heights) == 2 else ():
        body.tube([(0.1, y, -0.1), (0.15, y, 0.34)], 0.02, BLACK)
    wings(body, (-1.2, -0.95), (-1.2, -1.02), 0.42, 0.1, 0.0, stripe)
    fin(body, (-1.22, -0.85), (-1.28, -1.05), 0.45, stripe)
    body.ball((0.12, 0, 0.15), (0.24, 0.13, 0.12), pick(rng, GLASS), layer=0.05)
    propeller(body, 0.76, 0.36)
    if landed or chance(rng, 0.5):
        wheels_down(body, ((0.3, 0.3), (0.3, -0.3), (-1.0, 0)), 0.36)


def airplane(rng, look):
    """Return an airliner, a fighter or a light plane, in the air or on the ground. `look` is not used."""
    body = Body()
    colour = pick(rng, (WHITE, SILVER, mix(paint(rng), (0.6, 0.6, 0.6), 0.4), paint(rng)))
    body.grounded = chance(rng, 0.33)
    if not body.grounded:
        body.elevations = (-45, 50)
    pick(rng, (airliner, airliner, jet_fighter, light_plane))(body, colour, rng, body.grounded)
    return body


# --- ship --------------------------------------------------------------------------------------------------


def hull(body, length, width, depth, colour, rise=0.25, bottom=None):
    """Add a hull from the waterline (z = 0) to the deck; `rise` lifts the bow. The lowest part has another colour."""
    share = np.array([-1, -0.97, -0.5, 0.2, 0.6, 0.85, 1.0])
    half = np.array([0.55, 0.8, 1, 1, 0.8, 0.42, 0.0]) * width / 2
    deck = np.column_stack([share * length, half, depth + rise * np.clip(share, 0, 1) ** 2])
    water = np.column_stack([share * length * 0.9, 0.8 * half, 0 * half])
    band = water + 0.22 * (deck - water)
    across = np.array([1, -1, 1])
    for low, high, tint in ((water, band, bottom or shade(colour, 0.6)), (band, deck, colour)):
        for i in range(len(share) - 1):
            quad = np.array([low[i], low[i + 1], high[i + 1], high[i]])
            body.face(quad[::-1], tint, one_sided=True)
            body.face(quad * across, tint, one_sided=True)
        body.face([high[0], high[0] * across, low[0] * across, low[0]], shade(tint, 0.9), one_sided=True)
    planks = mix(colour, (0.65, 0.55, 0.42), 0.7)
    body.face(np.concatenate([deck * across, deck[::-1]]), planks, layer=0.05, one_sided=True)


def house(body, low, high, colour, layer=0.3):
    """Add a deckhouse with a row of windows."""
    body.box(low, high, colour, layer)
    (x0, y0, z0), (x1, y1, z1) = low, high
    a, b, glass = z0 + 0.45 * (z1 - z0), z0 + 0.75 * (z1 - z0), (0.15, 0.2, 0.25)
    step = max((x1 - x0) / 7, 0.09)
    for x in np.arange(x0 + 0.3 * step, x1 - 0.5 * step, step):
        pane(body, [(x, a), (x + 0.6 * step, a), (x + 0.6 * step, b), (x, b)], glass, y1 - y0, layer + 0.01)
    crosswise(body, x1 + 0.01, a, b, 0.85 * y1, glass, layer=layer + 0.01)


def funnel(body, x, z, height, radius, colour, layer=0.4):
    body.tube([(x, 0, z), (x - 0.06, 0, z + height)], radius, colour, layer)
    body.tube([(x - 0.05, 0, z + 0.85 * height), (x - 0.06, 0, z + height)], 1.03 * radius, BLACK, layer + 0.01)


def liner(body, colour, rng):
    """Add a passenger ship: decks in steps, and funnels."""
    hull(body, 1.6, 0.55, 0.32, colour, 0.15)
    white, z = mix(WHITE, colour, pick(rng, (0, 0.1))), 0.33
    for i in range(int(between(rng, 2, 4.99))):
        house(body, (-1.25 + 0.1 * i, -0.2, z), (0.95 - 0.16 * i, 0.2, z + 0.17), white, layer=0.3 + 0.05 * i)
        z += 0.17
    for x in ((-0.2,), (-0.5, 0.05), (-0.75, -0.3, 0.15))[int(between(rng, 0, 2.99))]:
        funnel(body, x, z, between(rng, 0.25, 0.4), 0.11, paint(rng), layer=0.6)


def cargo_ship(body, colour, rng):
    """Add a freighter: a high bridge near the stern, stacks of containers or cranes before it."""
    hull(body, 1.7, 0.55, between(rng, 0.3, 0.42), colour, 0.2, pick(rng, ((0.5, 0.12, 0.1), None)))
    house(body, (-1.45, -0.24, 0.42), (-1.1, 0.24, between(rng, 0.9, 1.1)), WHITE)
    house(body, (-1.42, -0.28, 0.95), (-1.05, 0.28, 1.1), WHITE, layer=0.35)
    funnel(body, -1.5, 0.5, 0.6, 0.09, paint(rng))
    if chance(rng, 0.65):
        for x in np.arange(-0.95, 1.1, 0.34):
            for z in 0.4 + 0.2 * np.arange(int(between(rng, 1, 4))):
                body.box((x, -0.24, z), (x + 0.31, 0.24, z + 0.19), paint(rng), layer=0.3 + 0.1 * z)
    else:
        for x in (-0.5, 0.35, 1.0):
            body.tube([(x, 0, 0.35), (x, 0, 1.1)], 0.035, CRANE, layer=0.4)
            body.tube([(x, 0, 0.5), (x + 0.45, 0, 1.05)], 0.025, CRANE, layer=0.4)


def sailing_boat(body, colour, rng):
    """Add a boat with one mast and two three-cornered sails."""
    hull(body, 1.0, 0.45, 0.28, colour, 0.2)
    canvas, swing, top = pick(rng, CANVAS), between(rng, -0.35, 0.35), between(rng, 1.9, 2.5)
    body.tube([(0.1, 0, 0.2), (0.1, 0, top)], 0.03, WOOD, layer=0.4)
    body.face([(0.05, 0, 0.45), (-0.85, swing, 0.45), (0.06, 0, top)], canvas, layer=0.5)
    body.face([(0.98, 0, 0.45), (0.18, swing, 0.5), (0.14, 0, 0.88 * top)], shade(canvas, 0.88), layer=0.45)
    body.tube([(0.9, 0, 0.45), (1.1, 0, 0.6)], 0.025, WOOD)


def square_rigger(body, colour, rng):
    """Add a ship with three masts, two square sails on each."""
    hull(body, 1.3, 0.45, 0.28, colour, 0.2)
    canvas, swing = pick(rng, CANVAS), between(rng, -0.35, 0.35)
    for x in (-0.7, 0.0, 0.65):
        body.tube([(x, 0, 0.2), (x, 0, between(rng, 1.5, 1.8))], 0.03, WOOD, layer=0.4)
        for low, high, half in ((0.5, 0.95, 0.36), (1.0, 1.35, 0.28)):
            upper = [(x + 0.85 * half, -swing, high), (x - 0.85 * half, swing, high)]
            body.face([(x - half, swing, low), (x + half, -swing, low), *upper], canvas, layer=0.5)
    body.tube([(1.2, 0, 0.45), (1.65, 0, 0.6)], 0.025, WOOD)


def small_boat(body, colour, rng):
    """Add a fishing boat or a tug: one wheelhouse, a mast with stays."""
    hull(body, 1.0, 0.6, between(rng, 0.28, 0.4), colour, 0.3)
    white = pick(rng, (WHITE, WHITE, paint(rng)))
    x = pick(rng, (-0.5, -0.1))
    house(body, (x, -0.2, 0.3), (x + 0.55, 0.2, 0.6), white)
    house(body, (x + 0.1, -0.17, 0.6), (x + 0.5, 0.17, 0.85), white, layer=0.4)
    if chance(rng, 0.5):
        funnel(body, x - 0.1, 0.35, 0.45, 0.09, paint(rng))
    top = between(rng, 1.1, 1.6)
    body.tube([(x + 0.2, 0, 0.6), (x + 0.2, 0, top)], 0.025, BLACK, layer=0.5)
    for end in ((0.95, 0, 0.6), (-0.95, 0, 0.4)):
        body.tube([(x + 0.2, 0, top), end], 0.012, (0.25, 0.25, 0.25), layer=0.5)


def warship(body, colour, rng):
    """Add a grey ship: a low hull, a tower in the middle, guns fore and aft."""
    grey = mix(colour, (0.5, 0.53, 0.56), 0.85)
    hull(body, 1.8, 0.5, 0.25, grey, 0.2)
    house(body, (-0.7, -0.2, 0.25), (0.5, 0.2, 0.45), grey)
    house(body, (-0.1, -0.16, 0.45), (0.35, 0.16, 0.75), grey, layer=0.4)
    house(body, (-0.6, -0.14, 0.45), (-0.3, 0.14, 0.65), grey, layer=0.4)
    body.tube([(0.1, 0, 0.7), (0.1, 0, 1.2)], (0.06, 0.025), shade(grey, 0.8), layer=0.5)
    body.tube([(-0.02, 0, 1.0), (0.22, 0, 1.0)], 0.025, shade(grey, 0.8), layer=0.5)
    for x, out in ((0.85, 1), (-1.1, -1)):
        body.ball((x, 0, 0.34), (0.16, 0.14, 0.1), shade(grey, 0.9), layer=0.35)
        body.tube([(x, 0, 0.37), (x + 0.38 * out, 0, 0.46)], 0.025, shade(grey, 0.6), layer=0.36)


def ship(rng, look):
    """Return a liner, freighter, sailing ship, small boat or warship. `look` is not used."""
    body = Body()
    kind = pick(rng, (liner, cargo_ship, sailing_boat, square_rigger, small_boat, warship))
    kind(body, paint(rng), rng)
    body.grounded = False
    return body
