"""Lesson 09's methods against independent ones (Captum), on networks by hand, and with input that is none."""

import copy
import json

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model

from tests.tools import measure_09
from utils import explain
from utils.models import ResidualCNN
from utils.training import set_seed
from utils.weights import load_residual_cnn

SOURCE = "Drawn-10"
BLOCKS = ["1.blocks.0", "1.blocks.1", "1.blocks.2", "1.norm"]


@pytest.fixture(scope="module")
def network():
    return load_residual_cnn(SOURCE)


@pytest.fixture(scope="module")
def drawings():
    """Twenty drawings of the validation split, and their classes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", "offline")
        return measure_09.validation(20)


# --- recording -------------------------------------------------------------------------------------------------------


def test_record_returns_what_comes_out_of_each_layer(network, drawings):
    images, _ = drawings
    with torch.no_grad():
        outputs, logits = explain.record(network, ["1.stem", "1.blocks.0"], images)
        stem = network[1].stem(network[0](images))
        assert torch.equal(outputs["1.stem"], stem)
        assert torch.equal(outputs["1.blocks.0"], network[1].blocks[0](stem))
        assert torch.equal(logits, network(images))


def test_a_layer_that_works_in_place_changes_nothing_that_was_recorded():
    model, images = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(inplace=True)), torch.randn(1, 3, 4, 4)
    outputs, _ = explain.record(model, ["0"], images)
    assert torch.equal(outputs["0"], model[0](images))
    assert outputs["0"].min() < 0


def test_no_hook_is_left_behind_even_after_an_error(network):
    with pytest.raises(ValueError, match="images"):
        explain.record(network, ["1.stem"], torch.rand(1, 3, 5, 5))
    with pytest.raises(ValueError, match="no layer"):
        explain.record(network, ["1.stem", "x"], torch.rand(1, 3, 32, 32))
    assert not any(layer._forward_hooks for layer in network.modules())


def test_an_unknown_layer_is_answered_with_those_that_there_are():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(ValueError, match=r"there is no layer 'conv'; there are: 0, 1"):
        explain.find_layer(model, "conv")


# --- against Captum --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_the_maps_agree_with_captums(network, drawings):
    for name, difference in measure_09.differences(network, *drawings).items():
        assert difference < 1e-4, name


def test_the_measured_agreement_is_in_the_results():
    found = json.loads(measure_09.PATH.read_text(encoding="utf-8"))
    assert max(found["largest_difference"].values()) < 1e-4
    assert found["images"] == 20


# --- by hand ---------------------------------------------------------------------------------------------------------


def linear(weights):
    """Return a model with one logit: the sum of weights times pixels."""
    return lambda images: (images * weights).sum(dim=(1, 2, 3)).view(-1, 1)


def test_for_a_linear_model_gradients_are_its_weights():
    weights, images, zero = torch.randn(3, 4, 4), torch.rand(2, 3, 4, 4), torch.tensor([0, 0])
    assert torch.allclose(explain.input_gradients(linear(weights), images, zero), weights.expand(2, 3, 4, 4))
    assert torch.allclose(explain.saliency(linear(weights), images, zero)[0], weights.abs().amax(dim=0))
    assert torch.allclose(explain.smooth_grad(linear(weights), images, zero)[0], weights.abs().amax(dim=0), atol=1e-5)
    shares = explain.integrated_gradients(linear(weights), images, zero, steps=1)
    assert torch.allclose(shares, weights * (images - 0.5), atol=1e-6)


def test_shares_of_integrated_gradients_add_up(network, drawings):
    images, classes = drawings
    shares = explain.integrated_gradients(network, images, classes, steps=64).sum(dim=(1, 2, 3))
    with torch.no_grad():
        way = explain.pick(network(images) - network(torch.full_like(images, 0.5)), classes)
    assert (shares - way).abs().max() < 0.05 * way.abs().mean()


def test_occlusion_finds_the_one_pixel_that_counts():
    weights = torch.zeros(3, 8, 8)
    weights[0, 2, 5] = 1
    heat = explain.occlusion(linear(weights), torch.ones(1, 3, 8, 8), torch.tensor([0]), size=1, stride=1, fill=0.0)
    assert heat[0].nonzero().tolist() == [[2, 5]]
    assert heat[0, 2, 5] == 1
    with pytest.raises(ValueError, match="patch of 9 × 9 is larger than the image of 8 × 8"):
        explain.occlusion(linear(weights), torch.ones(1, 3, 8, 8), torch.tensor([0]), size=9)


def test_grad_cam_by_hand():
    """The numbers of the lesson's first figure."""
    maps = torch.tensor([[[1.0, 2.0], [0.0, 3.0]], [[2.0, 0.0], [1.0, 1.0]]])
    gradients = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[-2.0, -1.0], [0.0, -1.0]]])

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.Identity()

        def forward(self, images):
            return (self.maps(images * maps) * gradients).sum(dim=(1, 2, 3)).view(-1, 1)

    heat = explain.grad_cam(Model(), torch.ones(1, 2, 2, 2), torch.tensor([0]), "maps")
    assert torch.allclose(heat, torch.tensor([[[0.0, 1.0], [0.0, 0.5]]]))


