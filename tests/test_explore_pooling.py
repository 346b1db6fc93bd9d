"""The pooling explorer, driven as a reader's hand would, and held against PyTorch."""

import itertools
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure
from torch.nn import functional as F

from tests.tools.kernels import ROOT
from utils.arithmetic import conv_output_size
from utils.explorers import draw_pooling, explore_pooling
from utils.explorers.common import to_png
from utils.explorers.convolution import SEVEN
from utils.explorers.pooling import describe, pool, size_formula, written_sum

FUNCTIONS = {"max": F.max_pool2d, "average": F.avg_pool2d}


@pytest.fixture
def explorer():
    explorer = explore_pooling()
    explorer.map.value = "7 × 7 numbers"
    return explorer


@pytest.fixture(autouse=True)
def _nothing_left_in_pyplot():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def drawn_numbers(ax):
    """Return the numbers written into an axes' cells, row by row."""
    return [float(text.get_text().replace("−", "-")) for text in ax.texts]


def test_the_first_map_is_a_photographs():
    explorer = explore_pooling()
    assert bytes(explorer.picture.value).startswith(b"\x89PNG")
    assert explorer.pooled.shape == (23, 23)
    assert explorer.maps[explorer.map.value].min() == 0, "the map is taken after ReLU"
    assert "46 × 46 → 23 × 23" in explorer.sentence.value


@pytest.mark.parametrize(
    ("control", "value"),
    [("map", "edges of a photograph"), ("kind", "average"), ("window", 3), ("stride", 1), ("padding", 1)],
)
def test_every_control_changes_the_picture(explorer, control, value):
    before = explorer.picture.value
    getattr(explorer, control).value = value
    assert explorer.picture.value != before
    assert explorer.picture.layout.visibility == "visible"


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_numbers_are_pytorchs(explorer, kind, monkeypatch):
    monkeypatch.setattr("utils.explorers.pooling.to_png", lambda figure: b"")  # the slow half of a redraw
    explorer.kind.value = kind
    for window, stride, padding in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1)):
        explorer.window.value, explorer.stride.value, explorer.padding.value = window, stride, padding
        if padding <= window // 2:
            expected = FUNCTIONS[kind](SEVEN[None, None], window, stride, padding)[0, 0]
            assert torch.equal(explorer.pooled, expected), (window, stride, padding)
            assert explorer.pooled.shape == (conv_output_size(7, window, stride, padding),) * 2
        else:
            assert explorer.pooled is None


def test_what_pytorch_refuses_is_refused_in_words_and_nothing_else():
    """Every setting: where PyTorch has an output, so has the explorer; where it has none, there is a ValueError."""
    for settings in itertools.product((1, 2, 3, 8, 9), (0, 1, 3), (-1, 0, 1, 2, 4)):
        try:
            expected = F.max_pool2d(SEVEN[None, None], *settings)[0, 0]
        except (RuntimeError, ZeroDivisionError):
            with pytest.raises(ValueError, match=r"must|spans"):
                pool(SEVEN, "max", *settings)
        else:
            assert torch.equal(pool(SEVEN, "max", *settings), expected), settings


IMPOSSIBLE = [
    ((8, 2, 0), "the window spans 8 numbers, the padded map has only 7"),
    ((2, 0, 0), "stride must be at least 1, but it is 0"),
    ((3, 2, 2), "padding must be at most half of the window, here 1 (the rule of PyTorch), but it is 2"),
]


@pytest.mark.parametrize(("settings", "reason"), IMPOSSIBLE)
def test_an_impossible_setting_shows_the_reason_and_the_next_one_recovers(explorer, settings, reason):
    explorer.window.value, explorer.stride.value, explorer.padding.value = settings
    assert explorer.sentence.value == f"<b>No output:</b> {reason}."
    assert explorer.picture.layout.visibility == "hidden"
    assert explorer.pooled is None
    explorer.window.value, explorer.stride.value, explorer.padding.value = 4, 2, 2
    assert explorer.picture.layout.visibility == "visible"
    assert explorer.pooled.shape == (4, 4)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        *((("max", *settings), reason) for settings, reason in IMPOSSIBLE),
        (("max", 0, 1, 0), "window must be at least 1, but it is 0"),
        (("max", 2, 2, -1), "padding must not be negative, but it is -1"),
        (("median", 2, 2, 0), "kind must be one of max, average, but it is 'median'"),
    ],
)
def test_the_still_figure_names_the_rule_it_breaks(settings, reason):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        draw_pooling(SEVEN, *settings)
    assert str(error.value) == reason


