"""Draw lesson 03's figures: the multi-channel sum (still and animated), im2col, and groups."""

import io

import common
from common import BLUE, GREEN, LIGHT_BLUE, LIGHT_GREEN, LIGHT_GREY, LIGHT_ORANGE, ORANGE, RED, number, write
from matplotlib.patches import Circle
from PIL import Image

LIGHT_RED = "#f9dfd0"
NAMES = ("red", "green", "blue")
COLOURS, TINTS = (RED, GREEN, BLUE), (LIGHT_RED, LIGHT_GREEN, LIGHT_BLUE)
FRAME = common.INK  # the window, and what comes out of it
MAP_LEFT = 566

# --- three channels, one output --------------------------------------------------------------------------------------

IMAGE = [
    [[1, 2, 0, 1], [0, 1, 3, 1], [2, 0, 1, 0], [1, 1, 0, 2]],
    [[0, 1, 2, 0], [2, 0, 1, 1], [1, 3, 0, 2], [0, 1, 1, 0]],
    [[2, 0, 1, 1], [1, 1, 0, 3], [0, 2, 1, 0], [1, 0, 2, 1]],
]
WEIGHT = [  # two filters of three kernels each; the first is the one that slides
    [[[1, 0], [0, 1]], [[1, -1], [1, -1]], [[0, 2], [-1, 0]]],
    [[[0, 1], [1, 0]], [[1, 1], [-1, -1]], [[0, 0], [1, -1]]],
]
BIAS = [1, -2]
POSITIONS = [(row, column) for row in range(3) for column in range(3)]
TAPS = [(u, v) for u in range(2) for v in range(2)]


def slide(grid, kernel):
    """Return the activation map of one kernel on one grid: at every position the sum of four products."""
    rows = []
    for i in range(3):
        rows.append([sum(grid[i + u][j + v] * kernel[u][v] for u, v in TAPS) for j in range(3)])
    return rows


def convolve(o):
    """Return the three maps of filter `o`, and their sum with its bias."""
    maps = [slide(grid, kernel) for grid, kernel in zip(IMAGE, WEIGHT[o])]
    total = [[sum(one[i][j] for one in maps) + BIAS[o] for j in range(3)] for i in range(3)]
    return maps, total


MAPS, OUTPUT = convolve(0)


def in_brackets(value):
    """Return a whole number as text, with brackets around a negative one."""
    return number(value) if value >= 0 else f"({number(value)})"


def draw_products(ax, x, y, channel, row, column):
    """Write the four products of one channel, a row of the window per line."""
    for u, v in TAPS:
        left, line = x + 112 * v, y + 17 - 34 * u
        if u + v > 0:
            write(ax, left - 24, line, "+", 15, va="center_baseline")
        pixel = number(IMAGE[channel][row + u][column + v])
        write(ax, left, line, pixel, 15, weight="bold", va="center_baseline")
        write(ax, left + 16, line, "×", 15, va="center_baseline")
        factor = in_brackets(WEIGHT[0][channel][u][v])
        write(ax, left + 27, line, factor, 15, color=COLOURS[channel], weight="bold", ha="left", va="center_baseline")


def draw_total(ax, x, top, row, column):
    """Add up the three numbers and the bias as one does on paper: one below the other."""
    lines = [(name, MAPS[k][row][column], COLOURS[k]) for k, name in enumerate(NAMES)] + [("bias", BIAS[0], FRAME)]
    for k, (name, value, colour) in enumerate(lines):
        y = top - 30 * k
        write(ax, x - 4, y, name, 14, ha="right", va="center_baseline")
        write(ax, x + 50, y, number(value), 17, color=colour, weight="bold", ha="right", va="center_baseline")
    ax.plot([x - 55, x + 55], [top - 106, top - 106], color=FRAME, lw=1.5)
    write(ax, x - 4, top - 126, "sum", 14, ha="right", va="center_baseline")
    write(ax, x + 50, top - 126, number(OUTPUT[row][column]), 20, weight="bold", ha="right", va="center_baseline")


