"""Bird and frog. `look` says how far, in degrees, a head is turned to the left."""

import numpy as np

from utils.drawn.colours import (
    BLACK,
    COATS,
    FROGS,
    WHITE,
    between,
    chance,
    from_palette,
    luminance,
    mix,
    paint,
    pick,
    shade,
)
from utils.drawn.solids import Body

# --- bird --------------------------------------------------------------------------------------------------

BEAKS = ((0.95, 0.65, 0.1), (0.85, 0.45, 0.1), (0.2, 0.18, 0.17), (0.5, 0.42, 0.35))


def bird_head(head, coat, rng, beak, length):
    """Add a round head with a pointed beak and an eye on either side."""
    head.ball((0, 0, 0), (0.32, 0.29, 0.3), coat)
    if chance(rng, 0.4):
        head.ball((0.02, 0, 0.14), (0.29, 0.27, 0.19), mix(coat, paint(rng), 0.8))
    head.tube([(0.2, 0, -0.02), (0.32 + 0.5 * length, 0, -0.06), (0.32 + length, 0, -0.1)], (0.15, 0.09, 0.015), beak)
    ring = WHITE if luminance(coat) < 0.35 else shade(coat, 0.9)
    for side in (-1, 1):
        head.ball((0.12, 0.24 * side, 0.08), (0.09, 0.05, 0.09), ring)
        head.ball((0.13, 0.27 * side, 0.08), (0.06, 0.04, 0.06), BLACK)


def spread_wings(body, coat, rng, span):
    """Add two wings held out from the shoulders, darker at their feathered tips."""
    lift, sweep = between(rng, -0.25, 0.75), between(rng, -0.25, 0.1)
    tips = mix(coat, BLACK, pick(rng, (0.2, 0.5, 0.8)))
    feathers = [(-0.1 - 0.06 * (i % 2) + 0.015 * i, 1 - 0.11 * i) for i in range(9)]
    whole = [(0.34, 0), (0.4, 0.3), (0.36, 0.55), (0.16, 0.85), (0.0, 1.02), *feathers, (-0.2, 0)]
    inner = [(0.34, 0), (0.4, 0.3), (0.36, 0.55), (0.1, 0.7), (0.1, 0.35), (0.02, 0)]
    for side in (-1, 1):
        for outline, colour, layer in ((whole, tips, 0), (inner, coat, 0.01)):
            x, out = np.array(outline).T
            up = lift * span * np.where(out < 0.5, out, 0.8 * out + 0.1)
            body.face(np.column_stack([x + sweep * out, side * (0.12 + span * out), up]), colour, layer)


def flying_bird(body, coat, belly, beak, rng, look):
    """Add a bird on the wing, its tail a fan."""
    body.tube([(0.42, 0, 0.03), (0.1, 0, 0), (-0.3, 0, 0)], (0.13, 0.2, 0.09), coat)
    body.ball((0.12, 0, -0.05), (0.32, 0.17, 0.16), belly)
    fan = between(rng, 0.1, 0.28)
    tail = [(-0.25, -0.07, 0), (-0.75, -fan, 0), (-0.82, 0, 0), (-0.75, fan, 0), (-0.25, 0.07, 0)]
    body.face(tail, shade(coat, 0.7))
    spread_wings(body, coat, rng, between(rng, 0.75, 1.15))
    head = body.at((0.55, 0, 0.08), -5, 0.3 * look, scale=between(rng, 0.42, 0.55), layer=0.02, focus=True)
    bird_head(head, coat, rng, beak, between(rng, 0.3, 0.6))
    body.grounded, body.elevations = False, pick(rng, ((20, 60), (-50, -15)))


