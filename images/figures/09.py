"""Draw lesson 09's figure: Grad-CAM on two maps of four numbers."""

import common
import numpy as np
from common import BLUE, GREEN, GREY, INK, ORANGE, arrow, draw_cells, write

MAPS = np.array([[[1, 2], [0, 3]], [[2, 0], [1, 1]]], dtype=float)
GRADIENTS = np.array([[[1, 0], [0.5, 0.5]], [[-2, -1], [0, -1]]])
WEIGHTS = GRADIENTS.mean(axis=(1, 2))  # 0.5 and −1
SUM = np.einsum("c,chw->hw", WEIGHTS, MAPS)
CELL = 46


def shade(value, largest=3.0):
    """Return a colour from white to red for positive numbers, to blue for negative ones."""
    strength = min(abs(value) / largest, 1) * 0.75
    end = np.array([0.84, 0.37, 0.0]) if value > 0 else np.array([0.0, 0.45, 0.7])
    return tuple(1 - strength * (1 - end))


def grid(ax, left, top, numbers, cell=CELL, size=15, text=True, largest=3.0):
    """Draw a grid of numbers, coloured by their sign and size."""

    def words(row, column):
        return f"{numbers[row, column]:g}".replace("-", "−")

    draw_cells(
        ax, left, top, numbers.shape, cell,
        face=lambda row, column: shade(numbers[row, column], largest), text=words if text else None, size=size,
    )  # fmt: skip


def enlarged(small, factor=4):
    """Return a small map, enlarged bilinearly as F.interpolate does it."""
    places = (np.arange(len(small) * factor) + 0.5) / factor - 0.5
    rows = np.array([np.interp(places, range(len(small)), column) for column in small.T]).T
    return np.array([np.interp(places, range(len(small)), row) for row in rows])


def draw_grad_cam():
    """Draw the maps, their gradients, the weights, the weighted sum, its positive part, and the enlarged map."""
    figure, ax = common.page(1060, 325)
    tops = (262, 132)
    heads = [(66, "maps"), (226, "gradients\nof the logit"), (376, "weights:\ntheir means"), (560, "weighted sum")]
    for x, title in [*heads, (738, "ReLU"), (948, "enlarged")]:
        write(ax, x, 300, title, 14, weight="bold")
    for top, maps, gradients, weight, colour in zip(tops, MAPS, GRADIENTS, WEIGHTS, (ORANGE, BLUE)):
        grid(ax, 20, top, maps)
        grid(ax, 180, top, gradients)
        arrow(ax, (282, top - CELL), (344, top - CELL), GREY)
        write(ax, 378, top - CELL, f"{weight:g}".replace("-", "−"), 20, color=colour, weight="bold")
        arrow(ax, (412, top - CELL), (506, 198 - CELL), colour)
    write(ax, 560, 76, "0.5 · first − 1 · second", 12, color=INK)
    grid(ax, 514, 198, SUM, size=13)
    arrow(ax, (612, 152), (684, 152), GREY)
    grid(ax, 692, 198, np.maximum(SUM, 0), size=14)
    arrow(ax, (790, 152), (852, 152), GREEN)
    grid(ax, 860, 240, enlarged(np.maximum(SUM, 0)), cell=22, text=False, largest=1.2)
    return figure


FIGURES = {"09_grad_cam.svg": draw_grad_cam}

if __name__ == "__main__":
    common.draw_all(FIGURES)
