"""Figures of lesson 11: loading beside computing, and a stopwatch that does not wait for the GPU."""

from common import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_BLUE,
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

LOAD, COMPUTE = 80, 120  # how long the two take, in the sketch
BATCHES, LEFT, LANE = 6, 190, 46
LANES = [("load", LIGHT_ORANGE, ORANGE), ("compute", LIGHT_BLUE, BLUE)]


def one_after_the_other(count):
    """Return (lane, start, length, batch) of every piece where nothing overlaps."""
    pieces, now = [], 0
    for batch in range(count):
        for lane, length in enumerate((LOAD, COMPUTE)):
            pieces.append((lane, now, length, batch))
            now += length
    return pieces


def side_by_side(count):
    """The same where each lane works as soon as it can."""
    free, pieces = [0, 0], []
    for batch in range(count):
        now = 0
        for lane, length in enumerate((LOAD, COMPUTE)):
            now = max(now, free[lane])
            pieces.append((lane, now, length, batch))
            now += length
            free[lane] = now
    return pieces


def draw_lanes(ax, top, title, pieces, end):
    """Draw two lanes with their pieces; `end` is where the time line ends."""
    write(ax, 20, top + 26, title, 16, ha="left", weight="bold")
    for lane, (name, face, edge) in enumerate(LANES):
        bottom = top - (lane + 1) * LANE
        ax.plot([LEFT, end], [bottom + 4] * 2, color=LIGHT_GREY, lw=1.5, zorder=1)
        write(ax, LEFT - 16, bottom + 21, name, 15, ha="right")
        for place, start, length, batch in pieces:
            if place == lane and LEFT + start + length <= end:
                box(ax, LEFT + start + 1.5, bottom + 5, length - 3, 32, face, edge, line=2, radius=5)
                write(ax, LEFT + start + length / 2, bottom + 21, f"{batch + 1}", 14)


def draw_overlap():
    """Six batches: one after the other, then side by side, on the same scale of time."""
    figure, ax = page(1120, 380)
    end = 1090
    draw_lanes(ax, 326, "one after the other", one_after_the_other(BATCHES), end)
    draw_lanes(ax, 162, "side by side", side_by_side(BATCHES), end)
    last = LEFT + max(start + length for _, start, length, _ in side_by_side(BATCHES))
    ax.plot([last, last], [58, 332], color=INK, lw=2, ls=(0, (3, 2)), zorder=4)
    write(ax, last - 10, 206, "four batches are done above, six below", 14, ha="right")
    arrow(ax, (LEFT, 36), (end, 36), GREY)
    write(ax, (LEFT + end) / 2, 16, "time", 15)
    return figure


CALLS, CALL, WORK = 4, 46, 165


def draw_stopwatch():
    """Python queues four calls and is free; the GPU works on."""
    figure, ax = page(1000, 330)
    left, python, gpu = 130, 218, 120
    for lane, y in (("Python", python), ("GPU", gpu)):
        write(ax, left - 22, y + 21, lane, 17, ha="right", weight="bold")
        ax.plot([left, 960], [y - 4] * 2, color=LIGHT_GREY, lw=1.5)
    for call in range(CALLS):
        start, begin = left + call * (CALL + 4), left + 34 + call * (WORK + 3)
        box(ax, start, python, CALL, 42, LIGHT_ORANGE, ORANGE, line=2, radius=5)
        write(ax, start + CALL / 2, python + 21, f"{call + 1}", 15)
        box(ax, begin, gpu, WORK, 42, LIGHT_BLUE, BLUE, line=2, radius=5)
        write(ax, begin + WORK / 2, gpu + 21, f"work {call + 1}", 15)
    queued, done = left + CALLS * (CALL + 4), left + 34 + CALLS * (WORK + 3)
    box(ax, queued + 6, python, done - queued - 10, 42, "white", GREY, line=1.5, radius=5)
    write(ax, (queued + done) / 2, python + 21, "waits in synchronize()", 15)
    for x, words, colour in ((queued, "stopwatch 1: queued", RED), (done, "stopwatch 2: done", GREEN)):
        ax.plot([x, x], [60, 282], color=colour, lw=2.5, ls=(0, (3, 2)), zorder=5)
        write(ax, x + 4, 300, words, 16, ha="right", color=colour, weight="bold")
    arrow(ax, (left, 56), (960, 56), GREY)
    write(ax, (left + 960) / 2, 34, "time (a sketch, not a measurement)", 14)
    return figure


if __name__ == "__main__":
    draw_all({"11_overlap.svg": draw_overlap, "11_stopwatch.svg": draw_stopwatch})
