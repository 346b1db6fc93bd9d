"""Lesson 13: calibration, intervals and the shipped files of utils/shipping.py, and what the lesson's cells promise."""

import ast
import copy
import json
import re
import shutil
import subprocess
import sys
import time

import httpx
import numpy as np
import onnxruntime
import psutil
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from tests.tools.cells import code_cells, printed, read, text
from tests.tools.kernels import ROOT
from tests.tools.serving import write_classifier
from tests.tools.taught import define
from utils import serving
from utils.checks import lesson_13 as checks
from utils.explain import grad_cam
from utils.folders import decode, encode
from utils.models import ResidualCNN
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


# --- the lesson's cells ----------------------------------------------------------------------------------------------

LESSON = ROOT / "notebooks" / "13_shipping_a_classifier.ipynb"


def source_of(beginning):
    """Return the source of the one code cell that holds this text."""
    (found,) = (text(cell["source"]) for _, cell in code_cells(read(LESSON)) if beginning in text(cell["source"]))
    return found


def shown():
    return "\n".join(printed(cell) for _, cell in code_cells(read(LESSON)))


def number(pattern):
    """Return the first number in the stored run that the pattern's group finds."""
    return float(re.search(pattern, shown())[1].replace(",", ""))


@pytest.fixture(scope="module")
def lesson():
    space = {"torch": torch, "nn": nn, "F": F, "np": np, "CalibrationDataReader": CalibrationDataReader}
    return define(LESSON, space | {"change": v2.functional, "encode": encode, "decode": decode}, {"SPOIL"})


@pytest.mark.parametrize("kind", ["noise", "blur", "brightness", "contrast", "JPEG"])
def test_each_strength_spoils_more_and_leaves_a_picture(lesson, kind):
    torch.manual_seed(0)
    images = F.interpolate(torch.rand(4, 3, 8, 8), 32, mode="bilinear")
    spoil, levels = lesson["SPOIL"][kind]
    spoilt = [spoil(images, level) for level in levels]
    assert len(levels) == 5
    for version in spoilt:
        assert (version.shape, version.dtype) == (images.shape, images.dtype)
        assert 0 <= version.min() <= version.max() <= 1
    apart = [(version - images).square().mean().item() for version in spoilt]
    assert apart == sorted(apart)
    assert apart[0] > 0


def test_a_thumbnail_knows_neither_brightness_nor_contrast(lesson):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    thumbnails = lesson["thumbnails"](images)
    assert thumbnails.shape == (5, 192)
    assert torch.allclose(thumbnails, lesson["thumbnails"](0.3 * images + 40), atol=1e-5)
    assert torch.allclose(thumbnails.norm(dim=1), torch.ones(5))
    assert torch.isfinite(lesson["thumbnails"](torch.zeros(1, 3, 32, 32))).all()


def test_the_cost_of_answering_all_and_none(lesson):
    lesson |= {"logits": torch.randn(100, 4), "reported": torch.arange(100), "right": torch.arange(100) < 80}
    assert lesson["cost"](1.0, 0.0) == pytest.approx(0.2 * 10)
    assert lesson["cost"](1.0, 1.0) == 1
    assert lesson["cost"](1.0, 0.0, wrong=3) == pytest.approx(0.2 * 3)


@pytest.mark.parametrize("negative", [False, True])
def test_folding_changes_nothing_and_stops_at_a_negative_scale(lesson, negative):
    torch.manual_seed(0)
    network = ResidualCNN((8, 12, 12)).eval()
    for norm in (layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)):
        for numbers, low in ((norm.weight, 0.5), (norm.bias, -0.5), (norm.running_mean, -0.5), (norm.running_var, 0.5)):
            numbers.data.uniform_(low, low + 1)
    if negative:
        network.blocks[1].norm2.weight.data[3] = -1
    maps_of = nn.Sequential(nn.Identity(), network.stem, network.blocks, network.norm, nn.ReLU())
    images = torch.rand(99, 3, 32, 32)
    space = {"torch": torch, "nn": nn, "copy": copy, "shipped": WithMaps(maps_of, network.classifier), "images": images}
    space["logits"] = network(images).detach()
    *statements, last = ast.parse(source_of("fuse_conv_bn_eval")).body
    exec(compile(ast.Module(statements, []), "fold", "exec"), space)
    remain, is_same = eval(compile(ast.Expression(last.value), "fold", "eval"), space)
    assert remain == (5 if negative else 4)
    assert is_same


