"""The digit explorer: what it alters, what it says, and what it refuses."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import nn

from utils.explorers import alter, draw_digit, draw_until_it_fails, explore_digit
from utils.explorers.common import to_png
from utils.explorers.digit import RIGHT, STROKES, TRIALS, WRONG, Stroke, describe, percent, read_digits
from utils.models import SmallCNN

CONTROLS = [
    ("image", 1), ("right", 4), ("down", -4), ("angle", 45), ("scale", 0.7), ("blur", 1.0), ("noise", 0.3),
    ("stroke", "slash"), ("thickness", 6), ("position", 5),
]  # fmt: skip


class ReadsTheBrightestColumn(nn.Module):
    """A stand-in whose answer can be worked out by hand: the brightest of ten columns from column 9 on."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, images):
        return self.gain * images[:, 0, :, 9:19].sum(dim=1)


class Returns(nn.Module):
    """A model that returns the same for any images."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits


@pytest.fixture
def model():
    return ReadsTheBrightestColumn()


@pytest.fixture
def images():
    """Two uint8 images: a bright bar in column 12, read as 3, and one in column 16, read as 7."""
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    images[0, 0, 8:18, 12] = 255
    images[1, 0, 8:18, 16] = 255
    return images


@pytest.fixture
def explorer(model, images):
    return explore_digit(model, images, labels=torch.tensor([3, 7]))


@pytest.fixture(autouse=True)
def _nothing_left_in_pyplot():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


# --- alter -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def digits():
    return torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_zero_settings_leave_the_images_as_they_are(digits):
    strokes = [None, *(Stroke(kind, thickness=0) for kind in STROKES)]
    assert all(torch.equal(alter(digits, stroke=stroke), digits) for stroke in strokes)


def test_a_shift_moves_to_the_right_and_down(digits):
    moved = alter(digits, shift=(3, -2))
    assert torch.allclose(moved[:, :, :-2, 3:], digits[:, :, 2:, :-3], atol=1e-4)
    assert moved[:, :, -2:].max() < 1e-4
    assert moved[:, :, :, :3].max() < 1e-4


def test_a_positive_angle_turns_clockwise(digits):
    assert torch.allclose(alter(digits, angle=90), digits.rot90(-1, dims=(2, 3)), atol=1e-4)


def test_scale_changes_the_size():
    square = torch.zeros(1, 1, 28, 28)
    square[..., 10:18, 10:18] = 1  # 64 pixels
    assert alter(square, scale=0.5).sum() == pytest.approx(16, rel=0.05)
    assert alter(square, scale=1.5).sum() == pytest.approx(144, rel=0.05)


def test_blur_spreads_the_ink_and_keeps_it():
    point = torch.zeros(1, 1, 28, 28)
    point[..., 14, 14] = 1
    blurred = alter(point, blur=2)
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    assert blurred.max() == pytest.approx(1 / (2 * torch.pi * 2**2), rel=0.05)  # the peak of a Gaussian of sigma 2


def test_noise_is_the_same_each_time_and_in_range(digits):
    noisy = alter(digits, noise=0.5)
    assert torch.equal(noisy, alter(digits, noise=0.5))
    assert not torch.allclose(noisy, digits, atol=0.1)
    assert 0 <= noisy.min() <= noisy.max() <= 1


@pytest.mark.parametrize(
    ("kind", "inked", "blank"),
    [
        ("bar across", (14, 5), (5, 14)),
        ("bar down", (5, 14), (14, 5)),
        ("slash", (7, 20), (7, 7)),
        ("dot", (14, 14), (14, 20)),
    ],
)
def test_strokes_lie_where_their_names_say(kind, inked, blank):
    black = torch.zeros(1, 1, 28, 28)
    stroke = alter(black, stroke=Stroke(kind, thickness=4))[0, 0]
    assert stroke[inked] == 1
    assert stroke[blank] == 0
    assert alter(black, stroke=Stroke(kind, thickness=8)).sum() > 1.5 * stroke.sum()
    moved = alter(black, stroke=Stroke(kind, thickness=4, position=2))[0, 0]
    down, right = (2, 0) if kind == "bar across" else (0, 2)
    assert torch.allclose(moved, stroke.roll((down, right), dims=(0, 1)), atol=1e-5)


@pytest.mark.parametrize("settings", [{"scale": 0}, {"blur": -1}, {"noise": -0.1}, {"stroke": ("zigzag", 2, 0)}])
def test_settings_that_make_no_sense_are_refused_in_words(digits, settings):
    with pytest.raises(ValueError, match=r"must be above 0|there is no stroke called 'zigzag': choose from bar across"):
        alter(digits, **settings)


# --- the explorer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("control", "value"), CONTROLS)
def test_every_control_changes_the_picture(explorer, control, value):
    if control in ("thickness", "position"):
        explorer.stroke.value = "bar down"
    before = explorer.picture.value
    getattr(explorer, control).value = value
    assert bytes(explorer.picture.value).startswith(b"\x89PNG")
    assert explorer.picture.value != before
    answer = explorer.probabilities.argmax().item()
    assert f"The network says {answer} with" in explorer.sentence.value


def test_the_sentence_follows_the_networks_answer(explorer):
    assert explorer.sentence.value == "The network says 3 with over 99 %; the true digit is 3."
    explorer.right.value = 2
    assert explorer.sentence.value == "The network says 5 with over 99 %; the true digit is 3. It is wrong."
    explorer.image.value = 1
    assert "says 9 with over 99 %; the true digit is 7. It is wrong." in explorer.sentence.value


def test_reset_restores_the_unaltered_image_and_keeps_the_chosen_one(explorer):
    explorer.image.value = 1
    before = explorer.picture.value, explorer.sentence.value
    for control, value in CONTROLS[1:]:
        getattr(explorer, control).value = value
    assert explorer.picture.value != before[0]
    explorer.reset.click()
    assert (explorer.picture.value, explorer.sentence.value) == before
    assert explorer.image.value == 1
    explorer.right.value = 2  # the controls are still connected
    assert explorer.picture.value != before[0]


def test_thickness_and_position_wait_for_a_stroke(explorer):
    assert explorer.thickness.disabled
    assert explorer.position.disabled
    explorer.stroke.value = "dot"
    assert not explorer.thickness.disabled
    assert not explorer.position.disabled


def test_the_explorer_without_labels_judges_nothing(model, images):
    assert explore_digit(model, images).sentence.value == "The network says 3 with over 99 %."


def test_the_still_figure_is_the_explorers_picture(explorer, model, images):
    explorer.right.value, explorer.angle.value, explorer.stroke.value = 3, 30, "slash"
    still = draw_digit(model, images[0], 3, shift=(3, 0), angle=30, stroke=Stroke("slash"))
    assert to_png(still) == explorer.picture.value


# --- the still figures -----------------------------------------------------------------------------------------------


def test_the_bars_are_the_networks_probabilities():
    torch.manual_seed(0)
    model, image = SmallCNN(), torch.rand(1, 28, 28)
    bars = draw_digit(model, image).axes[1].patches
    expected = 100 * model(image[None]).softmax(dim=1)[0]
    assert [bar.get_height() for bar in bars] == pytest.approx(expected.tolist(), abs=1e-3)


@pytest.mark.parametrize(("label", "colour", "mark"), [(3, RIGHT, "✓"), (4, WRONG, "✗")])
def test_the_answer_is_coloured_and_the_true_digit_named(model, images, label, colour, mark):
    ax = draw_digit(model, images[0], label).axes[1]
    assert to_hex(ax.patches[3].get_facecolor()) == colour
    assert ax.get_title() == f"the network says 3 {mark}"
    assert [text.get_text() for text in ax.get_xticklabels()][label] == f"{label}\ntrue"


def test_until_it_fails_marks_each_step_and_names_the_first_failure(model, images):
    figure = draw_until_it_fails(model, images[0], 3)
    assert len(figure.axes) == 8 * len(TRIALS)
    for row, (name, unit, strengths, settings) in enumerate(TRIALS):
        wrong = []
        for ax, strength in zip(figure.axes[8 * row :], strengths):
            answer = read_digits(model, alter(images[:1] / 255, **settings(strength))).argmax().item()
            mark, colour = ("✓", RIGHT) if answer == 3 else ("✗", WRONG)
            wrong += [] if answer == 3 else [strength]
            assert ax.get_title().startswith(f"{mark} {answer} ")
            assert to_hex(ax.spines["left"].get_edgecolor()) == colour
        where = f"fails at\n{wrong[0]:g}{unit}" if wrong else f"holds to\n{strengths[-1]:g}{unit}"
        assert [text.get_text() for text in figure.axes[8 * row].texts] == [name, where]
    assert figure.axes[0].texts[1].get_text() == "fails at\n1 px"  # one pixel to the right is the next digit


def test_a_given_figure_is_drawn_into(model, images):
    for draw in (draw_digit, draw_until_it_fails):
        figure = Figure()
        assert draw(model, images[0], 3, figure=figure) is figure
        assert figure.axes


def test_a_notebook_can_show_the_still_figures(model, images):
    assert draw_digit(model, images[0])._repr_png_().startswith(b"\x89PNG")


def test_certainty_is_never_overstated():
    assert [percent(p) for p in (0.9951, 0.994, 0.5, 0.006, 0.004)] == [">99 %", "99 %", "50 %", "1 %", "<1 %"]
    probabilities = torch.zeros(10)
    probabilities[7], probabilities[1] = 0.98, 0.02
    assert describe(probabilities, 7) == "The network says 7 with 98 %; the true digit is 7."


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 28, 28), (28, 28), (1, 1, 28, 28)])
def test_one_image_may_come_in_three_shapes(model, shape):
    assert "says 3" in draw_digit(model, torch.eye(28)[12].expand(28, 28).reshape(shape)).axes[1].get_title()


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (2, 1, 32, 32), (0, 1, 28, 28), (5, 28, 28), (28,)])
def test_images_of_other_shapes_are_refused_in_words(model, shape):
    with pytest.raises(ValueError, match=r"expected grey images of shape \(N, 1, 28, 28\), at least one, got \("):
        explore_digit(model, torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize("pixels", [torch.full((1, 28, 28), -0.4), torch.full((1, 28, 28), 200)])
def test_normalised_images_and_other_numbers_are_refused_in_words(model, pixels):
    with pytest.raises(ValueError, match="pass them unnormalised"):
        draw_digit(model, pixels)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (SmallCNN(num_classes=7), r"expected logits \(1, 10\), one a digit, but the model returned \(1, 7\)"),
        (nn.Conv2d(3, 10, 3), r"does not take images of shape \(1, 1, 28, 28\)"),
        (Returns(torch.full((1, 10), torch.nan)), "not finite numbers"),
    ],
)
def test_other_models_are_refused_in_words(model, images, reason):
    with pytest.raises(ValueError, match=reason):
        explore_digit(model, images)


def test_labels_must_fit(model, images):
    with pytest.raises(ValueError, match="got 3 labels for 2 images"):
        explore_digit(model, images, labels=[1, 2, 3])
    with pytest.raises(ValueError, match="expected a label from 0 to 9, got 10"):
        explore_digit(model, images, labels=[1, 10])
    with pytest.raises(ValueError, match="the true digit is needed"):
        draw_until_it_fails(model, images[0], None)
