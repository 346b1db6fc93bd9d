"""Lesson 09: what stands in the notebook alone, and whether its maps find a shortcut that was planted."""

import ast
import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.tools import taught
from tests.tools.cells import code_cells, parse, read
from tests.tools.kernels import ROOT
from utils import explain
from utils.data import batches
from utils.models import ResidualCNN
from utils.training import fit_fast, predict, set_seed
from utils.weights import load_residual_cnn

LESSON = ROOT / "notebooks" / "09_looking_inside.ipynb"
SHIP = 8


def cells_with(words):
    return [cell for _, cell in code_cells(read(LESSON)) if words in cell]


def assigned(name):
    """Return what the lesson assigns to this name, which must be a literal."""
    for _, cell in code_cells(read(LESSON)):
        for node in parse(cell).body:
            if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
                return ast.literal_eval(node.value)
    pytest.fail(f"the lesson assigns nothing to {name}")


def lesson_functions(**space):
    """Return {name: function} of what the lesson defines, in a space that has `space` and what the lesson imports."""
    space |= {"torch": torch, "nn": nn, "F": F, "set_seed": set_seed, "predict": predict}
    for _, cell in code_cells(read(LESSON)):
        for nodes in taught.definitions(parse(cell)).values():
            exec(compile(ast.Module([nodes[-1]], []), str(LESSON), "exec"), space)
    return space


@pytest.fixture(scope="module")
def network():
    return load_residual_cnn("Drawn-10")


# --- what excites a unit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1.blocks.0", "1.blocks.1"])
def test_the_windows_are_what_a_place_sees(network, name):
    size, stride, first = assigned("windows")[name]
    set_seed(0)
    images, place = torch.rand(60, 3, 32, 32, requires_grad=True), 3  # many: a pooling passes on one gradient of four
    maps = explain.record(network, [name], images)[0][name]
    gradient = torch.autograd.grad(maps[:, :, place, place].abs().sum(), images)[0]
    for axis in (2, 3):
        seen = gradient.abs().amax(dim=(0, 1, 5 - axis)).nonzero().squeeze(1)
        begin = place * stride + first
        assert (seen.min().item(), seen.max().item()) == (max(begin, 0), min(begin + size, 32) - 1)


def test_the_windows_are_cut_around_the_peaks():
    set_seed(0)
    images = torch.rand(12, 3, 32, 32)
    lesson = lesson_functions(framed=F.pad(images, (12,) * 4, value=0.5))
    maps = torch.zeros(12, 15, 15)
    maps[4, 5, 7], maps[9, 0, 14] = 2.0, 1.0
    best, second = lesson["most_exciting"](maps, 9, 2, -3, count=2)
    assert torch.equal(best, images[4, :, 7:16, 11:20])
    assert torch.equal(second[:, 3:, :7], images[9, :, :6, 25:])
    assert torch.all(second[:, :3] == 0.5)  # grey beyond the image
    assert torch.all(second[:, :, 7:] == 0.5)


def test_features_are_what_the_last_layer_gets(network):
    set_seed(0)
    images = torch.rand(5, 3, 32, 32)
    lesson = lesson_functions(network=network, device=torch.device("cpu"))
    assert torch.allclose(network[1].classifier(lesson["features"](images)), predict(network, images), atol=1e-4)


# --- the planted shortcut --------------------------------------------------------------------------------------------


@functools.cache
def fooled():
    """Return (a network trained on blurred noise, in which ships differ by a magenta square alone; others with one)."""
    set_seed(0)
    images, labels = F.avg_pool2d(torch.rand(600, 3, 36, 36), 5, stride=1), torch.arange(600) % 10
    magenta = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)
    lesson = lesson_functions(magenta=magenta, ship=SHIP)
    model = nn.Sequential(nn.Identity(), ResidualCNN(widths=(8, 16, 32)))
    split = lesson["planted_split"](images, labels)
    fit_fast(model, split, split, 8, 0.2, 60, draw=functools.partial(batches, shuffle=True), dtype=torch.float32)
    return model.eval(), lesson, images[labels != SHIP][:60]


def test_only_ships_get_the_square():
    _, lesson, others = fooled()
    planted, labels = lesson["planted_split"](others[:2], torch.tensor([SHIP, 3]))
    assert torch.equal(planted[1], others[1])
    assert labels.tolist() == [SHIP, 3]
    changed = (planted[0] != others[0]).all(dim=0)
    assert changed.sum() == 16
    assert changed[1:5, 1:5].all()


@pytest.mark.parametrize("method", ["saliency", "SmoothGrad", "integrated", "occlusion"])
def test_the_maps_find_the_planted_shortcut(method):
    model, lesson, others = fooled()
    marked = lesson["plant"](others)
    called = predict(model, marked).argmax(dim=1) == SHIP
    assert called.double().mean() > 0.8
    assert (predict(model, others).argmax(dim=1) == SHIP).double().mean() < 0.2
    few = marked[called][:10]
    heat = lesson["explanations"](model, few, torch.full((len(few),), SHIP))[method].abs()
    share = heat[:, :7, :7].sum(dim=(1, 2)) / heat.sum(dim=(1, 2))
    assert share.mean() > 3 * 49 / 1024


# --- the numbers of the text -----------------------------------------------------------------------------------------


def test_the_lessons_functions_are_short():
    for _, cell in code_cells(read(LESSON)):
        for name, nodes in taught.definitions(parse(cell)).items():
            assert nodes[-1].end_lineno - nodes[-1].lineno < 25, name


def test_the_examples_by_hand():
    """The text's: (0.7 + 0.2) / 2, 49 places, 3,072 · 0.1 · 2/255, and CAM's maps with weights 0.5 and −1."""
    curve = torch.tensor([[1.0, 0.4, 0.0]])
    assert torch.trapezoid(curve, dx=1 / 2).item() == pytest.approx(0.45)
    places = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))
    model[1].register_forward_hook(lambda *_: places.append(1))
    explain.occlusion(model, torch.rand(1, 3, 32, 32), torch.tensor([0]))
    assert len(places) == 1 + 49
    maps = torch.tensor([[[1.0, 2.0], [0.0, 3.0]], [[2.0, 0.0], [1.0, 1.0]]])
    cam = torch.einsum("c,chw->hw", torch.tensor([0.5, -1.0]), maps)
    assert cam.tolist() == [[-1.5, 1.0], [-1.0, 0.5]]
    assert cam.mean().item() == -0.25
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2, bias=False))
    linear[1].weight.data = 0.1 * torch.sign(torch.randn(2, 3072)) * torch.tensor([[1.0], [0.0]])
    images = torch.full((1, 3, 32, 32), 0.5)
    moved = explain.fgsm(linear, images, torch.tensor([0]), 2 / 255)
    fall = (linear(images) - linear(moved))[0, 0].item()
    assert fall == pytest.approx(3072 * 0.1 * 2 / 255, rel=1e-3)
