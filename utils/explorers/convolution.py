"""A convolution to explore: kernel, stride, padding and dilation over a picture."""

import html

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch.nn import functional as F

from utils.arithmetic import conv_output_size
from utils.explorers.common import StillFigure, slider, to_png
from utils.plotting import to_displayable

KERNELS = {
    "identity": torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0.0]]),
    "vertical edges": torch.tensor([[1, 0, -1], [1, 0, -1], [1, 0, -1.0]]),
    "horizontal edges": torch.tensor([[1, 1, 1], [0, 0, 0], [-1, -1, -1.0]]),
    "diagonal edges": torch.tensor([[2, 1, 0], [1, 0, -1], [0, -1, -2.0]]),
    "outline (Laplacian)": torch.tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]),
    "sharpen": torch.tensor([[0, -1, 0], [-1, 5, -1], [0, -1, 0.0]]),
    "emboss": torch.tensor([[-2, -1, 0], [-1, 1, 1], [0, 1, 2.0]]),
    "box blur 3 × 3": torch.full((3, 3), 1 / 9),
    "box blur 5 × 5": torch.full((5, 5), 1 / 25),
    "shift right by 1": torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 0.0]]),
}
SEVEN = torch.tensor(  # a seven in seven rows: small enough to check every number on paper
    [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 9, 9, 9, 9, 9, 0],
        [0, 0, 0, 0, 5, 9, 0],
        [0, 0, 0, 2, 9, 3, 0],
        [0, 0, 0, 9, 5, 0, 0],
        [0, 0, 4, 9, 0, 0, 0],
        [0, 0, 9, 4, 0, 0, 0.0],
    ]
)
WINDOW, RESULT = "#de8f05", "#029e73"  # seaborn "colorblind": orange and green


def photograph():
    """Return a grey photograph as a float tensor (96, 96) from 0 to 1, shipped with scikit-image."""
    from skimage import data

    pixels = torch.from_numpy(data.camera()[32:416, 32:416]).float() / 255
    return F.avg_pool2d(pixels[None, None], 4)[0, 0]


def to_grey(image):
    """Return an image (H, W), (1, H, W), (3, H, W) or (H, W, 3) as a grey float tensor (H, W); uint8 becomes 0..1."""
    array = np.array(to_displayable(image))
    scale = 255 if array.dtype == np.uint8 else 1
    grey = torch.from_numpy(array).float() / scale
    return grey.mean(dim=2) if grey.ndim == 3 else grey


def convolve(image, kernel, stride=1, padding=0, dilation=1):
    """Return the activation map of a grey image (H, W) under a kernel (KH, KW), as PyTorch computes it.

    Raises ValueError, naming the setting and the rule, where the kernel does not fit the padded image.
    """
    for size, kernel_size in zip(image.shape, kernel.shape):
        conv_output_size(size, kernel_size, stride, padding, dilation)
    return F.conv2d(image[None, None], kernel[None, None], None, stride, padding, dilation)[0, 0]


def size_formula(size, kernel_size, stride, padding, dilation):
    """Return the formula of the output size along one axis, with its numbers, as one line of text."""
    result = conv_output_size(size, kernel_size, stride, padding, dilation)
    room = size + 2 * padding - dilation * (kernel_size - 1) - 1
    filled_in = f"({size} + 2·{padding} − {dilation}·({kernel_size} − 1) − 1) / {stride}"
    return f"⌊{filled_in}⌋ + 1 = ⌊{room} / {stride}⌋ + 1 = {result}"


def both_formulas(image, kernel, *settings):
    """Return the filled-in formula of height and width, once where they are the same."""
    formulas = [size_formula(*sizes, *settings) for sizes in zip(image.shape, kernel.shape)]
    if formulas[0] == formulas[1]:
        return f"output size: {formulas[0]}"
    return f"height: {formulas[0]}\nwidth: {formulas[1]}"


