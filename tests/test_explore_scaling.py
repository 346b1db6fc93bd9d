"""The explorer of the scaling model, driven as a reader's hand would, and held against lesson 12's own formula."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from tests.tools import measure_12
from utils.explorers import draw_scaling, explore_scaling
from utils.explorers.common import to_png
from utils.explorers.scaling import (
    LINKS,
    NETWORKS,
    compute_seconds,
    describe,
    efficiencies,
    efficiency,
    sending_seconds,
)

SETTINGS = {
    "network": "ResNet-50",
    "images": 256,
    "teraflops": 60,
    "shared": True,
    "number_bytes": 4,
    "latency": 1,
    "most": 64,
}


@pytest.fixture
def explorer():
    return explore_scaling()


@pytest.fixture(autouse=True)
def _nothing_left_in_pyplot():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("network", "VGG-16"),
        ("batch", "one for each"),
        ("number", "bfloat16"),
        ("images", 512),
        ("teraflops", 200),
        ("latency", 10),
        ("most", 8),
    ],
)
def test_every_control_changes_the_picture_and_the_sentence(explorer, control, value):
    picture, sentence = explorer.picture.value, explorer.sentence.value
    getattr(explorer, control).value = value
    assert explorer.picture.value != picture
    assert explorer.sentence.value != sentence


def test_the_model_is_the_lessons():
    lesson = measure_12.lesson_12()
    assert lesson["LINKS"] == LINKS
    for network, (num_parameters, _) in NETWORKS.items():
        compute = compute_seconds(network, 256, 60)
        found = efficiencies(**SETTINGS | {"network": network})
        for link, (bandwidth, latency) in LINKS.items():
            for n, low, _ in found[link]:
                seconds = lesson["step_seconds"](n, compute, num_parameters, bandwidth, latency)
                assert low == pytest.approx(compute / seconds / n)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("overlap", [True, False])
def test_efficiency_by_hand(shared, overlap):
    # 3 s of computing, 2 of them backward; four processes; 1 s of sending
    own = 0.75 if shared else 3.0
    taken = max(own, own / 3 + 1) if overlap else own + 1
    assert efficiency(4, 3.0, 1.0, shared, overlap) == pytest.approx(own / taken)


def test_one_process_sends_nothing_and_many_send_nearly_twice_the_gradient():
    assert sending_seconds(1, 1e9, 1e9, 1e-3) == 0
    assert sending_seconds(2, 1e9, 1e9, 0) == 1
    assert sending_seconds(1000, 1e9, 1e9, 0) == pytest.approx(2, abs=0.01)


def test_overlap_never_hurts_and_nothing_is_better_than_one():
    for network in NETWORKS:
        for rows in efficiencies(**SETTINGS | {"network": network, "most": 256}).values():
            assert all(0 < low <= high + 1e-9 <= 1 + 2e-9 for _, low, high in rows)
            assert rows[0][1:] == pytest.approx((1, 1))


def test_the_still_figure_is_the_explorers_picture(explorer):
    explorer.network.value, explorer.most.value = "lesson 08's", 8
    assert to_png(draw_scaling("lesson 08's", most=8)) == explorer.picture.value


def test_the_sentence_counts_gpus():
    sentence = describe(efficiencies(**SETTINGS | {"most": 8}))
    assert sentence.startswith("8 GPUs are worth, in GPUs: NVLink 4 7.7 to 8.0 · PCIe 4.0 5.5 to")


def test_the_still_figure_draws_into_a_given_figure_and_shows_itself():
    figure = Figure(figsize=(9, 4))
    assert draw_scaling(figure=figure) is figure
    assert draw_scaling()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"network": "AlexNet"}, "network must be one of"),
        ({"images": 0}, "images must be above 0"),
        ({"teraflops": -1}, "teraflops must be above 0"),
        ({"most": 1}, "most must be at least 2"),
        ({"latency": -1}, "latency not negative"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(setting, words):
    with pytest.raises(ValueError, match=words):
        draw_scaling(**setting)
