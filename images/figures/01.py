"""Draw lesson 01's figures: the sliding kernel (still and animated), the pipeline, and the four settings."""

import io
import math

import common
from common import BLUE, GREEN, GREY, LIGHT_BLUE, LIGHT_GREEN, LIGHT_GREY, LIGHT_ORANGE, ORANGE, number, write
from matplotlib.patches import Circle, Rectangle
from PIL import Image

# --- the kernel that slides ----------------------------------------------------------------------------------------

IMAGE = [[1, 2, 0, 1, 0], [0, 1, 3, 1, 1], [2, 0, 1, 0, 2], [1, 1, 0, 2, 1], [0, 2, 1, 1, 0]]
KERNEL = [[1, 0, -1], [1, 0, -1], [1, 0, -1]]


def slide(image, kernel):
    """Return the activation map: at every position the sum of the products (stride 1, no padding)."""
    size = len(kernel)
    positions = range(len(image) - size + 1)
    return [
        [sum(image[i + u][j + v] * kernel[u][v] for u in range(size) for v in range(size)) for j in positions]
        for i in positions
    ]


ACTIVATION_MAP = slide(IMAGE, KERNEL)
POSITIONS = [(row, column) for row in range(3) for column in range(3)]
WINDOW_INK = "#9a5f00"  # orange, dark enough for text


def grey_of(row, column):
    """Return an image cell's colour: the larger its number, the brighter."""
    return f"{0.62 + 0.38 * IMAGE[row][column] / 3:.3f}"


def draw_sum(ax, step):
    """Write the nine products of one position, a row of the window per line, and their sum."""
    row, column = POSITIONS[step]
    for u in range(3):
        y = 105 - 33 * u
        for v in range(3):
            x = 105 + 135 * v
            if u + v > 0:
                write(ax, x - 50, y, "+", 17)
            factor = number(KERNEL[u][v]) if KERNEL[u][v] >= 0 else f"({number(KERNEL[u][v])})"
            write(ax, x - 20, y, number(IMAGE[row + u][column + v]), 17, color=WINDOW_INK, weight="bold")
            write(ax, x, y, "×", 17)
            write(ax, x + 12, y, factor, 17, color=BLUE, weight="bold", ha="left")
    write(ax, 530, 72, "=", 22)
    write(ax, 562, 72, number(ACTIVATION_MAP[row][column]), 24, color=GREEN, weight="bold", ha="left")
    write(ax, 735, 72, f"row {row}, column {column}\nof the activation map", 14)


def draw_sliding(step=1):
    """Draw the window at one of the nine positions; the activation map is filled up to there."""
    figure, ax = common.page(900, 450)
    cell, (row, column) = 50, POSITIONS[step]
    write(ax, 165, 425, "image 5 × 5", 16)
    common.draw_cells(ax, 40, 400, (5, 5), cell, grey_of, lambda i, j: number(IMAGE[i][j]), 18)
    common.outline(ax, 40, 400, cell, row, column, (3, 3), ORANGE, 6)
    write(ax, 345, 270, "∗", 30)
    write(ax, 475, 375, "kernel 3 × 3", 16)
    common.draw_cells(ax, 400, 350, (3, 3), cell, LIGHT_BLUE, lambda i, j: number(KERNEL[i][j]), 18)
    common.outline(ax, 400, 350, cell, 0, 0, (3, 3), BLUE, 3)
    write(ax, 605, 275, "=", 26)
    write(ax, 735, 375, "activation map 3 × 3", 16)
    common.draw_cells(
        ax, 660, 350, (3, 3), cell,
        lambda i, j: LIGHT_GREEN if 3 * i + j <= step else "white",
        lambda i, j: number(ACTIVATION_MAP[i][j]) if 3 * i + j <= step else "", 18,
    )  # fmt: skip
    common.outline(ax, 660, 350, cell, row, column, (1, 1), GREEN, 5)
    draw_sum(ax, step)
    return figure


def animate_sliding(path):
    """Write the nine positions as a GIF that loops, with a longer pause on the last."""
    frames = []
    for step in range(len(POSITIONS)):
        buffer = io.BytesIO()
        draw_sliding(step).savefig(buffer, format="png", dpi=100)
        frames.append(Image.open(buffer).convert("RGB"))
    palette = frames[-1].quantize(48, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [1200] * (len(frames) - 1) + [3500]  # milliseconds
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)


# --- the whole network ---------------------------------------------------------------------------------------------

THREE = [
    "..............",
    "....+####+....",
    "...########+..",
    "...++....###..",
    ".........###..",
    "........+##+..",
    ".....#####+...",
    ".....######+..",
    ".........+##+.",
    "..........###.",
    "...+.....+###.",
    "...###++####+.",
    "....+######+..",
    "..............",
]
LOGITS = [0.1, -0.6, 0.9, 3.6, -1.2, 1.7, -0.9, 0.2, 1.2, 0.6]


