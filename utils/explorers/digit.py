"""A digit to alter until the network that reads it fails: shift, turn, size, stroke, blur and noise."""

import math
from typing import NamedTuple

import ipywidgets as widgets
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from utils.explorers.common import StillFigure, slider, to_png
from utils.training import predict

RIGHT, WRONG, OTHER = "#0173b2", "#de8f05", "0.7"  # seaborn "colorblind": blue and orange
STROKES = {  # from, to, and which way the position moves it: (right, down) in pixels from the centre
    "bar across": ((-10, 0), (10, 0), (0, 1)),
    "bar down": ((0, -10), (0, 10), (1, 0)),
    "slash": ((-8, 8), (8, -8), (1, 0)),
    "dot": ((0, 0), (0, 0), (1, 0)),
}
# One row each of draw_until_it_fails: its name, its unit, the strengths, and the settings of `alter` at a strength.
TRIALS = [
    ("shift", " px", range(8), lambda strength: {"shift": (strength, 0)}),
    ("turn", "°", range(0, 120, 15), lambda strength: {"angle": strength}),
    ("blur", " px", [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5], lambda strength: {"blur": strength}),
    ("stroke", " px", range(8), lambda strength: {"stroke": Stroke("slash", strength)}),
]


class Stroke(NamedTuple):
    """A white stroke drawn over a digit. Thickness and position are pixels.

    The position is 0 in the centre; it moves a "bar across" down, and a "bar down", "slash" or "dot" to the right.
    """

    kind: str
    thickness: float = 3
    position: float = 0


# --- altering digits -------------------------------------------------------------------------------------------------


def to_digits(images):
    """Return images (N, 1, 28, 28), uint8 or float in 0..1, as float in 0..1; one image may be (1, 28, 28) or (28, 28).

    Raises ValueError for other sizes, no images, and other numbers.
    """
    images = torch.as_tensor(images).cpu()
    shape = tuple(images.shape)
    if shape in ((28, 28), (1, 28, 28)):
        images = images.reshape(1, 1, 28, 28)
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28) or not len(images):
        raise ValueError(f"expected grey images of shape (N, 1, 28, 28), at least one, got {shape}")
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point() or not (images.min() >= 0 and images.max() <= 1):
        raise ValueError("expected pixels as uint8 from 0 to 255 or as float from 0 to 1: pass them unnormalised")
    return images.float()


def alter(images, shift=(0, 0), angle=0, blur=0, scale=1, stroke=None, noise=0):
    """Return images (N, 1, H, W), float in 0..1, altered; of the same shape, and again in 0..1.

    They are scaled about their centre, turned clockwise by `angle` degrees and shifted by (right, down) pixels; then
    struck through (a Stroke, or a tuple of its values), blurred with a Gaussian of `blur` pixels, and given noise of
    standard deviation `noise`, the same at each call. Raises ValueError for a setting that makes no sense.
    """
    if not scale > 0 or not blur >= 0 or not noise >= 0:
        raise ValueError(f"scale must be above 0, blur and noise 0 or more: got {scale}, {blur} and {noise}")
    if tuple(shift) != (0, 0) or angle or scale != 1:
        settings = {"translate": list(shift), "scale": scale, "shear": [0.0, 0.0]}
        images = transforms.affine(images, angle, interpolation=InterpolationMode.BILINEAR, **settings)
    if stroke is not None:
        images = torch.maximum(images, draw_stroke(images.shape[-2:], *stroke))
    if blur:
        images = transforms.gaussian_blur(images, kernel_size=2 * math.ceil(3 * blur) + 1, sigma=float(blur))
    if noise:
        generator = torch.Generator().manual_seed(0)
        images = images + noise * torch.randn(images.shape, generator=generator)
    return images.clamp(0, 1)


def draw_stroke(size, kind, thickness=3, position=0):
    """Return a picture (H, W) in 0..1 that holds one stroke with soft edges; thickness 0 leaves it black."""
    if kind not in STROKES:
        raise ValueError(f"there is no stroke called {kind!r}: choose from {', '.join(STROKES)}, or None")
    start, end, moves = (torch.tensor(pair).float() for pair in STROKES[kind])
    down, right = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    pixels = torch.stack((right, down), dim=-1) - start - position * moves  # (H, W, 2), seen from the stroke's start
    along = end - start
    nearest = (pixels @ along / along.square().sum().clamp(min=1)).clamp(0, 1)  # 0 at the start, 1 at the end
    distance = (pixels - nearest[..., None] * along).norm(dim=-1)
    return (thickness / 2 + 0.5 - distance).clamp(0, min(1, thickness))


# --- what the network says -------------------------------------------------------------------------------------------


def read_digits(model, images):
    """Return the probabilities (N, 10) that a model gives to images (N, 1, 28, 28) in 0..1.

    Raises ValueError where the model does not take such images, or does not return ten finite logits for each.
    """
    try:
        logits = predict(model, images)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the model does not take images of shape {tuple(images.shape)}: {reason}") from error
    if logits.shape != (len(images), 10):
        expected = f"expected logits ({len(images)}, 10), one a digit"
        raise ValueError(f"{expected}, but the model returned {tuple(logits.shape)}")
    if not logits.isfinite().all():
        raise ValueError("the model returned logits that are not finite numbers: was it trained to the end?")
    return logits.softmax(dim=1)