def test_grad_cam_of_the_last_maps_is_cam(network, drawings):
    images, classes = drawings
    with torch.no_grad():
        maps = explain.record(network, ["1.norm"], images)[0]["1.norm"]
    weights = network[1].classifier.weight[classes]
    positive = F.relu(torch.einsum("nc,nchw->nhw", weights, F.relu(maps)))
    heat = explain.grad_cam(nn.Sequential(network[0], Rectified(network[1])), images, classes, "1.rectified")
    expected = F.interpolate(positive.unsqueeze(1) / 9, (32, 32), mode="bilinear")[:, 0]
    assert torch.allclose(heat, expected.detach(), atol=1e-5)


class Rectified(nn.Module):
    """ResidualCNN with its last ReLU as a layer."""

    def __init__(self, network):
        super().__init__()
        self.network, self.rectified = network, nn.ReLU()

    def forward(self, images):
        maps = self.rectified(self.network.norm(self.network.blocks(self.network.stem(images))))
        return self.network.classifier(maps.mean(dim=(2, 3)))


def test_grad_cam_works_where_the_weights_are_frozen(network, drawings):
    images, classes = (part[:2] for part in drawings)
    frozen = copy.deepcopy(network).requires_grad_(False)
    expected = explain.grad_cam(network, images, classes, "1.blocks.1")
    assert torch.allclose(explain.grad_cam(frozen, images, classes, "1.blocks.1"), expected)


def test_grad_cam_says_where_there_are_no_maps(network, drawings):
    images, classes = (part[:2] for part in drawings)
    with pytest.raises(ValueError, match=r"needs maps \(N, C, H, W\), but the layer '1.classifier' gives \(2, 10\)"):
        explain.grad_cam(network, images, classes, "1.classifier")


@pytest.mark.parametrize("wrong", [10, -1])
def test_a_class_that_is_none_is_named(network, wrong):
    images, classes = torch.rand(2, 3, 32, 32), torch.tensor([0, wrong])
    with pytest.raises(ValueError, match=r"this network's classes are 0 to 9, but \[0, "):
        explain.saliency(network, images, classes)
    with pytest.raises(ValueError, match="this network's classes"):
        explain.grad_cam(network, images, classes, "1.blocks.0")


def test_nothing_is_changed_by_being_explained(network, drawings):
    images, classes = (part[:2] for part in drawings)
    before, pixels = copy.deepcopy(network.state_dict()), images.clone()
    for method in (explain.saliency, explain.smooth_grad, explain.integrated_gradients, explain.occlusion):
        method(network, images, classes)
    explain.grad_cam(network, images, classes, "1.blocks.1")
    explain.maximise(network, lambda logits: logits[:, 0].mean(), "1", 32, steps=2)
    assert torch.equal(images, pixels)
    assert not images.requires_grad
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


