"""The convolution explorer, driven as a reader's hand would, and held against PyTorch."""

import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure
from torch.nn import functional as F

import utils.explorers
from tests.tools.kernels import ROOT
from utils.arithmetic import conv_output_size
from utils.explorers import draw_convolution, explore_convolution
from utils.explorers.common import to_png
from utils.explorers.convolution import KERNELS, SEVEN, size_formula, to_grey


@pytest.fixture
def explorer():
    explorer = explore_convolution()
    explorer.image.value = "7 × 7 numbers"
    return explorer


@pytest.fixture(autouse=True)
def _nothing_left_in_pyplot():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def drawn_numbers(ax):
    """Return the numbers written into an axes' cells, row by row."""
    return [float(text.get_text().replace("−", "-")) for text in ax.texts]


def test_the_first_picture_is_a_photograph():
    explorer = explore_convolution()
    assert bytes(explorer.picture.value).startswith(b"\x89PNG")
    assert explorer.activation_map.shape == (94, 94)
    assert "96 × 96 → 94 × 94" in explorer.sentence.value


@pytest.mark.parametrize(
    ("control", "value"),
    [("kernel", "sharpen"), ("image", "photograph"), ("stride", 2), ("padding", 1), ("dilation", 2)],
)
def test_every_control_changes_the_picture(explorer, control, value):
    before = explorer.picture.value
    getattr(explorer, control).value = value
    assert explorer.picture.value != before
    assert explorer.picture.layout.visibility == "visible"


def test_the_numbers_are_pytorchs(explorer, monkeypatch):
    monkeypatch.setattr("utils.explorers.convolution.to_png", lambda figure: b"")  # the slow half of a redraw
    explorer.stride.value, explorer.padding.value, explorer.dilation.value = 3, 3, 2
    for name, kernel in KERNELS.items():
        explorer.kernel.value = name
        expected = F.conv2d(SEVEN[None, None], kernel[None, None], stride=3, padding=3, dilation=2)[0, 0]
        assert torch.equal(explorer.activation_map, expected), name


def test_an_impossible_setting_shows_the_reason_and_the_next_one_recovers(explorer):
    explorer.dilation.value = 4
    with pytest.raises(ValueError, match="kernel spans 9 pixels") as reason:
        conv_output_size(7, 3, dilation=4)
    assert str(reason.value) in explorer.sentence.value
    assert explorer.picture.layout.visibility == "hidden"
    assert explorer.activation_map is None
    explorer.padding.value = 1
    assert explorer.picture.layout.visibility == "visible"
    assert explorer.activation_map.shape == (1, 1)


def test_the_sentence_says_what_the_floor_drops(explorer):
    explorer.stride.value = 3
    assert (
        explorer.sentence.value
        == "7 × 7 → 2 × 2: the floor drops what no window reaches, 1 row and 1 column at the end."
    )
    explorer.stride.value = 2
    assert explorer.sentence.value == "7 × 7 → 3 × 3: the last window ends exactly at the last row and column."


def test_the_formula_is_filled_in():
    assert size_formula(7, 3, 2, 1, 1) == "⌊(7 + 2·1 − 1·(3 − 1) − 1) / 2⌋ + 1 = ⌊6 / 2⌋ + 1 = 4"


def test_the_still_figure_writes_pytorchs_numbers():
    image = torch.arange(24).reshape(4, 6).float() % 7
    kernel = KERNELS["emboss"]
    figure = draw_convolution(image, kernel, stride=2, padding=1)
    assert isinstance(figure, Figure)
    assert drawn_numbers(figure.axes[0]) == image.flatten().tolist()
    assert drawn_numbers(figure.axes[1]) == kernel.flatten().tolist()
    expected = F.conv2d(image[None, None], kernel[None, None], stride=2, padding=1)
    assert drawn_numbers(figure.axes[2]) == expected.flatten().tolist()
    written = figure.texts[0].get_text()
    assert size_formula(4, 3, 2, 1, 1) in written
    assert size_formula(6, 3, 2, 1, 1) in written


def test_the_framed_window_gives_the_framed_number():
    """Reading the framed pixels of the figure and multiplying by the kernel gives the framed output."""
    kernel, stride = KERNELS["vertical edges"], 2
    figure = draw_convolution(SEVEN, kernel, stride)
    window = next(patch for patch in figure.axes[0].patches if not patch.get_fill())
    column, row = (round(edge + 0.5) for edge in window.get_xy())
    framed = figure.axes[2].patches[-1]
    output_column, output_row = (round(edge + 0.5) for edge in framed.get_xy())
    expected = F.conv2d(SEVEN[None, None], kernel[None, None], stride=stride)[0, 0, output_row, output_column]
    assert (SEVEN[row : row + 3, column : column + 3] * kernel).sum() == expected


def test_the_still_figure_is_the_explorers_picture(explorer):
    explorer.padding.value = 1
    still = draw_convolution(SEVEN, KERNELS["vertical edges"], padding=1)
    assert to_png(still) == explorer.picture.value


def test_a_notebook_can_show_the_still_figure_without_pyplot():
    assert draw_convolution(SEVEN, KERNELS["identity"])._repr_png_().startswith(b"\x89PNG")


def test_the_still_figure_draws_into_a_given_figure():
    figure = Figure(figsize=(10, 4))
    assert draw_convolution(SEVEN, KERNELS["identity"], figure=figure) is figure
    assert len(figure.axes) == 3


def test_the_still_figure_names_the_rule_it_breaks():
    with pytest.raises(ValueError, match="kernel spans 9 pixels"):
        draw_convolution(SEVEN, KERNELS["sharpen"], dilation=4)


@pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30), (3, 20, 30), (20, 30, 3)])
def test_an_image_of_ones_own(shape):
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    explorer = explore_convolution(image)
    assert explorer.image.value == "your image"
    assert explorer.activation_map.shape == (18, 28)
    grey = to_grey(image)
    assert grey.shape == (20, 30)
    assert 0 <= grey.min() <= grey.max() <= 1


def test_an_image_of_the_wrong_shape_is_refused_in_words():
    with pytest.raises(ValueError, match="expected one image of shape"):
        explore_convolution(torch.zeros(2, 3, 20, 30))


def test_the_convolution_explorer_does_not_wait_for_torchvision():
    code = "import sys; from utils.explorers import draw_convolution; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_an_unknown_explorer_is_named_with_those_that_are_there():
    with pytest.raises(ImportError, match="explore_nothing"):
        from utils.explorers import explore_nothing  # noqa: F401
    with pytest.raises(AttributeError, match="it has draw_convolution, explore_convolution"):
        utils.explorers.explore_nothing  # noqa: B018
