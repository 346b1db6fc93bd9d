"""A 1×1 convolution to explore: three weights and a bias mix the red, green and blue channels into one map."""

import html

import ipywidgets as widgets
import numpy as np
import torch

from utils.explorers.common import StillFigure, slider, to_png
from utils.plotting import to_displayable

NAMES = ("red", "green", "blue")
MIXTURES = {  # the weights of red, green and blue, and the bias
    "red − green": (1.0, -1.0, 0.0, 0.0),
    "blue − yellow": (-0.5, -0.5, 1.0, 0.0),
    "brightness, as eyes weigh it": (0.3, 0.6, 0.1, 0.0),
    "blue only": (0.0, 0.0, 1.0, 0.0),
    "negative": (-0.3, -0.6, -0.1, 1.0),
}
OWN = "your own"


def photograph():
    """Return a colour photograph as a float tensor (3, 128, 128) from 0 to 1, shipped with scikit-image."""
    from skimage import data

    return torch.from_numpy(data.astronaut()[::4, ::4].copy()).permute(2, 0, 1).float() / 255


def to_colour(image):
    """Return an image (3, H, W) or (H, W, 3) as a float tensor (3, H, W); uint8 becomes 0..1.

    Raises ValueError for a grey image, and for any other shape.
    """
    array = np.array(to_displayable(image))
    if array.ndim != 3:
        raise ValueError(f"expected three channels, (3, H, W) or (H, W, 3), got a grey image {array.shape}")
    scale = 255 if array.dtype == np.uint8 else 1
    return torch.from_numpy(array).permute(2, 0, 1).float() / scale


def mix(image, weights, bias=0.0):
    """Return the map (H, W) of a 1×1 convolution with one output channel on an image (3, H, W).

    Raises ValueError where the weights are not three finite numbers, or the bias is not finite.
    """
    weights = torch.as_tensor(weights, dtype=torch.float32)
    if weights.shape != (3,):
        raise ValueError(f"weights must be three numbers, one for each channel, but their shape is {(*weights.shape,)}")
    if not (torch.isfinite(weights).all() and np.isfinite(bias)):
        raise ValueError("weights and bias must be finite numbers")
    return (image * weights[:, None, None]).sum(dim=0) + bias


def in_words(value):
    """Return a number as short text, with a proper minus sign."""
    return f"{value:.3g}".replace("-", "−")


def formula(weights, bias):
    """Return the mixture as one line of text: 1·red − 1·green + 0·blue + 0."""
    values = zip((*weights, bias), [f"·{name}" for name in NAMES] + [""])
    terms = [f"{'−' if value < 0 else '+'} {abs(value):.3g}{name}" for value, name in values]
    return " ".join(terms).removeprefix("+ ").replace("− ", "−", 1) if weights[0] < 0 else " ".join(terms)[2:]


def describe(weights, bias):
    """Return in words what a mixture makes of a grey pixel, whose three numbers are equal."""
    total = float(sum(weights))
    if not any(weights):
        return "All three weights are 0: the map is the bias everywhere, and the picture is gone."
    if abs(total) < 1e-6:
        return f"The weights sum to 0: every grey pixel gives the bias, {in_words(bias)}. Only colour shows."
    if abs(total - 1) < 1e-6 and bias == 0:
        return "The weights sum to 1 and the bias is 0: a grey pixel keeps its brightness."
    grey = f"{in_words(total)}·b {'−' if bias < 0 else '+'} {abs(bias):.3g}"
    return f"The weights sum to {in_words(total)}: a grey pixel of brightness b gives {grey}."


# --- the still figure ------------------------------------------------------------------------------------------------


