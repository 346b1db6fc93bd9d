"""Draw lesson 04's figures: LeNet-5 with its shapes, C3's table, a receptive field, and a gradient put together."""

import common
import numpy as np
from common import BLUE, GREEN, LIGHT_BLUE, LIGHT_GREEN, LIGHT_GREY, LIGHT_ORANGE, ORANGE, number, write
from matplotlib.patches import Circle, Polygon, Rectangle

ORANGE_INK = "#9a5f00"  # orange, dark enough for text

# --- LeNet-5 -------------------------------------------------------------------------------------------------------

FIVE = [
    "................",
    "................",
    ".....+#####+....",
    "....+######+....",
    "....##+.........",
    "....##..........",
    "...+##..........",
    "...######+......",
    "...+######+.....",
    "........+##+....",
    ".........+##....",
    "..........##....",
    "...+.....+##....",
    "...##+..+##+....",
    "...+######+.....",
    "................",
]
STAGES = [  # centre, name, what it is, shape, kernel, numbers learned in 1998, numbers learned today
    (160, "input", "image", (1, 32, 32), "", None, None),
    (283, "C1", "convolution", (6, 28, 28), "5×5", 156, 156),
    (392, "S2", "pooling", (6, 14, 14), "2×2, stride 2", 12, 0),
    (493, "C3", "convolution", (16, 10, 10), "5×5", 1516, 2416),
    (588, "S4", "pooling", (16, 5, 5), "2×2, stride 2", 32, 0),
    (690, "C5", "convolution", (120,), "5×5", 48120, 48120),
    (776, "F6", "dense", (84,), "", 10164, 10164),
    (854, "output", "classes", (10,), "", 0, 850),
]
WINDOWS = [5, 2, 5, 2]  # the kernels between the five stacks of maps
Y = 300  # the height at which the network is drawn


def correlate(grid, kernel):
    """Return the map of a kernel on a grid: every window times the kernel, summed."""
    windows = np.lib.stride_tricks.sliding_window_view(grid, kernel.shape)
    return (windows * kernel).sum(axis=(2, 3))


def pool(grid):
    """Return the mean of every 2 × 2 block."""
    return grid.reshape(grid.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))


def maps():
    """Return one map of each of the five stacks, from the digit to S4."""
    levels = {".": 0.0, "+": 0.55, "#": 1.0}
    digit = np.kron([[levels[mark] for mark in row] for row in FIVE], np.ones((2, 2)))
    edge = np.outer(np.ones(5), [-1, -1, 0, 1, 1]) / 5
    first = np.tanh(correlate(digit, edge))
    second = pool(first)
    third = np.tanh(correlate(second, edge.T))
    return [digit, first, second, third, pool(third)]


def draw_stack(ax, centre, grid, count, side, cmap):
    """Draw `count` sheets, the front one showing `grid`; return (left, bottom, side, right edge of the last sheet)."""
    offset = min(5, 32 / count)
    shift = offset * (count - 1) / 2
    left, bottom = centre - side / 2 - shift, Y - side / 2 - shift
    for k in reversed(range(count)):
        corner = (left + k * offset, bottom + k * offset)
        ax.add_patch(Rectangle(corner, side, side, facecolor=LIGHT_BLUE, edgecolor="0.3", lw=0.9, zorder=40 - k))
    extent = (left, left + side, bottom, bottom + side)
    ax.imshow(grid, cmap=cmap, extent=extent, interpolation="none", zorder=41)
    ax.add_patch(Rectangle((left, bottom), side, side, fill=False, edgecolor="0.2", lw=1.2, zorder=42))
    return left, bottom, side, left + side + 2 * shift