def test_the_pictures_that_quantisation_looks_at_come_once_each(lesson):
    images = torch.rand(120, 3, 4, 4)
    reader, parts = lesson["Pictures"](images), []
    while (part := reader.get_next()) is not None:
        parts.append(part["images"])
    assert np.array_equal(np.concatenate(parts), images.numpy())


# --- the service, started as the lesson starts it --------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    """A folder, with a space in its name, that holds the service, its page and a small classifier."""
    home = tmp_path / "a service"
    write_classifier(home / "classifier")
    for name in ("service.py", "service_page.html"):
        shutil.copy(ROOT / "utils" / name, home)
    yield home
    serving.stop_service()


def test_the_service_starts_answers_is_timed_and_stops(home, capsys):
    address = serving.start_service(home, home / "classifier")
    assert re.fullmatch(r"the service answers after [\d.]+ s, on port \d+\n", capsys.readouterr().out)
    content = encode(torch.zeros(3, 32, 32, dtype=torch.uint8))
    assert len(serving.ask(address, content).json()["top"]) == 5
    assert serving.ask(address, b"", "image/png").status_code == 400
    p50, p95, rate = serving.time_requests(address, content, clients=3, count=20)
    assert 0 < p50 <= p95
    assert rate > 1
    (process,) = serving._running
    again = serving.start_service(home, home / "classifier")
    assert process.poll() is not None, "the first service is stopped when another is started"
    assert serving.ask(again, content).status_code == 200
    serving.stop_service()
    with pytest.raises(httpx.TransportError):
        serving.ask(again, content)


