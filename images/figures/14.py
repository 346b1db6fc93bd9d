"""Figure of lesson 14: the way from a folder of pictures to a classifier that others use, in eight stations."""

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
    bent_arrow,
    box,
    draw_all,
    page,
    write,
)

WIDTH, HEIGHT, STEP = 215, 170, 265
ROWS = (250, 30)  # the bottoms of the two rows
NAMES = [
    ("a folder a class", "audit", "groups", "split"),
    ("frozen features", "fine-tuning", "one test", "hand-over"),
]


def picture(ax, x, y, face, size=30, edge=INK, line=1.2):
    """Draw a small picture, its lower left corner at (x, y)."""
    box(ax, x, y, size, size, face, edge, line=line, radius=3, zorder=4)


def draw_folder(ax, x, y):
    for row, face in enumerate((LIGHT_BLUE, LIGHT_ORANGE, LIGHT_GREEN)):
        write(ax, x + 34, y + 96 - 36 * row, "▸", 15)
        for place in range(4):
            picture(ax, x + 50 + 36 * place, y + 82 - 36 * row, face, 28)


def draw_audit(ax, x, y):
    for place in (0, 1):
        picture(ax, x + 22 + 40 * place, y + 70, LIGHT_BLUE, 34)
    write(ax, x + 59, y + 45, "the same?", 12)
    picture(ax, x + 110, y + 70, "white", 34, RED, 2.5)
    ax.plot([x + 112, x + 122, x + 130, x + 142], [y + 74, y + 92, y + 82, y + 101], color=RED, lw=2.5, zorder=5)
    write(ax, x + 127, y + 45, "torn", 12)
    picture(ax, x + 160, y + 70, LIGHT_ORANGE, 34)
    write(ax, x + 177, y + 86, "↻", 20, zorder=6)
    write(ax, x + 177, y + 45, "lying", 12)


def draw_groups(ax, x, y):
    for column, (count, face) in enumerate(((3, LIGHT_BLUE), (2, LIGHT_ORANGE), (3, LIGHT_GREEN))):
        left = x + 16 + 64 * column
        box(ax, left, y + 14, 54, 104, "white", GREY, line=2.5, radius=8, zorder=3)
        for place in range(count):
            picture(ax, left + 12, y + 82 - 32 * place, face, 28)


def draw_split(ax, x, y):
    faces = (LIGHT_BLUE, LIGHT_ORANGE, LIGHT_GREEN)
    for row, (name, boxes) in enumerate((("train", 3), ("validation", 1), ("test", 1))):
        bottom = y + 86 - 35 * row
        write(ax, x + 10, bottom + 14, name, 12, ha="left")
        for place in range(boxes):
            box(ax, x + 100 + 37 * place, bottom, 31, 28, faces[(place + row) % 3], GREY, line=2.5, radius=5)


def draw_network(ax, x, y, learning):
    for block in range(5):
        locked = block < 5 - learning
        face, edge = (LIGHT_GREY, GREY) if locked else (LIGHT_BLUE, BLUE)
        box(ax, x + 14 + 31 * block, y + 45, 26, 52, face, edge, line=1.5 if locked else 3, radius=5)
    box(ax, x + 172, y + 45, 30, 52, LIGHT_ORANGE, ORANGE, line=3, radius=5)
    write(ax, x + 108, y + 24, "a first number" if not learning else "pictures that vary", 13)


def draw_test(ax, x, y):
    ax.plot([x + 20, x + 195], [y + 45, y + 45], color=INK, lw=1.5)
    for share, label in ((0, "0 %"), (1, "100 %")):
        write(ax, x + 32 + 148 * share, y + 27, label, 12)
    ax.plot([x + 110, x + 184], [y + 78, y + 78], color=BLUE, lw=5, solid_capstyle="butt", zorder=4)
    ax.plot(x + 155, y + 78, "o", color=ORANGE, markersize=13, zorder=5)
    write(ax, x + 145, y + 104, "how sure?", 13)


def draw_hand_over(ax, x, y):
    picture(ax, x + 16, y + 48, LIGHT_GREY, 54)
    write(ax, x + 44, y + 28, "mistakes", 12)
    for radius, face in ((30, LIGHT_ORANGE), (15, ORANGE)):
        ax.plot(x + 50, y + 68, "o", color=face, markersize=radius, zorder=5)
    for place, word in enumerate(("file", "page", "card")):
        box(ax, x + 92, y + 84 - 36 * place, 104, 30, LIGHT_GREEN, GREEN, line=2, radius=6)
        write(ax, x + 144, y + 99 - 36 * place, word, 13)


def draw_project():
    """Two rows of four stations, joined by arrows."""
    figure, ax = page(1050, 450)
    first = (draw_folder, draw_audit, draw_groups, draw_split)
    second = (
        lambda ax, x, y: draw_network(ax, x, y, 0),
        lambda ax, x, y: draw_network(ax, x, y, 2),
        draw_test,
        draw_hand_over,
    )
    for bottom, names, drawings in zip(ROWS, NAMES, (first, second)):
        for place, (name, draw) in enumerate(zip(names, drawings)):
            left = 20 + place * STEP
            box(ax, left, bottom, WIDTH, HEIGHT, "white", INK, line=1.5, zorder=1)
            write(ax, left + WIDTH / 2, bottom + HEIGHT - 22, name, 16, weight="bold")
            draw(ax, left, bottom)
            if place:
                arrow(ax, (left - STEP + WIDTH + 4, bottom + HEIGHT / 2), (left - 4, bottom + HEIGHT / 2))
    middle, last = (ROWS[0] + ROWS[1] + HEIGHT) / 2, 20 + 3 * STEP + WIDTH / 2
    bent_arrow(
        ax, [(last, ROWS[0] - 3), (last, middle), (20 + WIDTH / 2, middle), (20 + WIDTH / 2, ROWS[1] + HEIGHT + 3)]
    )
    return figure


if __name__ == "__main__":
    draw_all({"14_project.svg": draw_project})
