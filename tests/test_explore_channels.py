"""The mixture explorer, driven as a reader's hand would, and held against PyTorch."""

import math
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure
from torch.nn import functional as F

from tests.tools.kernels import ROOT
from utils.explorers import draw_mixture, explore_mixture
from utils.explorers.channels import MIXTURES, OWN, describe, formula, mix, photograph, to_colour
from utils.explorers.common import to_png


@pytest.fixture
def explorer():
    return explore_mixture()


@pytest.fixture(autouse=True)
def _nothing_left_in_pyplot():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def library(image, weights, bias):
    """Return the same map by PyTorch's 1×1 convolution."""
    weight = torch.tensor(weights).float()[None, :, None, None]
    return F.conv2d(image[None], weight, torch.tensor([float(bias)]))[0, 0]


def test_the_first_picture_is_a_colour_opponent_on_a_photograph(explorer):
    assert bytes(explorer.picture.value).startswith(b"\x89PNG")
    assert explorer.mixture.value == "red − green"
    assert explorer.activation_map.shape == (128, 128)
    assert "sum to 0" in explorer.sentence.value


@pytest.mark.parametrize("number", range(4))
def test_every_slider_changes_the_picture_and_names_it_ones_own(explorer, number):
    before = explorer.picture.value
    explorer.sliders[number].value = 0.7
    assert explorer.picture.value != before
    assert explorer.picture.layout.visibility == "visible"
    assert explorer.mixture.value == OWN


@pytest.mark.parametrize("name", MIXTURES)
def test_a_named_mixture_sets_the_sliders_and_gives_pytorchs_numbers(explorer, name):
    explorer.mixture.value = OWN
    explorer.mixture.value = name
    assert [control.value for control in explorer.sliders] == list(MIXTURES[name])
    *weights, bias = MIXTURES[name]
    assert torch.allclose(explorer.activation_map, library(photograph(), weights, bias), atol=1e-6)
    assert to_png(draw_mixture(photograph(), weights, bias)) == explorer.picture.value


def test_choosing_ones_own_keeps_the_sliders(explorer):
    before = explorer.picture.value
    explorer.mixture.value = OWN
    assert explorer.picture.value == before


def test_sliders_that_reach_a_named_mixture_name_it(explorer):
    for control, value in zip(explorer.sliders, MIXTURES["blue only"]):
        control.value = value
    assert explorer.mixture.value == "blue only"


def test_a_grey_photograph_gives_an_opponent_nothing(explorer):
    explorer.image.value = "the same in grey"
    assert explorer.activation_map.count_nonzero() == 0
    explorer.bias.value = 0.5
    assert (explorer.activation_map == 0.5).all()


def test_all_weights_zero_is_explained(explorer):
    for control in explorer.weights:
        control.value = 0.0
    assert "All three weights are 0" in explorer.sentence.value
    assert explorer.picture.layout.visibility == "visible"


def test_a_setting_that_cannot_be_shows_the_reason_and_the_next_one_recovers(explorer):
    explorer.bias.max = math.inf
    explorer.bias.value = math.inf
    assert "must be finite numbers" in explorer.sentence.value
    assert explorer.picture.layout.visibility == "hidden"
    assert explorer.activation_map is None
    explorer.bias.value = 0.2
    assert explorer.picture.layout.visibility == "visible"


def test_the_sentences():
    assert describe((0.3, 0.6, 0.1), 0) == "The weights sum to 1 and the bias is 0: a grey pixel keeps its brightness."
    assert describe((-0.5, 0, 0), -0.3) == "The weights sum to −0.5: a grey pixel of brightness b gives −0.5·b − 0.3."
    assert formula((1, -1, 0), 0.2) == "1·red − 1·green + 0·blue + 0.2"
    assert formula((-0.5, -0.5, 1), -1) == "−0.5·red − 0.5·green + 1·blue − 1"


@pytest.mark.parametrize(
    ("weights", "scale"),
    [((1, -1, 0), "blue −1, white 0, red 1"), ((0.3, 0.6, 0.1), "black 0, white 1"), ((-1, -0.5, 0), "blue −1.5")],
)
def test_the_still_figure_says_its_scale(weights, scale):
    figure = draw_mixture(photograph(), weights)
    assert isinstance(figure, Figure)
    assert scale in figure.axes[3].get_title()
    assert figure.axes[0].get_title() == f"red × {weights[0]}".replace("-", "−")
    assert formula(weights, 0.0) == figure.texts[1].get_text()


def test_the_still_figure_draws_into_a_given_figure():
    figure = Figure(figsize=(9, 4))
    assert draw_mixture(photograph(), (1, 0, 0), figure=figure) is figure
    assert draw_mixture(photograph(), (1, 0, 0))._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", [(3, 20, 30), (20, 30, 3)])
def test_an_image_of_ones_own(shape):
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    explorer = explore_mixture(image)
    assert explorer.image.value == "your image"
    assert explorer.activation_map.shape == (20, 30)
    assert 0 <= to_colour(image).min() <= to_colour(image).max() <= 1


@pytest.mark.parametrize(
    ("shape", "words"),
    [((20, 30), "got a grey image"), ((1, 20, 30), "got a grey image"), ((2, 20, 30), "expected one image of shape")],
)
def test_an_image_without_three_channels_is_refused_in_words(shape, words):
    with pytest.raises(ValueError, match=words):
        explore_mixture(torch.zeros(shape))


@pytest.mark.parametrize(
    ("weights", "bias", "words"),
    [
        ((1, 2), 0, "three numbers, one for each channel, but their shape is"),
        ((1, 2, float("nan")), 0, "must be finite"),
        ((1, 2, 3), float("inf"), "must be finite"),
    ],
)
def test_impossible_weights_are_refused_in_words(weights, bias, words):
    with pytest.raises(ValueError, match=words):
        mix(photograph(), weights, bias)


def test_the_mixture_explorer_does_not_wait_for_torchvision():
    code = "import sys; from utils.explorers import draw_mixture; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
