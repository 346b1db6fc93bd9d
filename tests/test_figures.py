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
