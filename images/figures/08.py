"""Draw lesson 08's figures: four blocks, the paths through three of them, and, once measured, `make bench`."""

import json

import common
from common import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_BLUE,
    LIGHT_GREEN,
    LIGHT_GREY,
    LIGHT_ORANGE,
    ORANGE,
    arrow,
    bent_arrow,
    box,
    write,
)
from matplotlib.patches import Circle, Rectangle

# --- four blocks -----------------------------------------------------------------------------------------------------

CONV, NORM, RELU, ADD = "conv 3×3", "batch norm", "ReLU", "+"
POOL, AROUND = "max pooling", "average\npooling,\nconv 1×1"
FACES = {"conv": (LIGHT_BLUE, BLUE), "batch": (LIGHT_ORANGE, ORANGE), "ReLU": (LIGHT_GREEN, GREEN)}
FACES |= {"max": (LIGHT_GREY, GREY), "average": (LIGHT_GREY, GREY)}
BLOCKS = [  # title, what stands on the branch from top to bottom, what on the way around (None: no way around)
    ("plain", [CONV, NORM, RELU, CONV, NORM, RELU], None),
    ("residual, 2015", [CONV, NORM, RELU, CONV, NORM, ADD, RELU], "x"),
    ("pre-activation, 2016", [NORM, RELU, CONV, NORM, RELU, CONV, ADD], "x"),
    ("with halving", [NORM, RELU, CONV, POOL, NORM, RELU, CONV, ADD], AROUND),
]
TOP, STEP, WIDTH, HEIGHT = 512, 62, 138, 40


def draw_layer(ax, x, y, name, width=WIDTH, height=HEIGHT, size=13):
    """Draw one layer's box with its centre at (x, y)."""
    face, edge = FACES[name.split()[0]]
    box(ax, x - width / 2, y - height / 2, width, height, face, edge, 1.5, radius=8, zorder=4)
    write(ax, x, y, name, size, zorder=5)


def draw_plus(ax, x, y):
    """Draw the addition."""
    ax.add_patch(Circle((x, y), 17, facecolor="white", edgecolor=INK, lw=1.8, zorder=4))
    write(ax, x, y, ADD, 18, zorder=5)


def half(name):
    """Return half the height of a layer, or of the addition's circle."""
    return 17 if name == ADD else HEIGHT / 2


def draw_block(ax, x, title, layers, around):
    """Draw a block from its input above to its output below, with the way around on its right."""
    write(ax, x + (30 if around else 0), 622, title, 16, weight="bold")
    write(ax, x, 590, "x", 16, style="italic")
    places = [TOP - STEP * place for place in range(len(layers))]
    arrow(ax, (x, 578), (x, TOP + half(layers[0])), width=2)
    for y, name in zip(places, layers):
        draw_plus(ax, x, y) if name == ADD else draw_layer(ax, x, y, name)
    for y, name, below in zip(places, layers, [*layers[1:], None]):
        arrow(ax, (x, y - half(name)), (x, y - STEP + (half(below) if below else 12)), width=2)
    write(ax, x, places[-1] - STEP, "y", 16, style="italic")
    if around:
        side, start, plus = x + (140 if around == AROUND else 92), 560, places[layers.index(ADD)]
        bent_arrow(ax, [(x, start), (side, start), (side, plus), (x + 19, plus)], INK, 2.5)
        if around == AROUND:
            draw_layer(ax, side, (start + plus) / 2, AROUND, 96, 72, 13)


def draw_blocks():
    """Draw the plain block, the two residual ones, and one that halves the maps."""
    figure, ax = common.page(1030, 645)
    for x, block in zip((90, 305, 550, 820), BLOCKS):
        draw_block(ax, x, *block)
    return figure


# --- the paths -------------------------------------------------------------------------------------------------------

COUNT = 3


def paths():
    """Return every way through the blocks: for each block, whether its branch is taken."""
    return [tuple(bool(way >> place & 1) for place in range(COUNT)) for way in range(2**COUNT)]