# --- images that excite, curves, and steps ---------------------------------------------------------------------------


def test_maximise_raises_what_it_is_asked_to(network):
    def score(logits):
        return logits[:, 3].mean()

    set_seed(0)
    image = explain.maximise(network, score, "1", 32, steps=40)
    assert image.shape == (1, 3, 32, 32)
    assert image.min() >= 0
    assert image.max() <= 1
    with torch.no_grad():
        assert score(network(image)) > score(network(torch.full_like(image, 0.5))) + 5


def test_roughness_is_held_down(network):
    rough = []
    for smooth in (0.0, 100.0):
        set_seed(0)
        image = explain.maximise(
            network, lambda logits: logits[:, 3].mean(), "1", 32, steps=30, smooth=smooth, jitter=2
        )
        rough.append(explain.roughness(image).item())
    assert rough[1] < 0.5 * rough[0]


def test_deletion_takes_the_largest_first_and_insertion_brings_them():
    weights = torch.zeros(3, 4, 4)
    weights[:, 0, 0] = 4.0

    def model(images):
        logit = (images * weights).sum(dim=(1, 2, 3))
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)

    images, zero = torch.ones(1, 3, 4, 4), torch.tensor([0])
    heat = torch.arange(16.0, 0, -1).view(1, 4, 4)  # the first pixel counts most
    low, high = 0.5, torch.sigmoid(torch.tensor(12.0)).item()
    deleted = explain.deletion_curve(model, images, heat, zero, steps=4, fill=0.0)[0]
    assert torch.allclose(deleted, torch.tensor([high, low, low, low, low]))
    inserted = explain.deletion_curve(model, images, heat, zero, steps=4, fill=0.0, insert=True)[0]
    assert torch.allclose(inserted, torch.tensor([low, high, high, high, high]))
    late = explain.deletion_curve(model, images, -heat, zero, steps=4, fill=0.0)[0]
    assert torch.allclose(late, torch.tensor([high, high, high, high, low]))


def test_fgsm_moves_every_number_by_epsilon_and_raises_the_loss(network, drawings):
    images, classes = drawings
    moved = explain.fgsm(network, images, classes, 2 / 255)
    assert (moved - images).abs().max() <= 2 / 255 + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    with torch.no_grad():
        assert F.cross_entropy(network(moved), classes) > F.cross_entropy(network(images), classes) + 0.3


# --- do the maps depend on what was learned? -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["integrated", "occlusion", "Grad-CAM"])
def test_other_weights_give_another_map(network, drawings, method):
    images, classes = drawings
    set_seed(1)
    other = nn.Sequential(network[0], ResidualCNN(widths=[32, 128, 128])).eval()
    methods = {
        "integrated": lambda model: explain.integrated_gradients(model, images, classes).sum(dim=1),
        "occlusion": lambda model: explain.occlusion(model, images, classes),
        "Grad-CAM": lambda model: explain.grad_cam(model, images, classes, "1.blocks.1"),
    }
    pairs = zip(methods[method](network), methods[method](other))
    found = [spearmanr(one.flatten(), two.flatten()).statistic for one, two in pairs]
    assert torch.tensor(found).nanmean() < 0.5


def test_a_model_without_convolutions_can_be_asked_too():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    images, classes = torch.rand(2, 3, 4, 4), torch.tensor([0, 2])
    assert torch.allclose(explain.input_gradients(model, images, classes).flatten(1), model[1].weight[classes])
    with pytest.raises(ValueError, match="needs maps"):
        explain.grad_cam(model, images, classes, "0")


def test_the_maps_of_a_large_network_with_layers_in_place():
    set_seed(0)
    model, images = get_model("squeezenet1_1").eval(), torch.rand(1, 3, 64, 64)
    for name in ("features.0", "features.3", "features.12"):
        assert explain.grad_cam(model, images, torch.tensor([7]), name).shape == (1, 64, 64)
