"""Cat, deer, dog and horse: each is told from the others by its head above all.

A head's middle is at (0, 0, 0); it looks along x. `look` says how far, in degrees, it is turned to the left.
"""

import numpy as np

from utils.drawn.bones import couch, folded_legs, legs, reach, seat, trunk
from utils.drawn.colours import (
    BLACK,
    COATS,
    DEER,
    PINK,
    WHITE,
    between,
    chance,
    from_palette,
    luminance,
    mix,
    pick,
    shade,
)
from utils.drawn.solids import Body

# --- cat -----------------------------------------------------------------------------------------------------


def cat_head(head, coat, rng):
    """Add a round head with pointed ears and full cheeks."""
    head.ball((0, 0, 0), (0.42, 0.5, 0.44), coat)
    for side in (-1, 1):
        head.ball((0.2, 0.22 * side, -0.14), (0.22, 0.24, 0.22), coat)
        tip = (-0.02, 0.44 * side, 0.82)
        head.face([(0.05, 0.12 * side, 0.36), (0.0, 0.5 * side, 0.16), tip], shade(coat, 0.85), layer=-0.1)
        head.face([(0.2, 0.3 * side, 0.3), (-0.24, 0.3 * side, 0.3), tip], shade(coat, 0.85), layer=-0.1)
        inside = [(0.1, 0.2 * side, 0.38), (0.1, 0.43 * side, 0.26), (0.06, 0.4 * side, 0.7)]
        head.face(inside, mix(coat, PINK, 0.55))
    cat_face(head, coat, rng)


def cat_face(head, coat, rng):
    """Add big eyes with upright pupils, a small nose, and whiskers."""
    muzzle = mix(coat, WHITE, pick(rng, (0.15, 0.4, 0.9)))
    iris = pick(rng, ((0.75, 0.7, 0.15), (0.45, 0.65, 0.25), (0.85, 0.55, 0.12), (0.4, 0.65, 0.8)))
    pupil = pick(rng, (0.03, 0.06, 0.09))
    head.ball((0.34, 0, -0.32), (0.1, 0.11, 0.08), muzzle)
    head.ball((0.5, 0, -0.11), (0.05, 0.065, 0.045), pick(rng, ((0.75, 0.4, 0.4), (0.2, 0.12, 0.12))))
    for side in (-1, 1):
        head.ball((0.38, 0.1 * side, -0.2), (0.12, 0.14, 0.11), muzzle)
        head.ball((0.36, 0.21 * side, 0.06), (0.07, 0.135, 0.115), shade(coat, 0.35), yaw=28 * side)
        head.ball((0.395, 0.21 * side, 0.06), (0.06, 0.115, 0.1), iris, yaw=28 * side)
        head.ball((0.45, 0.22 * side, 0.06), (0.03, pupil, 0.09), BLACK, yaw=28 * side)
        for rise in (-0.1, 0.03, 0.16):
            head.tube([(0.44, 0.16 * side, -0.18), (0.36, 0.72 * side, -0.2 + rise)], 0.011, WHITE)


def cat_trunk(body, pose, coat, rng):
    """Add all but the head; return where the head goes."""
    paws = mix(coat, WHITE, pick(rng, (0, 0.1, 0.9)))
    if pose == "sit":
        neck = seat(body, coat, paws, 0.2)
        tail = [(-0.42, 0, -0.42), (-0.5, -0.3, -0.48), (-0.2, -0.45, -0.48), (0.1, -0.42, -0.48)]
    elif pose == "lie":
        neck = couch(body, coat, paws)
        tail = [(-0.6, 0, -0.12), (-0.75, -0.2, -0.16), (-0.55, -0.35, -0.18), (-0.3, -0.4, -0.18)]
    else:
        trunk(body, 0.2, 0.2, 0.21, coat, sag=0.03)
        legs(body, pose, between(rng, 0.42, 0.5), 0.1, 0.085, coat, (0.07, paws))
        neck, up = (0.6, 0, 0.22), between(rng, 20, 80)
        tail = reach((-0.55, 0, 0.1), (180 + up, 180 + 0.4 * up, 180 - 0.3 * up), (0.25, 0.25, 0.25))
    body.tube(tail, (0.07, 0.065, 0.06, 0.05), shade(coat, 0.85))
    return neck