def percent(probability):
    """Return a probability as a whole percentage; nothing short of certainty is called 0 % or 100 %."""
    if probability > 0.995:
        return ">99 %"
    return "<1 %" if probability < 0.005 else f"{100 * probability:.0f} %"


def to_label(label):
    """Return a label as an int from 0 to 9, or None where there is none; raises ValueError for any other."""
    if label is None:
        return None
    if int(label) not in range(10):
        raise ValueError(f"expected a label from 0 to 9, got {int(label)}")
    return int(label)


def describe(probabilities, label=None):
    """Return one sentence: the answer for one image (10,), how sure it is, and the true digit where it is known."""
    answer = probabilities.argmax().item()
    sure = percent(probabilities[answer].item()).replace(">", "over ")
    said = f"The network says {answer} with {sure}"
    if label is None:
        return said + "."
    return f"{said}; the true digit is {label}." + ("" if answer == label else " It is wrong.")


# --- the still figures -----------------------------------------------------------------------------------------------


def draw_digit(model, image, label=None, shift=(0, 0), angle=0, blur=0, scale=1, stroke=None, noise=0, figure=None):
    """Draw one altered digit as the network sees it, beside the probabilities of the ten digits.

    `model` takes images (N, 1, 28, 28) in 0..1 and returns logits (N, 10); `image` (1, 28, 28) is uint8 or in 0..1.
    `alter` explains the settings. The answer is blue and marked ✓ where it is right, orange and ✗ where it is wrong.
    Returns the Figure (a new one, unless an empty one is given). Raises ValueError for other models and images.
    """
    seen = alter(to_digits(image)[:1], shift, angle, blur, scale, stroke, noise)
    return draw_answer(seen[0, 0], read_digits(model, seen)[0], to_label(label), figure)


def draw_answer(picture, probabilities, label, figure=None):
    """Draw a picture (28, 28) in 0..1 beside a bar chart of its probabilities (10,). Returns the Figure."""
    figure = figure or StillFigure(figsize=(10, 4.3), dpi=80, layout="none", facecolor="white")
    left = figure.add_axes((0.02, 0.06, 0.36, 0.8))
    right = figure.add_axes((0.47, 0.15, 0.51, 0.71))
    show_picture(left, picture, "0.3")
    left.set_title("what the network sees", fontsize=16)
    draw_bars(right, probabilities, label)
    return figure


def draw_bars(ax, probabilities, label):
    """Draw the ten probabilities as bars: the answer coloured, the true digit named below."""
    answer = probabilities.argmax().item()
    colour, mark = verdict(answer, label)
    colours = [colour if digit == answer else OTHER for digit in range(10)]
    ax.bar(range(10), 100 * probabilities.numpy(), width=0.8, color=colours, edgecolor="none", zorder=2)
    for digit in {answer, label} - {None}:
        probability = probabilities[digit].item()
        ax.text(digit, 100 * probability + 2, percent(probability), ha="center", fontsize=13, color="k")
    ax.set_title(f"the network says {answer} {mark}", fontsize=16, color="k")
    ax.set(ylim=(0, 112), xlim=(-0.6, 9.6), xticks=range(10), yticks=[0, 50, 100])
    ax.set_ylabel("probability (%)", fontsize=14, color="k")
    ax.set_facecolor("white")
    ax.tick_params(labelsize=15, length=0, colors="k")
    ax.grid(False)
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), color="0.4", linewidth=1)
    if label is not None:
        ax.set_xticks(range(10), [f"{digit}\ntrue" if digit == label else f"{digit}" for digit in range(10)])
        ax.get_xticklabels()[label].set_fontweight("bold")


def verdict(answer, label):
    """Return the colour and the mark of an answer: right, wrong, or (where no label is known) neither."""
    if label is None:
        return RIGHT, ""
    return (RIGHT, "✓") if answer == label else (WRONG, "✗")


def show_picture(ax, picture, colour, linewidth=1):
    """Show a picture (28, 28) in 0..1 in grey levels within a frame of one colour."""
    ax.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linewidth=linewidth)


