"""Lesson 10: the four ways, their budget, the groups of the optimiser, and what the stored run and the ledger say."""

import re

import pytest
import torch
from torch import nn
from torchinfo import summary

from tests.tools import measure_10
from tests.tools.cells import code_cells, printed, read, text
from utils.arithmetic import trace_layers
from utils.plotting import load_results
from utils.training import predict


@pytest.fixture(scope="module")
def lesson():
    return measure_10.lesson_10()


@pytest.fixture
def pictures():
    """Two noisy pictures of each of the five classes, as the network takes them."""
    torch.manual_seed(0)
    return torch.randn(10, 3, 48, 48), torch.arange(5).repeat_interleave(2)


def bytes_of(module):
    return [numbers.numpy().tobytes() for numbers in module.state_dict().values()]


# --- the cut and its cost ---


@pytest.mark.parametrize("cut", [0, 5, 11, 13])
def test_below_and_above_the_cut_are_the_network(lesson, pictures, cut):
    network = lesson["new_network"](0, True).eval()
    lower, upper = (part.eval() for part in lesson["split_at"](network, cut))
    assert torch.allclose(upper(lower(pictures[0])).flatten(1), network(pictures[0]), atol=1e-4)
    assert sum(p.numel() for part in (lower, upper) for p in part.parameters()) == sum(
        p.numel() for p in network.parameters()
    )


def test_the_cost_is_what_another_program_counts(lesson):
    network, images = lesson["new_network"](0, True).eval(), torch.zeros(1, 3, 96, 96)
    others = summary(network, input_data=images, verbose=0).total_mult_adds
    biases = sum(
        layer.bias.numel() * output[0, 0].numel()
        for _, layer, _, output in trace_layers(network, (3, 96, 96))
        if isinstance(layer, nn.Conv2d)
    )
    assert lesson["cost"](network, images) + biases == others  # torchinfo counts a bias as one more


def test_the_head_of_a_seed_is_the_same_with_and_without_the_expert(lesson):
    first, again = (lesson["new_network"](3, True) for _ in range(2))
    assert torch.equal(first.classifier[1].weight, again.classifier[1].weight)
    assert bytes_of(first.features) == bytes_of(lesson["expert"].model.features)
    assert bytes_of(lesson["new_network"](3, False).features) != bytes_of(first.features)


# --- the four ways ---


@pytest.mark.parametrize("way", ["frozen", "last two blocks", "everything", "from scratch"])
def test_what_lies_below_the_cut_stays_and_what_lies_above_learns(lesson, pictures, way):
    pretrained, cut, _ = lesson["WAYS"][way]
    network, num_epochs = lesson["reuse"](way, *pictures, seed=0, budget=20)
    start = lesson["new_network"](0, pretrained)
    changed = [a != b for a, b in zip(bytes_of(network), bytes_of(start))]
    below = len(bytes_of(network.features[:cut]))
    assert not any(changed[:below])
    assert all(changed[-2:]), "the head"
    assert any(changed[below:-2]) == (cut < 13)
    assert (num_epochs > 0) == (cut < 13)


def test_nobody_spends_more_than_the_budget(lesson, pictures, monkeypatch):
    spent = []

    def train(part, inputs, labels, optimizer, num_epochs, batch_size=20):
        spent.append(3 * lesson["cost"](part, inputs) * len(inputs) * num_epochs)

    monkeypatch.setitem(lesson, "train", train)
    whole = lesson["cost"](lesson["new_network"](0, True), pictures[0])
    for way in lesson["WAYS"]:
        spent.clear()
        lesson["reuse"](way, *pictures, seed=0, budget=200)
        below = 2 * len(pictures[0]) * whole if lesson["WAYS"][way][0] else 0
        last = spent[-1] + below
        assert last <= 3 * 200 * whole
        if lesson["WAYS"][way][1] < 13:
            assert last > 0.85 * 3 * 200 * whole


