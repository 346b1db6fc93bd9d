"""Draw lesson 05's figure: the training loop, with its five lines of PyTorch."""

import common
from common import (
    BLUE,
    GREEN,
    INK,
    LIGHT_BLUE,
    LIGHT_GREEN,
    LIGHT_GREY,
    LIGHT_ORANGE,
    ORANGE,
    RED,
    arrow,
    box,
    write,
)
from matplotlib.patches import Circle


def node(ax, left, bottom, width, title, detail, face, edge):
    """Draw a box with a bold title and a line below it."""
    box(ax, left, bottom, width, 84, face, edge, 2)
    write(ax, left + width / 2, bottom + 55, title, 15, weight="bold")
    write(ax, left + width / 2, bottom + 27, detail, 13)


def code(ax, x, y, step, line):
    """Write one of the five lines, with its number in a disc before it."""
    ax.add_patch(Circle((x, y), 12.5, facecolor=INK, edgecolor="none", zorder=6))
    write(ax, x, y, str(step), 13, color="white", weight="bold", va="center_baseline", zorder=7)
    write(ax, x + 22, y, line, 13, ha="left", va="center_baseline", family="DejaVu Sans Mono", zorder=7)


def draw_training_loop():
    """Draw the cycle clockwise: batch, model, logits, loss, gradients, new weights, next batch."""
    figure, ax = common.page(900, 645)
    draw_forward(ax)
    draw_backward(ax)
    node(ax, 270, 30, 605, "validation split", "loss and accuracy on images it never trains on", "white", "0.4")
    arrow(ax, (352, 190), (352, 118), style=(0, (4, 3)))
    write(ax, 372, 153, "after each epoch (all batches once): evaluate", 13, ha="left")
    return figure


def draw_forward(ax):
    """Draw the upper row: from the batch to the loss."""
    node(ax, 25, 440, 165, "batch", "images, labels", LIGHT_GREY, "0.4")
    node(ax, 270, 440, 165, "model", "weights", LIGHT_BLUE, BLUE)
    node(ax, 525, 440, 120, "logits", "(N, 10)", LIGHT_BLUE, BLUE)
    node(ax, 715, 440, 160, "loss", "one number", LIGHT_ORANGE, ORANGE)
    for start, end in [(194, 266), (439, 521), (649, 711)]:
        arrow(ax, (start, 482), (end, 482), width=2.5)
    write(ax, 229, 503, "images", 13)
    common.bent_arrow(ax, [(107, 528), (107, 594), (795, 594), (795, 528)], width=2.5)
    write(ax, 229, 612, "labels", 13)
    code(ax, 300, 550, 1, "logits = model(images)")
    code(ax, 490, 412, 2, "loss = F.cross_entropy(")
    write(ax, 559, 387, "logits, labels)", 13, ha="left", va="center_baseline", family="DejaVu Sans Mono")


def draw_backward(ax):
    """Draw the lower row: from the loss to the gradients, the new weights and the next batch."""
    node(ax, 715, 194, 160, "gradients", "one per weight", LIGHT_ORANGE, RED)
    node(ax, 270, 194, 165, "new weights", "one small step", LIGHT_GREEN, GREEN)
    arrow(ax, (795, 436), (795, 282), width=2.5)
    code(ax, 490, 342, 3, "optimizer.zero_grad()")
    code(ax, 490, 310, 4, "loss.backward()")
    arrow(ax, (711, 236), (439, 236), width=2.5)
    code(ax, 490, 258, 5, "optimizer.step()")
    arrow(ax, (352, 282), (352, 436), width=2.5)
    write(ax, 367, 340, "weights\nchanged", 14, ha="left")
    arrow(ax, (266, 236), (107, 436), width=2.5, curve="angle,angleA=0,angleB=90,rad=25")
    write(ax, 125, 340, "next batch", 14, ha="left")


if __name__ == "__main__":
    common.draw_all({"05_training_loop.svg": draw_training_loop})
