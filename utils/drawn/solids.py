"""Bodies in space, made of balls, tubes and flat faces: what every class is built from.

x points forward, y to the body's left, z up. Angles are in degrees.
"""

from typing import NamedTuple

import numpy as np

TURN = np.linspace(0, 2 * np.pi, 20, endpoint=False)


class Part(NamedTuple):
    """A ball (points (1, 3), radii: its half axes (3, 3) as columns), a tube (points (n, 3), radii (n,)) or a
    flat face (points (n, 3), radii None). Faces of the kind "side" are seen from one side only: the one from
    which their corners run anticlockwise."""

    kind: str
    points: np.ndarray
    radii: np.ndarray
    colour: tuple
    layer: float  # parts of a higher layer hide those of a lower one; within a layer, the nearer hide the farther
    focus: bool  # what a close-up shows


def turned(pitch=0, yaw=0, roll=0):
    """Return the rotation (3, 3): first roll about x, then pitch (up is positive), then yaw (left is positive)."""
    a, b, c = np.radians((yaw, pitch, roll))
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
    if not roll:
        return about_z @ about_y
    return about_z @ about_y @ np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])


class Body:
    """A list of parts. `at` gives a body that adds to the same list in a frame of its own (a head on its neck)."""

    def __init__(self):
        self.parts, self.axes, self.origin = [], np.eye(3), np.zeros(3)
        self.layer, self.focus = 0.0, False
        self.grounded = True  # it stands on something that its shadow falls on
        self.elevations = (0, 25)  # from how far above it is looked at, in degrees; negative is from below

    def at(self, origin, pitch=0, yaw=0, roll=0, scale=1.0, layer=0.0, focus=None):
        other = Body()
        other.parts = self.parts
        other.origin = self._place(origin)
        other.axes = self.axes @ turned(pitch, yaw, roll) * scale
        other.layer = self.layer + layer
        other.focus = self.focus if focus is None else focus
        return other

    def _place(self, points):
        return np.asarray(points, float) @ self.axes.T + self.origin

    def _add(self, kind, points, radii, colour, layer):
        self.parts.append(Part(kind, self._place(points), radii, colour, self.layer + layer, self.focus))

    def ball(self, centre, radii, colour, pitch=0, yaw=0, roll=0, layer=0.0):
        """Add an ellipsoid with three radii (or one), turned about its centre."""
        axes = self.axes @ turned(pitch, yaw, roll) * (np.ones(3) * radii)
        self._add("ball", [centre], axes, colour, layer)

    def tube(self, points, radii, colour, layer=0.0):
        """Add a tube through the points, with a radius at each (or one for all)."""
        size = np.linalg.norm(self.axes[:, 0])
        self._add("tube", points, np.ones(len(points)) * radii * size, colour, layer)

    def face(self, points, colour, layer=0.0, one_sided=False):
        self._add("side" if one_sided else "face", points, None, colour, layer)

    def disc(self, centre, radius, colour, layer=0.0, out=1):
        """Add a round face in a vertical plane along x, seen from the left (out=1) or the right (out=-1)."""
        x, y, z = centre
        points = [(x + radius * np.cos(t), y, z + radius * np.sin(t)) for t in -out * TURN]
        self.face(points, colour, layer, one_sided=True)

    def prism(self, profile, width, colour, top_width=None, layer=0.0):
        """Add the solid whose side view is `profile`, points (x, z) that run anticlockwise when seen from the right.

        `width` is its extent in y at the lowest point, `top_width` at the highest.
        """
        profile = np.asarray(profile, float)
        low, high = profile[:, 1].min(), profile[:, 1].max()
        share = (profile[:, 1] - low) / max(high - low, 1e-9)
        half = (width + (width if top_width is None else top_width) * share - width * share) / 2
        right = np.column_stack([profile[:, 0], -half, profile[:, 1]])
        left = right * (1, -1, 1)
        self.face(right, colour, layer, one_sided=True)
        self.face(left[::-1], colour, layer, one_sided=True)
        for i in range(len(profile)):
            j = (i + 1) % len(profile)
            self.face([right[j], right[i], left[i], left[j]], colour, layer, one_sided=True)

    def box(self, low, high, colour, layer=0.0):
        """Add the box between two opposite corners."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        part = self.at((0, (y0 + y1) / 2, 0))
        part.prism([(x0, z0), (x1, z0), (x1, z1), (x0, z1)], abs(y1 - y0), colour, layer=layer)
