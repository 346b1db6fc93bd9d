"""How closely lesson 09's maps agree with Captum's: `python -m tests.tools.measure_09` writes the table.

Both shipped networks, 20 validation images each, the true class.
"""

import json

import captum.attr as captum
import torch
from torch.nn import functional as F

from tests.tools.kernels import ROOT, offline_data, settle_course_data
from tests.tools.machine import surroundings
from utils import explain
from utils.data import load_cifar10
from utils.weights import load_residual_cnn

PATH = ROOT / "tests" / "results" / "captum.json"
COUNT = 20
LAYERS = ("1.blocks.0", "1.blocks.1", "1.blocks.2", "1.norm")


def validation(count=COUNT):
    """Return the first images of the validation split, in 0..1, and their classes."""
    split = load_cifar10().validation
    return split.images[:count].float() / 255, split.labels[:count]


def differences(network, images, classes):
    """Return {method: largest difference between the lesson's numbers and Captum's}."""
    gradients = captum.Saliency(network).attribute(images, target=classes)
    grey = torch.full_like(images, 0.5)
    pairs = {
        "saliency": (explain.saliency(network, images, classes), gradients.amax(dim=1)),
        "integrated gradients": (
            explain.integrated_gradients(network, images, classes),
            captum.IntegratedGradients(network).attribute(
                images, grey, target=classes, n_steps=32, method="riemann_middle"
            ),
        ),
        "occlusion": (
            explain.occlusion(network, images, classes),
            captum.Occlusion(network).attribute(images, (3, 8, 8), (3, 4, 4), 0.5, target=classes)[:, 0],
        ),
    }
    for name in LAYERS:
        small = captum.LayerGradCam(network, explain.find_layer(network, name)).attribute(
            images, target=classes, relu_attributions=True
        )
        large = F.interpolate(small, images.shape[2:], mode="bilinear")[:, 0]
        pairs[f"Grad-CAM, {name}"] = explain.grad_cam(network, images, classes, name), large
    return {name: (one - two).abs().max().item() for name, (one, two) in pairs.items()}


def main():
    settle_course_data("data")
    found = {}
    with offline_data():
        found["Drawn-10"] = differences(load_residual_cnn("Drawn-10"), *validation())
    source = load_cifar10().source
    if not source.startswith("Drawn-10"):
        found[source] = differences(load_residual_cnn(source), *validation())
    for source, table in found.items():
        for name, difference in table.items():
            print(f"{source:24} {name:24} {difference:.1e}")
    largest = {f"{source}: {name}": value for source, table in found.items() for name, value in table.items()}
    result = {"images": COUNT, "split": "validation", "largest_difference": largest, **surroundings()}
    PATH.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
