"""Draw lesson 02's figures: max against average pooling, and the way back of their gradients."""

import common
from common import BLUE, LIGHT_BLUE, LIGHT_GREEN, LIGHT_ORANGE, number, write
from matplotlib.patches import Rectangle

MAP = [[1, 3, 0, 2], [4, 0, 1, 1], [0, 2, 5, 9], [2, 0, 7, 3]]
ARRIVING = [[4, 8], [12, 16]]  # the gradient with respect to the four pooled numbers
TINTS = [[LIGHT_BLUE, LIGHT_ORANGE], [LIGHT_GREEN, "#f3dfee"]]
INKS = [[BLUE, "#8a5500"], ["#016b4e", "#93367f"]]  # the same hues, dark enough for text
WINDOWS = [(i, j) for i in range(2) for j in range(2)]


def window(i, j):
    """Return the four numbers of a window, row by row."""
    return [MAP[2 * i + u][2 * j + v] for u in range(2) for v in range(2)]


def decimal(value):
    """Return a number as text, whole where it is whole."""
    return number(int(value) if value == int(value) else value)


MAX = [[max(window(i, j)) for j in range(2)] for i in range(2)]
AVERAGE = [[sum(window(i, j)) / 4 for j in range(2)] for i in range(2)]


def max_gradient():
    """Return the gradient with respect to the map: each arriving number goes to the first largest of its window."""
    gradient = [[0] * 4 for _ in range(4)]
    for i, j in WINDOWS:
        place = window(i, j).index(MAX[i][j])
        gradient[2 * i + place // 2][2 * j + place % 2] = ARRIVING[i][j]
    return gradient


def average_gradient():
    """Return the gradient with respect to the map: each arriving number is shared by the four of its window."""
    return [[ARRIVING[row // 2][column // 2] / 4 for column in range(4)] for row in range(4)]


def tint(row, column):
    return TINTS[row // 2][column // 2]


def frame_windows(ax, left, top, cell, cells=2, width=4):
    """Frame four windows of `cells` × `cells` each in its own colour, side by side without covering each other."""
    side, gap = cells * cell, width * 0.75
    for i, j in WINDOWS:
        corner = (left + j * side + gap / 2, top - (i + 1) * side + gap / 2)
        style = {"fill": False, "edgecolor": INKS[i][j], "lw": width, "joinstyle": "miter", "zorder": 5}
        ax.add_patch(Rectangle(corner, side - gap, side - gap, **style))


# --- max against average -------------------------------------------------------------------------------------------


def written_sum(name, i, j):
    """Return how one pooled number is worked out, as text."""
    numbers = [number(value) for value in window(i, j)]
    if name == "max":
        return f"max({', '.join(numbers)}) = {decimal(MAX[i][j])}"
    return f"({' + '.join(numbers)}) / 4 = {decimal(AVERAGE[i][j])}"


def draw_branch(ax, top, title, name, pooled):
    """Draw one kind of pooling: its four sums, each in its window's colour, and the pooled map."""
    write(ax, 360, top + 37, title, 15, weight="bold", ha="left")
    for line, (i, j) in enumerate(WINDOWS):
        write(ax, 365, top - 3 - 34 * line, written_sum(name, i, j), 16.5, color=INKS[i][j], weight="bold", ha="left")
    common.arrow(ax, (675, top - 54), (717, top - 54))
    common.draw_cells(
        ax, 735, top + 10, (2, 2), 64, lambda i, j: TINTS[i][j], lambda i, j: decimal(pooled[i][j]), 22
    )  # fmt: skip
    frame_windows(ax, 735, top + 10, 64, cells=1)


def draw_max_average():
    """Draw one map, its four windows, and what max and average pooling make of them."""
    figure, ax = common.page(890, 430)
    write(ax, 158, 378, "activation map 4 × 4", 16, weight="bold")
    common.draw_cells(ax, 30, 355, (4, 4), 64, tint, lambda i, j: number(MAP[i][j]), 22)
    frame_windows(ax, 30, 355, 64)
    write(ax, 158, 66, "window 2 × 2, stride 2:\nfour windows, four numbers", 14)
    for top, title, name, pooled in (
        (370, "max pooling: the largest of each window", "max", MAX),
        (158, "average pooling: the mean of each window", "average", AVERAGE),
    ):
        middle = top - 54
        common.bent_arrow(ax, [(292, 227), (318, 227), (318, middle), (348, middle)])
        draw_branch(ax, top, title, name, pooled)
    return figure


# --- the gradient's way back ---------------------------------------------------------------------------------------


def draw_way_back(ax, left, title, gradient, remark):
    """Draw the gradient that one kind of pooling hands back to the 4 × 4 map."""
    write(ax, left + 104, 318, title, 14, weight="bold")
    common.draw_cells(
        ax, left, 292, (4, 4), 52,
        lambda i, j: tint(i, j) if gradient[i][j] else "white", lambda i, j: decimal(gradient[i][j]), 18,
    )  # fmt: skip
    frame_windows(ax, left, 292, 52)
    write(ax, left + 104, 48, remark, 14)


def draw_gradient():
    """Draw the map, the gradient that arrives, and the way back through max and through average pooling."""
    figure, ax = common.page(940, 345)
    write(ax, 124, 318, "map, winners grey", 14, weight="bold")
    winners = max_gradient()
    common.draw_cells(
        ax, 20, 292, (4, 4), 52,
        lambda i, j: "#cfcfcf" if winners[i][j] else "white", lambda i, j: number(MAP[i][j]), 18,
    )  # fmt: skip
    frame_windows(ax, 20, 292, 52)
    write(ax, 124, 48, "in the lower left window\ntwo numbers tie", 14)
    write(ax, 330, 318, "arriving", 14, weight="bold")
    common.draw_cells(
        ax, 278, 240, (2, 2), 52, lambda i, j: TINTS[i][j], lambda i, j: number(ARRIVING[i][j]), 18
    )  # fmt: skip
    frame_windows(ax, 278, 240, 52, cells=1)
    write(ax, 330, 64, "gradient of the loss\nfor the four\npooled numbers", 14)
    common.arrow(ax, (392, 188), (432, 188))
    draw_way_back(ax, 446, "back through max", winners, "all of it to the winner;\nin a tie, to the first")
    draw_way_back(ax, 706, "back through average", average_gradient(), "a quarter to each\nof the four")
    return figure


if __name__ == "__main__":
    common.draw_all({"02_max_average.svg": draw_max_average, "02_gradient.svg": draw_gradient})
