"""Lesson 13: calibration, intervals and the shipped files of utils/shipping.py, and what the lesson's cells promise."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from torch import nn
from torch.nn import functional as F

from utils.explain import grad_cam
from utils.shipping import WithMaps, calibration_error, export_classifier, fit_temperature, wilson_interval

# --- confidence ------------------------------------------------------------------------------------------------------


def answers(count, seed=0):
    """Return confidences, and whether each answer is right: as often as its confidence says."""
    torch.manual_seed(seed)
    confidences = 0.1 + 0.9 * torch.rand(count)
    return confidences, torch.rand(count) < confidences


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_the_calibration_error_is_what_scikit_learns_curve_gives(bins):
    confidences, correct = answers(2000)
    correct[:700] = False
    accuracy, confidence = calibration_curve(correct, confidences, n_bins=bins)
    counts, _ = np.histogram(confidences, np.linspace(0, 1, bins + 1))
    error = (counts[counts > 0] * abs(accuracy - confidence)).sum() / 2000
    assert calibration_error(confidences, correct, bins) == pytest.approx(error, abs=1e-6)


def test_the_calibration_error_counts_every_answer_once_and_takes_the_ends():
    assert calibration_error(torch.tensor([0.0, 1.0]), torch.tensor([False, True])) == 0
    assert calibration_error(torch.tensor([1.0] * 3 + [0.5]), torch.tensor([True, True, False, True])) == pytest.approx(
        (1 + 0.5) / 4
    )
    assert calibration_error(*answers(100)) > 0.02, "its bias: these confidences are true"
    assert calibration_error(*answers(200_000)) < 0.005


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_there_is_found(temperature):
    torch.manual_seed(0)
    logits = 2 * torch.randn(20_000, 10)
    labels = torch.multinomial(logits.softmax(dim=1), 1)[:, 0]
    found = fit_temperature(temperature * logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    slope = torch.tensor(found, dtype=torch.float64, requires_grad=True)
    F.cross_entropy(temperature * logits.double() / slope, labels).backward()
    assert slope.grad.abs() < 1e-4


def test_logits_that_are_never_wrong_end_at_a_small_temperature():
    assert 0.04 < fit_temperature(5 * torch.eye(10), torch.arange(10)) < 0.3


@pytest.mark.parametrize(("successes", "count"), [(0, 10), (10, 10), (3, 7), (450, 500)])
def test_the_interval_is_scipys(successes, count):
    interval = binomtest(successes, count).proportion_ci(method="wilson")
    assert wilson_interval(successes, count) == pytest.approx((interval.low, interval.high), abs=1e-4)


def test_nothing_counted_has_no_interval():
    with pytest.raises(ValueError, match="at least one"):
        wilson_interval(0, 0)


# --- the shipped files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    maps_of = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
    return WithMaps(maps_of, nn.Linear(6, 3)).train()


@pytest.fixture(scope="module")
def shipped(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a folder") / "for Zoë"
    facts = {"temperature": 0.6, "threshold": 0.9, "source": "noise", "card": "# none"}
    return export_classifier(small, folder, ("tea", "cup", "pot"), 16, **facts)


def test_the_two_files_keep_the_contract(small, shipped):
    assert sorted(file.name for file in shipped.parent.iterdir()) == ["classifier.json", "model.onnx"]
    facts = json.loads((shipped.parent / "classifier.json").read_text(encoding="utf-8"))
    assert {name: facts[name] for name in ("classes", "size", "temperature", "threshold", "source", "card")} == {
        "classes": ["tea", "cup", "pot"],
        "size": 16,
        "temperature": 0.6,
        "threshold": 0.9,
        "source": "noise",
        "card": "# none",
    }
    assert np.allclose(facts["head"], small.head.weight.detach())
    session = onnxruntime.InferenceSession(shipped, providers=["CPUExecutionProvider"])
    assert [(entry.name, entry.type, entry.shape[1:]) for entry in session.get_inputs()] == [
        ("images", "tensor(float)", [3, 16, 16])
    ]
    assert [entry.name for entry in session.get_outputs()] == ["logits", "maps"]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_onnx_runtime_gives_pytorchs_numbers_and_its_grad_cam_for_any_count(small, shipped, count):
    session = onnxruntime.InferenceSession(shipped, providers=["CPUExecutionProvider"])
    images = torch.rand(count, 3, 16, 16)
    logits, maps = map(torch.from_numpy, session.run(None, {"images": images.numpy()}))
    model = copy_in_evaluation(small)
    with torch.no_grad():
        expected = model(images)
    assert torch.allclose(logits, expected[0], atol=1e-4)
    assert torch.allclose(maps, expected[1], atol=1e-4)
    classes = torch.arange(count) % 3
    lesson_09 = grad_cam(Logits(model), images, classes, "model.maps_of")
    own = F.relu(torch.einsum("nc,nchw->nhw", small.head.weight[classes].detach(), maps))
    own = F.interpolate(own[:, None], (16, 16), mode="bilinear")[:, 0] / 64  # the averages' share: 8 × 8
    assert torch.allclose(own, lesson_09, atol=1e-5)


class Logits(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images)[0]


def copy_in_evaluation(model):
    twin = WithMaps(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
                    nn.Linear(6, 3))  # fmt: skip
    twin.load_state_dict(model.state_dict())
    return twin.eval()


def test_exporting_leaves_the_model_as_it_was(small, shipped):
    assert small.training


def test_classes_that_do_not_fit_the_head_are_refused(small, tmp_path):
    with pytest.raises(ValueError, match="3 logits, but there are 2 classes"):
        export_classifier(small, tmp_path, ["tea", "cup"], 16)
    assert not list(tmp_path.iterdir())