def draw_mixture(image, weights, bias=0.0, figure=None):
    """Draw the three channels of an image with their weights, and the map that a 1×1 convolution makes of them.

    A map that cannot be negative is grey (0 black, 1 white); otherwise red is positive, blue negative, white zero.
    Returns the Figure (a new one, unless an empty one is given). Raises ValueError for other images and weights.
    """
    image = to_colour(image)
    mixture = mix(image, weights, bias)
    figure = figure or StillFigure(figsize=(9, 3.7), dpi=80, layout="none", facecolor="white")
    places = [(0.01 + 0.185 * k, 0.27, 0.17, 0.46) for k in range(3)] + [(0.62, 0.13, 0.36, 0.74)]
    axes = [figure.add_axes(place) for place in places]
    for ax, channel, name, weight in zip(axes, image, NAMES, weights):
        ax.imshow(channel.numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"{name} × {in_words(weight)}", fontsize=14)
    lowest = bias + sum(min(0.0, weight) for weight in weights)
    highest = bias + sum(max(0.0, weight) for weight in weights)
    if lowest >= -1e-6:
        axes[3].imshow(mixture.numpy(), cmap="gray", vmin=0, vmax=1)
        scale = "black 0, white 1"
    else:
        limit = max(-lowest, highest)
        axes[3].imshow(mixture.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
        scale = f"blue −{limit:.3g}, white 0, red {limit:.3g}"
    axes[3].set_title(f"map ({scale})", fontsize=14)
    for ax in axes:
        ax.set_axis_off()
    figure.text(0.585, 0.5, "=", ha="center", va="center", fontsize=24)
    figure.text(0.5, 0.05, formula(weights, bias), ha="center", va="center", fontsize=14)
    return figure


# --- the explorer ----------------------------------------------------------------------------------------------------


class MixtureExplorer(widgets.VBox):
    """Controls over a picture drawn by draw_mixture; `activation_map` (H, W) holds the numbers shown."""

    def __init__(self, images):
        self.images = images
        self.image = widgets.ToggleButtons(options=list(images))
        self.mixture = widgets.Dropdown(options=[*MIXTURES, OWN], description="mixture")
        first = MIXTURES[self.mixture.value]
        self.weights = [slider(name, -1.0, 1.0, value, 0.1) for name, value in zip(NAMES, first)]
        self.bias = slider("bias", -1.0, 1.0, first[3], 0.1)
        self.sentence = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.sliders = [*self.weights, self.bias]
        controls = [self.image, self.mixture, *self.sliders]
        wrapped = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([wrapped, self.sentence, self.picture])
        self.image.observe(self.redraw, names="value")
        self.mixture.observe(self.choose, names="value")
        for control in self.sliders:
            control.observe(self.adjust, names="value")
        self.redraw()

    def choose(self, change=None):
        """Set the sliders to a mixture with a name; one redraw for all of them."""
        for control, value in zip(self.sliders, MIXTURES.get(self.mixture.value, ())):
            control.unobserve(self.adjust, names="value")
            control.value = value
            control.observe(self.adjust, names="value")
        self.redraw()

    def adjust(self, change=None):
        """Name the mixture of the present sliders, and draw it."""
        values = tuple(round(control.value, 3) for control in self.sliders)
        self.mixture.unobserve(self.choose, names="value")
        self.mixture.value = next((name for name, mixture in MIXTURES.items() if mixture == values), OWN)
        self.mixture.observe(self.choose, names="value")
        self.redraw()

    def redraw(self, change=None):
        """Draw the present mixture, and say what it makes of a grey pixel."""
        image = self.images[self.image.value]
        *weights, bias = (round(control.value, 3) for control in self.sliders)
        try:
            self.activation_map = mix(image, weights, bias)
        except ValueError as error:
            self.activation_map = None
            self.sentence.value = f"<b>No output:</b> {html.escape(str(error))}."
            self.picture.layout.visibility = "hidden"
            return
        self.sentence.value = describe(weights, bias)
        self.picture.value = to_png(draw_mixture(image, weights, bias))
        self.picture.layout.visibility = "visible"


def explore_mixture(image=None):
    """Return an explorer of a 1×1 convolution from three channels to one; a cell that ends on it shows it.

    `image` (3, H, W) or (H, W, 3) is a photograph by default; the same picture in grey can be chosen beside it.
    Raises ValueError for an image of another shape. The still equivalent is draw_mixture.
    """
    colour = photograph() if image is None else to_colour(image)
    grey = colour.mean(dim=0, keepdim=True).expand(3, -1, -1)
    return MixtureExplorer({"photograph" if image is None else "your image": colour, "the same in grey": grey})