def cat(rng, look):
    """Return a cat that stands, walks, sits or lies; `look` turns its head."""
    body, coat = Body(), from_palette(rng, COATS)
    neck = cat_trunk(body, pick(rng, ("stand", "walk", "sit", "sit", "lie")), coat, rng)
    pitch, scale = between(rng, -12, 8), between(rng, 0.48, 0.58)
    cat_head(body.at(neck, pitch, look, scale=scale, layer=0.2, focus=True), coat, rng)
    return body


# --- deer ----------------------------------------------------------------------------------------------------


def antler(head, side, size, colour):
    """Add one antler: a beam that curves up and back, with three tines."""
    root = np.array([0, 0.14 * side, 0.3])
    curve = ((0, 0, 0), (-0.3, 0.36 * side, 0.6), (-0.2, 0.71 * side, 1.2), (0.15, 0.66 * side, 1.7))
    beam = root + size * np.array(curve)
    head.tube(beam, (0.09, 0.085, 0.075, 0.05), colour, layer=-0.1)
    starts = 0.6 * beam[0] + 0.4 * beam[1], beam[1], beam[2]
    for start, tip in zip(starts, ((0.5, 0.1 * side, 0.55), (0.45, 0.1 * side, 0.6), (-0.35, 0.25 * side, 0.55))):
        head.tube([start, start + size * np.array(tip)], (0.075, 0.045), colour, layer=-0.1)


def deer_head(head, coat, rng, antlers):
    """Add a slim head with large ears held sideways and, on a stag, antlers."""
    horn = mix((0.75, 0.62, 0.45), (0.35, 0.25, 0.16), rng.random())
    head.ball((0, 0, 0.02), (0.34, 0.27, 0.3), coat)
    head.tube([(0.15, 0, -0.05), (0.5, 0, -0.22), (0.72, 0, -0.3)], (0.24, 0.17, 0.13), coat)
    head.ball((0.72, 0, -0.36), (0.12, 0.12, 0.09), mix(coat, WHITE, 0.7))
    head.ball((0.84, 0, -0.27), (0.05, 0.09, 0.06), BLACK)
    for side in (-1, 1):
        head.ball((-0.1, 0.52 * side, 0.24), (0.1, 0.34, 0.16), shade(coat, 0.8), roll=22 * side)
        head.ball((-0.03, 0.53 * side, 0.24), (0.06, 0.24, 0.09), mix(coat, (0.95, 0.8, 0.75), 0.6), roll=22 * side)
        head.ball((0.2, 0.22 * side, 0.1), (0.08, 0.06, 0.08), BLACK)
        if antlers:
            antler(head, side, antlers, horn)


def deer_trunk(body, pose, coat, rng, spotted):
    """Add all but neck and head: a pale belly, a white rump with a short tail, slim legs, a fawn's spots."""
    trunk(body, 0.23, 0.2, 0.22, coat)
    body.ball((0, 0, -0.12), (0.4, 0.14, 0.13), mix(coat, WHITE, 0.45), layer=-0.02)
    body.ball((-0.62, 0, 0.06), (0.08, 0.13, 0.17), mix(coat, WHITE, 0.85))
    body.tube([(-0.58, 0, 0.16), (-0.7, 0, 0.06)], (0.06, 0.045), shade(coat, 0.8))
    if pose == "lie":
        folded_legs(body, coat)
    else:
        legs(body, pose, between(rng, 0.85, 1.0), 0.12, 0.075, coat, (0.04, shade(coat, 0.4)))
    for x, z in rng.uniform((-0.45, 0.0), (0.35, 0.18), (14, 2)) if spotted else ():
        for side in (-1, 1):
            body.ball((x, 0.21 * side, z), (0.03, 0.03, 0.025), WHITE)