def perched_bird(body, coat, belly, beak, rng, look):
    """Add a songbird: its trunk is raised in front, a wing is folded on each side, the legs are thin."""
    pitch, long, scaly = between(rng, 10, 50), between(rng, 0.25, 0.6), shade(beak, 0.7)
    raised = body.at((0, 0, 0), pitch)
    raised.ball((0, 0, 0), (0.46, 0.29, 0.3), coat)
    raised.ball((0.1, 0, -0.09), (0.33, 0.24, 0.23), belly)
    raised.tube([(-0.35, 0, 0.05), (-0.5 - long, 0, 0.08)], (0.13, 0.08), shade(coat, 0.5))
    for side in (-1, 1):
        raised.ball((-0.16, 0.22 * side, 0.06), (0.42, 0.08, 0.2), shade(coat, 0.62), pitch=8)
        raised.tube([(-0.25, 0.15 * side, 0), (-0.62, 0.07 * side, 0.02)], (0.12, 0.03), shade(coat, 0.4))
        foot = (0.02, 0.1 * side, -0.58)
        body.tube([(-0.02, 0.1 * side, -0.2), (-0.06, 0.1 * side, -0.38), foot], 0.028, scaly)
        body.tube([(-0.05, 0.1 * side, -0.58), (0.14, 0.1 * side, -0.59)], 0.028, scaly)
    angle = np.radians(pitch + 18)
    place, scale = (0.5 * np.cos(angle), 0, 0.56 * np.sin(angle) + 0.1), between(rng, 0.75, 0.95)
    head = body.at(place, -4, 0.6 * look, scale=scale, layer=0.1, focus=True)
    bird_head(head, coat, rng, beak, between(rng, 0.25, 0.55))


def long_necked_bird(body, coat, belly, beak, rng, look):
    """Add a wader, an ostrich or a swan: a neck in an S, and long legs or none (it swims)."""
    body.ball((0, 0, 0), (0.52, 0.3, 0.3), coat)
    for side in (-1, 1):
        body.ball((-0.12, 0.22 * side, 0.06), (0.45, 0.1, 0.21), mix(coat, belly, 0.5), pitch=-6)
    body.tube([(-0.35, 0, 0.05), (-0.68, 0, 0.16)], (0.17, 0.06), shade(coat, 0.75))
    rise = between(rng, 0.55, 1.0)
    neck = [(0.36, 0, 0.08), (0.6, 0, 0.25), (0.54, 0, 0.1 + 0.6 * rise), (0.64, 0, 0.1 + rise)]
    body.tube(neck, (0.17, 0.11, 0.085, 0.085), pick(rng, (coat, belly)))
    if chance(rng, 0.6):
        stilts(body, between(rng, 0.6, 1.1), shade(beak, 0.75), rng)
    scale = between(rng, 0.42, 0.55)
    head = body.at((0.68, 0, 0.14 + rise), -8, 0.5 * look, scale=scale, layer=0.1, focus=True)
    bird_head(head, coat, rng, beak, between(rng, 0.5, 1.0))


def stilts(body, long, colour, rng):
    """Add two long legs in mid-stride."""
    for side in (-1, 1):
        y, step, low = 0.12 * side, between(rng, -0.2, 0.25), -0.2 - long
        body.tube(
            [(0, y, -0.2), (0.5 * step - 0.08, y, -0.2 - 0.5 * long), (step, y, low)], (0.07, 0.035, 0.03), colour
        )
        body.tube([(step - 0.03, y, low), (step + 0.16, y, low - 0.01)], 0.03, colour)


def bird(rng, look):
    """Return a bird that flies, perches, wades or swims; `look` turns its head."""
    body = Body()
    coat = from_palette(rng, COATS) if chance(rng, 0.6) else paint(rng)
    belly = mix(coat, pick(rng, (WHITE, WHITE, (0.85, 0.5, 0.2), coat)), 0.75)
    form = pick(rng, (flying_bird, perched_bird, perched_bird, long_necked_bird))
    form(body, coat, belly, pick(rng, BEAKS), rng, look)
    return body


# --- frog --------------------------------------------------------------------------------------------------


def frog_head(head, skin, belly, rng):
    """Add a wide flat head: eyes that bulge on top, a mouth from side to side, a pale throat."""
    head.ball((0, 0, 0), (0.4, 0.42, 0.22), skin)
    head.ball((0.05, 0, -0.1), (0.35, 0.36, 0.16), belly)
    lip = [(0.41 * np.cos(t), 0.42 * np.sin(t), -0.05) for t in np.linspace(-1.35, 1.35, 9)]
    head.tube(lip, 0.022, shade(skin, 0.35), layer=0.02)
    iris = pick(rng, ((0.85, 0.7, 0.15), (0.8, 0.35, 0.1), (0.9, 0.85, 0.6), (0.75, 0.1, 0.08)))
    for side in (-1, 1):
        head.ball((0.1, 0.27 * side, 0.2), (0.16, 0.14, 0.16), shade(skin, 0.9))
        head.ball((0.15, 0.33 * side, 0.22), (0.11, 0.085, 0.11), iris, yaw=55 * side - 90 * side)
        head.ball((0.19, 0.385 * side, 0.23), (0.075, 0.035, 0.05), BLACK, yaw=-40 * side)
        head.ball((0.38, 0.07 * side, 0.06), (0.02, 0.025, 0.02), shade(skin, 0.3))


