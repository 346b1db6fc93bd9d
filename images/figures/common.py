"""What the figures share: colours, grids of cells, arrows, and saving the same bytes every time.

Every figure is drawn on one axes that fills the page; one unit is a hundredth of an inch. A script calls
`draw_all({"01_name.svg": function, …})`; each function returns a Figure. Run a script without arguments to write
into images/, or with a folder to write there.
"""

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Line

IMAGES = Path(__file__).resolve().parents[1]

# seaborn's "colorblind" palette, by name
BLUE, ORANGE, GREEN, RED, PURPLE = "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"
SKY, GREY = "#56b4e9", "#949494"
# the same hues as tints, to fill areas behind black text
LIGHT_BLUE, LIGHT_ORANGE, LIGHT_GREEN, LIGHT_GREY = "#d9eaf6", "#fcebc9", "#d3efe6", "#ececec"
INK = "#222222"

# A salt instead of random ids, and letters as outlines: the same picture on every machine.
SETTINGS = {"svg.hashsalt": "cnn-course", "svg.fonttype": "path", "font.family": "DejaVu Sans"}


def draw_all(drawings):
    """Draw every figure of a script into the folder named on the command line, by default images/."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcdefaults()
    mpl.rcParams.update(SETTINGS)
    for name, draw in drawings.items():
        if name.endswith(".svg"):
            draw().savefig(folder / name, metadata={"Date": None})
        else:
            draw(folder / name)


def page(width, height):
    """Return a white Figure of width × height hundredths of an inch and the axes that fill it."""
    figure = Figure(figsize=(width / 100, height / 100), facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    return figure, ax


def write(ax, x, y, text, size=14, **options):
    """Write text centred at (x, y)."""
    centred = {"ha": "center", "va": "center", "color": INK}
    return ax.text(x, y, text, size=size, **(centred | options))


def draw_cells(ax, left, top, shape, cell, face="white", text=None, size=16, edge="0.45", zorder=1):
    """Draw a grid of shape (rows, columns) with its top left corner at (left, top).

    `face` is a colour, or a function of (row, column); `text` is a function of (row, column), or None.
    """
    for row in range(shape[0]):
        for column in range(shape[1]):
            x, y = left + column * cell, top - (row + 1) * cell
            colour = face(row, column) if callable(face) else face
            ax.add_patch(Rectangle((x, y), cell, cell, facecolor=colour, edgecolor=edge, lw=1, zorder=zorder))
            if text is not None:
                label = text(row, column)
                write(ax, x + cell / 2, y + cell / 2, label, size, va="center_baseline", zorder=zorder + 1)


def outline(ax, left, top, cell, row, column, shape, colour, width=4, style="-", zorder=5):
    """Draw a frame around `shape` cells of the grid at (left, top), from (row, column) on."""
    corner = (left + column * cell, top - (row + shape[0]) * cell)
    ax.add_patch(
        Rectangle(corner, shape[1] * cell, shape[0] * cell, fill=False, edgecolor=colour, lw=width,
                  ls=style, joinstyle="miter", zorder=zorder)
    )  # fmt: skip


def arrow(ax, start, end, colour="0.35", width=2, curve=None, style="-", zorder=3):
    """Draw an arrow; `curve` is a matplotlib connection style such as "arc3,rad=0.3"."""
    ax.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7 + 4 * width, lw=width, color=colour,
                        connectionstyle=curve or "arc3", linestyle=style, shrinkA=0, shrinkB=0, zorder=zorder)
    )  # fmt: skip


def bent_arrow(ax, corners, colour="0.35", width=2, zorder=3):
    """Draw an arrow along straight lines from corner to corner."""
    ax.add_patch(
        FancyArrowPatch(path=Line(corners), arrowstyle="-|>", mutation_scale=7 + 4 * width, lw=width,
                        color=colour, capstyle="butt", joinstyle="round", zorder=zorder)
    )  # fmt: skip


def box(ax, left, bottom, width, height, face=LIGHT_GREY, edge="0.35", line=1.5, radius=10, zorder=2):
    """Draw a box with rounded corners."""
    ax.add_patch(
        FancyBboxPatch((left, bottom), width, height, boxstyle=f"round,pad=0,rounding_size={radius}",
                       facecolor=face, edgecolor=edge, lw=line, zorder=zorder)
    )  # fmt: skip


def number(value):
    """Return a whole number as text, with a proper minus sign."""
    return f"{value}".replace("-", "−")