def deer(rng, look):
    """Return a stag, a doe or a fawn that stands, walks, runs, grazes or lies; `look` turns its head."""
    body, coat = Body(), from_palette(rng, DEER)
    pose = pick(rng, ("stand", "stand", "walk", "run", "graze", "lie"))
    antlers = between(rng, 0.75, 1.2) if chance(rng, 0.8) else 0
    deer_trunk(body, pose, coat, rng, spotted=not antlers and chance(rng, 0.5))
    rise, pitch = between(rng, 125, 155), between(rng, -10, 8)
    if pose == "graze":
        neck, pitch, look = reach((0.42, 0, 0.08), (58,), (0.75,)), -35, 0.3 * look
    else:
        neck = reach((0.42, 0, 0.08), (rise,), (0.55,))
    body.tube(neck, (0.18, 0.11), shade(coat, 0.95))
    place, scale = neck[-1] + np.array([0.04, 0, 0.03]), between(rng, 0.36, 0.42)
    deer_head(body.at(place, pitch, look, scale=scale, layer=0.2, focus=True), coat, rng, antlers)
    return body


# --- dog -----------------------------------------------------------------------------------------------------


def dog_head(head, coat, rng):
    """Add a long muzzle with a big black nose; ears that hang or, seldom, stand up; often a tongue."""
    muzzle, end = mix(coat, pick(rng, (WHITE, BLACK, coat)), 0.6), between(rng, 0.6, 0.8)
    ears, hang = shade(coat, between(rng, 0.5, 0.85) if luminance(coat) > 0.2 else 0.7), chance(rng, 0.75)
    head.ball((0, 0, 0.02), (0.4, 0.38, 0.36), coat)
    head.tube([(0.15, 0, -0.1), (end, 0, -0.2)], (0.27, 0.17), muzzle)
    head.tube([(0.15, 0, -0.28), (end - 0.1, 0, -0.33)], (0.16, 0.1), shade(muzzle, 0.8), layer=-0.05)
    head.ball((end + 0.14, 0, -0.1), (0.08, 0.115, 0.09), BLACK)
    if chance(rng, 0.5):
        head.ball((end + 0.02, 0, -0.46), (0.06, 0.1, 0.17), (0.85, 0.4, 0.42), pitch=15)
    for side in (-1, 1):
        if hang:
            head.ball((-0.04, 0.4 * side, -0.12), (0.17, 0.09, 0.42), ears, roll=12 * side)
        else:
            upright = [(0.08, 0.1 * side, 0.3), (-0.1, 0.36 * side, 0.18), (0.02, 0.34 * side, 0.82)]
            head.face(upright, ears, layer=-0.05)
        head.ball((0.3, 0.17 * side, 0.11), (0.06, 0.075, 0.07), BLACK)
        head.ball((0.36, 0.16 * side, 0.14), (0.015, 0.02, 0.02), WHITE)


def dog_trunk(body, pose, coat, rng):
    """Add all but the head; return where the head goes."""
    paws = mix(coat, WHITE, pick(rng, (0, 0, 0.9)))
    if pose == "sit":
        x, _, z = seat(body, coat, paws, 0.21)
        neck, tail = (x + 0.05, 0, z + 0.05), [(-0.5, 0, -0.4), (-0.75, 0, -0.4), (-0.9, 0, -0.3)]
    else:
        trunk(body, 0.24, 0.17, 0.19, coat)
        legs(body, pose, between(rng, 0.5, 0.75), 0.12, 0.085, coat, (0.08, paws))
        body.tube([(0.4, 0, 0.08), (0.62, 0, 0.36)], (0.19, 0.14), coat)
        neck, up = (0.68, 0, 0.44), between(rng, -10, 60)
        tail = reach((-0.52, 0, 0.08), (-90 - up, -100 - 1.3 * up, -110 - 2 * up), (0.2, 0.2, 0.16))
    body.tube(tail, np.linspace(0.06, 0.035, len(tail)), coat)
    return neck


