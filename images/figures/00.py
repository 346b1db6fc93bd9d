"""Draw lesson 00's figure: the course as five stages, from the first kernel to a classifier in use."""

import common
from common import BLUE, GREEN, GREY, LIGHT_BLUE, LIGHT_GREEN, LIGHT_GREY, LIGHT_ORANGE, ORANGE, RED, arrow, box, write

STAGES = [
    ("by hand", BLUE, LIGHT_BLUE, ["01 convolution", "02 activations", "03 channels", "04 architecture"]),
    (
        "train",
        GREEN,
        LIGHT_GREEN,
        ["05 digits", "06 photographs", "07 batch norm", "08 residual nets"],
    ),
    ("understand", ORANGE, LIGHT_ORANGE, ["09 look inside", "10 transfer"]),
    ("speed up", RED, "#f9e0d1", ["11 one GPU", "12 many GPUs"]),
    ("put to use", GREY, LIGHT_GREY, ["13 reliability", "14 your photos"]),
]


def draw_course_map():
    """Draw one column for each stage, its lessons below one another, and an arrow to the next."""
    figure, ax = common.page(1000, 300)
    width, gap = 176, 24
    for number, (name, colour, tint, lessons) in enumerate(STAGES):
        left = 12 + number * (width + gap)
        box(ax, left, 15, width, 270, tint, colour, 2)
        write(ax, left + width / 2, 250, name, 17, weight="bold")
        for row, lesson in enumerate(lessons):
            write(ax, left + 12, 200 - 48 * row, lesson, 13.5, ha="left")
        if number:
            arrow(ax, (left - gap + 3, 150), (left - 3, 150))
    return figure


if __name__ == "__main__":
    common.draw_all({"00_course_map.svg": draw_course_map})
