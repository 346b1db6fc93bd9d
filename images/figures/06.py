"""Draw lesson 06's figures: a gallery of augmentations, one image at a time against whole batches, two folds."""

import common
import numpy as np
from common import (
    BLUE,
    GREEN,
    INK,
    LIGHT_BLUE,
    LIGHT_GREEN,
    LIGHT_GREY,
    LIGHT_ORANGE,
    ORANGE,
    RED,
    arrow,
    box,
    write,
)

SIZE = 24  # pixels of a picture's side
HOLE = (8, 10, 9)  # top, left and side of what is erased
PATCH = (2, 11, 12)  # top, left and side of what cutmix pastes
MIXED = 0.7  # the ship's share in mixup
BATCH = 64
STEPS = ["fetch", "crop", "flip", "to image", "to float", "normalise"]


def colours(*triples):
    return [np.array(triple) / 255 for triple in triples]


def ship():
    """Return a ship on the sea as an array (SIZE, SIZE, 3)."""
    sky, sea, hull, sail, sun, mast = colours(
        (176, 215, 240), (38, 96, 150), (120, 60, 40), (250, 246, 235), (252, 200, 60), (70, 50, 40)
    )
    rows, columns = np.mgrid[:SIZE, :SIZE]
    picture = np.where((rows < 17)[..., None], sky, sea)
    picture[(rows - 4) ** 2 + (columns - 20) ** 2 < 7] = sun
    picture[(rows > 13) & (rows < 18) & (columns - rows > -12) & (columns + rows < 34)] = hull
    picture[(columns == 10) & (rows > 2) & (rows < 14)] = mast
    picture[(columns > 10) & (rows > 3) & (rows < 13) & (columns - 10 < (rows - 2) * 0.75)] = sail
    picture[(columns < 10) & (rows > 6) & (rows < 13) & (10 - columns < (rows - 5) * 0.75)] = sail
    picture[(rows > 19) & ((columns + 2 * rows) % 9 < 2)] = (sea + sky) / 2
    return picture


def automobile():
    """Return a red automobile on a road as an array (SIZE, SIZE, 3)."""
    sky, road, body, tyre, glass, hill = colours(
        (226, 232, 236), (120, 120, 124), (200, 44, 38), (28, 28, 30), (160, 200, 220), (120, 168, 96)
    )
    rows, columns = np.mgrid[:SIZE, :SIZE]
    picture = np.where((rows < 16)[..., None], sky, road)
    picture[(rows > 11) & (rows < 16)] = hill
    picture[(rows > 11) & (rows < 19) & (columns > 1) & (columns < 22)] = body
    cabin = (rows > 6) & (rows < 13) & (columns > 5 + (12 - rows) * 0.5) & (columns < 18 - (12 - rows) * 0.5)
    picture[cabin] = body
    picture[cabin & (rows > 7) & (rows < 12) & (columns != 11)] = glass
    for centre in (6.5, 16.5):
        wheel = (rows - 18.5) ** 2 + (columns - centre) ** 2
        picture[wheel < 7.5] = tyre
        picture[wheel < 1.5] = sky
    return picture


def shifted(picture, down, right):
    """Return a picture moved down and to the right, its border mirrored."""
    padded = np.pad(picture, ((8, 8), (8, 8), (0, 0)), mode="reflect")
    return padded[8 - down : 8 - down + SIZE, 8 - right : 8 - right + SIZE]


def zoomed(picture, top, left, side):
    """Return a square part of a picture, as large as the whole again."""
    chosen = (np.arange(SIZE) * side) // SIZE
    return picture[top + chosen][:, left + chosen]


def recoloured(picture):
    """Return a picture with less saturation, more contrast and a warmer light."""
    grey = picture.mean(axis=2, keepdims=True)
    return np.clip((0.35 * picture + 0.65 * grey - 0.5) * 1.15 + np.array([0.6, 0.5, 0.4]), 0, 1)


def erased(picture):
    top, left, side = HOLE
    picture = picture.copy()
    picture[top : top + side, left : left + side] = 0.5
    return picture


def pasted(picture, other):
    top, left, side = PATCH
    picture = picture.copy()
    picture[top : top + side, left : left + side] = other[top : top + side, left : left + side]
    return picture


def panels():
    """Return the ten panels: (name, its label, the picture)."""
    first, second = ship(), automobile()
    share = 1 - PATCH[2] ** 2 / SIZE**2
    both = "{:.2g} ship,\n{:.2g} automobile".format
    return [
        ("original", "ship", first),
        ("flip", "ship", first[:, ::-1]),
        ("shift", "ship", shifted(first, 2, 3)),
        ("crop", "ship", zoomed(first, 1, 2, 17)),
        ("colour", "ship", recoloured(first)),
        ("original", "automobile", second),
        ("flip and shift", "automobile", shifted(second[:, ::-1], -4, 3)),
        ("erasing", "automobile", erased(second)),
        ("mixup", both(MIXED, 1 - MIXED), MIXED * first + (1 - MIXED) * second),
        ("cutmix", both(share, 1 - share), pasted(first, second)),
    ]


