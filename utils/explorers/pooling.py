"""Pooling to explore: max or average, window, stride and padding over an activation map."""

import html

import ipywidgets as widgets
import torch
from matplotlib.patches import Rectangle
from torch.nn import functional as F

from utils.arithmetic import conv_output_size
from utils.explorers.common import StillFigure, slider, to_png
from utils.explorers.convolution import (
    RESULT,
    SEVEN,
    WINDOW,
    draw_grid,
    draw_input,
    photograph,
    show_at_one_scale,
    to_grey,
)

KINDS = {"max": "max pooling", "average": "average pooling"}
MOST_WRITTEN = 9  # numbers of one window that are written out


def photographed_edges():
    """Return where a photograph grows darker to the right: the map (46, 46) of an edge kernel, after ReLU."""
    image = F.avg_pool2d(photograph()[None, None], 2)
    kernel = torch.tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1.0]])
    return F.relu(F.conv2d(image, kernel[None, None]))[0, 0]


def pool(activation_map, kind, window, stride, padding):
    """Return an activation map (H, W) pooled as PyTorch does it. The padding never wins a maximum, and counts as zeros
    in an average.

    Raises ValueError, naming the setting and the rule, where no such layer exists.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, but it is {kind!r}")
    for name, value in {"window": window, "stride": stride}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, but it is {value}")
    if padding < 0:
        raise ValueError(f"padding must not be negative, but it is {padding}")
    if padding > window // 2:
        most = f"at most half of the window, here {window // 2} (the rule of PyTorch)"
        raise ValueError(f"padding must be {most}, but it is {padding}")
    padded = min(activation_map.shape) + 2 * padding
    if window > padded:
        raise ValueError(f"the window spans {window} numbers, the padded map has only {padded}")
    function = F.max_pool2d if kind == "max" else F.avg_pool2d
    return function(activation_map[None, None], window, stride, padding)[0, 0]


# --- in words --------------------------------------------------------------------------------------------------------


def size_formula(size, window, stride, padding):
    """Return the formula of the output size along one axis, with its numbers, as one line of text."""
    result = conv_output_size(size, window, stride, padding)
    room = size + 2 * padding - window
    return f"⌊({size} + 2·{padding} − {window}) / {stride}⌋ + 1 = ⌊{room} / {stride}⌋ + 1 = {result}"


def both_formulas(shape, *settings):
    """Return the filled-in formula of height and width, once where they are the same."""
    formulas = [size_formula(size, *settings) for size in shape]
    if formulas[0] == formulas[1]:
        return f"output size: {formulas[0]}"
    return f"height: {formulas[0]}\nwidth: {formulas[1]}"


def describe(activation_map, kind, window, stride, padding):
    """Return in words what pooling does to a map: its size, how the windows lie, and what no window looks at."""
    pooled = pool(activation_map, kind, window, stride, padding)
    sizes = "{} × {} → {} × {}".format(*activation_map.shape, *pooled.shape)
    if stride < window:
        lie = f"neighbouring windows overlap by {window - stride}"
    elif stride == window:
        lie = "the windows touch"
    else:
        lie = f"neighbouring windows leave {stride - window} out between them"
    left_over = [(size + 2 * padding - window) % stride - padding for size in activation_map.shape]
    missed = " and ".join(
        f"{count} {name}{'s' if count > 1 else ''}" for count, name in zip(left_over, ("row", "column")) if count > 0
    )
    floor = f"; the floor drops {missed} at the end" if missed else ""
    return (
        f"{sizes}: {len(pooled.flatten())} numbers of {len(activation_map.flatten())}. In each direction {lie}{floor}."
    )


def written(value):
    """Return a number in at most four characters or so, with a proper minus sign."""
    return (f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}").replace("-", "−")


def written_sum(activation_map, kind, window, stride, padding, row, column):
    """Return how the pooled number at (row, column) comes about, in one line of text."""
    top, left = row * stride - padding, column * stride - padding
    seen = activation_map[max(top, 0) : top + window, max(left, 0) : left + window].flatten().tolist()
    result = written(pool(activation_map, kind, window, stride, padding)[row, column].item())
    zeros = window * window - len(seen)
    numbers = [written(value) for value in seen]
    if kind == "max":
        ending = f" (the {zeros} of the padding cannot win)" if zeros else ""
        listed = f"max({', '.join(numbers)})" if len(seen) <= MOST_WRITTEN else f"the largest of {len(seen)} numbers"
        return f"framed: {listed} = {result}{ending}"
    numbers += ["0"] * zeros
    ending = f" (with {zeros} zeros of the padding)" if zeros else ""
    if len(numbers) <= MOST_WRITTEN:
        return f"framed: ({' + '.join(numbers)}) / {len(numbers)} = {result}{ending}"
    return f"framed: the mean of {len(numbers)} numbers = {result}{ending}"


# --- the still figure ------------------------------------------------------------------------------------------------


def draw_pooling(activation_map, kind="max", window=2, stride=None, padding=0, figure=None):
    """Draw an activation map (H, W) and the pooled map at one scale, with one window framed in both.

    `kind` is "max" or "average"; the stride is by default the window, as in PyTorch. The padding is hatched; small
    maps show their numbers. Returns the Figure (a new one, unless an empty one is given). Raises ValueError, naming
    the setting and the rule, where no such layer exists.
    """
    activation_map, stride = to_grey(activation_map), window if stride is None else stride
    pooled = pool(activation_map, kind, window, stride, padding)
    figure = figure or StillFigure(figsize=(10, 5), dpi=80, layout="none", facecolor="white")
    axes = [
        figure.add_axes(place, xticks=[], yticks=[]) for place in [(0.02, 0.2, 0.46, 0.67), (0.52, 0.2, 0.46, 0.67)]
    ]
    cells, signed = max(activation_map.shape) + 2 * padding, activation_map.min().item() < 0
    ring = (-0.5 - padding, -0.5 - padding), *(size + 2 * padding for size in activation_map.shape[::-1])
    if signed:
        axes[0].add_patch(Rectangle(*ring, facecolor="0.88", edgecolor="0.55", hatch="///", linewidth=1, zorder=-1))
        draw_grid(axes[0], activation_map, cells, signed)
    else:
        draw_input(axes[0], activation_map, padding)
    draw_grid(axes[1], pooled, cells, signed, largest=activation_map.max().item())
    edge = {"fill": False, "edgecolor": "0.55", "linewidth": 1}
    axes[1].add_patch(Rectangle((-0.5, -0.5), *pooled.shape[::-1], **edge))
    row, column = (size // 2 for size in pooled.shape)
    frame(axes[0], row * stride - padding, column * stride - padding, window, WINDOW)
    frame(axes[1], row, column, 1, RESULT)
    names = ["activation map" + (f", padding {padding}" if padding else ""), KINDS[kind]]
    for ax, name, grid in zip(axes, names, (activation_map, pooled)):
        ax.set_title("{}\n{} × {}".format(name, *grid.shape), fontsize=14)
        ax.set_axis_off()
    show_at_one_scale(*axes, activation_map.shape, pooled.shape, cells)
    settings = (window, stride, padding)
    lines = [written_sum(activation_map, kind, *settings, row, column), both_formulas(activation_map.shape, *settings)]
    figure.text(0.5, 0.09, "\n".join(lines), ha="center", va="center", fontsize=14, linespacing=1.4)
    return figure


def frame(ax, row, column, size, colour):
    """Frame `size` × `size` cells of a grid, from (row, column) on."""
    style = {"fill": False, "edgecolor": colour, "linewidth": 3, "joinstyle": "miter", "zorder": 5}
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), size, size, **style))


# --- the explorer ----------------------------------------------------------------------------------------------------


class PoolingExplorer(widgets.VBox):
    """Controls over a picture drawn by draw_pooling; `pooled` holds the numbers shown, or None."""

    def __init__(self, maps):
        self.maps = maps
        self.map = widgets.ToggleButtons(options=list(maps))
        self.kind = widgets.ToggleButtons(options=list(KINDS))
        self.window, self.stride, self.padding = (
            slider("window", 1, 8, 2),
            slider("stride", 0, 8, 2),
            slider("padding", 0, 4),
        )
        self.sentence = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.pooled = None
        controls = [self.map, self.kind, self.window, self.stride, self.padding]
        wrapped = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([wrapped, self.sentence, self.picture])
        for control in controls:
            control.observe(self.redraw, names="value")
        self.redraw()

    def redraw(self, change=None):
        """Draw the present settings; impossible ones show the reason in place of the picture."""
        activation_map = self.maps[self.map.value]
        settings = (self.kind.value, self.window.value, self.stride.value, self.padding.value)
        try:
            self.pooled = pool(activation_map, *settings)
        except ValueError as error:
            self.pooled = None
            self.sentence.value = f"<b>No output:</b> {html.escape(str(error))}."
            self.picture.layout.visibility = "hidden"
            return
        self.sentence.value = describe(activation_map, *settings)
        self.picture.value = to_png(draw_pooling(activation_map, *settings))
        self.picture.layout.visibility = "visible"


def explore_pooling(activation_map=None):
    """Return an explorer of max and average pooling, window, stride and padding; a cell that ends on it shows it.

    `activation_map` is (H, W) or (1, H, W); by default it shows the edges of a photograph. The still equivalent is
    draw_pooling.
    """
    named = (
        {"edges of a photograph": photographed_edges()}
        if activation_map is None
        else {"your map": to_grey(activation_map)}
    )
    return PoolingExplorer(named | {"7 × 7 numbers": SEVEN})