def draw_window(ax, here, there, cells, size, cells_there):
    """Frame a window of size × size in one stack's front sheet and lead its corners to one cell of the next stack."""
    left, bottom, side, _ = here
    cell = side / cells
    row = column = {32: 16, 28: 14, 14: 6, 10: 4}[cells]  # of the window's top left corner
    x, y = left + column * cell, bottom + side - (row + size) * cell
    ax.add_patch(Rectangle((x, y), size * cell, size * cell, fill=False, edgecolor=ORANGE, lw=2.5, zorder=50))
    step = 2 if size == 2 else 1
    to_cell = there[2] / cells_there
    to_x, to_y = there[0] + (column // step + 0.5) * to_cell, there[1] + there[2] - (row // step + 0.5) * to_cell
    for corner in ((x + size * cell, y), (x + size * cell, y + size * cell)):
        ax.plot([corner[0], to_x], [corner[1], to_y], color=ORANGE, lw=1.3, zorder=51)
    ax.add_patch(Circle((to_x, to_y), 2.8, facecolor=ORANGE, edgecolor="0.2", lw=0.6, zorder=52))


def draw_vectors(ax, start):
    """Draw C5, F6 and the ten outputs as columns of circles, joined by their connections."""
    columns = [(STAGES[5][0], 14, 12, "0.82"), (STAGES[6][0], 12, 13.5, "0.82"), (STAGES[7][0], 10, 16.5, "white")]
    heights = [[Y + spacing * ((count - 1) / 2 - k) for k in range(count)] for _, count, spacing, _ in columns]
    for one, other, ys, others in zip(columns, columns[1:], heights, heights[1:]):
        lines = [(y, target, np.nan) for y in ys for target in others]
        ax.plot([one[0], other[0], np.nan] * len(lines), np.ravel(lines), color="0.8", lw=0.4, zorder=1)
    for (x, count, _, face), ys in zip(columns, heights):
        for k, y in enumerate(ys):
            colour = ORANGE if count == 10 and k == 5 else face
            ax.add_patch(Circle((x, y), 5.6, facecolor=colour, edgecolor="0.25", lw=0.8, zorder=3))
            if count == 10:
                write(ax, x + 17, y, str(k), 11.5, va="center_baseline")
    for y in (heights[0][0], heights[0][-1]):
        ax.plot([start, columns[0][0]], [Y, y], color="0.6", lw=0.8, zorder=1)


def in_words(shape):
    return "×".join(map(str, shape))


def draw_lenet():
    """Draw LeNet-5: its maps, and below each the shape, the kernel, and what is learned, then and now."""
    figure, ax = common.page(980, 470)
    stacks = []
    for (centre, *_, shape, _, _, _), grid in zip(STAGES, maps()):
        side = max(3.0 * shape[1], 24)
        stacks.append(draw_stack(ax, centre, grid, shape[0], side, "gray" if shape[0] == 1 else "viridis"))
    for here, there, stage, following, size in zip(stacks, stacks[1:], STAGES, STAGES[1:], WINDOWS):
        draw_window(ax, here, there, stage[3][1], size, following[3][1])
    draw_vectors(ax, stacks[-1][3])
    ax.set(xlim=(0, 980), ylim=(0, 470))  # imshow has moved them
    for x, name, kind, *_ in STAGES:
        write(ax, x, 448, name, 15, weight="bold")
        write(ax, x, 425, kind, 12.5)
    draw_table(ax)
    return figure


def draw_table(ax):
    """Write the four rows under the network, with the sums at the right."""
    rows = [("shape", 172), ("kernel", 132), ("learned in 1998", 82), ("learned today", 42)]
    common.box(ax, 8, 20, 964, 84, LIGHT_ORANGE, LIGHT_ORANGE, 1, 8, zorder=0)
    common.box(ax, 8, 112, 964, 80, LIGHT_GREY, LIGHT_GREY, 1, 8, zorder=0)
    for label, y in rows:
        write(ax, 16, y, label, 12, ha="left", weight="bold")
    for x, _, _, shape, kernel, then, now in STAGES:
        write(ax, x, 172, in_words(shape), 12.5)
        write(ax, x, 132, kernel.replace(", ", "\n"), 11.5, linespacing=1.1)
        for count, y in ((then, 82), (now, 42)):
            if count is not None:
                write(ax, x, y, f"{count:,}", 12.5)
    for column, y in ((5, 82), (6, 42)):
        total = sum(stage[column] or 0 for stage in STAGES)
        write(ax, 966, y, f"= {total:,}", 12.5, ha="right", weight="bold", color=ORANGE_INK)


# --- C3's table ----------------------------------------------------------------------------------------------------

TABLE = [
    "012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235",
    "012345",
]  # fmt: skip
GROUPS = [  # first map, last map, colour, words
    (0, 5, LIGHT_BLUE, "three neighbours"),
    (6, 11, LIGHT_GREEN, "four neighbours"),
    (12, 14, LIGHT_ORANGE, "two pairs"),
    (15, 15, "#efd9ea", "all"),
]


def draw_c3_table():
    """Draw which of S2's six maps each of C3's sixteen maps is computed from."""
    figure, ax = common.page(900, 400)
    left, top, cell = 150, 305, 40
    colours = [colour for first, last, colour, _ in GROUPS for _ in range(first, last + 1)]

    def face(row, column):
        return colours[column] if str(row) in TABLE[column] else "white"

    common.draw_cells(
        ax, left, top, (6, 16), cell, face, lambda row, column: "×" if str(row) in TABLE[column] else "", 17
    )
    write(ax, left + 8 * cell, 382, "map of C3", 14, weight="bold")
    write(ax, 22, top - 3 * cell, "map of S2", 14, weight="bold", rotation=90)
    for first, last, colour, words in GROUPS:
        x = left + (first + last + 1) / 2 * cell
        width = (last - first + 1) * cell - 4
        common.box(ax, x - width / 2, 338, width, 26, colour, "0.6", 1, 6)
        write(ax, x, 350, words, 12 if len(words) > 3 else 11.5, va="center_baseline")
    for column, inputs in enumerate(TABLE):
        x = left + (column + 0.5) * cell
        write(ax, x, top + 15, str(column), 13)
        write(ax, x, top - 6 * cell - 18, str(len(inputs)), 13)
    for row in range(6):
        y = top - (row + 0.5) * cell
        write(ax, left - 18, y, str(row), 13)
        write(ax, left + 16 * cell + 24, y, str(sum(str(row) in inputs for inputs in TABLE)), 13)
    write(ax, 80, top - 6 * cell - 18, "inputs", 13)
    write(ax, left + 16 * cell + 58, top + 15, "is used", 13)
    total = sum(map(len, TABLE))
    text = f"{total} kernels of 5 × 5, and 16 biases: {total} · 25 + 16 = {total * 25 + 16:,} numbers"
    write(ax, left + 8 * cell, 18, text, 14)
    return figure


# --- a receptive field ---------------------------------------------------------------------------------------------

LAYERS = [  # name, kernel size, stride, padding
    ("convolution 3, padding 1", 3, 1, 1),
    ("pooling 2, stride 2", 2, 2, 0),
    ("convolution 3, padding 1", 3, 1, 1),
]
PIXELS, UNIT = 12, 3  # the image's width, and the number whose field is coloured


def fields():
    """Return the (size, step, start) of the image and after each layer."""
    found = [(1, 1, 0)]
    for _, kernel_size, stride, padding in LAYERS:
        size, step, start = found[-1]
        found.append((size + (kernel_size - 1) * step, step * stride, start - padding * step))
    return found


def seen():
    """Return for the image and each layer the first and last number that the unit at the top depends on."""
    ranges = [(UNIT, UNIT)]
    for _, kernel_size, stride, padding in reversed(LAYERS):
        first, last = ranges[0]
        ranges.insert(0, (first * stride - padding, last * stride - padding + kernel_size - 1))
    return ranges


def draw_row(ax, y, count, spacing, first, last, ring, x0):
    """Draw one layer's numbers as cells centred on what they see; return the x of each end of the coloured ones."""
    cell = 30
    for k in range(-ring, count + ring):
        inside = 0 <= k < count
        face = (ORANGE if y > 300 else LIGHT_ORANGE) if first <= k <= last else "white" if inside else LIGHT_GREY
        x = x0 + spacing * k
        ax.add_patch(Rectangle((x - cell / 2, y - 15), cell, 30, facecolor=face, edgecolor="0.4", lw=1, zorder=3))
        if inside:
            write(ax, x, y, number(k), 12, va="center_baseline")
    return x0 + spacing * first - cell / 2, x0 + spacing * last + cell / 2


def draw_receptive_field():
    """Draw a stack of three layers along one axis, with everything that one number at the top depends on."""
    figure, ax = common.page(900, 450)
    ys, left, pixel = [80, 175, 270, 365], 85, 34
    count, ends = PIXELS, []
    for level, (y, (size, step, start), (first, last)) in enumerate(zip(ys, fields(), seen())):
        if level:
            _, kernel_size, stride, padding = LAYERS[level - 1]
            count = (count + 2 * padding - kernel_size) // stride + 1
        ring = LAYERS[level][3] if level < len(LAYERS) else 0
        middle = left + pixel * (start + (size - 1) / 2)  # of what the first number sees
        ends.append(draw_row(ax, y, count, pixel * step, first, last, ring, middle))
    for y, above, low, high in zip(ys, ys[1:], ends, ends[1:]):
        corners = [(low[0], y + 15), (low[1], y + 15), (high[1], above - 15), (high[0], above - 15)]
        ax.add_patch(Polygon(corners, facecolor=LIGHT_ORANGE, edgecolor=ORANGE, lw=1.5, alpha=0.6, zorder=1))
    columns = [(640, "size"), (745, "step"), (840, "start")]
    for x, word in columns:
        write(ax, x, 422, word, 14, weight="bold")
    for level, (y, field) in enumerate(zip(ys, fields())):
        for (x, _), value in zip(columns, field):
            write(ax, x, y, number(value), 16, weight="bold", color=ORANGE_INK)
        if level:
            describe_step(ax, y, fields()[level - 1], LAYERS[level - 1], columns)
    write(ax, 535, 80, "image", 13, weight="bold", ha="left")
    (_, step, start), (first, last) = fields()[-1], seen()[0]
    begin = f"{number(start)} + {UNIT} · {step} = {first}"
    write(ax, 450, 26, f"number {UNIT} at the top begins at {begin} and sees pixels {first} to {last}", 14)
    return figure


def describe_step(ax, y, field, layer, columns):
    """Write under a row's three numbers how they come from the row below."""
    (size, step, start), (name, kernel_size, stride, padding) = field, layer
    sums = [f"{size} + ({kernel_size}−1)·{step}", f"{step} · {stride}", f"{number(start)} − {padding}·{step}"]
    for (x, _), text in zip(columns, sums):
        write(ax, x, y - 24, text, 12.5)
    write(ax, 735, y - 50, name, 12.5, color=BLUE, weight="bold")


# --- the gradient with respect to the input, put together ------------------------------------------------------------

KERNEL = [[1, 2], [3, 4]]
GRADIENT = [[1, 2], [3, -1]]  # of the loss with respect to the 2 × 2 output


def stamp(i, j):
    """Return the kernel times the gradient of output (i, j), laid where its window was; None elsewhere."""
    grid = [[None] * 3 for _ in range(3)]
    for u in range(2):
        for v in range(2):
            grid[i + u][j + v] = GRADIENT[i][j] * KERNEL[u][v]
    return grid


STAMPS = [stamp(i, j) for i in range(2) for j in range(2)]
INPUT_GRADIENT = [[sum(grid[i][j] or 0 for grid in STAMPS) for j in range(3)] for i in range(3)]
FLIPPED = [row[::-1] for row in KERNEL[::-1]]


def draw_backward():
    """Draw the two ways to one gradient: four stamps added up, and the flipped kernel over the padded gradient."""
    figure, ax = common.page(900, 470)
    cell = 36
    write(ax, 20, 450, "every output sends its gradient back along its own four weights", 14, ha="left", weight="bold")
    for k, grid in enumerate(STAMPS):
        left = 20 + 170 * k
        factor = number(GRADIENT[k // 2][k % 2])
        write(ax, left + 54, 416, f"{factor} × kernel", 14)
        common.draw_cells(
            ax, left, 395, (3, 3), cell,
            lambda i, j, grid=grid: "white" if grid[i][j] is None else LIGHT_BLUE,
            lambda i, j, grid=grid: "" if grid[i][j] is None else number(grid[i][j]), 15,
        )  # fmt: skip
        common.outline(ax, left, 395, cell, k // 2, k % 2, (2, 2), BLUE, 3)
        write(ax, left + 139, 341, "+" if k < 3 else "=", 24)
    draw_result(ax, 720, 395, cell)
    write(ax, 20, 240, "the same by sliding: the gradient in a frame of zeros, and the flipped kernel", 14, ha="left",
          weight="bold")  # fmt: skip
    common.draw_cells(
        ax, 40, 190, (4, 4), cell,
        lambda i, j: LIGHT_ORANGE if i in (1, 2) and j in (1, 2) else LIGHT_GREY,
        lambda i, j: number(GRADIENT[i - 1][j - 1]) if i in (1, 2) and j in (1, 2) else "0", 15,
    )  # fmt: skip
    common.outline(ax, 40, 190, cell, 1, 1, (2, 2), ORANGE, 4)
    write(ax, 112, 24, "gradient of the output", 13)
    write(ax, 216, 118, "∗", 26)
    common.draw_cells(ax, 254, 154, (2, 2), cell, LIGHT_BLUE, lambda i, j: number(FLIPPED[i][j]), 15)
    write(ax, 290, 24, "flipped kernel", 13)
    write(ax, 360, 118, "=", 24)
    draw_result(ax, 400, 172, cell)
    write(ax, 454, 24, "gradient of the input", 13)
    for line, text in enumerate(("the pixel in the middle:", "1·4 + 2·3 + 3·2 + (−1)·1 = 15")):
        write(ax, 570, 134 - 30 * line, text, 15, ha="left", color=ORANGE_INK if line else common.INK)
    return figure


def draw_result(ax, left, top, cell):
    common.draw_cells(ax, left, top, (3, 3), cell, LIGHT_GREEN, lambda i, j: number(INPUT_GRADIENT[i][j]), 15)
    common.outline(ax, left, top, cell, 1, 1, (1, 1), ORANGE, 4)
    common.outline(ax, left, top, cell, 0, 0, (3, 3), GREEN, 2, zorder=4)


if __name__ == "__main__":
    common.draw_all(
        {
            "04_lenet.svg": draw_lenet,
            "04_c3_table.svg": draw_c3_table,
            "04_receptive_field.svg": draw_receptive_field,
            "04_backward.svg": draw_backward,
        }
    )
