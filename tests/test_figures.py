"""The figures in images/: each is drawn by a script, the same bytes every time, and its numbers are right."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from utils.arithmetic import next_receptive_field

IMAGES = Path(__file__).resolve().parents[1] / "images"
SCRIPTS = sorted((IMAGES / "figures").glob("[0-9]*.py"))
LARGEST = {".svg": 150_000, ".gif": 500_000}  # bytes


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory):
    """Run every script twice, side by side, and return {script's name: (folder, folder)}."""
    folders = {}
    for script in SCRIPTS:
        folders[script.name] = tuple(tmp_path_factory.mktemp(script.stem) for _ in range(2))
        runs = [
            subprocess.Popen(
                [sys.executable, script, folder],
                env=os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
                stderr=subprocess.PIPE,
                text=True,
            )
            for folder, seed in zip(folders[script.name], ("1", "2"))
        ]
        for run in runs:
            _, problem = run.communicate(timeout=60)
            assert run.returncode == 0, problem
    return folders


def files(folder):
    return {path.name: path for path in folder.iterdir() if path.is_file()}


def import_script(name, monkeypatch):
    """Import one of the scripts, whose name is no Python name."""
    monkeypatch.syspath_prepend(IMAGES / "figures")
    spec = importlib.util.spec_from_file_location(f"figures_{name}", IMAGES / "figures" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", [script.name for script in SCRIPTS])
def test_a_script_draws_the_same_bytes_twice(script, redrawn):
    first, second = (files(folder) for folder in redrawn[script])
    assert first, f"{script} wrote nothing"
    assert first.keys() == second.keys()
    assert [name for name in first if first[name].read_bytes() != second[name].read_bytes()] == []


@pytest.mark.parametrize("script", [script.name for script in SCRIPTS])
def test_a_figure_bears_its_lessons_number(script, redrawn):
    assert all(name.startswith(Path(script).stem + "_") for name in files(redrawn[script][0]))


def test_every_figure_has_a_script_and_every_script_its_figures(redrawn):
    drawn = {name for first, _ in redrawn.values() for name in files(first)}
    assert set(files(IMAGES)) == drawn, "run `make figures`, and remove what no script draws"


@pytest.mark.parametrize("name", sorted(files(IMAGES)))
def test_a_figure_is_small_and_whole(name):
    path = IMAGES / name
    assert path.stat().st_size <= LARGEST[path.suffix]
    if path.suffix == ".svg":
        content = path.read_text(encoding="utf-8")
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(content).iter()}
        assert "text" not in tags, "letters must be outlines, to look alike on every machine"
        assert "<dc:date>" not in content
    else:
        with Image.open(path) as animation:
            assert animation.n_frames > 1
            assert animation.info["loop"] == 0


def test_the_sliding_kernel_shows_pytorchs_numbers(monkeypatch):
    module = import_script("01", monkeypatch)
    image, kernel = torch.tensor(module.IMAGE).float(), torch.tensor(module.KERNEL).float()
    expected = F.conv2d(image[None, None], kernel[None, None])[0, 0]
    assert torch.equal(torch.tensor(module.ACTIVATION_MAP).float(), expected)
    assert image.tolist() == [
        [1, 2, 0, 1, 0], [0, 1, 3, 1, 1], [2, 0, 1, 0, 2], [1, 1, 0, 2, 1], [0, 2, 1, 1, 0]
    ]  # fmt: skip
    written = [text.get_text() for text in module.draw_sliding(8).axes[0].texts]
    cells = [module.number(int(value)) for value in [*image.flatten(), *kernel.flatten(), *expected.flatten()]]
    titles = ("image 5 × 5", "∗", "kernel 3 × 3", "=", "activation map 3 × 3")
    assert [text for text in written if text not in titles][: len(cells)] == cells


def test_the_sizes_in_the_four_panels_are_pytorchs(monkeypatch):
    module = import_script("01", monkeypatch)
    figure = module.draw_settings()
    written = {text.get_text() for text in figure.axes[0].texts}
    for _, size, padding, stride, dilation in module.PANELS:
        output = F.conv2d(torch.zeros(1, 1, size, size), torch.zeros(1, 1, 3, 3), None, stride, padding, dilation)
        result = output.shape[-1]
        assert f"output {result} × {result}" in written
        assert f"⌊({size} + 2·{padding} − {dilation}·(3 − 1) − 1) / {stride}⌋ + 1 = {result}" in written


def test_the_shapes_of_the_pipeline_are_pytorchs(monkeypatch):
    module = import_script("01", monkeypatch)
    layers = [
        torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.MaxPool2d(2), torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(1568, 10),
    ]  # fmt: skip
    images = torch.tensor(module.digit())[None, None]
    shapes = ["×".join(map(str, images.shape[1:]))]
    for layer in layers:
        images = layer(images)
        shapes.append("×".join(map(str, images.shape[1:])))
    assert [shape.split("\n")[0] for _, _, shape, _ in module.STAGES[:7]] == shapes


def test_max_and_average_pooling_show_pytorchs_numbers(monkeypatch):
    module = import_script("02", monkeypatch)
    activation_map = torch.tensor(module.MAP).float()[None, None]
    largest, means = F.max_pool2d(activation_map, 2)[0, 0], F.avg_pool2d(activation_map, 2)[0, 0]
    assert torch.equal(torch.tensor(module.MAX).float(), largest)
    assert torch.equal(torch.tensor(module.AVERAGE), means)

    written = [text.get_text() for text in module.draw_max_average().axes[0].texts]
    cells = [int(text) for text in written if text.isdigit()]
    assert cells == [*activation_map.flatten().tolist(), *largest.flatten().tolist(), *means.flatten().tolist()]
    sums = [text for text in written if "= " in text]
    assert [int(text.split("= ")[1]) for text in sums] == cells[16:]
    for text, window in zip(sums, F.unfold(activation_map, 2, stride=2)[0].T.repeat(2, 1)):
        in_brackets = text.partition("(")[2].partition(")")[0].replace(" +", ",")
        assert [int(value) for value in in_brackets.split(",")] == window.tolist()


def test_the_gradients_of_pooling_are_autograds(monkeypatch):
    module = import_script("02", monkeypatch)
    arriving, drawn = torch.tensor(module.ARRIVING).float(), []
    for pool, gradient in ((F.max_pool2d, module.max_gradient()), (F.avg_pool2d, module.average_gradient())):
        activation_map = torch.tensor(module.MAP).float().requires_grad_()
        pool(activation_map[None, None], 2).backward(arriving[None, None])
        assert torch.equal(torch.tensor(gradient).float(), activation_map.grad)
        drawn += activation_map.grad.flatten().tolist()
    written = [text.get_text() for text in module.draw_gradient().axes[0].texts]
    expected = [*torch.tensor(module.MAP).flatten().tolist(), *arriving.flatten().tolist(), *drawn]
    assert [int(text) for text in written if text.isdigit()] == expected


@pytest.mark.parametrize("step", range(9))
def test_the_multi_channel_sum_is_pytorchs_at_every_step(step, monkeypatch):
    module = import_script("03", monkeypatch)
    image, weight = torch.tensor(module.IMAGE).float(), torch.tensor(module.WEIGHT).float()[:1]
    output = F.conv2d(image[None], weight, torch.tensor(module.BIAS).float()[:1])[0, 0]
    maps = F.conv2d(image[None], weight[0][:, None], groups=3)[0]
    assert torch.equal(torch.tensor(module.OUTPUT).float(), output)
    assert torch.equal(torch.tensor(module.MAPS).float(), maps)

    written = [text.get_text() for text in module.draw_sum(step).axes[0].texts]
    row, column = module.POSITIONS[step]
    added_up = written[written.index("bias") - 6 : written.index(f"row {row}, column {column}")]
    numbers = [module.number(int(value)) for value in [*maps[:, row, column], module.BIAS[0], output[row, column]]]
    assert added_up == [text for pair in zip(("red", "green", "blue", "bias", "sum"), numbers) for text in pair]
    window = image[:, row : row + 2, column : column + 2]
    assert [int(text) for text in products(written)[0::2]] == window.flatten().tolist()
    factors = [text.strip("()").replace("−", "-") for text in products(written)[1::2]]
    assert [int(text) for text in factors] == weight.flatten().tolist()


def products(written):
    """Return what stands on both sides of each × in a figure's texts, in order."""
    signs = [place for place, text in enumerate(written) if text == "×"]
    return [text for place in signs for text in (written[place - 1], written[place + 1])]


def test_the_columns_of_im2col_are_pytorchs(monkeypatch):
    module = import_script("03", monkeypatch)
    image, weight = torch.tensor(module.IMAGE).float(), torch.tensor(module.WEIGHT).float()
    columns = F.unfold(image[None], (2, 2))[0]
    outputs = F.conv2d(image[None], weight, torch.tensor(module.BIAS).float())[0].flatten(1)
    assert torch.equal(torch.tensor(module.unfold()).float(), columns)
    assert torch.equal(weight.flatten(1) @ columns + torch.tensor(module.BIAS)[:, None], outputs)

    texts = [text.get_text() for text in module.draw_im2col(1).axes[0].texts]
    written = [int(text.replace("−", "-")) for text in texts if text.lstrip("−").isdigit()]
    expected = torch.cat([image.flatten(), columns.flatten(), weight.flatten(), outputs.flatten()])
    assert written == expected.tolist()
    assert texts[-1].endswith(f"= {outputs[0, 1]:.0f}")


def test_the_weights_of_the_groups_are_the_layers(monkeypatch):
    module = import_script("03", monkeypatch)
    for _, groups in module.PANELS:
        layers = [torch.nn.Conv2d(4, 4, 3, groups=groups or 4, bias=False)]
        if groups is None:
            layers.append(torch.nn.Conv2d(4, 4, 1, bias=False))
        count = sum(layer.weight.numel() for layer in layers)
        assert module.count_weights(groups).endswith(f"= {count} weights")
    lines = module.draw_groups().axes[0].lines
    assert len(lines) == 16 + 8 + 4 + 4 + 16, "a line for each kernel"


def test_the_shapes_and_counts_of_lenet_are_pytorchs(monkeypatch):
    module = import_script("04", monkeypatch)
    layers = [
        torch.nn.Conv2d(1, 6, 5), torch.nn.MaxPool2d(2), torch.nn.Conv2d(6, 16, 5), torch.nn.MaxPool2d(2),
        torch.nn.Sequential(torch.nn.Conv2d(16, 120, 5), torch.nn.Flatten()), torch.nn.Linear(120, 84),
        torch.nn.Linear(84, 10),
    ]  # fmt: skip
    images = torch.zeros(1, 1, 32, 32)
    shapes, counts = [tuple(images.shape[1:])], []
    for layer in layers:
        images = layer(images)
        shapes.append(tuple(images.shape[1:]))
        counts.append(sum(weight.numel() for weight in layer.parameters()))
    assert [stage[3] for stage in module.STAGES] == shapes
    assert [stage[6] for stage in module.STAGES[1:]] == counts
    sparse = 25 * sum(map(len, module.TABLE)) + len(module.TABLE)
    assert [stage[5] for stage in module.STAGES[1:]] == [counts[0], 2 * 6, sparse, 2 * 16, *counts[4:6], 0]

    written = [text.get_text() for text in module.draw_lenet().axes[0].texts]
    assert {"×".join(map(str, shape)) for shape in shapes} <= set(written)
    assert {f"= {sum(counts):,}", "= 60,000"} <= set(written)


def test_the_table_of_c3_is_the_lessons(monkeypatch):
    module = import_script("04", monkeypatch)
    lesson = (IMAGES.parent / "notebooks" / "04_cnn_architecture.ipynb").read_text(encoding="utf-8")
    assert f'C3_TABLE = \\"{" ".join(module.TABLE)}\\".split()' in lesson
    assert [sum(str(row) in inputs for inputs in module.TABLE) for row in range(6)] == [10] * 6
    written = [text.get_text() for text in module.draw_c3_table().axes[0].texts]
    assert written.count("×") == 60


def test_the_receptive_field_is_what_the_gradient_reaches(monkeypatch):
    module = import_script("04", monkeypatch)
    image = torch.ones(1, 1, module.PIXELS, requires_grad=True)
    maps = [image]
    for _, kernel_size, stride, padding in module.LAYERS:
        maps.append(F.conv1d(maps[-1], torch.ones(1, 1, kernel_size), stride=stride, padding=padding))
    for values, (first, last) in zip(maps, module.seen()):
        (gradient,) = torch.autograd.grad(maps[-1][0, 0, module.UNIT], values, retain_graph=True)
        assert gradient[0, 0].nonzero().flatten().tolist() == list(range(first, last + 1))
    field = (1, 1, 0)
    for (_, *settings), drawn in zip(module.LAYERS, module.fields()[1:]):
        field = next_receptive_field(field, *settings)
        assert drawn == field


def test_the_stamps_add_up_to_autograds_gradient(monkeypatch):
    module = import_script("04", monkeypatch)
    image = torch.zeros(1, 1, 3, 3, requires_grad=True)
    kernel, upstream = (torch.tensor(grid).float()[None, None] for grid in (module.KERNEL, module.GRADIENT))
    F.conv2d(image, kernel).backward(upstream)
    assert image.grad[0, 0].tolist() == module.INPUT_GRADIENT
    assert kernel[0, 0].flip(0, 1).tolist() == module.FLIPPED
    written = [text.get_text() for text in module.draw_backward().axes[0].texts]
    stamps = [module.number(value) for grid in module.STAMPS for row in grid for value in row if value is not None]
    assert [text for text in written if text.lstrip("−").isdigit()][:16] == stamps


def test_the_shares_under_the_mixed_pictures_are_those_of_their_pixels(monkeypatch):
    module = import_script("06", monkeypatch)
    first, second = (torch.tensor(picture) for picture in (module.ship(), module.automobile()))
    panels = {name: (label, torch.tensor(picture.copy())) for name, label, picture in module.panels()}
    label, pasted = panels["cutmix"]
    share = (pasted == first).all(dim=2).double().mean().item()
    differ = ((first != second).any(dim=2) & (pasted == second).all(dim=2)).double().mean().item()
    top, left, side = module.PATCH
    assert side**2 / module.SIZE**2 == 0.25
    assert label == "0.75 ship,\n0.25 automobile"
    assert share >= 0.75
    assert differ <= 0.25
    assert torch.equal(pasted[top : top + side, left : left + side], second[top : top + side, left : left + side])
    label, mixed = panels["mixup"]
    assert label == "0.7 ship,\n0.3 automobile"
    assert torch.allclose(mixed, 0.7 * first + 0.3 * second)


def test_the_calls_for_a_batch_are_counted_right(monkeypatch):
    module = import_script("06", monkeypatch)
    written = [text.get_text() for text in module.draw_item_or_batch().axes[0].texts]
    assert [text for text in written if text in module.STEPS] == module.STEPS * 3
    assert f"{len(module.STEPS)} × {module.BATCH} = 384 calls, in Python, for one batch" in written
