"""The camera: takes a body's picture from one side, lights it, sets it before a background, and adds its own flaws."""

from itertools import islice
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from utils.drawn.colours import between, chance, pick
from utils.drawn.scenes import OCCLUDERS, Canvas

ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
CIRCLE = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)])
LIGHT = np.array([0.45, 0.75, -0.5])  # where a face looks that the light falls on straight, as `_normal` tells it


class View(NamedTuple):
    """From where a body is seen, and how it fills the picture.

    yaw: 0 faces right, 90 faces the camera, 180 faces left; elevation: 90 is from above. All in degrees.
    The body's larger extent takes `fill` of the picture; `centre` is where its middle goes, from 0 to 1.
    """

    yaw: float
    elevation: float = 8.0
    roll: float = 0.0
    nearness: float = 0.15  # perspective: 0 is a camera infinitely far away
    fill: float = 0.85
    centre: tuple = (0.5, 0.5)
    focus: bool = False  # fit the parts in focus, not the whole body


def axes_of(view):
    """Return the rotation (3, 3) whose rows are the directions right, up, and towards the viewer."""
    yaw, elevation, roll = np.radians((view.yaw, view.elevation, view.roll))
    right = np.array([np.cos(yaw), np.sin(yaw), 0])
    flat = np.array([np.sin(yaw), -np.cos(yaw), 0])
    up = np.array([0, 0, np.cos(elevation)]) - np.sin(elevation) * flat
    towards = np.cos(elevation) * flat + np.array([0, 0, np.sin(elevation)])
    return np.array([np.cos(roll) * right - np.sin(roll) * up, np.sin(roll) * right + np.cos(roll) * up, towards])


def picture(body, view, pixels, haze=0.25):
    """Return the body as an RGBA image (pixels × pixels) on a transparent ground; `haze` darkens what is far."""
    axes = axes_of(view)
    shapes = [_shape(*projected, axes) for projected in _projected(body.parts, axes, view)]
    shapes = sorted(filter(None, shapes), key=lambda shape: (shape[0].layer, shape[2]))
    scale, offset = _fit([shape for shape in shapes if shape[0].focus or not view.focus], view)
    every = np.concatenate([polygon for _, polygons, *_ in shapes for polygon in polygons])
    corners = iter(((every * scale + offset) * pixels).ravel().tolist())
    image = Image.new("RGBA", (pixels, pixels))
    draw = ImageDraw.Draw(image)
    depths = [depth for _, _, depth, _ in shapes]
    far, span = min(depths), max(max(depths) - min(depths), 1e-9)
    for part, polygons, depth, light in shapes:
        factor = 255 * light * (1 - haze * (1 - (depth - far) / span))
        fill = (*(min(255, int(c * factor)) for c in part.colour), 255)
        for polygon in polygons:
            draw.polygon(list(islice(corners, polygon.size)), fill)
    return image


def _projected(parts, axes, view):
    """Yield each part with its points (n, 3) as right, down, depth, and the scale that perspective gives them."""
    every = np.concatenate([part.points for part in parts]) @ (axes * ((1,), (-1,), (1,))).T
    every -= every.sum(0) / len(every)
    distance = np.abs(every).max() / max(view.nearness, 1e-6)
    scales = distance / (distance - every[:, 2])
    every[:, :2] *= scales[:, None]
    start = 0
    for part in parts:
        stop = start + len(part.points)
        yield part, every[start:stop], scales[start:stop]
        start = stop


def _fit(shapes, view):
    """Return the scale and the offset that give the shapes their place in the picture."""
    corners = np.concatenate([polygon for _, polygons, *_ in shapes for polygon in polygons])
    low, high = corners.min(0), corners.max(0)
    scale = view.fill / max(high - low)
    return scale, np.array(view.centre) - scale * (low + high) / 2


def _shape(part, points, scales, axes):
    """Return (part, polygons, depth, light), or None for a face that is turned away."""
    flat, depth = points[:, :2], float(points[:, 2].sum()) / len(points)
    if part.kind == "ball":
        return part, [flat[0] + _ellipse(axes[:2] @ part.radii * scales[0])], depth, 1.0
    if part.kind == "tube":
        return part, _tube(flat, part.radii * scales), depth, 1.0
    if part.kind == "face":
        return part, [flat], depth, 1.0
    normal = _normal(points)
    if normal[2] >= 0:
        return None
    return part, [flat], depth, 0.86 + 0.25 * float(normal @ LIGHT)


def _ellipse(axes):
    """Return the outline (24, 2) of an ellipsoid whose half axes, projected, are the columns of `axes` (2, 3)."""
    (a, b), (_, c) = (axes @ axes.T).tolist()
    a = max(a, 1e-12) ** 0.5
    b /= a
    return CIRCLE @ np.array([[a, -b], [0, max(c - b * b, 0) ** 0.5]])


def _tube(flat, radii):
    """Return circles at the points (n, 2), and the quadrilaterals between them."""
    circles = flat[:, None] + radii[:, None, None] * CIRCLE[::2]
    steps = flat[1:] - flat[:-1]
    normals = steps[:, ::-1] * (-1, 1) / np.maximum(np.sqrt((steps**2).sum(1)), 1e-9)[:, None]
    one, other = radii[:-1, None] * normals, radii[1:, None] * normals
    sides = np.stack([flat[:-1] + one, flat[1:] + other, flat[1:] - other, flat[:-1] - one], axis=1)
    return [*circles, *sides]