def test_the_groups_hold_every_parameter_once_and_the_last_gets_the_rate(lesson):
    network = lesson["new_network"](0, True)
    made = lesson["groups"](lesson["split_at"](network, 0)[1], 1e-3, 3)
    made = [{**group, "params": list(group["params"])} for group in made]
    assert {id(p) for group in made for p in group["params"]} == {id(p) for p in network.parameters()}
    assert sum(len(group["params"]) for group in made) == len(list(network.parameters()))
    assert [group["lr"] for group in made] == pytest.approx([1e-3 / 3**steps for steps in range(9, -1, -1)])
    assert made[-1]["params"][0] is network.classifier[1].weight


def test_an_interruption_keeps_what_was_learned(lesson, pictures, capsys, monkeypatch):
    network = lesson["new_network"](0, True)
    before, draws = bytes_of(network.classifier), []

    def interrupted(*arguments, **settings):
        draws.append(1)
        if len(draws) == 2:
            raise KeyboardInterrupt
        yield pictures

    monkeypatch.setitem(lesson, "batches", interrupted)
    lesson["train"](network, *pictures, torch.optim.Adam(network.parameters(), 1e-3), num_epochs=5)
    assert "Stopped: what was learned so far is kept." in capsys.readouterr().out
    assert bytes_of(network.classifier) != before


# --- the measurement ---


def test_a_small_measurement_has_a_run_for_each_way_count_and_seed(monkeypatch, lesson):
    class Few:
        classes, source = measure_10.CLASSES, "noise"
        train = validation = type(
            "Split",
            (),
            {"images": torch.randint(0, 256, (10, 3, 32, 32), dtype=torch.uint8), "labels": torch.arange(10) % 5},
        )

    monkeypatch.setattr(measure_10, "load_cifar10", Few)
    monkeypatch.setattr(measure_10, "VALIDATION", 1)
    monkeypatch.setitem(lesson, "train", lambda *arguments, **settings: None)
    runs = measure_10.measure_10_transfer(range(2), counts=(1, 2))["runs"]
    expected = [(way, count, seed) for way in lesson["WAYS"] for count in (1, 2) for seed in range(2)]
    assert [(run["network"], run["images"], run["seed"]) for run in runs] == expected


def test_the_ledger_is_of_the_lessons_ways_and_frozen_beats_scratch_at_40_a_class(lesson):
    runs = load_results("10_transfer")["runs"]
    assert list(dict.fromkeys(run["network"] for run in runs)) == list(lesson["WAYS"])
    assert len(runs) == 4 * len(measure_10.COUNTS) * 3
    scores = {
        way: [run["validation_accuracy"] for run in runs if (run["network"], run["images"]) == (way, 40)]
        for way in ("frozen", "from scratch")
    }
    assert min(scores["frozen"]) > max(scores["from scratch"])


def test_the_stored_run_trains_the_head_twenty_times_faster_on_kept_features():
    shown = "\n".join(printed(cell) for _, cell in code_cells(read(measure_10.LESSON)))
    assert int(re.search(r"a ratio of (\d+)", shown)[1]) >= 20


def test_the_lesson_and_its_measurement_use_the_same_classes():
    sources = "\n".join(text(cell["source"]) for _, cell in code_cells(read(measure_10.LESSON)))
    assert f"chosen = load_cifar10(), {measure_10.CLASSES}".replace("'", '"') in sources


def test_every_class_is_found_whatever_its_count(lesson):
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4])
    assert lesson["of_each"](labels, 0) == [0, 3, 5, 9, 11]
    assert lesson["of_each"](labels, 1) == [1, 4, 6, 10, 12]


def test_a_reader_s_own_folder_is_never_written_to():
    sources = "\n".join(text(cell["source"]) for _, cell in code_cells(read(measure_10.LESSON)))
    assert "for split, count in () if own else" in sources
    assert not re.search(r"= pictures / \"(?!train|validation|test)", sources)


def test_a_network_in_use_is_scored_in_evaluation_mode(lesson, pictures):
    network = lesson["new_network"](0, True).train()
    lesson["accuracy"](network, *pictures)
    assert not network.training
    assert predict(network, pictures[0]).shape == (10, 5)
