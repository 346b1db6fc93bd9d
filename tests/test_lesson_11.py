"""Lesson 11: the stopwatch, what is saved, gradients in parts, resuming, the roof; and what the stored run shows."""

import importlib.util
import os
import re
import time

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

import utils.timing
from tests.tools.cells import code_cells, printed, read, text
from tests.tools.kernels import ROOT
from tests.tools.taught import define
from utils.arithmetic import conv_multiply_adds, trace_layers
from utils.checks.lesson_11 import check_epoch_seconds, check_gradients_in_parts, check_normalise
from utils.models import ResidualCNN
from utils.recipe import gentle, whiten
from utils.timing import seconds_of
from utils.tracebacks import show_traceback
from utils.training import choose_dtype, predict, set_seed

LESSON = ROOT / "notebooks" / "11_gpu_training.ipynb"


@pytest.fixture(scope="module")
def pictures():
    """Noise with a label for each of ten classes, more than once."""
    torch.manual_seed(0)
    return torch.randn(40, 3, 32, 32), torch.arange(40) % 10


@pytest.fixture(scope="module")
def lesson(pictures):
    """What the lesson defines in its cells, with what they use beside them."""
    from torch.utils.checkpoint import checkpoint

    space = {"torch": torch, "nn": nn, "F": F, "os": os, "time": time, "device": torch.device("cpu")}
    space |= {"ResidualCNN": ResidualCNN, "checkpoint": checkpoint, "set_seed": set_seed, "train": pictures}
    space |= {"count": 40, "statistics": (torch.full((3,), 0.5), torch.ones(3)), "images": pictures[0]}
    space |= {"labels": pictures[1]}
    return define(LESSON, space)


def trained_once(model):
    """Return the model after a forward pass in training mode, so that batch norm has a memory; in evaluation mode."""
    model.train()(torch.randn(16, 3, 32, 32))
    return model.eval()


# --- the stopwatch ---


def test_the_stopwatch_waits_before_and_after_each_call_and_leaves_the_warm_up_out(monkeypatch):
    events = []
    monkeypatch.setattr(utils.timing, "synchronise", lambda: events.append("wait"))
    seconds = seconds_of(lambda: events.append("run"), repeats=3, warm_up=2)
    assert len(seconds) == 3
    assert events == ["wait", "run", "wait"] * 5


def test_the_stopwatch_measures_what_a_device_does_after_the_call(monkeypatch):
    """A device that runs ahead: the call only sets a time, and waiting sleeps until it has come."""
    due = [0.0]

    def queue():
        due[0] = max(due[0], time.perf_counter()) + 0.02

    monkeypatch.setattr(utils.timing, "synchronise", lambda: time.sleep(max(0.0, due[0] - time.perf_counter())))
    assert min(seconds_of(queue, repeats=3)) >= 0.019


def test_synchronise_waits_for_the_accelerator_where_there_is_one(monkeypatch):
    waits = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: waits.append(1))
    for there in (False, True):
        monkeypatch.setattr(torch.accelerator, "is_available", lambda there=there: there)
        utils.timing.synchronise()
    assert waits == [1]


# --- devices ---


def test_a_traceback_is_shown_without_pytorchs_machinery(capsys):
    try:
        ResidualCNN().to("meta")(torch.zeros(2, 3, 16, 16))
    except ValueError as error:
        show_traceback(error)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("test_a_traceback_is")
    assert lines[-1] == "ValueError: ResidualCNN wants images (N, 3, 32, 32), but these are (2, 3, 16, 16)"
    assert len(lines) < 8


def test_a_traceback_leaves_out_how_a_module_is_called(capsys):
    try:
        nn.Sequential(nn.Linear(3, 2))(torch.zeros(1, 4))
    except RuntimeError as error:
        show_traceback(error)
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names[0] == "test_a_traceback_leaves_out_how_a_module_is_called"
    assert names[1:3] == ["forward", "forward"]
    assert not any("call_impl" in name for name in names)


def test_the_lessons_networks_run_on_a_pretended_gpu(lesson, pictures):
    for make in (ResidualCNN, lesson["FrugalCNN"]):
        model = make().eval()
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            assert model.to("cuda")(pictures[0].to("cuda")).device.type == "cuda"


