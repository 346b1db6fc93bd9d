"""Figures of lesson 10: four ways to use an expert's network."""

from common import BLUE, GREY, INK, LIGHT_BLUE, LIGHT_GREY, LIGHT_ORANGE, ORANGE, arrow, box, draw_all, page, write

BLOCKS = 9  # one convolution and eight blocks; the head stands by itself
WAYS = [  # name, blocks that are frozen, the expert's weights?
    ("frozen", 9, True),
    ("last two blocks", 7, True),
    ("everything", 0, True),
    ("from scratch", 0, False),
]
LEFT, WIDTH, HEIGHT, STEP, ROW = 290, 52, 56, 62, 96


def draw_four_ways():
    """A row a way: locked blocks grey, the expert's blocks that learn blue, random ones that learn orange."""
    figure, ax = page(1080, 520)
    for place, (name, frozen, expert) in enumerate(WAYS):
        bottom = 520 - 80 - (place + 1) * ROW + 30
        middle = bottom + HEIGHT / 2
        write(ax, 20, middle, name, 17, ha="left", weight="bold")
        for block in range(BLOCKS):
            locked = block < frozen
            face, edge = (LIGHT_GREY, GREY) if locked else (LIGHT_BLUE, BLUE) if expert else (LIGHT_ORANGE, ORANGE)
            box(ax, LEFT + block * STEP, bottom, WIDTH, HEIGHT, face, edge, line=1.5 if locked else 3)
        box(ax, LEFT + BLOCKS * STEP + 30, bottom, 90, HEIGHT, LIGHT_ORANGE, ORANGE, line=3)
        write(ax, LEFT + BLOCKS * STEP + 75, middle, "head", 16)
        arrow(ax, (LEFT + BLOCKS * STEP - 8, middle), (LEFT + BLOCKS * STEP + 28, middle))
        arrow(ax, (LEFT - 36, middle), (LEFT - 3, middle))
        if frozen:
            x = LEFT + frozen * STEP - (STEP - WIDTH) / 2
            ax.plot([x, x], [bottom - 12, bottom + HEIGHT + 12], color=INK, lw=2.5, ls=(0, (3, 2)), zorder=4)
    write(ax, LEFT + BLOCKS * STEP / 2, 490, "image  →  edges  →  textures  →  parts", 15)
    legend = [
        (20, LIGHT_GREY, GREY, "the expert's, frozen"),
        (272, LIGHT_BLUE, BLUE, "the expert's, learning"),
        (538, LIGHT_ORANGE, ORANGE, "random at first, learning"),
    ]
    for x, face, edge, words in legend:
        box(ax, x, 16, 30, 26, face, edge, line=2, radius=5)
        write(ax, x + 42, 29, words, 14, ha="left")
    ax.plot([840, 840], [12, 46], color=INK, lw=2.5, ls=(0, (3, 2)))
    write(ax, 854, 29, "the cut: kept once", 14, ha="left")
    return figure


if __name__ == "__main__":
    draw_all({"10_four_ways.svg": draw_four_ways})