def digit():
    """Return the drawn three, 28 × 28 numbers from 0 to 1."""
    levels = {".": 0.0, "+": 0.55, "#": 1.0}
    rows = [[levels[mark] for mark in row for _ in range(2)] for row in THREE]
    return [row for row in rows for _ in range(2)]


def convolve_relu(grid, kernel):
    """Return a map of the same size: 3 × 3 kernel, zero padding 1, negative numbers set to zero."""
    width = len(grid[0])
    edge = [[0.0] * (width + 2)]
    padded = edge + [[0.0, *row, 0.0] for row in grid] + edge
    return [[max(0.0, value) for value in row] for row in slide(padded, kernel)]


def max_pool(grid):
    """Return the largest number of every 2 × 2 block."""
    return [
        [max(grid[i + u][j + v] for u in (0, 1) for v in (0, 1)) for j in range(0, len(grid[0]), 2)]
        for i in range(0, len(grid), 2)
    ]


def sheets(ax, centre, side, count, grid, cmap):
    """Draw a stack of `count` maps, the front one showing `grid`; returns its left and right edges."""
    x, y, offset = centre[0] - side / 2, centre[1] - side / 2, 5
    shift = offset * (count - 1) / 2
    for k in reversed(range(count)):
        corner = (x - shift + k * offset, y - shift + k * offset)
        ax.add_patch(Rectangle(corner, side, side, facecolor=LIGHT_BLUE, edgecolor="0.3", lw=1, zorder=20 - k))
    left, bottom = x - shift, y - shift
    ax.imshow(grid, cmap=cmap, extent=(left, left + side, bottom, bottom + side), interpolation="none", zorder=21)
    ax.add_patch(Rectangle((left, bottom), side, side, fill=False, edgecolor="0.2", lw=1.2, zorder=22))
    return left, left + side + 2 * shift


def draw_classifier(ax, y):
    """Draw the flattened vector, the ten logits with their connections, and the ten probabilities."""
    inputs = [y + 77 - 14 * k for k in range(12)]
    outputs = [y + 81 - 18 * k for k in range(10)]
    for start in inputs:
        for end in outputs:
            ax.plot([633, 698], [start, end], color="0.75", lw=0.5, zorder=1)
    for k, level in enumerate([0.3, 0.9, 0.5, 0.75, 0.2, 0.6, 0.95, 0.4, 0.8, 0.25, 0.65, 0.5]):
        ax.add_patch(Rectangle((617, inputs[k] - 7), 16, 14, facecolor=f"{level}", edgecolor="0.2", lw=0.8))
    total = sum(math.exp(logit) for logit in LOGITS)
    for k, (centre, logit) in enumerate(zip(outputs, LOGITS)):
        colour = ORANGE if logit == max(LOGITS) else GREY
        ax.add_patch(Circle((705, centre), 7.5, facecolor=colour, edgecolor="0.2", lw=0.8, zorder=3))
        write(ax, 782, centre, str(k), 11.5, va="center_baseline")
        bar = 92 * math.exp(logit) / total + 1
        ax.add_patch(Rectangle((793, centre - 7), bar, 14, facecolor=colour, edgecolor="none"))
    ax.plot([793, 793], [y - 90, y + 90], color="0.3", lw=1)


STAGES = [  # centre, name, shape, lesson
    (64, "image", "1×28×28", ""),
    (190, "convolution\n3×3\n+ ReLU", "16×28×28", "01"),
    (314, "max\npooling\n2×2", "16×14×14", "02"),
    (427, "convolution\n3×3\n+ ReLU", "32×14×14", "03"),
    (540, "max\npooling\n2×2", "32×7×7", "02"),
    (625, "flatten", "1568", "04"),
    (705, "linear", "10\nlogits", "04"),
    (825, "softmax", "10\nprobabilities", "05"),
]


