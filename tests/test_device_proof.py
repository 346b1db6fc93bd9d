"""The whole course on a GPU, tested without one: nothing that belongs on the device is left on the CPU, or the reverse.

Models go through PyTorch's own stand-ins: fake CUDA tensors (forward) and the `meta` device (forward, backward, step).
Those have no numbers, so a loop passes there only with its .item(), backward() and conditions answered for it. Whole
loops, evaluations and explanations run on the device of tests/tools/pretend.py, which has numbers. Each of these
helpers is then run again with every one of its moves left out in turn, which must fail: the test can fail.

A new lesson that moves anything to a device is rehearsed statement by statement (tests/tools/rehearse.py), which is
slower and shallower; once its functions have entries in SCENARIOS, those are run instead.
"""

import ast
import contextlib
import functools
import inspect
import json
import re

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.nn import functional as F
from torchvision.models import get_model

from tests.tools import pretend, rehearse
from tests.tools.cells import code_cells, parse, read
from tests.tools.kernels import ROOT, lesson_paths
from tests.tools.omissions import omissions
from tests.tools.taught import TAUGHT, definitions
from utils.models import ResidualBlock, ResidualCNN
from utils.training import set_seed
from utils.weights import load_digit_reader, load_residual_cnn

LABELS = ("cuda", "mps")
pytestmark = pytest.mark.filterwarnings("ignore:.*CUDA is not available")


# --- sources: the lessons' cells, and utils ---------------------------------------------------------------------------


@functools.cache
def lesson_path(number):
    return next(path for path in lesson_paths() if path.name.startswith(number))


@functools.cache
def lesson_source(path):
    """Return the imports and the definitions of a lesson's cells, stubs of exercises aside, as one source."""
    kept = []
    for tree in (parse(cell) for _, cell in code_cells(read(path))[1:]):
        for node in tree.body:
            kind = isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
            partly = isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("partial(")
            if (kind or partly) and not ast.unparse(node).endswith("return ..."):
                kept.append(node)
    return ast.unparse(ast.Module(kept, []))


def source_of(place):
    """Return a lesson's source by its number, or a module's of `utils` by its name."""
    if place.isdigit():
        return lesson_source(lesson_path(place))
    return (ROOT / "utils" / f"{place}.py").read_text(encoding="utf-8")


def space_of(source, file="lesson"):
    """Run a source and return what it defines."""
    space = {"__name__": "tested", "__file__": str(ROOT / file)}
    for node in ast.parse(source).body:
        with contextlib.suppress(NameError):  # a default that needs what another cell has computed
            exec(compile(ast.Module([node], []), "tested", "exec"), space)
    return space


# --- models -----------------------------------------------------------------------------------------------------------

BUILT = {  # models that need arguments, or that a lesson builds in a function: how, and the shape of an image
    "ResidualBlock": (lambda: ResidualBlock(16, 32, halve=True), (16, 8, 8)),
    "04 vgg_block": (lambda: space_of(source_of("04"))["vgg_block"](3, 8), (3, 8, 8)),
    "07 BatchNorm": (lambda: space_of(source_of("07"))["BatchNorm"](3), (3, 4, 4)),
    "08 plain_cnn": (lambda: space_of(source_of("08"))["plain_cnn"](8), (3, 32, 32)),
    "08 residual_cnn": (lambda: space_of(source_of("08"))["residual_cnn"](8), (3, 32, 32)),
    "digit_reader": (load_digit_reader, (1, 28, 28)),
    "residual_drawn10": (lambda: load_residual_cnn("Drawn-10"), (3, 32, 32)),
    "residual_cifar10": (lambda: load_residual_cnn("CIFAR-10"), (3, 32, 32)),
    "squeezenet1_1": (lambda: get_model("squeezenet1_1"), (3, 64, 64)),
    "resnet18": (lambda: get_model("resnet18"), (3, 64, 64)),
}
SHAPES = [(3, 32, 32), (1, 28, 28)]