def draw_paths():
    """Draw three residual blocks in a row, and below them the eight paths that they are."""
    figure, ax = common.page(920, 450)
    road = 410
    write(ax, 30, road, "x", 16, style="italic")
    write(ax, 872, road, "y", 16, style="italic")
    left = 46
    for place in range(COUNT):
        start, middle, plus = left + 60, left + 140, left + 220
        arrow(ax, (left, road), (plus - 17, road), INK, 2.5)
        bent_arrow(ax, [(start, road), (start, road - 56), (middle - 30, road - 56)], BLUE, 2)
        bent_arrow(ax, [(middle + 30, road - 56), (plus, road - 56), (plus, road - 18)], BLUE, 2)
        box(ax, middle - 30, road - 76, 60, 40, LIGHT_BLUE, BLUE)
        write(ax, middle, road - 56, f"$F_{place + 1}$", 15, zorder=4)
        draw_plus(ax, plus, road)
        left = plus + 18
    arrow(ax, (left, road), (858, road), INK, 2.5)
    ax.plot([30, 870], [310, 310], color="0.8", lw=1.5)
    write(ax, 30, 280, "the eight paths of its gradient:", 15, ha="left")
    for number, path in enumerate(sorted(paths(), key=sum)):
        column, row = divmod(number, 4)
        x, y = 40 + 452 * column, 232 - 56 * row
        ax.plot([x, x + 240], [y, y], color=INK, lw=2, zorder=1)
        for place, taken in enumerate(path):
            if taken:
                box(ax, x + 22 + 76 * place, y - 17, 46, 34, LIGHT_BLUE, BLUE)
                write(ax, x + 45 + 76 * place, y, f"$F_{place + 1}$", 13, zorder=4)
        words = {0: "around all of them", 1: "through one branch", 2: "through two", 3: "through all three"}
        write(ax, x + 252, y, words[sum(path)], 13, ha="left")
    return figure


# --- the bench, as it was measured -----------------------------------------------------------------------------------

RESULTS = common.IMAGES.parent / "tests" / "results" / "bench.json"


def draw_bench(results):
    """Draw the seconds of each loop until it reaches its accuracy, task by task, and the images a second."""
    tasks = (results["mnist"], results["cifar10"])
    groups = [(task["title"], "s", {row["name"]: row["seconds"] for row in task["rows"]}) for task in tasks]
    spent = {row["name"]: row["spent"] for task in tasks for row in task["rows"]}  # also by those that did not arrive
    groups.append(("a training step", "images/s", {row["name"]: row["images_a_second"] for row in results["levers"]}))
    count = sum(len(rows) for _, _, rows in groups)
    height = 60 + 34 * count + 64 * len(groups)
    figure, ax = common.page(1010, height)
    y = height - 36
    for title, unit, rows in groups:
        write(ax, 20, y, title, 16, weight="bold", ha="left")
        largest = max(value or 0 for value in rows.values())
        for name, value in rows.items():
            y -= 34
            write(ax, 362, y, name, 13, ha="right")
            length = 470 * (value or 0) / largest
            face = GREEN if "fit_fast" in name or name.startswith("+") else GREY
            ax.add_patch(Rectangle((374, y - 11), length, 22, facecolor=face))
            words = f"not there after {spent[name]:.0f} s" if value is None else f"{value:,.0f} {unit}"
            write(ax, 384 + length, y, words, 13, ha="left")
        y -= 64
    write(ax, 20, 24, results["about"], 12, ha="left", color="0.35")
    return figure


FIGURES = {"08_blocks.svg": draw_blocks, "08_paths.svg": draw_paths}
if RESULTS.is_file():
    FIGURES["08_bench.svg"] = lambda: draw_bench(json.loads(RESULTS.read_text(encoding="utf-8")))

if __name__ == "__main__":
    common.draw_all(FIGURES)