def draw_channel(ax, channel, top, step):
    """Draw one line: the channel, its kernel, the products at one position, and the channel's map up to there."""
    (row, column), colour, tint, cell = POSITIONS[step], COLOURS[channel], TINTS[channel], 36
    middle, grid = top - 2 * cell, IMAGE[channel]
    write(ax, 102, top + 15, f"{NAMES[channel]} channel", 14)
    common.draw_cells(ax, 30, top, (4, 4), cell, tint, lambda i, j: number(grid[i][j]), 15)
    common.outline(ax, 30, top, cell, row, column, (2, 2), FRAME, 4)
    write(ax, 195, middle, "∗", 26)
    write(ax, 252, middle + cell + 15, "its kernel", 14)
    common.draw_cells(
        ax, 252 - cell, middle + cell, (2, 2), cell, "white", lambda i, j: number(WEIGHT[0][channel][i][j]), 15
    )
    common.outline(ax, 252 - cell, middle + cell, cell, 0, 0, (2, 2), colour, 3)
    draw_products(ax, 338, middle, channel, row, column)
    write(ax, 546, middle, "=", 22)
    left, map_top = MAP_LEFT, middle + 1.5 * cell
    write(ax, left + 1.5 * cell, map_top + 15, "its map", 14)
    common.draw_cells(
        ax, left, map_top, (3, 3), cell,
        lambda i, j: tint if 3 * i + j <= step else "white",
        lambda i, j: number(MAPS[channel][i][j]) if 3 * i + j <= step else "", 15,
    )  # fmt: skip
    common.outline(ax, left, map_top, cell, row, column, (1, 1), FRAME, 4)


def draw_sum(step=1):
    """Draw three channels, three kernels and one output at one of the nine positions."""
    figure, ax = common.page(900, 565)
    (row, column), cell, left, top = POSITIONS[step], 36, 778, 509
    for channel in range(3):
        draw_channel(ax, channel, 527 - 182 * channel, step)
    plus = (724, top - 1.5 * cell)
    for channel, end in enumerate([(-17, 0), (-13, -13), (0, -18)]):
        start = (MAP_LEFT + 3 * cell + 6, top - 1.5 * cell - 182 * channel)
        corners = [start, (plus[0] + end[0], plus[1] + end[1])]
        corners.insert(1, (plus[0] + (-13, -13, 0)[channel], start[1]) if channel else start)
        common.bent_arrow(ax, corners, COLOURS[channel], 2)
    common.arrow(ax, (plus[0] + 18, plus[1]), (left - 5, plus[1]), FRAME, 2)
    ax.add_patch(Circle(plus, 17, facecolor="white", edgecolor=FRAME, lw=2, zorder=5))
    write(ax, *plus, "+", 22, zorder=6)
    write(ax, plus[0], plus[1] + 58, f"bias {BIAS[0]}", 14)
    common.arrow(ax, (plus[0], plus[1] + 46), (plus[0], plus[1] + 18), FRAME, 2)
    write(ax, left + 1.5 * cell, top + 15, "output", 14)
    common.draw_cells(
        ax, left, top, (3, 3), cell,
        lambda i, j: LIGHT_ORANGE if 3 * i + j <= step else "white",
        lambda i, j: number(OUTPUT[i][j]) if 3 * i + j <= step else "", 16,
    )  # fmt: skip
    common.outline(ax, left, top, cell, row, column, (1, 1), FRAME, 4)
    draw_total(ax, 830, 320, row, column)
    write(ax, 812, 140, f"row {row}, column {column}", 14)
    return figure


def animate_sum(path):
    """Write the nine positions as a GIF that loops, with a longer pause on the last."""
    frames = []
    for step in range(len(POSITIONS)):
        buffer = io.BytesIO()
        draw_sum(step).savefig(buffer, format="png", dpi=100)
        frames.append(Image.open(buffer).convert("RGB"))
    palette = frames[-1].quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [2200] * (len(frames) - 1) + [4500]  # milliseconds: three sums to follow in each
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)


# --- one matrix product ----------------------------------------------------------------------------------------------

ROWS = [weight for kernel in WEIGHT[0] for line in kernel for weight in line]


def unfold():
    """Return the 12 × 9 matrix whose columns are the windows: channel by channel, row by row."""
    return [
        [grid[i + u][j + v] for i, j in POSITIONS]
        for grid in IMAGE
        for u, v in TAPS
    ]  # fmt: skip


