"""What the four-legged animals have in common: a trunk of length 1 along x, at height 0, and its legs."""

import numpy as np

from utils.drawn.colours import shade

# Angles of the fore legs (upper, lower) and of the hind legs (thigh, shin, foot), for the right and the left side.
GAITS = {
    "stand": (((4, -4), (-6, 4)), ((20, -28, 4), (30, -30, -4))),
    "walk": (((24, 4), (-22, -26)), ((36, -24, 2), (-6, -44, -10))),
    "run": (((58, 30), (40, 62)), ((-32, -62, -50), (-14, -50, -64))),
    "gather": (((30, -60), (-20, -80)), ((50, -10, 30), (66, 0, 20))),
}


def reach(start, angles, lengths):
    """Return the joints of a limb; each angle is from straight down, positive forward, in degrees."""
    points = [np.asarray(start, float)]
    for angle, length in zip(np.radians(angles), lengths):
        points.append(points[-1] + length * np.array([np.sin(angle), 0, -np.cos(angle)]))
    return points


def leg(body, start, angles, lengths, thick, colour, foot):
    """Add a leg that tapers from `thick`, with a foot (length, colour) at its end."""
    points = reach(start, angles, lengths)
    body.tube(points, np.linspace(thick, 0.5 * thick, len(points)), colour)
    size, foot_colour = foot
    body.tube([points[-1], points[-1] + np.array([size, 0, 0])], 0.55 * thick, foot_colour)


def legs(body, gait, length, spread, thick, colour, foot):
    """Add four legs below the shoulders and the hips; "graze" stands."""
    fore, hind = GAITS["stand" if gait == "graze" else gait]
    for side, upper, rear in zip((-1, 1), fore, hind):
        leg(body, (0.42, side * spread, -0.05), upper, (0.5 * length, 0.52 * length), thick, colour, foot)
        lengths = 0.42 * length, 0.36 * length, 0.3 * length
        leg(body, (-0.44, side * spread, -0.02), rear, lengths, 1.35 * thick, colour, foot)


def trunk(body, chest, waist, rump, colour, sag=0.0):
    line = [(0.4, 0, 0.02), (0.15, 0, -sag), (-0.15, 0, -sag), (-0.42, 0, 0.02)]
    body.tube(line, (chest, 0.5 * (chest + waist), waist, rump), colour)


def seat(body, coat, paws, chest):
    """Add a sitting trunk with its legs, on the ground at -0.5, and return where the head goes."""
    body.tube([(-0.3, 0, -0.25), (-0.12, 0, -0.02), (0.1, 0, 0.25)], (0.27, 0.26, chest), coat)
    for side in (-1, 1):
        fore = [(0.12, 0.13 * side, 0.15), (0.16, 0.12 * side, -0.2), (0.17, 0.12 * side, -0.46)]
        body.tube(fore, (0.1, 0.075, 0.06), coat, layer=0.05)
        body.ball((0.23, 0.12 * side, -0.46), (0.1, 0.075, 0.055), paws, layer=0.06)
        body.ball((-0.18, 0.22 * side, -0.3), (0.22, 0.12, 0.19), shade(coat, 0.92))
        body.ball((0.02, 0.26 * side, -0.46), (0.15, 0.08, 0.06), paws)
    return 0.18, 0, 0.52


def couch(body, coat, paws):
    """Add a lying trunk, its fore legs stretched forward, and return where the head goes."""
    trunk(body, 0.2, 0.21, 0.22, coat, sag=0.02)
    for side in (-1, 1):
        fore = [(0.4, 0.14 * side, -0.12), (0.62, 0.14 * side, -0.17), (0.85, 0.13 * side, -0.17)]
        body.tube(fore, 0.065, coat)
        body.ball((0.88, 0.13 * side, -0.17), (0.08, 0.07, 0.06), paws)
        body.ball((-0.35, 0.2 * side, -0.06), (0.24, 0.1, 0.17), shade(coat, 0.92))
        body.ball((-0.12, 0.25 * side, -0.18), (0.16, 0.07, 0.05), paws)
    return 0.58, 0, 0.25


def folded_legs(body, coat):
    """Add the legs of a hoofed animal that lies, folded below its trunk."""
    for side in (-1, 1):
        fore = [(0.4, 0.15 * side, -0.1), (0.62, 0.15 * side, -0.2), (0.4, 0.15 * side, -0.22)]
        hind = [(-0.4, 0.18 * side, -0.1), (-0.15, 0.2 * side, -0.18), (-0.4, 0.2 * side, -0.22)]
        body.tube(fore, 0.06, coat)
        body.tube(hind, 0.07, coat)