def _normal(points):
    """Return the direction that a face looks in, as right, down, depth; its corners run as `Part` says."""
    x, y, z = points.T.tolist()
    near = range(-1, len(x) - 1)
    normal = np.array(
        [
            sum(y[i] * z[i + 1] - z[i] * y[i + 1] for i in near),
            sum(z[i] * x[i + 1] - x[i] * z[i + 1] for i in near),
            sum(x[i] * y[i + 1] - y[i] * x[i + 1] for i in near),
        ]
    )
    return normal / max(float(normal @ normal) ** 0.5, 1e-12)


# --- from drawing to photograph ------------------------------------------------------------------------------


def photograph(body, view, scene, rng, size):
    """Return the body before a scene, as a camera sees it: a uint8 array (size, size, 3).

    All chance but the last (each pixel's noise) is drawn alike for every size.
    """
    factor = 4 if size <= 64 else 3
    canvas = Canvas(size * factor)
    scene(canvas, rng)
    ground = _blurred(canvas.image.reduce(factor), between(rng, 0, 0.025) if chance(rng, 0.7) else 0)
    image = _floats(ground) * (1 + 0.12 * rng.random() * _texture(rng, 24, size)[..., None])
    layer = _floats(picture(body, view, size * factor).reduce(factor))
    image = _set_apart(image, layer)
    image = _shadowed(image, layer[..., 3], body, rng)
    image = _over(image, _modelled(layer, rng))
    if chance(rng, 0.35):
        front = Canvas(size * factor, "RGBA")
        pick(rng, OCCLUDERS)(front, rng)
        image = _over(image, _floats(_blurred(front.image.reduce(factor), between(rng, 0, 0.02))))
    return _exposed(image, rng, size)


def _floats(image):
    return np.asarray(image, np.float32) / 255


def _blurred(image, radius):
    """Blur an image by a radius in units of its width."""
    return image.filter(ImageFilter.GaussianBlur(radius * image.width)) if radius else image


def _texture(rng, cells, size):
    """Return smooth noise (size, size) in -1..1, with about `cells` bumps across."""
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), np.float32) / 127.5 - 1


def _over(image, layer):
    share = layer[..., 3:]
    return image * (1 - share) + layer[..., :3] * share


def _set_apart(ground, layer, gap=0.18):
    """Make the ground lighter or darker where it is as light as the body: nobody photographs what cannot be seen."""
    share = layer[..., 3]
    body = float((layer[..., :3].mean(2) * share).sum() / max(share.sum(), 1e-6))
    difference = float(ground.mean()) - body
    if abs(difference) >= gap:
        return ground
    wanted = body + (gap if difference > 0 else -gap)
    if not 0.1 < wanted < 0.95:
        wanted = 2 * body - wanted
    return np.clip(ground + wanted - body - difference, 0, 1)


def _modelled(layer, rng):
    """Round the body by a light from one side, and give it the grain of fur, feathers or rust."""
    size = len(layer)
    mask = Image.fromarray((255 * layer[..., 3]).astype(np.uint8)).filter(ImageFilter.BoxBlur(0.09 * size))
    step = max(1, round(0.06 * size))
    soft = _floats(mask)
    side = pick(rng, (-1, 1)) * step
    slope = np.roll(soft, (-step, side), (0, 1)) - np.roll(soft, (step, -side), (0, 1))
    light = 1 + between(rng, 0.2, 0.55) * slope + between(rng, 0, 0.12) * _texture(rng, 32, size)
    spots = _texture(rng, 7, size) > between(rng, 0.25, 0.5)
    if chance(rng, 0.25):
        light = light * np.where(spots, between(rng, 0.6, 1.35), 1)
    layer[..., :3] *= light[..., None]
    return layer


def _shadowed(image, mask, body, rng):
    """Darken the ground below a body that stands on it."""
    size, rows = len(mask), np.flatnonzero(mask.max(1) > 0.3)
    depth, flat = between(rng, 0.1, 0.5), between(rng, 0.02, 0.05)
    if not body.grounded or not len(rows):
        return image
    columns = np.flatnonzero(mask.max(0) > 0.3)
    x, half = (columns[0] + columns[-1]) / 2, (columns[-1] - columns[0]) / 2
    y, x_grid = np.ogrid[:size, :size]
    distance = ((x_grid - x) / max(half, 1)) ** 2 + ((y - rows[-1] + 0.01 * size) / (flat * size)) ** 2
    return image * (1 - depth * np.clip(1.6 - distance, 0, 1))[..., None]


def _exposed(image, rng, size):
    """Add light that falls off, what the camera sets by itself, unsharpness and noise; return uint8."""
    x, y = rng.uniform(-0.25, 0.25, 2)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    image = image * (1 + x * ramp[None, :, None] + y * ramp[:, None, None])
    soft = Image.fromarray((255 * np.clip(_developed(image, rng), 0, 1)).astype(np.uint8))
    soft = _blurred(soft, between(rng, 0, 0.015) if chance(rng, 0.5) else 0)
    noise = between(rng, 1, 7) * rng.standard_normal((size, size, 3), dtype=np.float32)
    return np.clip(np.asarray(soft, np.float32) + noise, 0, 255).astype(np.uint8)


def _developed(image, rng):
    """Set exposure, white balance and contrast as a camera does: towards the average, and never quite right.

    This, too, keeps the average colour from telling the class: a bright sky is exposed shorter than a wood.
    """
    means = image.mean((0, 1))
    grey = float(means.mean())
    balance = (grey / means) ** between(rng, 0.3, 0.8) * (1 + rng.normal(0, 0.09, 3))
    image = image * (balance * between(rng, 0.27, 0.68) / grey).astype(np.float32)
    tone = image.mean(2, keepdims=True)
    image = tone + (image - tone) * between(rng, 0.45, 1.1)
    middle = float(image.mean())
    wanted = between(rng, 0.13, 0.27) / max(float(image.std()), 0.02)
    return middle + (image - middle) * min(max(wanted, 0.4), 2.5)