def dog(rng, look):
    """Return a dog that stands, walks, runs or sits, often with a collar; `look` turns its head."""
    body, coat = Body(), from_palette(rng, COATS)
    neck = dog_trunk(body, pick(rng, ("stand", "walk", "run", "sit", "sit")), coat, rng)
    if chance(rng, 0.4):
        collar = pick(rng, ((0.8, 0.1, 0.1), (0.1, 0.3, 0.8)))
        body.ball((neck[0] - 0.05, 0, neck[2] - 0.17), (0.19, 0.17, 0.05), collar, pitch=-35)
    pitch, scale = between(rng, -14, 10), between(rng, 0.46, 0.56)
    dog_head(body.at(neck, pitch, look, scale=scale, layer=0.2, focus=True), coat, rng)
    return body


# --- horse ---------------------------------------------------------------------------------------------------


def horse_head(head, coat, rng, mane):
    """Add a long head with small upright ears, a forelock and, often, a white blaze."""
    head.ball((0, 0, 0), (0.34, 0.25, 0.33), coat)
    head.tube([(0.05, 0, -0.02), (0.5, 0, -0.14), (0.95, 0, -0.24)], (0.3, 0.22, 0.17), coat)
    head.ball((1.04, 0, -0.26), (0.14, 0.16, 0.17), shade(coat, 0.55))
    for side in (-1, 1):
        head.tube([(-0.08, 0.15 * side, 0.25), (-0.06, 0.17 * side, 0.5)], (0.09, 0.03), coat)
        head.ball((0.22, 0.26 * side, 0.08), (0.07, 0.05, 0.06), BLACK)
        head.ball((1.13, 0.09 * side, -0.2), (0.04, 0.035, 0.05), BLACK)
    if chance(rng, 0.45):
        head.tube([(0.28, 0, 0.22), (0.6, 0, 0.09), (0.95, 0, -0.06)], (0.06, 0.07, 0.06), WHITE)
    head.tube([(-0.05, 0, 0.32), (0.2, 0, 0.27)], (0.1, 0.04), mane)


def horse_trunk(body, pose, coat, mane, rng):
    """Add all but neck and head: a deep chest, long legs, a tail of long hair that flies at a gallop, or a saddle."""
    trunk(body, 0.26, 0.25, 0.27, coat)
    socks = mix(coat, pick(rng, (WHITE, BLACK, coat)), 0.7)
    legs(body, pose, between(rng, 0.8, 0.92), 0.14, 0.095, coat, (0.05, socks))
    flow = {"run": 35, "gather": 25}.get(pose, 0) + between(rng, 0, 12)
    tail = reach((-0.62, 0, 0.14), (-60 - flow, -20 - 1.6 * flow, -5 - 1.4 * flow), (0.14, 0.28, 0.36))
    body.tube(tail, (0.05, 0.085, 0.09, 0.03), mane)
    if chance(rng, 0.15):
        body.tube([(0.12, 0, 0.24), (-0.12, 0, 0.24)], 0.12, (0.25, 0.13, 0.08))


def horse(rng, look):
    """Return a horse that stands, walks, gallops or grazes; `look` turns its head."""
    body, coat = Body(), from_palette(rng, COATS)
    mane = pick(rng, (shade(coat, 0.35), shade(coat, 0.5), mix(coat, WHITE, 0.7)))
    pose = pick(rng, ("stand", "stand", "walk", "run", "gather", "graze"))
    horse_trunk(body, pose, coat, mane, rng)
    rise, pitch, look = between(rng, 128, 148), between(rng, -38, -12), 0.7 * look
    if pose == "graze":
        rise, pitch, look = 62, -48, 0.3 * look
    neck = reach((0.4, 0, 0.08), (rise, rise + 6), (0.4, 0.36))
    body.tube(neck, (0.24, 0.18, 0.14), coat)
    crest = np.add(neck, ((-0.1, 0, 0.1), (-0.1, 0, 0.1), (-0.04, 0, 0.12)))
    body.tube(crest, (0.08, 0.09, 0.06), mane, layer=0.05)
    place, scale = neck[-1] + np.array([0.03, 0, 0.02]), between(rng, 0.42, 0.48)
    horse_head(body.at(place, pitch, look, scale=scale, layer=0.15, focus=True), coat, rng, mane)
    return body