def test_the_sentence_says_how_the_windows_lie_and_what_the_floor_drops():
    assert describe(SEVEN, "max", 2, 2, 0) == (
        "7 × 7 → 3 × 3: 9 numbers of 49. In each direction the windows touch; the floor drops 1 row and 1 column at "
        "the end."
    )
    assert describe(SEVEN, "max", 3, 2, 0).endswith("neighbouring windows overlap by 1.")
    assert describe(SEVEN, "max", 1, 3, 0).endswith("neighbouring windows leave 2 out between them.")
    assert "drops" not in describe(SEVEN, "max", 2, 2, 1), "what the floor drops is padding only"


def test_the_formula_is_filled_in():
    assert size_formula(7, 3, 2, 1) == "⌊(7 + 2·1 − 3) / 2⌋ + 1 = ⌊6 / 2⌋ + 1 = 4"


def test_the_framed_number_is_worked_out():
    assert written_sum(SEVEN, "max", 2, 2, 0, 1, 1) == "framed: max(0, 0, 0, 2) = 2"
    assert written_sum(SEVEN, "average", 2, 2, 0, 1, 1) == "framed: (0 + 0 + 0 + 2) / 4 = 0.5"
    corner = written_sum(SEVEN - 10, "max", 2, 2, 1, 0, 0)
    assert corner == "framed: max(−10) = −10 (the 3 of the padding cannot win)"
    corner = written_sum(SEVEN - 10, "average", 2, 2, 1, 0, 0)
    assert corner == "framed: (−10 + 0 + 0 + 0) / 4 = −2.5 (with 3 zeros of the padding)"
    assert written_sum(SEVEN, "max", 4, 1, 0, 0, 0) == "framed: the largest of 16 numbers = 9"
    assert written_sum(SEVEN, "average", 4, 1, 0, 0, 0) == "framed: the mean of 16 numbers = 1.81"


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_still_figure_writes_pytorchs_numbers(kind):
    activation_map = torch.arange(24).reshape(4, 6).float() % 7
    figure = draw_pooling(activation_map, kind, window=2, padding=1)
    assert isinstance(figure, Figure)
    assert drawn_numbers(figure.axes[0]) == activation_map.flatten().tolist()
    expected = FUNCTIONS[kind](activation_map[None, None], 2, padding=1)
    assert drawn_numbers(figure.axes[1]) == pytest.approx(expected.flatten().tolist(), abs=0.051)
    written = figure.texts[0].get_text()
    assert size_formula(4, 2, 2, 1) in written
    assert size_formula(6, 2, 2, 1) in written


def test_the_framed_window_gives_the_framed_number():
    """Reading the framed numbers of the figure and taking the largest gives the framed output."""
    figure = draw_pooling(SEVEN, window=3, stride=2)
    window, framed = (next(p for p in reversed(ax.patches) if not p.get_fill()) for ax in figure.axes)
    (column, row), (output_column, output_row) = ([round(edge + 0.5) for edge in p.get_xy()] for p in (window, framed))
    expected = F.max_pool2d(SEVEN[None, None], 3, 2)[0, 0, output_row, output_column]
    assert SEVEN[row : row + 3, column : column + 3].max() == expected
    assert (window.get_width(), window.get_height()) == (3, 3)


def test_the_stride_is_the_window_unless_given():
    assert to_png(draw_pooling(SEVEN, window=3)) == to_png(draw_pooling(SEVEN, window=3, stride=3))


def test_negative_numbers_are_drawn_too():
    figure = draw_pooling(SEVEN - 4, "max", 3, 2, 1)
    expected = F.max_pool2d(SEVEN[None, None] - 4, 3, 2, 1)
    assert drawn_numbers(figure.axes[1]) == expected.flatten().tolist()


def test_the_still_figure_is_the_explorers_picture(explorer):
    explorer.kind.value, explorer.window.value, explorer.padding.value = "average", 3, 1
    assert to_png(draw_pooling(SEVEN, "average", 3, 2, 1)) == explorer.picture.value


def test_a_notebook_can_show_the_still_figure_without_pyplot():
    assert draw_pooling(SEVEN)._repr_png_().startswith(b"\x89PNG")


def test_the_still_figure_draws_into_a_given_figure():
    figure = Figure(figsize=(10, 5))
    assert draw_pooling(SEVEN, figure=figure) is figure
    assert len(figure.axes) == 2


def test_a_map_of_ones_own():
    explorer = explore_pooling(torch.rand(1, 20, 30))
    assert explorer.map.value == "your map"
    assert explorer.pooled.shape == (10, 15)
    with pytest.raises(ValueError, match="expected one image of shape"):
        explore_pooling(torch.zeros(2, 4, 20, 30))


def test_the_pooling_explorer_does_not_wait_for_torchvision():
    code = "import sys; from utils.explorers import draw_pooling; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