def draw_pipeline():
    """Draw the whole network, with a name above every stage and the shape of its tensor below."""
    figure, ax = common.page(900, 410)
    y = 225
    image = digit()
    first = convolve_relu(image, [[1, 1, 1], [0, 0, 0], [-1, -1, -1]])
    pooled = max_pool(first)
    second = convolve_relu(pooled, [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
    stacks = [(64, 92, 1, image, "gray"), (190, 86, 5, first, "viridis"), (314, 50, 5, pooled, "viridis"),
              (427, 50, 8, second, "viridis"), (540, 28, 8, max_pool(second), "viridis")]  # fmt: skip
    edges = [sheets(ax, (x, y), *stack) for x, *stack in stacks]
    draw_classifier(ax, y)
    edges += [(617, 633), (697, 713), (772, 890)]
    for k in (0, 1, 2, 3, 4, 6):
        common.arrow(ax, (edges[k][1] + 5, y), (edges[k + 1][0] - 5, y), width=1.8, zorder=30)
    label_stages(ax)
    ax.set(xlim=(0, 900), ylim=(0, 410))  # imshow has moved them
    common.box(ax, 16, 14, 569, 34, LIGHT_BLUE, BLUE)
    write(ax, 300, 31, "feature extraction: learned kernels", 14)
    common.box(ax, 597, 14, 287, 34, LIGHT_ORANGE, ORANGE)
    write(ax, 740, 31, "classification", 14)
    return figure


def label_stages(ax):
    """Write every stage's name above it, and below it the shape of its tensor and the lesson that explains it."""
    for x, name, shape, lesson in STAGES:
        write(ax, x, 328, name, 12.5, weight="bold", va="bottom")
        write(ax, x, 108, shape, 12.5, va="center")
        if lesson:
            common.box(ax, x - 17, 60, 34, 21, "white", "0.4", 1, 9)
            write(ax, x, 70, lesson, 11.5, va="center_baseline")
    write(ax, 64, 70, "lesson", 11.5, va="center_baseline")


# --- padding, stride, dilation -------------------------------------------------------------------------------------

PANELS = [  # title, size, padding, stride, dilation
    ("padding 0, stride 1, dilation 1", 5, 0, 1, 1),
    ("padding 1: a ring of zeros", 5, 1, 1, 1),
    ("stride 2: steps of two cells", 5, 0, 2, 1),
    ("dilation 2: gaps between the taps", 7, 0, 1, 2),
]


def draw_setting(ax, left, top, title, size, padding, stride, dilation):
    """Draw one setting in a panel of 440 × 340: input with window and padding, output, and the size formula."""
    cell, padded, span = 30, size + 2 * padding, 2 * dilation + 1
    result = (padded - span) // stride + 1
    write(ax, left + 15, top - 24, title, 15, weight="bold", ha="left")
    grid_left, grid_top = left + 15 + (7 - padded) * cell / 2, top - 50 - (7 - padded) * cell / 2
    taps = {(dilation * u, stride + dilation * v) for u in range(3) for v in range(3)}

    def face(row, column):
        inside = padding <= row < padding + size and padding <= column < padding + size
        return ORANGE if (row, column) in taps else "white" if inside else LIGHT_GREY

    common.draw_cells(ax, grid_left, grid_top, (padded, padded), cell, face)
    if padding:
        draw_ring(ax, grid_left, grid_top, cell, padded)
    common.outline(ax, grid_left, grid_top, cell, 0, 0, (span, span), common.INK, 2, (0, (4, 3)))
    common.outline(ax, grid_left, grid_top, cell, 0, stride, (span, span), "#9a5f00", 4)
    middle = top - 155
    common.arrow(ax, (left + 234, middle), (left + 262, middle))
    out_left, out_top = left + 345 - result * cell / 2, middle + result * cell / 2
    common.draw_cells(ax, out_left, out_top, (result, result), cell, LIGHT_GREEN)
    common.outline(ax, out_left, out_top, cell, 0, 1, (1, 1), GREEN, 4)
    write(ax, left + 120, top - 280, f"input {size} × {size}", 14)
    write(ax, left + 345, top - 280, f"output {result} × {result}", 14)
    formula = f"⌊({size} + 2·{padding} − {dilation}·(3 − 1) − 1) / {stride}⌋ + 1 = {result}"
    write(ax, left + 217, top - 310, formula, 14)


def draw_ring(ax, left, top, cell, padded):
    """Write a zero into every cell of the padded ring."""
    for row in range(padded):
        for column in range(padded):
            if row in (0, padded - 1) or column in (0, padded - 1):
                x, y = left + (column + 0.5) * cell, top - (row + 0.5) * cell
                write(ax, x, y, "0", 13, va="center_baseline", zorder=4)


def draw_settings():
    """Draw what padding, stride and dilation change: the window's second position in each case."""
    figure, ax = common.page(900, 730)
    for k, setting in enumerate(PANELS):
        left, top = 10 + 445 * (k % 2), 720 - 345 * (k // 2)
        common.box(ax, left, top - 332, 435, 332, "white", "0.75", 1, zorder=0)
        draw_setting(ax, left, top, *setting)
    write(ax, 450, 20, "dashed: the window's first position · solid, with its nine taps: the second", 13.5)
    return figure


if __name__ == "__main__":
    common.draw_all(
        {
            "01_sliding.svg": draw_sliding,
            "01_sliding.gif": animate_sliding,
            "01_pipeline.svg": draw_pipeline,
            "01_padding_stride_dilation.svg": draw_settings,
        }
    )