def draw_augmentation():
    """Draw a ship and an automobile, and what each augmentation makes of them, with the labels below."""
    figure, ax = common.page(980, 510)
    for place, (name, label, picture) in enumerate(panels()):
        left, bottom = 22 + 192 * (place % 5), 300 - 240 * (place // 5)
        ax.imshow(picture, extent=(left, left + 168, bottom, bottom + 168), interpolation="nearest", zorder=2)
        edge = INK if name == "original" else BLUE
        box(ax, left, bottom, 168, 168, "none", edge, 3 if name == "original" else 2, radius=1, zorder=3)
        write(ax, left + 84, bottom + 183, name, 16, weight="bold")
        write(ax, left + 84, bottom - 9, label, 14, va="top")
    ax.set(xlim=(0, 980), ylim=(0, 510), aspect="auto")
    return figure


def draw_item_or_batch():
    """Draw the two ways from images to a batch: step by step for each image, or each step for all of them."""
    figure, ax = common.page(980, 470)
    write(ax, 20, 446, f"one image at a time: {len(STEPS)} calls for each image", 16, ha="left", weight="bold")
    for row, image in enumerate(["image 1", "image 2", f"image {BATCH}"]):
        bottom = 376 - 56 * row - (26 if row == 2 else 0)
        write(ax, 62, bottom + 21, image, 14)
        for place, step in enumerate(STEPS):
            left = 126 + 107 * place
            box(ax, left, bottom, 91, 42, LIGHT_ORANGE, ORANGE)
            write(ax, left + 45.5, bottom + 21, step, 12)
            arrow(ax, (left - 16, bottom + 21), (left - 3, bottom + 21), width=1.5)
        arrow(ax, (754, bottom + 21), (796, 317), width=1.5)
    for x in (62, 440):
        write(ax, x, 300, "⋮", 20)
    box(ax, 800, 285, 160, 64, LIGHT_GREY, "0.4")
    write(ax, 880, 329, "stack", 15, weight="bold")
    write(ax, 880, 305, f"({BATCH}, 3, 32, 32)", 13)
    write(ax, 440, 215, f"{len(STEPS)} × {BATCH} = {len(STEPS) * BATCH} calls, in Python, for one batch", 14, color=RED)

    write(ax, 20, 166, "the whole batch at once: 4 calls for all images", 16, ha="left", weight="bold")
    steps = [
        ("choose rows", "images[chosen]"),
        ("flip some", "….flip(3)"),
        ("pad all", "F.pad(batch, …)"),
        ("cut windows", "windows[…]"),
    ]
    for place, (step, code) in enumerate(steps):
        left = 20 + 196 * place
        box(ax, left, 70, 168, 66, LIGHT_GREEN, GREEN, 2)
        write(ax, left + 84, 116, step, 15, weight="bold")
        write(ax, left + 84, 90, code, 11.5, family="DejaVu Sans Mono")
        arrow(ax, (left + 171, 103), (left + 193, 103), width=1.5)
    box(ax, 800, 71, 160, 64, LIGHT_GREY, "0.4")
    write(ax, 880, 115, "a batch", 15, weight="bold")
    write(ax, 880, 91, f"({BATCH}, 3, 32, 32)", 13)
    write(ax, 400, 36, "floats, normalised once for all epochs; each image still draws its own luck", 14, color=GREEN)
    return figure


def draw_folds():
    """Draw the two folds: a network learns on one half and judges the other, and the other way round."""
    figure, ax = common.page(900, 330)
    for row, (name, learns, judges) in enumerate([("first network", "A", "B"), ("second network", "B", "A")]):
        bottom = 210 - 130 * row
        write(ax, 96, bottom + 40, name, 15, weight="bold")
        for left, half, does, face, edge in [
            (200, learns, "learns these", LIGHT_BLUE, BLUE),
            (445, judges, "has never seen these", LIGHT_ORANGE, ORANGE),
        ]:
            box(ax, left, bottom, 232, 80, face, edge, 2)
            write(ax, left + 116, bottom + 52, f"half {half}", 15, weight="bold")
            write(ax, left + 116, bottom + 25, does, 13)
        arrow(ax, (681, bottom + 40), (722, bottom + 40), ORANGE)
        write(ax, 809, bottom + 51, "probability of the", 13)
        write(ax, 809, bottom + 29, f"given label, half {judges}", 13)
    write(ax, 450, 36, "together: one judgement of every training image, by a network that did not learn it", 14.5)
    return figure


if __name__ == "__main__":
    common.draw_all(
        {
            "06_augmentation.svg": draw_augmentation,
            "06_item_or_batch.svg": draw_item_or_batch,
            "06_folds.svg": draw_folds,
        }
    )
