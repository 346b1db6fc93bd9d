"""Figures of lesson 12: data parallelism on two processes, and a ring all-reduce of three."""

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
    box,
    draw_all,
    draw_cells,
    outline,
    page,
    write,
)

# --- data parallelism ------------------------------------------------------------------------------------------------

ROWS = [(300, LIGHT_BLUE, BLUE, "process 0"), (90, LIGHT_ORANGE, ORANGE, "process 1")]


def draw_data_parallel():
    """Two rows, a process each: its half of the batch, the network, its gradient; in the middle the average."""
    figure, ax = page(1080, 420)
    for middle, face, edge, name in ROWS:
        write(ax, 20, middle + 70, name, 16, ha="left", weight="bold")
        draw_cells(ax, 24, middle + 40, (2, 2), 40, face, None, edge=edge)
        write(ax, 64, middle - 62, "4 images", 14)
        arrow(ax, (116, middle), (176, middle), INK, 2.5)
        box(ax, 180, middle - 45, 184, 90, LIGHT_GREY, GREY)
        write(ax, 272, middle + 12, "network", 16)
        write(ax, 272, middle - 16, "the same weights", 12.5)
        arrow(ax, (368, middle), (434, middle), INK, 2.5)
        box(ax, 438, middle - 36, 150, 72, face, edge, line=2.5)
        write(ax, 513, middle + 10, "gradient", 16)
        write(ax, 513, middle - 15, "of its own half", 12.5)
        box(ax, 856, middle - 45, 214, 90, LIGHT_GREY, GREY)
        write(ax, 963, middle + 12, "the same step", 16)
        write(ax, 963, middle - 16, "and the same weights", 12.5)
    box(ax, 648, 159, 150, 72, LIGHT_GREEN, GREEN, line=3)
    write(ax, 723, 205, "average", 16)
    write(ax, 723, 180, "all-reduce", 12.5)
    for middle, _, edge, _ in ROWS:
        toward = 1 if middle > 195 else -1
        arrow(ax, (590, middle), (670, 195 + toward * 38), edge, 2.5)
        arrow(ax, (776, 195 + toward * 38), (852, middle), GREEN, 2.5)
    return figure


# --- the ring --------------------------------------------------------------------------------------------------------

HELD = [[1, 2, 3], [10, 20, 30], [100, 200, 300]]
TOTALS = [sum(column) for column in zip(*HELD)]


def ring_states(held):
    """Return the rows after each step of a ring all-reduce, the first state included, with the cells just sent."""
    n, rows = len(held), [list(row) for row in held]
    states = [([list(row) for row in rows], set())]
    for phase, first in (("add", 0), ("overwrite", 1)):
        for step in range(n - 1):
            sent = [(rank, (rank + first - step) % n) for rank in range(n)]
            values = {rank: rows[rank][chunk] for rank, chunk in sent}
            for rank, chunk in sent:
                neighbour = (rank + 1) % n
                rows[neighbour][chunk] = values[rank] + (rows[neighbour][chunk] if phase == "add" else 0)
            states.append(([list(row) for row in rows], {((rank + 1) % n, chunk) for rank, chunk in sent}))
    return states


def draw_ring():
    """Five states side by side; what has just arrived is framed in bold, and complete sums are green."""
    figure, ax = page(1120, 330)
    cell, gap = 56, 54
    for place, (rows, arrived) in enumerate(ring_states(HELD)):
        left = 20 + place * (3 * cell + gap)
        if place == 0:
            title = "at first"
        else:
            title = f"{'reduce-scatter' if place < 3 else 'all-gather'}, {(place - 1) % 2 + 1}"
        write(ax, left + 1.5 * cell, 290, title, 14.5, weight="bold")
        for rank, row in enumerate(rows):
            top = 262 - rank * (cell + 18)
            for chunk, value in enumerate(row):
                face = LIGHT_GREEN if value == TOTALS[chunk] else "white"
                draw_cells(ax, left + chunk * cell, top, (1, 1), cell, face, lambda *_, value=value: f"{value}", 15)
            for chunk in (chunk for chunk in range(3) if (rank, chunk) in arrived):
                outline(ax, left, top, cell, 0, chunk, (1, 1), BLUE if place < 3 else ORANGE, 3.5)
        if place < 4:
            arrow(ax, (left + 3 * cell + 12, 160), (left + 3 * cell + gap - 10, 160), INK, 2.5)
    legend = "a row is a process · framed: has just arrived (blue: added, orange: overwritten) · green: complete"
    write(ax, 20, 22, legend, 14, ha="left")
    return figure


if __name__ == "__main__":
    draw_all({"12_data_parallel.svg": draw_data_parallel, "12_ring.svg": draw_ring})