def test_the_planted_tensor_is_left_behind_and_prediction_brings_the_logits_home(lesson, pictures):
    model, whole = lesson["Centred"](), ResidualCNN()
    with FakeTensorMode(allow_non_fake_inputs=True):
        with pytest.raises(RuntimeError, match="same device"):
            model.to("cuda")(pictures[0].to("cuda"))
        assert predict(whole.to("cuda"), pictures[0]).device.type == "cpu"


# --- the levers ---


@pytest.mark.parametrize(
    "how",
    [{}, {"batch_size": 16}, {"layout": torch.channels_last}, {"home": torch.device("cpu")}, {"change": nn.Sequential}],
    ids=str,
)
def test_a_lever_trains_on_every_image_once(lesson, monkeypatch, how):
    seen = []
    cross_entropy = F.cross_entropy
    monkeypatch.setattr(
        F, "cross_entropy", lambda logits, labels: seen.append(len(labels)) or cross_entropy(logits, labels)
    )
    lesson["training_run"](**how)()
    assert sum(seen) == 40
    assert max(seen) == min(how.get("batch_size", 64), 40)


def test_the_levers_take_half_size_numbers_and_batches_from_a_loader(lesson, pictures):
    lesson["training_run"](dtype=choose_dtype(torch.device("cpu")), loader=[pictures])()


# --- memory ---


def test_saved_bytes_count_each_tensor_once_and_no_parameter(lesson):
    images = torch.randn(2, 3, 8, 8)
    convolution = nn.Conv2d(3, 4, 3)
    assert lesson["saved_bytes"](convolution, images) == images.nbytes
    assert lesson["saved_bytes"](nn.Sequential(convolution, nn.ReLU()), images) == images.nbytes + 2 * 4 * 6 * 6 * 4
    many = torch.randn(100, 3, 8, 8)
    assert lesson["saved_bytes"](convolution, many[:2]) == images.nbytes, "a view of a large tensor"
    with torch.no_grad():
        assert lesson["saved_bytes"](convolution, images) == 0


@pytest.mark.parametrize("part", [1, 7, 16, 40])
def test_gradients_in_parts_are_those_of_the_batch(lesson, pictures, part):
    model = trained_once(ResidualCNN(widths=(4, 8, 8)))
    whole, in_parts = (lesson["accumulate"](model, *pictures, size) for size in (40, part))
    assert (whole - in_parts).abs().max() < 1e-6
    assert whole.abs().max() > 1e-3


def test_checkpointing_saves_memory_and_changes_no_gradient(lesson, pictures):
    model, frugal = ResidualCNN().train(), lesson["FrugalCNN"]().train()
    frugal.load_state_dict(model.state_dict())
    gradients = [lesson["accumulate"](network, *pictures, 40) for network in (model, frugal)]
    assert torch.allclose(*gradients, atol=1e-6)
    usual, thrifty = (lesson["saved_bytes"](network, pictures[0]) for network in (model, frugal))
    assert thrifty < usual / 3
    counts = [network.blocks[0].norm1.num_batches_tracked.item() for network in (model, frugal)]
    assert counts[1] == counts[0] + 1, "computed again once, and batch norm has seen it twice"


def test_the_first_block_alone_needs_what_the_prose_says(lesson):
    model = ResidualCNN().train()
    maps = model.stem(torch.randn(64, 3, 32, 32)).detach().requires_grad_()
    assert round(lesson["saved_bytes"](model.blocks[0], maps) / 1e6) == 28


def test_halving_survives_memory_alone(lesson, capsys):
    def fits(size):
        if size > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return "done"

    assert lesson["with_halving"](fits, 40) == ("done", 5)
    assert capsys.readouterr().out.count("do not fit") == 3

    def never(size):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="memory"):
        lesson["with_halving"](never, 4)

    def another(size):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        lesson["with_halving"](another, 4)


# --- resuming ---


def steps(parts, pictures, count):
    """Train for a few steps on random halves of the pictures, and return the losses."""
    losses = []
    for _ in range(count):
        chosen = torch.randperm(40)[:20]
        loss = F.cross_entropy(parts["model"].train()(pictures[0][chosen]), pictures[1][chosen])
        parts["optimizer"].zero_grad()
        loss.backward()
        parts["optimizer"].step()
        parts["scheduler"].step()
        losses.append(loss.item())
    return losses


