"""Draw lesson 07's figures: batch norm's two ways of working on small numbers, and the four relatives as blocks."""

import common
from common import BLUE, GREEN, LIGHT_BLUE, LIGHT_GREEN, LIGHT_GREY, LIGHT_ORANGE, ORANGE, arrow, box, number, write
from matplotlib.patches import Polygon

# --- training and inference ------------------------------------------------------------------------------------------

IMAGES = [[[4, 6], [4, 8]], [[6, 4], [10, 6]]]  # one channel of two images
MEAN, VARIANCE = 6, 4  # of these eight numbers
MEMORY = (5, 4)  # what many batches have left behind
GAMMA, BETA = 2, 1
CELL = 48


def apply(image, mean, variance):
    """Return (normalised, scaled and shifted) for one map."""
    normalised = [[(value - mean) / variance**0.5 for value in row] for row in image]
    return normalised, [[GAMMA * value + BETA for value in row] for row in normalised]


def short(value):
    """Return a number as text, without needless decimals."""
    return number(f"{value:g}")


def draw_map(ax, left, top, grid, face):
    """Draw a 2 × 2 map with its numbers."""
    size = 14 if max(len(short(value)) for row in grid for value in row) < 4 else 12
    common.draw_cells(ax, left, top, (2, 2), CELL, face, lambda i, j: short(grid[i][j]), size)


def draw_row(ax, tops, images, statistics, title):
    """Draw maps → normalised → scaled and shifted, one line for each image; returns the height of its middle."""
    mean, variance = statistics
    for top, image in zip(tops, images):
        normalised, scaled = apply(image, mean, variance)
        for left, grid, face in zip((20, 416, 786), (image, normalised, scaled), (LIGHT_GREY, LIGHT_BLUE, LIGHT_GREEN)):
            draw_map(ax, left, top, grid, face)
    middle = (max(tops) + min(tops)) / 2 - CELL
    for top in tops:
        arrow(ax, (119, top - CELL), (144, middle + (top - CELL - middle) * 0.5), width=2)
    for start, end in ((382, 412), (516, 552), (748, 782)):
        arrow(ax, (start, middle), (end, middle), width=2.5)
    box(ax, 146, middle - 44, 234, 88, LIGHT_ORANGE, ORANGE, 2)
    write(ax, 263, middle + 18, title, 14)
    write(ax, 263, middle - 14, f"mean {mean}, variance {variance}", 14, weight="bold")
    box(ax, 554, middle - 40, 192, 80, "white", GREEN, 2)
    write(ax, 650, middle + 16, "scale γ and shift β", 14)
    write(ax, 650, middle - 14, f"× {GAMMA}, + {BETA}", 16, weight="bold")
    return middle


def draw_batch_norm():
    """Draw one channel in training, with the batch's own statistics, and at inference, with the memory."""
    figure, ax = common.page(900, 560)
    write(ax, 20, 538, "In training: the statistics of this batch", 16, weight="bold", ha="left")
    for x, title in ((66, "one channel"), (464, "normalised"), (834, "output")):
        write(ax, x, 496, title, 14)
    middle = draw_row(ax, (480, 370), IMAGES, (MEAN, VARIANCE), "of all 8 numbers:")
    ax.plot([20, 880], [214, 214], color="0.8", lw=1.5, zorder=0)
    arrow(ax, (263, middle - 46), (263, 110), ORANGE, 2.5, style=(0, (4, 3)))
    write(ax, 282, 244, "every batch moves the memory a tenth of the way", 14, ha="left")
    write(ax, 282, 184, "At inference: the memory of all batches", 16, weight="bold", ha="left")
    draw_row(ax, (112,), IMAGES[:1], MEMORY, "running statistics:")
    return figure


# --- the relatives ---------------------------------------------------------------------------------------------------

N, C, PIXELS, GROUPS = 4, 6, 4, 2
RELATIVES = [  # name, which cells (image, channel) share a mean, how many means there are, in words
    ("batch norm", lambda n, c: c == C - 1, C, "one for each channel"),
    ("layer norm", lambda n, c: n == 0, N, "one for each image"),
    ("instance norm", lambda n, c: n == 0 and c == C - 1, N * C, "one for each image and channel"),
    ("group norm, 2 groups", lambda n, c: n == 0 and c >= C // GROUPS, N * GROUPS, "one for each image and group"),
]
SIDE, DEPTH = 34, (19, 15)  # of a cell, and how far one image lies behind the next


def draw_block(ax, left, bottom, chosen):
    """Draw the block: channels to the right, pixels upwards, images into the depth; chosen cells are coloured."""

    def place(c, pixel, n):
        return left + c * SIDE + n * DEPTH[0], bottom + pixel * SIDE + n * DEPTH[1]

    def face(corners, n, c, shade):
        colour = (BLUE, "#3391c6", "#015f96")[shade] if chosen(n, c) else ("white", "#f4f4f4", "#e4e4e4")[shade]
        ax.add_patch(Polygon([place(*corner) for corner in corners], facecolor=colour, edgecolor="0.35", lw=1))

    for c in range(C):
        for pixel in range(PIXELS):
            face([(c, pixel, 0), (c + 1, pixel, 0), (c + 1, pixel + 1, 0), (c, pixel + 1, 0)], 0, c, 0)
        for n in range(N):
            face([(c, PIXELS, n), (c + 1, PIXELS, n), (c + 1, PIXELS, n + 1), (c, PIXELS, n + 1)], n, c, 1)
    for n in range(N):
        for pixel in range(PIXELS):
            face([(C, pixel, n), (C, pixel, n + 1), (C, pixel + 1, n + 1), (C, pixel + 1, n)], n, C - 1, 2)


def draw_relatives():
    """Draw the four blocks; in each, the blue cells are normalised together."""
    figure, ax = common.page(900, 672)
    for k, (name, chosen, count, words) in enumerate(RELATIVES):
        left, bottom = 100 + 450 * (k % 2), 430 - 337 * (k // 2)
        draw_block(ax, left, bottom, chosen)
        write(ax, left + 130, bottom + 220, name, 17, weight="bold")
        write(ax, left + C * SIDE / 2, bottom - 18, "channels C", 14)
        write(ax, left - 20, bottom + PIXELS * SIDE / 2, "pixels H·W", 14, rotation=90)
        write(ax, left + C * SIDE + 58, bottom + 18, "images N", 14, rotation=38)
        write(ax, left + 130, bottom - 50, f"{count} means: {words}", 14)
    return figure


if __name__ == "__main__":
    common.draw_all({"07_batch_norm.svg": draw_batch_norm, "07_relatives.svg": draw_relatives})