def describe(image, kernel, stride, padding, dilation):
    """Return in words what a convolution does to the size of an image, and what the floor drops."""
    output = convolve(image, kernel, stride, padding, dilation)
    left_over = [
        (size + 2 * padding - dilation * (kernel_size - 1) - 1) % stride
        for size, kernel_size in zip(image.shape, kernel.shape)
    ]
    sizes = "{} × {} → {} × {}".format(*image.shape, *output.shape)
    if not any(left_over):
        return f"{sizes}: the last window ends exactly at the last row and column."
    missed = " and ".join(
        f"{count} {name}{'s' if count > 1 else ''}" for count, name in zip(left_over, ("row", "column")) if count
    )
    return f"{sizes}: the floor drops what no window reaches, {missed} at the end."


# --- the still figure ------------------------------------------------------------------------------------------------


def draw_convolution(image, kernel, stride=1, padding=0, dilation=1, figure=None):
    """Draw a grey image (H, W), a kernel and the activation map at one scale, with one window framed in both.

    The padding is hatched; small grids show their numbers. Returns the Figure (a new one, unless an empty one is
    given). Raises ValueError, naming the setting and the rule, where the kernel does not fit the padded image.
    """
    image, kernel = to_grey(image), torch.as_tensor(kernel).float()
    output = convolve(image, kernel, stride, padding, dilation)
    figure = figure or StillFigure(figsize=(10, 4.3), dpi=80, layout="none", facecolor="white")
    places = [(0.01, 0.13, 0.36, 0.73), (0.4, 0.22, 0.2, 0.55), (0.63, 0.13, 0.36, 0.73)]
    axes = [figure.add_axes(place, xticks=[], yticks=[]) for place in places]
    cells = max(image.shape) + 2 * padding
    draw_input(axes[0], image, padding)
    draw_grid(axes[1], kernel, max(kernel.shape), signed=True)
    draw_grid(axes[2], output, cells, signed=abs(kernel.sum().item()) < 1e-5, largest=image.max().item())
    frame_window(axes[0], axes[2], output.shape, kernel.shape, stride, padding, dilation)
    names = ["input" + (f", padding {padding}" if padding else ""), "kernel", "activation map"]
    for ax, name, grid in zip(axes, names, (image, kernel, output)):
        ax.set_title("{}\n{} × {}".format(name, *grid.shape), fontsize=14)
        ax.set_axis_off()
    show_at_one_scale(axes[0], axes[2], image.shape, output.shape, cells)
    figure.text(
        0.5, 0.06, both_formulas(image, kernel, stride, padding, dilation), ha="center", va="center", fontsize=14
    )
    return figure


def draw_grid(ax, grid, cells, signed, largest=None):
    """Show a grid as colours, and its numbers if they fit into an axes `cells` wide.

    signed: red is positive, blue negative, white zero; otherwise grey levels up to `largest`, which an activation
    map shares with its image. Colours are pale behind numbers.
    """
    texts = [f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}" for value in grid.flatten()[:400].tolist()]
    room = ax.get_window_extent()
    width = min(room.width, room.height) / ax.figure.dpi * 72 / cells  # of a cell, in points
    font_size = min(16, 0.45 * width, 1.35 * width / max(map(len, texts)))
    with_numbers = font_size >= 6.5 and grid.numel() == len(texts)
    largest = (grid.abs().max().item() if signed or largest is None else largest) or 1.0
    if signed:
        scale = 2.5 if with_numbers else 1
        ax.imshow(grid.numpy(), cmap="RdBu_r", vmin=-scale * largest, vmax=scale * largest, interpolation="nearest")
    else:
        darkest = -1.6 * largest if with_numbers else 0
        ax.imshow(grid.numpy(), cmap="gray", vmin=darkest, vmax=largest, interpolation="nearest")
    if with_numbers:
        for (row, column), text in zip(np.ndindex(*grid.shape), texts):
            ax.text(column, row, text.replace("-", "−"), ha="center", va="center", color="k", fontsize=font_size)