def toes(body, ankle, forward, colour, size):
    """Add a foot with three long toes."""
    for spread in (-0.55, 0, 0.55):
        tip = np.array(ankle) + size * np.array([np.cos(forward + spread), np.sin(forward + spread), -0.1])
        body.tube([ankle, tip], (0.035, 0.025), colour)
        body.ball(tip, 0.04, colour)


def sitting_legs(body, skin, dark):
    """Add hind legs folded into a Z beside the trunk, and fore legs that prop it up."""
    for side in (-1, 1):
        hip, knee = (-0.42, 0.2 * side, -0.12), (0.05, 0.48 * side, 0.0)
        ankle = (-0.42, 0.5 * side, -0.36)
        body.tube([hip, knee], (0.17, 0.11), skin)
        body.tube([knee, ankle], (0.1, 0.06), dark, layer=0.01)
        body.tube([ankle, (-0.05, 0.56 * side, -0.38)], (0.06, 0.05), skin)
        toes(body, (-0.05, 0.56 * side, -0.38), 0.3 * side, skin, 0.24)
        hand = (0.5, 0.36 * side, -0.36)
        body.tube([(0.3, 0.25 * side, -0.02), (0.34, 0.38 * side, -0.2), hand], (0.1, 0.07, 0.05), dark)
        toes(body, hand, 0.2 * side, skin, 0.17)


def stretched_legs(body, skin, dark, bend):
    """Add legs stretched to the sides and back, as a frog swims, leaps, or clings to a pane."""
    for side in (-1, 1):
        knee = (-0.3 - 0.5 * bend, (0.75 - 0.45 * bend) * side, -0.05)
        ankle = (-0.62 - 0.7 * bend, 0.32 * side, -0.1)
        end = (-0.8 - bend, (0.66 - 0.3 * bend) * side, -0.12)
        body.tube([(-0.45, 0.16 * side, -0.02), knee], (0.14, 0.1), skin)
        body.tube([knee, ankle], (0.09, 0.055), dark)
        body.tube([ankle, end], 0.05, skin)
        toes(body, end, np.pi - 0.6 * side, skin, 0.26)
        hand = (0.62, 0.62 * side, -0.1)
        body.tube([(0.28, 0.26 * side, -0.02), (0.3, 0.5 * side, -0.06), hand], (0.09, 0.065, 0.045), dark)
        toes(body, hand, 0.4 * side, skin, 0.17)


def frog(rng, look):
    """Return a frog that sits, or is stretched out; `look` turns it only a little: a frog has no neck."""
    body, skin = Body(), from_palette(rng, FROGS, 0.07)
    belly = mix(skin, pick(rng, (WHITE, (0.95, 0.9, 0.6), (0.9, 0.75, 0.6))), 0.7)
    dark = shade(skin, 0.78)
    sits = chance(rng, 0.72)
    t = body.at((0, 0, 0), pitch=between(rng, 14, 30) if sits else 0)
    t.tube([(0.3, 0, 0.02), (-0.05, 0, 0), (-0.45, 0, -0.04)], (0.27, 0.3, 0.17), skin)
    t.ball((0.15, 0, -0.12), (0.36, 0.27, 0.19), belly)
    for side in (-1, 1):
        t.tube([(0.25, 0.2 * side, 0.2), (-0.4, 0.12 * side, 0.13)], 0.025, pick(rng, (belly, dark)), layer=0.01)
    for x, y in rng.uniform((-0.4, -0.22), (0.3, 0.22), (7, 2)) if chance(rng, 0.6) else ():
        t.ball((x, y, np.sqrt(0.09 - 0.5 * y * y) - 0.03), (0.07, 0.06, 0.03), shade(skin, 0.5))
    if sits:
        sitting_legs(body, skin, dark)
    else:
        stretched_legs(body, skin, dark, rng.random())
        body.elevations = (40, 88)
    head = t.at((0.48, 0, 0.05), pitch=-10 if sits else 0, yaw=0.15 * look, layer=0.02, focus=True)
    frog_head(head, skin, belly, rng)
    return body