def draw_until_it_fails(model, image, label, figure=None):
    """Draw one digit shifted right, turned, blurred and struck through, ever more along each of four rows.

    The network's answers are framed in blue with ✓ where right, in orange with ✗ where wrong; each row says where it
    first fails. Takes what draw_digit takes, with the true `label`, 0 to 9. Returns the Figure (a new one, unless an
    empty one is given). Raises ValueError for other models, images and labels.
    """
    if label is None:
        raise ValueError("the true digit is needed to say where the network fails: pass label, from 0 to 9")
    image, label = to_digits(image)[:1], to_label(label)
    figure = figure or StillFigure(figsize=(10, 6.8), dpi=80, layout="none", facecolor="white")
    margins = {"left": 0.125, "right": 0.99, "top": 0.95, "bottom": 0.05, "wspace": 0.14, "hspace": 0.4}
    axes = figure.subplots(len(TRIALS), 8, gridspec_kw=margins)
    for row, (name, unit, strengths, settings) in zip(axes, TRIALS):
        seen = torch.cat([alter(image, **settings(strength)) for strength in strengths])
        probabilities = read_digits(model, seen)
        for ax, picture, strength, answers in zip(row, seen[:, 0], strengths, probabilities):
            draw_step(ax, picture, answers, label, f"{strength:g}{unit}")
        wrong = [strength for strength, answers in zip(strengths, probabilities) if answers.argmax() != label]
        where = f"fails at\n{wrong[0]:g}{unit}" if wrong else f"holds to\n{strengths[-1]:g}{unit}"
        right_aligned = {"transform": row[0].transAxes, "ha": "right", "va": "center", "color": "k"}
        row[0].text(-0.2, 0.75, name, fontsize=16, fontweight="bold", **right_aligned)
        row[0].text(-0.2, 0.33, where, fontsize=14, **right_aligned)
    return figure


def draw_step(ax, picture, probabilities, label, strength):
    """Show one picture (28, 28) in the colour of its verdict, the answer above it and the strength below."""
    answer = probabilities.argmax().item()
    colour, mark = verdict(answer, label)
    show_picture(ax, picture, colour, linewidth=4)
    weight = "bold" if answer != label else "normal"
    title = f"{mark} {answer}  {percent(probabilities[answer].item())}"
    ax.set_title(title, fontsize=12, pad=6, color="k", fontweight=weight)
    ax.set_xlabel(strength, fontsize=12, labelpad=4, color="k")


# --- the explorer ----------------------------------------------------------------------------------------------------


class DigitExplorer(widgets.VBox):
    """Controls over a picture drawn by draw_answer; `probabilities` (10,) holds what the network says of it."""

    def __init__(self, model, images, labels):
        self.model, self.images, self.labels = model, images, labels
        self.image = slider("image", 0, len(images) - 1)
        self.right, self.down = slider("shift right", -10, 10, 0), slider("shift down", -10, 10, 0)
        self.angle, self.scale = slider("turn (°)", -180, 180, 0, 5), slider("size", 0.5, 1.5, 1.0, 0.05)
        self.blur, self.noise = slider("blur", 0.0, 3.0, 0.0, 0.25), slider("noise", 0.0, 0.8, 0.0, 0.05)
        self.stroke = widgets.Dropdown(options=["none", *STROKES], description="stroke")
        self.thickness, self.position = slider("thickness", 1, 10, 3), slider("position", -12, 12, 0)
        self.reset = widgets.Button(description="Reset", tooltip="Show the image unaltered again")
        self.sentence = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.alterations = [self.right, self.down, self.angle, self.scale, self.blur, self.noise]
        self.alterations += [self.stroke, self.thickness, self.position]
        self.untouched = [control.value for control in self.alterations]
        wrapped = widgets.HBox([self.image, *self.alterations, self.reset], layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([wrapped, self.sentence, self.picture])
        self.reset.on_click(self.undo)
        self.watch()
        self.redraw()

    def watch(self):
        """Redraw from now on whenever a control changes."""
        for control in [self.image, *self.alterations]:
            control.observe(self.redraw, names="value")

    def undo(self, button=None):
        """Set every alteration back and keep the image; one redraw for all of them."""
        for control, value in zip(self.alterations, self.untouched):
            control.unobserve(self.redraw, names="value")
            control.value = value
            control.observe(self.redraw, names="value")
        self.redraw()

    def redraw(self, change=None):
        """Draw the present settings and say what the network makes of them."""
        index = self.image.value
        self.thickness.disabled = self.position.disabled = self.stroke.value == "none"
        stroke = Stroke(self.stroke.value, self.thickness.value, self.position.value)
        seen = alter(
            self.images[index : index + 1],
            shift=(self.right.value, self.down.value),
            angle=self.angle.value,
            blur=self.blur.value,
            scale=self.scale.value,
            stroke=None if stroke.kind == "none" else stroke,
            noise=self.noise.value,
        )
        label = None if self.labels is None else self.labels[index]
        self.probabilities = read_digits(self.model, seen)[0]
        self.sentence.value = describe(self.probabilities, label)
        self.picture.value = to_png(draw_answer(seen[0, 0], self.probabilities, label))


def explore_digit(model, images, labels=None):
    """Return an explorer that alters a digit and shows what the network then reads; a cell that ends on it shows it.

    `model` takes images (N, 1, 28, 28) in 0..1 and returns logits (N, 10); `images` (N, 1, 28, 28) are uint8, or
    float in 0..1; `labels` (N,) are the true digits, where they are known. Raises ValueError for other models, images
    and labels. The still equivalents are draw_digit and draw_until_it_fails.
    """
    images = to_digits(images)
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"expected a label for each image, got {len(labels)} labels for {len(images)} images")
    return DigitExplorer(model, images, None if labels is None else [to_label(label) for label in labels])