def draw_input(ax, image, padding):
    """Show the image with its hatched ring of zeros; row and column 0 are the image's own."""
    height, width = image.shape
    ring = (-0.5 - padding, -0.5 - padding), width + 2 * padding, height + 2 * padding
    ax.add_patch(Rectangle(*ring, facecolor="0.88", edgecolor="0.55", hatch="///", linewidth=1, zorder=-1))
    draw_grid(ax, image, max(image.shape) + 2 * padding, signed=False)


def frame_window(input_ax, output_ax, output_shape, kernel_shape, stride, padding, dilation):
    """Frame one window in the input, fill its taps, and frame the number it gives in the middle of the output."""
    row, column = (size // 2 for size in output_shape)
    top, left = row * stride - padding, column * stride - padding
    height, width = (dilation * (size - 1) + 1 for size in kernel_shape)
    style = {"fill": False, "linewidth": 3, "joinstyle": "miter", "zorder": 5}
    input_ax.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, edgecolor=WINDOW, **style))
    for u in range(kernel_shape[0]):
        for v in range(kernel_shape[1]):
            corner = (left + v * dilation - 0.5, top + u * dilation - 0.5)
            input_ax.add_patch(Rectangle(corner, 1, 1, facecolor=WINDOW, alpha=0.4, linewidth=0))
    output_ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, edgecolor=RESULT, **style))


def show_at_one_scale(input_ax, output_ax, image_shape, output_shape, cells):
    """Give both axes the same limits, each grid in the middle, so that a smaller output looks smaller."""
    half = 0.505 * cells
    for ax, (height, width) in ((input_ax, image_shape), (output_ax, output_shape)):
        x, y = width / 2 - 0.5, height / 2 - 0.5
        ax.set(xlim=(x - half, x + half), ylim=(y + half, y - half))


# --- the explorer ----------------------------------------------------------------------------------------------------


class ConvolutionExplorer(widgets.VBox):
    """Controls over a picture drawn by draw_convolution; `activation_map` holds the numbers shown, or None."""

    def __init__(self, images):
        self.images = images
        self.image = widgets.ToggleButtons(options=list(images))
        self.kernel = widgets.Dropdown(options=list(KERNELS), value="vertical edges", description="kernel")
        self.stride = slider("stride", 1, 4)
        self.padding = slider("padding", 0, 4)
        self.dilation = slider("dilation", 1, 4)
        self.sentence = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.activation_map = None
        controls = [self.image, self.kernel, self.stride, self.padding, self.dilation]
        wrapped = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([wrapped, self.sentence, self.picture])
        for control in controls:
            control.observe(self.redraw, names="value")
        self.redraw()

    def redraw(self, change=None):
        """Draw the present settings; impossible ones show the reason in place of the picture."""
        image, kernel = self.images[self.image.value], KERNELS[self.kernel.value]
        settings = (self.stride.value, self.padding.value, self.dilation.value)
        try:
            self.activation_map = convolve(image, kernel, *settings)
        except ValueError as error:
            self.activation_map = None
            self.sentence.value = f"<b>No output:</b> {html.escape(str(error))}."
            self.picture.layout.visibility = "hidden"
            return
        self.sentence.value = describe(image, kernel, *settings)
        self.picture.value = to_png(draw_convolution(image, kernel, *settings))
        self.picture.layout.visibility = "visible"


def explore_convolution(image=None):
    """Return an explorer of kernel, stride, padding and dilation; a cell that ends on it shows it.

    `image` (H, W), (1, H, W), (3, H, W) or (H, W, 3) is shown in grey; by default it is a photograph.
    The still equivalent is draw_convolution.
    """
    named = {"photograph": photograph()} if image is None else {"your image": to_grey(image)}
    return ConvolutionExplorer(named | {"7 × 7 numbers": SEVEN})