def test_a_resumed_training_is_the_unbroken_one_to_the_last_bit(lesson, pictures, tmp_path):
    unbroken = lesson["new_training"]()
    losses = steps(unbroken, pictures, 6)
    first = lesson["new_training"]()
    resumed = steps(first, pictures, 3)
    lesson["save_training"](tmp_path / "kept.pt", 3, **first)
    second = lesson["new_training"]()
    torch.rand(99)
    assert lesson["load_training"](tmp_path / "kept.pt", **second) == 3
    resumed += steps(second, pictures, 3)
    assert resumed == losses
    states = [parts["model"].state_dict().values() for parts in (unbroken, second)]
    assert all(torch.equal(one, other) for one, other in zip(*states))


@pytest.mark.parametrize("forgotten", ["optimizer", "scheduler", "random"])
def test_each_part_that_is_forgotten_shows(lesson, pictures, tmp_path, forgotten):
    unbroken = lesson["new_training"]()
    steps(unbroken, pictures, 3)
    lesson["save_training"](tmp_path / "kept.pt", 3, **unbroken)
    losses = steps(unbroken, pictures, 4)
    second = lesson["new_training"]()
    lesson["load_training"](tmp_path / "kept.pt", **{name: part for name, part in second.items() if name != forgotten})
    if forgotten == "random":
        torch.manual_seed(7)
    assert steps(second, pictures, 4) != losses


def test_a_save_that_dies_in_the_middle_leaves_the_old_file(lesson, tmp_path, monkeypatch):
    parts, path = lesson["new_training"](), tmp_path / "kept.pt"
    lesson["save_training"](path, 1, **parts)

    def die(state, place):
        place.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(KeyboardInterrupt):
        lesson["save_training"](path, 2, **parts)
    assert lesson["load_training"](path, **lesson["new_training"]()) == 1


def test_the_checkpoint_of_a_gpu_has_its_generator_and_opens_without_one(lesson, tmp_path, monkeypatch):
    class Generator:
        state = torch.arange(4, dtype=torch.uint8)

        def get_rng_state(self):
            return self.state

        def set_rng_state(self, state):
            self.state = state

    gpu, parts, path = Generator(), lesson["new_training"](), tmp_path / "kept.pt"
    with monkeypatch.context() as there:
        there.setattr(torch.accelerator, "is_available", lambda: True)
        there.setattr(torch, "get_device_module", lambda device: gpu)
        lesson["save_training"](path, 1, **parts)
        gpu.state = None
        assert lesson["load_training"](path, **parts) == 1
        assert gpu.state.tolist() == [0, 1, 2, 3]
    assert lesson["load_training"](path, **parts) == 1


# --- what the checks say ---


def a_layer(calculate=lambda images, mean, std: (images - mean) / std, **more):
    """Return a class as exercise 1 wants it, with another calculation or more buffers."""

    class Layer(nn.Module):
        def __init__(self, mean, std):
            super().__init__()
            for name, numbers in {"mean": mean.view(3, 1, 1), "std": std.view(3, 1, 1), **more}.items():
                self.register_buffer(name, numbers)

        def forward(self, images):
            return calculate(images, self.mean, self.std)

    return Layer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (a_layer(), "✓ correct"),
        (a_layer(lambda images, mean, std: images - mean), "the results differ"),
        (a_layer(lambda images, mean, std: (images + mean) / std), "the results differ"),
        (a_layer(third=torch.ones(5)), "it saves 11 numbers, and should save 6"),
        (lambda mean, std: mean, "it should return the model, but it returned Tensor"),
    ],
)
def test_the_check_of_the_layer_says_what_is_wrong(answer, words):
    assert words in check_normalise.verdict(answer)


def in_parts(model, images, labels, part, together=False, step=False):
    """Exercise 2: right, or with one backward pass for all, or with a step in the loop."""
    model.zero_grad()
    losses = []
    for some, theirs in zip(images.split(part), labels.split(part)):
        losses.append(F.cross_entropy(model(some), theirs) * len(theirs) / len(labels))
        if not together:
            losses.pop().backward()
        if step:
            torch.optim.SGD(model.parameters(), 0.01).step()
    if together:
        sum(losses).backward()
    return model


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (in_parts, "✓ correct"),
        (lambda *given: in_parts(*given[:3], len(given[2])), "10 images went through the model at one time"),
        (lambda *given: in_parts(*given, together=True), "3 parts were kept at one time"),
        (lambda *given: in_parts(*given, step=True), "the weights have changed"),
        (lambda *given: in_parts(*given[:3], 2), "in 5 parts of at most 2"),
        (lambda model, *given: model, "there are no gradients"),
        (lambda *given: torch.zeros(3), "it should return the model, but it returned Tensor"),
    ],
)
def test_the_check_of_the_parts_looks_at_how_the_gradients_came_about(answer, words):
    assert words in check_gradients_in_parts.verdict(answer)