def draw_im2col(step=1):
    """Draw both filters as rows, all nine windows as columns, and their product; one window is followed."""
    figure, ax = common.page(900, 600)
    cell, columns, (row, column) = 30, unfold(), POSITIONS[step]
    outputs = [[value for line in convolve(o)[1] for value in line] for o in range(2)]

    def tint(k):
        return TINTS[k // 4]

    for channel in range(3):
        top = 560 - 150 * channel
        write(ax, 80, top + 13, NAMES[channel], 14)
        common.draw_cells(ax, 20, top, (4, 4), cell, TINTS[channel], lambda i, j, c=channel: number(IMAGE[c][i][j]), 13)
        common.outline(ax, 20, top, cell, row, column, (2, 2), ORANGE, 5)
        common.arrow(
            ax, (20 + cell * (column + 2) + 4, top - cell * (row + 1)),
            (590 + cell * step - 4, 562 - cell * (4 * channel + 2)), ORANGE, 2, zorder=6,
        )  # fmt: skip
    matrix_left, matrix_top = 590, 562
    write(ax, matrix_left + 4.5 * cell, matrix_top + 17, "nine windows as columns (12 × 9)", 14)
    common.draw_cells(
        ax, matrix_left, matrix_top, (12, 9), cell, lambda i, j: tint(i), lambda i, j: number(columns[i][j]), 13
    )
    common.outline(ax, matrix_left, matrix_top, cell, 0, step, (12, 1), ORANGE, 5)
    write(ax, 340, 450, f"the window at row {row}, column {column}:", 14)
    write(ax, 340, 310, f"its 12 numbers, channel by channel,\nbecome column {step}", 14)
    left, top = 170, 110
    write(ax, left + 6 * cell, top + 17, "two filters as rows (2 × 12)", 14)
    common.draw_cells(
        ax, left, top, (2, 12), cell, lambda i, j: tint(j),
        lambda i, j: number([w for k in WEIGHT[i] for line in k for w in line][j]), 13,
    )  # fmt: skip
    common.outline(ax, left, top, cell, 0, 0, (1, 12), FRAME, 4)
    write(ax, matrix_left + 4.5 * cell, top + 17, "two maps, plus bias (2 × 9)", 14)
    common.draw_cells(ax, matrix_left, top, (2, 9), cell, LIGHT_GREY, lambda i, j: number(outputs[i][j]), 13)
    common.outline(ax, matrix_left, top, cell, 0, step, (1, 1), FRAME, 5)
    terms = [f"{number(w)}·{number(line[step])}" for w, line in zip(ROWS, columns)]
    written = " + ".join(in_term(term) for term in terms)
    write(ax, 450, 22, f"{written} + {BIAS[0]} = {number(outputs[0][step])}", 13)
    return figure


def in_term(term):
    """Put a product that begins with a minus sign into brackets."""
    return f"({term})" if term.startswith("−") else term


# --- groups ----------------------------------------------------------------------------------------------------------

PANELS = [  # title, groups, then the weights for 3 × 3 kernels
    ("groups = 1: all inputs", 1),
    ("groups = 2: two halves", 2),
    ("groups = 4: depthwise", 4),
    ("depthwise, then 1×1", None),
]


def dots(ax, x, top, title, letter):
    """Draw a column of four channels below a title; returns their centres."""
    write(ax, x, top + 32, title, 14)
    centres = [(x, top - 48 * k) for k in range(4)]
    for k, centre in enumerate(centres):
        common.box(ax, centre[0] - 17, centre[1] - 17, 34, 34, "white", "0.3", 1.5, 8, zorder=5)
        write(ax, *centre, f"{letter}{k}", 14, va="center_baseline", zorder=6)
    return centres


def connect(ax, starts, ends, groups, style="-"):
    """Draw a line from each input to each output of its own group, coloured by group; returns how many."""
    size, colours, count = 4 // groups, (BLUE, ORANGE, GREEN, RED), 0
    for i, start in enumerate(starts):
        for o, end in enumerate(ends):
            if i // size == o // size:
                colour = colours[i // size] if groups > 1 else "0.35"
                ax.plot([start[0] + 18, end[0] - 18], [start[1], end[1]], style, color=colour, lw=2, zorder=2)
                count += 1
    return count


def count_weights(groups):
    """Return the weights in words: how many kernels of nine, or the two steps of the separable one."""
    if groups is None:
        return "4 kernels × 9 + 16 × 1 = 52 weights"
    kernels = 16 // groups
    return f"{kernels} kernels × 9 = {9 * kernels} weights"


def draw_groups():
    """Draw which input channel reaches which output channel, in four settings of four channels each."""
    figure, ax = common.page(900, 600)
    for k, (title, groups) in enumerate(PANELS):
        left, top = 10 + 445 * (k % 2), 590 - 297 * (k // 2)
        common.box(ax, left, top - 286, 435, 286, "white", "0.75", 1, zorder=0)
        write(ax, left + 217, top - 25, title, 14.5, weight="bold")
        first = top - 90
        if groups:
            connect(ax, dots(ax, left + 100, first, "in", "i"), dots(ax, left + 335, first, "out", "o"), groups)
        else:
            middle = dots(ax, left + 217, first, "", "m")
            connect(ax, dots(ax, left + 70, first, "in", "i"), middle, 4)
            connect(ax, middle, dots(ax, left + 365, first, "out", "o"), 1, ":")
        write(ax, left + 217, top - 268, count_weights(groups), 14)
    return figure


if __name__ == "__main__":
    common.draw_all(
        {
            "03_sum.svg": draw_sum,
            "03_sum.gif": animate_sum,
            "03_im2col.svg": draw_im2col,
            "03_groups.svg": draw_groups,
        }
    )
