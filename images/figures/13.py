"""The figure of lesson 13: a trained network, and five stations on the way to the people who use it."""

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
    RED,
    arrow,
    box,
    draw_all,
    page,
    write,
)
from matplotlib.patches import Rectangle

WIDTH, HEIGHT, GAP = 168, 150, 30
STATIONS = ["Is its confidence\ntrue?", "Where does it\nbreak?", "Small\nand fast", "Serving it", "Keeping it\ntrue"]


def draw_confidence(ax, left, bottom):
    """A reliability diagram: the dashed line of true confidence, and the network's dots above it."""
    ax.plot([left + 30, left + 138], [bottom + 22, bottom + 130], "--", color=GREY, lw=2)
    places = [(0.15, 0.3), (0.35, 0.62), (0.55, 0.8), (0.75, 0.93)]
    dots = [(left + 30 + 108 * x, bottom + 22 + 108 * y) for x, y in places]
    ax.plot(*zip(*dots), "o-", color=BLUE, lw=2.5, ms=8)


def draw_breaking(ax, left, bottom):
    """Bars of accuracy, shorter from strength to strength."""
    for strength, share in enumerate((0.95, 0.86, 0.7, 0.48, 0.25)):
        ax.add_patch(Rectangle((left + 24 + 25 * strength, bottom + 20), 18, 112 * share, color=ORANGE, zorder=3))


def draw_small(ax, left, bottom):
    """A large box that becomes a small one."""
    box(ax, left + 16, bottom + 36, 78, 78, LIGHT_BLUE, BLUE, line=2.5)
    write(ax, left + 55, bottom + 75, "32\nbits", 15)
    arrow(ax, (left + 98, bottom + 75), (left + 122, bottom + 75), INK, 2)
    box(ax, left + 124, bottom + 60, 32, 30, LIGHT_BLUE, BLUE, line=2.5, radius=6)
    write(ax, left + 140, bottom + 75, "8", 15)


def draw_serving(ax, left, bottom):
    """Two answers of the service."""
    box(ax, left + 20, bottom + 84, 128, 40, LIGHT_GREEN, GREEN, line=2.5)
    write(ax, left + 84, bottom + 104, "cat, 97 %", 15)
    box(ax, left + 20, bottom + 28, 128, 40, LIGHT_ORANGE, ORANGE, line=2.5)
    write(ax, left + 84, bottom + 48, "not sure", 15)


def draw_watching(ax, left, bottom):
    """Weeks inside a band, and two outside."""
    ax.add_patch(Rectangle((left + 16, bottom + 56), 136, 44, color=LIGHT_GREY, zorder=3))
    heights = (76, 82, 70, 79, 72, 48, 28)
    weeks = [(left + 24 + 20 * week, bottom + height) for week, height in enumerate(heights)]
    ax.plot(*zip(*weeks), "-", color=INK, lw=2, zorder=4)
    ax.plot(*zip(*weeks[:5]), "o", color=GREEN, ms=8, zorder=5)
    ax.plot(*zip(*weeks[5:]), "o", color=RED, ms=8, zorder=5)


def draw_shipping():
    """The network at the left, then a station a box with its drawing, joined by arrows."""
    figure, ax = page(1190, 250)
    box(ax, 14, 58, 130, HEIGHT, LIGHT_GREY, GREY)
    write(ax, 79, 150, "a trained\nnetwork", 16)
    write(ax, 79, 98, "“nine in ten\nare right”", 13)
    draw = (draw_confidence, draw_breaking, draw_small, draw_serving, draw_watching)
    for place, (name, picture) in enumerate(zip(STATIONS, draw)):
        left = 174 + place * (WIDTH + GAP)
        arrow(ax, (left - GAP + 2, 58 + HEIGHT / 2), (left - 3, 58 + HEIGHT / 2), INK, 2.5)
        box(ax, left, 58, WIDTH, HEIGHT, "white", GREY)
        picture(ax, left, 58)
        write(ax, left + WIDTH / 2, 28, name, 14.5, weight="bold")
    write(ax, 79, 28, "lessons 05\nto 12", 14.5)
    return figure


if __name__ == "__main__":
    draw_all({"13_shipping.svg": draw_shipping})