# --- the roof, and the recipe ---


def test_operations_and_bytes_are_those_of_lesson_03(lesson):
    for name, layer, given, output in trace_layers(ResidualCNN(), (3, 32, 32)):
        if isinstance(layer, nn.Conv2d):
            operations, moved = lesson["operations_and_bytes"](layer, given, output, 16)
            size = tuple(output.shape[2:])
            adds = conv_multiply_adds(layer.in_channels, layer.out_channels, layer.kernel_size[0], size)
            assert operations == 2 * 16 * adds, name
            assert moved == 16 * (given.nbytes + output.nbytes) + layer.weight.nbytes


def test_the_last_convolution_travels_furthest_as_the_prose_says(lesson):
    calls = {name: call for name, *call in trace_layers(ResidualCNN(), (3, 32, 32)) if isinstance(call[0], nn.Conv2d)}
    ratios = {}
    for name, call in calls.items():
        some = [lesson["operations_and_bytes"](*call, size) for size in (1, 128)]
        ratios[name] = [operations / moved for operations, moved in some]
    assert [round(ratio, 1) for ratio in ratios["blocks.2.conv2"]] == [4.4, 192.0]
    assert max(ratios, key=lambda name: ratios[name][1] / ratios[name][0]) == "blocks.2.conv2"
    lowest = sorted(ratios, key=lambda name: ratios[name][1])[:3]
    assert all(name == "stem" or calls[name][0].kernel_size == (1, 1) for name in lowest)


def test_whitening_makes_uncorrelated_maps_and_gentle_shifts_keep_the_shape(pictures):
    smooth = F.avg_pool2d(torch.randn(400, 3, 34, 34), 3, stride=1)
    stem = nn.Conv2d(3, 24, kernel_size=2)
    whiten(stem, smooth)
    covariance = torch.cov(stem(smooth)[:, :12].transpose(0, 1).flatten(1))
    assert torch.allclose(covariance, torch.eye(12), atol=0.1)
    assert not any(parameter.requires_grad for parameter in stem.parameters())
    assert [len(labels) for _, labels in gentle(*pictures, 16)] == [16, 16, 8]


def test_the_figure_is_what_exercise_4_calculates(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "images" / "figures")
    spec = importlib.util.spec_from_file_location("figures_11", ROOT / "images" / "figures" / "11.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    end = max(start + length for _, start, length, _ in module.side_by_side(module.BATCHES))
    together = check_epoch_seconds.reference(module.BATCHES, module.LOAD, module.COMPUTE)
    assert end == together
    alone = max(start + length for _, start, length, _ in module.one_after_the_other(4))
    assert alone == end, "four batches above take as long as six below"


# --- the stored run ---


@pytest.fixture(scope="module")
def shown():
    return "\n".join(printed(cell) for _, cell in code_cells(read(LESSON)))


def test_the_stored_table_has_every_lever_against_the_plain_loop(shown):
    found = dict(re.findall(r"^(\S.{25}) (\d+\.\d\d)   from", shown, re.MULTILINE))
    names = [name.strip() for name in found]
    assert names[0].startswith("plain")
    assert {"batch 16", "batch 128", "data on the device", "pinned, non_blocking", "channels-last"} <= set(names)
    assert {"both of these", "items", "items, 2 workers"} <= set(names)
    assert found[next(iter(found))] == "1.00"


def test_the_stored_run_resumed_without_a_difference(shown):
    rows = re.findall(r"^epoch (\d)   (\S+)   (\S+)   (\S+)", shown, re.MULTILINE)
    assert [row[0] for row in rows] == list("123456")
    assert all(one == other and float(difference) == 0 for _, one, other, difference in rows)


def test_the_prose_says_where_no_gpu_was_asked():
    prose = "\n".join(text(cell["source"]) for cell in read(LESSON)["cells"] if cell["cell_type"] == "markdown")
    assert prose.lower().count("not yet measured on a gpu") >= 8