def takes(make):
    """Return the shape of image that a model takes, or None where it cannot be built or takes neither."""
    for shape in SHAPES:
        try:
            with torch.no_grad():
                return shape if isinstance(make()(torch.zeros(2, *shape)), torch.Tensor) else None
        except Exception:
            continue
    return None


def own_models(path):
    """Return {name: (class, shape)} of a source's own classes of networks, if they can be built without arguments."""
    source = lesson_source(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    classes = {name: kind for name, kind in space_of(source).items() if inspect.isclass(kind)}
    own = {name: kind for name, kind in classes.items() if kind.__module__ == "tested" and issubclass(kind, nn.Module)}
    return {name: (kind, shape) for name, kind in own.items() if (shape := takes(kind))}


def on_fake_cuda(model):
    """Put fake CUDA tensors where Module.to would move real ones (it cannot make them fake itself)."""
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            empty = torch.empty(weight.shape, dtype=weight.dtype, device="cuda")
            module._parameters[name] = nn.Parameter(empty, weight.requires_grad)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda")
    return model


def forward_on_fake_cuda(model, shape):
    with FakeTensorMode(allow_non_fake_inputs=True):
        return on_fake_cuda(model)(torch.empty(2, *shape, device="cuda")).device


def step_on_meta(model, shape):
    """Train a model for one step on the device `meta`; return where its gradients are."""
    model.to("meta").train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    logits = model(torch.empty(2, *shape, device="meta")).flatten(1)
    F.cross_entropy(logits, torch.zeros(2, dtype=torch.long, device="meta")).backward()
    optimizer.step()
    return {weight.grad.device.type for weight in model.parameters() if weight.grad is not None}


def check_model(make, shape):
    assert forward_on_fake_cuda(make(), shape).type == "cuda"
    assert step_on_meta(make(), shape) == {"meta"}


@pytest.mark.parametrize("name", BUILT)
def test_a_model_runs_on_fake_cuda_and_learns_on_meta(name):
    check_model(*BUILT[name])


def test_the_models_of_utils_do():
    found = own_models(ROOT / "utils" / "models.py")
    assert {"SmallCNN", "ColourCNN", "NormCNN", "ResidualCNN"} <= set(found)
    for make, shape in found.values():
        check_model(make, shape)


WITH_CLASSES = [path for path in lesson_paths() if re.search(r"\bclass \w+\(", path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", WITH_CLASSES, ids=lambda path: path.stem)
def test_the_models_of_a_lesson_do(path):
    for make, shape in own_models(path).values():
        check_model(make, shape)


@pytest.mark.parametrize("run", [forward_on_fake_cuda, step_on_meta])
def test_a_buffer_that_is_not_registered_fails(run):
    source, line = source_of("07"), 'self.register_buffer("running_mean", torch.zeros(num_channels))'
    changed = source.replace(line.replace('"', "'"), "self.running_mean = torch.zeros(num_channels)")
    assert changed != source
    with pytest.raises(RuntimeError, match="device"):
        run(space_of(changed)["BatchNorm"](3), (3, 4, 4))


def test_a_batch_that_is_not_moved_fails():
    model = ResidualCNN((8,)).to("meta")
    with pytest.raises(RuntimeError, match="device"):
        model(torch.zeros(2, 3, 32, 32))
    logits = model(torch.zeros(2, 3, 32, 32, device="meta"))
    with pytest.raises(RuntimeError, match="device"):
        F.cross_entropy(logits, torch.zeros(2, dtype=torch.long))
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        F.cross_entropy(torch.empty(2, 10, device="cuda"), torch.zeros(2, dtype=torch.long))


FAKE_LOOPS = {
    "predict": "assert predict(model, split[0]).device.type == 'cpu'",
    "evaluate": "evaluate(model, *split)",
    "fit": "fit(model, split, split, sgd(model), 1, 10)",
    "fit_augmented": "optimizer = sgd(model)\n"
    "fit_augmented(model, split, split, optimizer, steps(optimizer), 1, 10, draw=batches)",
    "fit_fast": "fit_fast(model, split, split, 1, 0.1, 10, draw=batches, dtype=torch.float32)",
}


def loop_on_fake_cuda(name, source, monkeypatch):
    """Run a loop's forward passes on fake CUDA tensors. What needs numbers, or a driver, is answered for them."""
    space = space_of(source)
    space.update(given(torch.device("cpu")), require_split=lambda *_: None)
    for method, answer in {"item": 0.0, "__bool__": True, "backward": None}.items():
        monkeypatch.setattr(torch.Tensor, method, lambda *_, answer=answer: answer)
    monkeypatch.setattr(nn.Module, "to", lambda model, **_: model)  # fit_fast: channels-last
    with FakeTensorMode(allow_non_fake_inputs=True):
        space["model"] = on_fake_cuda(ResidualCNN((8,)))
        exec(FAKE_LOOPS[name], space)


@pytest.mark.parametrize("name", FAKE_LOOPS)
def test_a_loop_runs_on_fake_cuda(name, monkeypatch):
    loop_on_fake_cuda(name, source_of("training"), monkeypatch)


@pytest.mark.parametrize("number", [0, 1], ids=["images", "labels"])
@pytest.mark.parametrize(
    ("name", "changed"), [("fit", "fit"), ("fit_augmented", "fit_augmented"), ("fit_fast", "fast_epoch")]
)
def test_a_loop_that_leaves_something_behind_fails_on_fake_cuda(name, changed, number, monkeypatch):
    _, source = list(omissions(source_of("training"), changed))[number]
    with pytest.raises(RuntimeError, match="device"):
        loop_on_fake_cuda(name, source, monkeypatch)


# --- the device itself ------------------------------------------------------------------------------------------------

VERDICTS = [  # what happens on CUDA to `far` (there), `near` (here), and single numbers `far0` and `near0`
    ("far + far", True),
    ("far + near", False),
    ("near + far", False),
    ("far + near0", True),
    ("far.mul_(near0)", True),
    ("near + far0", False),
    ("near.add_(far0)", False),
    ("near0.add_(far0)", False),
    ("torch.where(far > 0, far, near0)", True),
    ("torch.where(far > 0, far, near)", False),
    ("far.masked_fill(far > 0, near0)", True),
    ("far.fill_(near0)", True),
    ("torch.cat([far, near])", False),
    ("torch.stack([far0, near0])", False),
    ("far.dot(near)", False),
    ("far[torch.tensor([0, 2])]", True),
    ("far[near > 0]", True),
    ("near[far.long()]", False),
    ("near[far > 0]", False),
    ("far.gather(0, torch.tensor([0]))", False),
    ("far.copy_(near)", True),
    ("near.copy_(far)", True),
    ("near.to(far.device) + far", True),
    ("near.type_as(far) + far", True),
    ("near.cuda() + far", True),
    ("far.new_tensor([1.0]) + far", True),
    ("torch.zeros_like(far) + far", True),
    ("torch.isin(near, far)", False),
    ("F.cross_entropy(far[None], torch.tensor([0]))", False),
    ("F.cross_entropy(far, torch.tensor(0))", False),
    ("near + far.cpu()", True),
]
LENIENT = {"near[far.long()]", "torch.stack([far0, near0])"}  # fake tensors let pass what CUDA refuses


def four(where):
    far, near = torch.ones(3, device=where), torch.ones(3)
    return {"far": far, "near": near, "far0": far.sum(), "near0": near.sum(), "torch": torch, "F": F}


def works(expression, space):
    """Tell whether an expression works, or is refused since its tensors are in two places; None: no verdict."""
    try:
        eval(expression, space)
    except (DataDependentOutputException, DynamicOutputShapeException):
        return None
    except RuntimeError as error:
        if not re.search("(same|wrong) device", str(error)):
            raise
        return False
    return True


@pytest.mark.parametrize(("expression", "expected"), VERDICTS)
def test_tensors_meet_where_cuda_lets_them_meet(expression, expected):
    with pretend.device("cuda"):
        assert works(expression, four("cuda")) == expected
    with FakeTensorMode():
        assert works(expression, four("cuda")) in (None, expected or expression in LENIENT), "fake tensors disagree"


def test_what_leaves_the_device_is_real():
    with pretend.device("cuda"):
        far = torch.tensor([1.0, 2.0], device="cuda")
        assert far.device.type == "cuda"
        assert (far.sum().item(), far.tolist(), f"{far.mean():.1f}") == (3.0, [1.0, 2.0], "1.5")
        assert far.cpu().numpy().tolist() == [1.0, 2.0]
        with pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
            far.numpy()  # TypeError on CUDA
    with pretend.device("mps"), pytest.raises(TypeError, match="MPS has no"):
        torch.zeros(1, device="mps").double()


def test_a_moved_model_keeps_its_parameters_and_its_state():
    model = ResidualCNN((8,))
    before = list(model.parameters())
    with pretend.device("cuda"):
        model.to("cuda")
        assert all(one is other for one, other in zip(before, model.parameters(), strict=True))
        assert {weight.device.type for weight in model.state_dict().values()} == {"cuda"}
        model.load_state_dict(ResidualCNN((8,)).state_dict())
        model.cpu()
    assert {weight.device.type for weight in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("name", ["fit", "fit_augmented", "fit_fast"])
def test_training_there_gives_the_numbers_that_training_here_gives(name):
    histories = []
    for label in (None, *LABELS):
        if label:
            with pretend.device(label):
                histories.append(perform("training", name))
        else:
            histories.append(perform("training", name, device="cpu"))
    assert histories[0] == histories[1] == histories[2]


# --- helpers: how each is run, and what to forget ---------------------------------------------------------------------

# {module or lesson: {function: statements that run it}}. They find: `device`; `split`, CPU tensors (20 images and their
# labels); `far`, two images on the device, and `classes`, theirs; new() makes a network, small() one there,
# sgd(model) its optimiser, steps(optimizer) a schedule. What is bound to `result` is handed back.
SCENARIOS = {
    "training": {
        "predict": "assert predict(small(), split[0]).device.type == 'cpu'",
        "evaluate": "result = evaluate(small(), *split)",
        "fit": "model = small()\nresult = fit(model, split, split, torch.optim.Adam(model.parameters()), 2, 10)",
        "fit_augmented": "model = small()\noptimizer = sgd(model)\n"
        "result = fit_augmented(model, split, split, optimizer, steps(optimizer), 2, 10)",
        "fit_fast": "result = fit_fast(small(), split, split, 2, 0.1, 10, dtype=torch.float32)",
        "fast_epoch": "model = small()\noptimizer = sgd(model)\nscaler = torch.amp.GradScaler(device, enabled=False)\n"
        "fast_epoch(model, [split], optimizer, steps(optimizer), scaler, torch.float32, 0.1)",
        "recalibrate": "recalibrate(small(), split[0])",
    },
    "data": {
        "batches": "for images, labels in batches(far, classes, 1, shuffle=True):\n"
        "    assert images.device == labels.device == far.device",
        "augmented_batches": "for images, labels in augmented_batches(far, classes, 2):\n"
        "    assert images.device == labels.device == far.device",
        "normalise_channels": "normalise_channels(far, far.mean(dim=(0, 2, 3)), far.std(dim=(0, 2, 3)))",
    },
    "arithmetic": {
        "trace_layers": "assert trace_layers(small(), (3, 32, 32))[-1][-1].device == far.device",
        "summarise": "summarise(small(), (3, 32, 32))",
    },
    "explain": {
        "record": "assert record(small(), ['norm'], far)[0]['norm'].device == far.device",
        "pick": "pick(small()(far), classes)",
        "input_gradients": "input_gradients(small(), far, classes)",
        "saliency": "saliency(small(), far, classes)",
        "smooth_grad": "smooth_grad(small(), far, classes, count=2)",
        "integrated_gradients": "integrated_gradients(small(), far, classes, steps=2)",
        "occlusion": "occlusion(small(), far, classes, size=16, stride=16)",
        "grad_cam": "grad_cam(small(), far, classes, 'norm')",
        "maximise": "maximise(small(), lambda maps: maps[:, 0].mean(), 'norm', 32, steps=2, jitter=2, smooth=1.0)",
        "deletion_curve": "deletion_curve(small(), far, far[:, 0], classes, steps=2)",
        "fgsm": "fgsm(small(), far, classes, 0.01)",
    },
    "pretrained": {
        "load_pretrained": "model = load_pretrained('squeezenet1_1').model.to(device)\n"
        "assert model(torch.rand(1, 3, 64, 64, device=device)).device == far.device",
    },
    "weights/__init__": {
        "load_digit_reader": "load_digit_reader().to(device)(torch.rand(1, 1, 28, 28, device=device))",
        "load_residual_cnn": "load_residual_cnn('Drawn-10').to(device)(far)",
    },
    "plotting": {
        "show_images": "show_images(far)",
        "show_rows": "show_rows([far, far], ['a', 'b'])",
        "show_activations": "show_activations(far[0])",
        "show_kernels": "show_kernels(small().stem.weight[:2])",
        "show_maps": "show_maps(far, {'map': far[:, 0]})",
    },
    "explorers/maps": {
        "draw_explanation": "draw_explanation(small(), split[0][0], 1, 'abcdefghij')",
    },
    "05": {
        "loss_curve": "train, SmallCNN = split, new\nloss_curve(lambda weights: torch.optim.SGD(weights, 0.1), 0)",
        "train_with": "train = validation = split\nSmallCNN = new\n"
        "for mistake in ('none', 'softmax twice', 'not shuffled'):\n    train_with(mistake, 0, num_steps=2)",
    },
    "06": {
        "train_on": "validation = split\nfor augment in (crop, colour, erasing, mixup, cutmix):\n"
        "    train_on(*split, batches_with(augment, partial(batches, shuffle=True)), 0, num_epochs=1)",
    },
    "07": {
        "losses_along_gradient": "train, labels = split, split[1]\nlosses_along_gradient(small(), [0.1, 1.0])",
        "met_and_remembered": "train = validation = split\nmet_and_remembered(0.3)",
        "fold": "conv, norm = nn.Conv2d(3, 4, 3).to(device), nn.BatchNorm2d(4).to(device).eval()\n"
        "gap = fold(conv, norm)(far) - norm(conv(far))\nassert gap.abs().max() < 1e-4",
        "recalibrate": "recalibrate(small(), split[0])",
        "BatchNorm": "layer = BatchNorm(3).to(device)\nlayer(far)\nlayer.eval()(far)",
        "dropout": "dropout(far)",
    },
    "08": {
        "one_epoch": "few = validation = split\none_epoch(plain_cnn, 4)\none_epoch(residual_cnn, 4)",
        "with_idle_layers": "predict(with_idle_layers(plain_cnn(4).to(device), 1), split[0])",
        "images_a_second": "few = split\nimages_a_second(torch.float32, torch.channels_last, rounds=1)",
        "whiten": "model = ResidualCNN().to(device)\nwhiten(model.stem, split[0])\n"
        "whiten(model.stem, split[0].to(device))",
        "lr_range_test": "lr_range_test(small(), split, [0.01] * 2, 10)",
        "predict_flipped": "assert predict_flipped(small(), split[0]).device.type == 'cpu'",
        "averaging": "model = small()\naverage = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))\n"
        "draw = averaging(gentle, model, average)\n"
        "fit_fast(model, split, split, 1, 0.1, 10, draw=draw, dtype=torch.float32)",
        "quick_accuracy": "few = validation = split\nResidualCNN = new\n"
        "quick_accuracy(0, 1, batch_size=10, dtype=torch.float32)",
        "two_epochs": "few = validation = split\ntwo_epochs(True, 0)",
    },
    "09": {
        "features": "network = nn.Sequential(nn.Identity(), small())\nassert features(split[0]).device.type == 'cpu'",
        "logit": "logit(small(), far, classes)",
        "most_exciting": "framed = F.pad(split[0], (12,) * 4)\nmost_exciting(far[:, 0, ::3, ::3], 9, 2, -3, 2)",
        "explanations": "model = nn.Sequential(nn.Identity(), ResidualCNN((8, 8))).to(device).eval()\n"
        "smooth_grad, integrated_gradients = partial(smooth_grad, count=1), partial(integrated_gradients, steps=1)\n"
        "occlusion = partial(occlusion, size=16, stride=16)\nexplanations(model, far[:1], classes[:1])",
        "maximise": "maximise(small(), lambda maps: maps[:, 0].mean(), 'norm', 32, steps=2, jitter=2, smooth=1.0)",
        "excite": "squeezenet = nn.Sequential(nn.Conv2d(3, 8, 3)).to(device)\nexcite('0', 1, steps=2)",
        "invert": "squeezenet, eye = nn.Sequential(nn.Conv2d(3, 8, 3)).to(device), F.interpolate(far[:1], 160)\n"
        "range = lambda steps: (0, 1)\ninvert('0')",
    },
    "10": {
        "fingerprint": "fingerprint(small())",
        "train": "model = small()\ntrain(model, *split, sgd(model), 1)",
        "accuracy": "accuracy(small(), *split)",
        "new_network": "classes = 'abcde'\nmodel = new_network(0, True)\nmodel(F.interpolate(far, 64))",
        "reuse": "images, classes = F.interpolate(split[0][:5], 64), 'abcde'\n"
        "WAYS = {'frozen': (True, 13, 0), 'two blocks': (True, 11, 0.1), 'scratch': (False, 0, 0.1)}\n"
        "range = lambda epochs: (0,)\n"
        "labels = torch.arange(5)\n"
        "for way in WAYS:\n    accuracy(reuse(way, images, labels, 0, budget=1)[0], images, labels)",
    },
    "14": {
        "fine_tune": "images, labels, train = (255 * split[0]).byte(), split[1], torch.arange(20).numpy()\n"
        "augment, CUT, VIEWS, EPOCHS, LR = (lambda image: image), 1, 1, 1, 0.1\n"
        "layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3))\n"
        "backbone = nn.Sequential(nn.Identity(), layers).to(device)\n"
        "as_layer, probe = (lambda probe: nn.Linear(16, 10)), None\n"
        "fine_tune(0)",
    },
}
# Omissions by hand, for a helper that moves nothing itself: (place, helper, the function that is changed, old, new).
PLANTED = [
    ("training", "evaluate", "evaluate", "predict(model, images)", "predict(model, images).to(get_device())"),
    ("training", "fit_fast", "fast_epoch", "labels.to(device)", "labels"),
    ("data", "batches", "batches", "images[chosen]", "images.cpu()[chosen]"),
    ("data", "augmented_batches", "augmented_batches", "chosen[flips].flip(3)", "chosen.cpu()[flips].flip(3)"),
    ("data", "normalise_channels", "normalise_channels", "mean.view", "mean.cpu().view"),
    ("arithmetic", "summarise", "trace_layers", "device=weight.device, ", ""),
    ("explain", "record", "record", "model(images)", "model(images.cpu())"),
    ("explain", "pick", "pick", "classes.view", "classes.cpu().view"),
    ("explain", "input_gradients", "input_gradients", "images.detach()", "images.detach().cpu()"),
    ("explain", "saliency", "input_gradients", "images.detach()", "images.detach().cpu()"),
    ("explain", "smooth_grad", "smooth_grad", "torch.randn_like(images)", "torch.randn(images.shape)"),
    ("explain", "integrated_gradients", "integrated_gradients", "zeros_like(images)", "zeros(images.shape)"),
    ("explain", "occlusion", "occlusion", "images.new_zeros", "torch.zeros"),
    ("explain", "grad_cam", "grad_cam", "(weights * maps)", "(weights.cpu() * maps)"),
    ("explain", "deletion_curve", "deletion_curve", "maps.flatten(1)", "maps.cpu().flatten(1)"),
    ("explain", "fgsm", "fgsm", "gradient.sign()", "gradient.cpu().sign()"),
    *[("plotting", name, "to_displayable", ".cpu()", "") for name in SCENARIOS["plotting"]],
    ("07", "fold", "fold", "scale = norm.weight", "scale = norm.weight.cpu()"),
    ("07", "dropout", "dropout", "torch.rand_like(x)", "torch.rand(x.shape)"),
    (
        "07",
        "BatchNorm",
        "BatchNorm",
        "self.register_buffer('running_mean', torch",
        "setattr(self, 'running_mean', torch",
    ),
    ("08", "whiten", "whiten", "-kernels]", "-kernels.to(device)]"),
    ("08", "lr_range_test", "fast_epoch", "labels.to(device)", "labels"),
    ("08", "averaging", "fast_epoch", "labels.to(device)", "labels"),
    ("08", "predict_flipped", "predict_flipped", "(predict(model, images)", "(predict(model, images).to(device)"),
    ("09", "logit", "pick", "classes.view", "classes.cpu().view"),
    ("09", "most_exciting", "most_exciting", "// maps.shape[2]", "// torch.tensor([maps.shape[2]])"),
    ("09", "explanations", "smooth_grad", "torch.randn_like(images)", "torch.randn(images.shape)"),
    ("09", "excite", "maximise", ".to(device)", ""),
    ("09", "invert", "invert", "F.mse_loss(maps, aim)", "F.mse_loss(maps, aim.cpu())"),
    ("10", "accuracy", "accuracy", "logits.argmax", "logits.to(device).argmax"),
    ("10", "reuse", "train", "named.to(device)", "named"),
]
ONLY_LOADED = {("pretrained", "load_pretrained")} | {
    ("weights/__init__", name) for name in SCENARIOS["weights/__init__"]
}


@functools.cache
def batch():
    set_seed(0)
    return torch.rand(20, 3, 32, 32), torch.arange(20) % 10


class Expert:
    model = functools.cached_property(lambda self: get_model("squeezenet1_1"))
    model.__set_name__(None, "model")


def given(device):
    """Return what scenarios find: tensors and small networks on this device, and split, which is on the CPU."""
    images, labels = batch()
    space = {"torch": torch, "nn": nn, "F": F, "device": device, "split": (images.clone(), labels.clone())}
    space |= {"far": images[:2].to(device), "classes": labels[:2].to(device), "ResidualCNN": ResidualCNN}
    space["new"] = lambda: ResidualCNN((8,))
    space["small"] = lambda: ResidualCNN((8,)).to(device).eval()
    space["sgd"] = lambda model: torch.optim.SGD(model.parameters(), 0.1)
    space["steps"] = lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    space["expert"] = Expert()
    return space


def perform(place, name, source=None, device=None, scenario=None, operations=None):
    """Run a scenario on this device, with the place's own source or a changed one; return its `result`."""
    device = torch.device(device) if device else torch.accelerator.current_accelerator()
    space = space_of(source or source_of(place), f"utils/{place}.py")
    space.update(given(device))
    if operations:
        operations.count = 0  # from here on
    set_seed(0)
    exec(scenario or SCENARIOS[place][name], space)
    return space.get("result")


EVERY = [(place, name) for place, scenarios in SCENARIOS.items() for name in scenarios]


@pytest.fixture(autouse=True)
def offline_and_quiet(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "offline")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are tiny: a second thread would only be waited for
    yield
    torch.set_num_threads(threads)
    plt.close("all")


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("place", "name"), EVERY)
def test_it_works_on_a_device(place, name, label):
    with pretend.device(label) as operations:
        perform(place, name, operations=operations)
    assert operations.count, "nothing ran on the device"


def fails(place, name, **changed):
    """Tell whether a changed scenario fails as a forgotten move does, or leaves the device idle."""
    with pretend.device("cuda") as operations:
        try:
            perform(place, name, operations=operations, **changed)
        except Exception as error:
            return isinstance(error, AssertionError) or bool(rehearse.FAULT.search(str(error)))
        return not operations.count


@functools.cache
def moves():
    """Return (place, function, what is left out, changed source) of every move in the functions with a scenario."""
    return [(*pair, *found) for pair in EVERY for found in omissions(source_of(pair[0]), pair[1])]


@pytest.mark.parametrize("number", range(len(moves())), ids=lambda number: "-".join(moves()[number][:3]))
def test_each_move_is_needed(number):
    place, name, forgotten, source = moves()[number]
    assert fails(place, name, source=source), f"{name} does as well without {forgotten}"


@pytest.mark.parametrize(("place", "name", "changed", "old", "new"), PLANTED)
def test_a_planted_omission_fails(place, name, changed, old, new):
    source = source_of(place)
    start = re.search(rf"^(?:def|class) {changed}\b", source, re.MULTILINE).start()
    assert old in source[start:]
    assert fails(place, name, source=source[:start] + source[start:].replace(old, new, 1))


@pytest.mark.parametrize(("place", "name"), sorted(ONLY_LOADED))
def test_a_loaded_network_that_is_not_moved_fails(place, name):
    assert fails(place, name, scenario=SCENARIOS[place][name].replace(".to(device)", ""))


def test_every_helper_has_an_omission_that_fails():
    shown = {found[:2] for found in [*moves(), *PLANTED]} | ONLY_LOADED
    assert set(EVERY) == shown


# --- nothing is left out ----------------------------------------------------------------------------------------------


def with_device(path):
    """Return the functions of a lesson that have to do with a device and are not those of `utils`."""
    own = definitions(ast.parse(lesson_source(path)))
    taught = {name for module in TAUGHT for name in definitions(ast.parse(source_of(module)))}
    return {name for name, nodes in own.items() if name not in taught and "device" in ast.unparse(nodes[-1])}


@pytest.mark.parametrize("number", [place for place in SCENARIOS if place.isdigit()])
def test_every_function_of_a_lesson_that_knows_a_device_has_a_scenario(number):
    assert with_device(lesson_path(number)) <= set(SCENARIOS[number])


@pytest.mark.parametrize("module", ["training", "explain"])
def test_every_function_that_gets_a_model_has_a_scenario(module):
    functions = definitions(ast.parse(source_of(module)))
    found = {name for name, nodes in functions.items() if "model" in ast.unparse(nodes[-1].args)}
    assert found - {"find_layer"} <= set(SCENARIOS[module])


def test_a_lesson_without_scenarios_runs_on_a_device():
    new = [path for path in lesson_paths() if rehearse.mentions_device(path) and path.name[:2] not in SCENARIOS]
    faults = {path.name: found for path in new if (found := rehearse.rehearse(path)[0])}
    assert not faults


CELLS = [  # of a small lesson
    "the set-up cell, which a rehearsal leaves out",
    "from utils.training import get_device\nimport torch\nfrom torch import nn\ndevice = get_device()",
    "model, x = nn.Linear(3, 2).to(device), torch.rand(4, 3)\nassert x.sum() < 0\nundefined",
    "y = model(x.to(device))\nfor _ in range(1_000_000):\n    y = y + 1",
    "while True:\n    y = y + 1",
    "answers = y.argmax(dim=1).cpu().numpy()",
]


@pytest.mark.parametrize(("old", "new", "cell"), [("x.to(device)", "x", 3), (".cpu()", "", 5), ("", "", None)])
def test_a_rehearsal_finds_what_was_left_behind_and_nothing_else(tmp_path, old, new, cell):
    cells = [{"cell_type": "code", "source": source.replace(old, new), "metadata": {}} for source in CELLS]
    path = tmp_path / "11_small.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    faults, others = rehearse.rehearse(path)
    assert [fault.cell for fault in faults] == ([] if cell is None else [cell])
    assert {"NameError"} <= {other.message.split(":")[0] for other in others} <= {"NameError", "KeyboardInterrupt"}