def test_the_service_ends_with_the_kernel_that_started_it(home):
    code = f"""import pathlib, os
from utils import serving
home = pathlib.Path({str(home)!r})
serving.start_service(home, home / "classifier")
print(serving._running[-1].pid, flush=True)
os.kill(os.getpid(), 9)"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    pid = int(done.stdout.split()[-1])
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    pytest.fail("the service outlived its kernel")


def test_a_service_that_cannot_start_says_why(home):
    (home / "classifier" / "classifier.json").unlink()
    with pytest.raises(RuntimeError, match=r"classifier\.json"):
        serving.start_service(home, home / "classifier")
    assert serving._running == []


# --- what the stored run shows ---------------------------------------------------------------------------------------


def test_the_stored_temperature_makes_the_confidence_true():
    before, after = (float(error) for error in re.findall(r"ECE (\d\.\d+), cross-entropy", shown()))
    assert after < 0.03 < before


def test_the_stored_int8_is_within_a_point_and_a_quarter_of_the_size():
    scores = {name: float(score) for name, score in re.findall(r"^(\w+) +accuracy (\d\.\d{4})$", shown(), re.MULTILINE)}
    assert list(scores) == ["PyTorch", "ONNX", "folded", "int8"]
    assert min(scores.values()) > scores["PyTorch"] - 0.01
    assert scores["ONNX"] == scores["PyTorch"]
    assert number(r"'int8': '([\d.]+) MB'") < 0.3 * number(r"'ONNX': '([\d.]+) MB'")


def test_nothing_is_left_to_fill_in():
    assert not re.search("[⟦⟧]", LESSON.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_goes_into_a_file_and_comes_back(kind):
    image = torch.arange(3 * 8 * 9, dtype=torch.uint8).view(3, 8, 9)
    back = decode(encode(image, kind))
    assert (back.shape, back.dtype) == (image.shape, torch.uint8)
    assert torch.equal(back, image) == (kind == "PNG")


# --- the exercises' checks --------------------------------------------------------------------------------------------

EXERCISES = [checks.check_decide, checks.check_coverage_at_risk, checks.check_fold_norm]
VARIANTS = [
    pytest.param(exercise, mistake, sentence, id=f"{exercise.name}-{number}")
    for exercise in EXERCISES
    for number, (mistake, sentence) in enumerate(exercise.variants)
]


def decide_in_a_loop(probabilities, costs):
    return torch.tensor([int((costs * row).sum(dim=1).argmin()) for row in probabilities])


def decide_as_int32(probabilities, costs):
    return torch.einsum("nk,ak->na", probabilities, costs).min(dim=1).indices.int()


def coverage_from_the_end(confidences, correct, most):
    hits = correct[confidences.sort(descending=True).indices].tolist()
    for count in range(len(hits), 0, -1):
        if hits[:count].count(False) / count <= most:
            return count / len(hits)
    return 0


def coverage_with_numpy(confidences, correct, most):
    wrong = ~correct.numpy()[np.argsort(-confidences.numpy())]
    places = np.flatnonzero(wrong.cumsum() / np.arange(1, len(wrong) + 1) <= most)
    return float(places.max() + 1) / len(wrong) if places.size else 0.0


def scale_of(norm):
    return norm.weight / torch.sqrt(norm.running_var + norm.eps)


def fold_as_a_list(weight, bias, norm):
    return [torch.einsum("oihw,o->oihw", weight, scale_of(norm)), norm(bias[None, :, None, None])[0, :, 0, 0]]


def fold_copies_in_place(weight, bias, norm):
    weight, bias = weight.clone(), bias.clone()
    weight *= scale_of(norm)[:, None, None, None]
    bias -= norm.running_mean
    return weight, nn.Parameter(bias * scale_of(norm) + norm.bias)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (checks.check_decide, decide_in_a_loop),
        (checks.check_decide, decide_as_int32),
        (checks.check_coverage_at_risk, coverage_from_the_end),
        (checks.check_coverage_at_risk, coverage_with_numpy),
        (checks.check_fold_norm, fold_as_a_list),
        (checks.check_fold_norm, fold_copies_in_place),
    ],
)
def test_right_answers_in_several_styles_pass(exercise, answer):
    assert exercise.verdict(answer) == f"✓ correct in all {len(exercise.cases)} cases."


@pytest.mark.parametrize(("exercise", "mistake", "sentence"), VARIANTS)
def test_a_variant_of_a_mistake_gets_a_mistakes_sentence(exercise, mistake, sentence):
    verdict = exercise.verdict(mistake)
    assert sentence in [known for _, known in exercise.mistakes]
    if exercise is checks.check_decide:  # where a threshold puts all pictures on one side, another mistake may fit too
        assert verdict.removeprefix("✗ ") in [known for _, known in exercise.mistakes]
    else:
        assert verdict == f"✗ {sentence}"


def sure_or_ask(probabilities, costs):
    confidences, classes = probabilities.max(dim=1)
    chosen = classes.clone()
    chosen[confidences <= 0.9] = len(costs) - 1
    return chosen


def risks(confidences, correct, divisor):
    return (~correct[confidences.argsort(descending=True)]).cumsum(dim=0) / divisor


def divided_by_i(confidences, correct, most):
    allowed = (risks(confidences, correct, torch.arange(len(correct))) <= most).nonzero()
    return (allowed[-1].item() + 1) / len(correct) if len(allowed) else 0.0


def risk_as_a_tensor(confidences, correct, most):
    risk = risks(confidences, correct, torch.arange(1, len(correct) + 1))
    return risk[risk <= most][-1] if (risk <= most).any() else 0.0


def without_the_empty_case(confidences, correct, most):
    allowed = (risks(confidences, correct, torch.arange(1, len(correct) + 1)) <= most).nonzero()
    return (allowed[-1].item() + 1) / len(correct)


def divided_by_i_without_the_empty_case(confidences, correct, most):
    allowed = (risks(confidences, correct, torch.arange(len(correct))) <= most).nonzero()
    return (allowed[-1].item() + 1) / len(correct)


def above_one_minus_most(confidences, correct, most):
    return (confidences > 1 - most).float().mean().item()


def eps_of_the_default(weight, bias, norm):
    scale = norm.weight / (norm.running_var + 1e-5).sqrt()
    return weight * scale.view(-1, 1, 1, 1), (bias - norm.running_mean) * scale + norm.bias


def without_the_old_bias(weight, bias, norm):
    return weight * scale_of(norm).view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale_of(norm)


def without_the_old_bias_and_eps(weight, bias, norm):
    scale = norm.weight / norm.running_var.sqrt()
    return weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


def swapped(weight, bias, norm):
    return fold_as_a_list(weight, bias, norm)[::-1]


def without_view(weight, bias, norm):
    return weight * scale_of(norm), (bias - norm.running_mean) * scale_of(norm) + norm.bias


@pytest.mark.parametrize(
    ("exercise", "answer", "words"),
    [
        (checks.check_decide, sure_or_ask, "a threshold on a probability decides"),
        (checks.check_coverage_at_risk, divided_by_i, "divide by i + 1, not i"),
        (checks.check_coverage_at_risk, divided_by_i_without_the_empty_case, "divide by i + 1, not i"),
        (checks.check_coverage_at_risk, risk_as_a_tensor, "that is the risk"),
        (checks.check_coverage_at_risk, without_the_empty_case, "return 0 where no place is allowed"),
        (checks.check_coverage_at_risk, above_one_minus_most, "it counts the confidences above 1 − most"),
        (checks.check_fold_norm, eps_of_the_default, "eps is left out, or it is not `norm.eps`"),
        (checks.check_fold_norm, without_the_old_bias, "the old bias is dropped"),
        (checks.check_fold_norm, without_the_old_bias_and_eps, "two mistakes at once: (1) eps is left out"),
        (checks.check_fold_norm, swapped, "the two have changed places"),
        (checks.check_fold_norm, without_view, "the kernels' columns are scaled"),
    ],
)
def test_mistakes_as_learners_write_them_are_named(exercise, answer, words):
    assert words in exercise.verdict(answer)
    assert "expected" not in exercise.verdict(answer)


def weight_in_place(weight, bias, norm):
    weight *= scale_of(norm).view(-1, 1, 1, 1)
    return weight, (bias - norm.running_mean) * scale_of(norm) + norm.bias


def variance_in_place(weight, bias, norm):
    norm.running_var += norm.eps
    scale = norm.weight / norm.running_var.sqrt()
    return weight * scale.view(-1, 1, 1, 1), (bias - norm.running_mean) * scale + norm.bias


def costs_in_place(probabilities, costs):
    return (probabilities @ costs.t_()).argmin(dim=1)


@pytest.mark.parametrize(
    ("exercise", "answer", "name"),
    [
        (checks.check_fold_norm, weight_in_place, "weight"),
        (checks.check_fold_norm, variance_in_place, "norm"),
        (checks.check_decide, costs_in_place, "costs"),
    ],
)
def test_an_answer_that_changes_an_argument_is_refused(exercise, answer, name):
    assert exercise.verdict(answer).startswith(f"✗ the argument `{name}` has changed: work on a copy")


def test_actions_that_are_not_whole_numbers_are_refused():
    verdict = checks.check_decide.verdict(lambda probabilities, costs: decide_in_a_loop(probabilities, costs).float())
    assert verdict == "✗ the values are right, but they are float32: an action's number is a whole number (int64)."


def test_the_arguments_are_shown_as_what_they_are():
    verdict = checks.check_coverage_at_risk.verdict(lambda confidences, correct, most: (1 - correct).sum().item())
    assert "[True, False, True, False, True], 0.25)" in verdict

    def wrong_for_five_channels(weight, bias, norm):
        weight, bias = fold_as_a_list(weight, bias, norm)
        return weight, bias + (len(bias) == 5)

    assert "a BatchNorm2d of 5 channels with eps 0.5)" in checks.check_fold_norm.verdict(wrong_for_five_channels)
    assert "a BatchNorm2d of 4 channels with eps 1e-05)" in checks.check_fold_norm.verdict(lambda *arguments: 1)
