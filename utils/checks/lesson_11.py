"""Checks of lesson 11: a layer that moves, gradients in parts, the largest batch, and loading beside computing."""

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from utils.checks import FunctionExercise, describe


class Tensor:
    """Stands for a tensor where a model or a layer should be returned."""


@dataclass
class NumbersExercise(FunctionExercise):
    """An exercise that returns a model or a layer, judged by numbers.

    judge(answer, *arguments) calls the answer and returns the numbers, or what the answer returned where that is no
    model; explain(numbers, expected, *arguments) returns a sentence on numbers that no mistake explains. The reference
    and the mistakes return such numbers themselves.
    """

    judge: callable = None
    explain: callable = None

    def verdict(self, answer):
        def judged(*arguments):
            return self.judge(answer, *arguments)

        ours = [self.reference, *(mistake for mistake, _ in self.mistakes)]
        return super().verdict(judged if callable(answer) and answer not in ours else answer)

    def first_difference(self, results, expected):
        sentence = super().first_difference(results, expected)
        for case, (result, error), right in zip(self.cases, results, expected):
            if error is not None or not isinstance(result, torch.Tensor):
                break
            if result.shape == right.shape and not torch.allclose(result, right, 1e-4, 1e-5):
                return self.explain(result, right, *case)
        return sentence.replace("it should return a tensor", "it should return the model")


def numbers_of(result, numbers):
    """Return numbers(result) where the result is a model or a layer; otherwise what tells of it."""
    if isinstance(result, nn.Module):
        return numbers(result)
    return Tensor() if isinstance(result, torch.Tensor) else result


# --- 1 · a layer that moves ------------------------------------------------------------------------------------------


def pictures():
    """Return two pictures that are not square; the same numbers every time."""
    return torch.linspace(-1, 2, 2 * 3 * 4 * 5).view(2, 3, 4, 5)


def moves(layer):
    """Tell whether the layer still works on a pretended GPU, to which it has been moved."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = pictures().to("cuda")
        try:
            return layer.to("cuda")(images).device.type == "cuda"
        except RuntimeError:
            return False


def layer_state(layer):
    """Return what the layer makes of the pictures, then how many numbers are saved and learn, and whether it moves."""
    output = layer(pictures())
    if output is ... or not isinstance(output, torch.Tensor):
        return output
    saved = sum(numbers.numel() for numbers in layer.state_dict().values())
    learning = sum(parameter.numel() for parameter in layer.parameters() if parameter.requires_grad)
    return torch.cat([output.detach().flatten(), torch.tensor([float(saved), learning, moves(layer)])])


def explain_layer(found, right, mean, std):
    """Return what is wrong with a layer: first its results, then what becomes of its tensors."""
    saved, learning, moved = found[-3:].tolist()
    if not torch.allclose(found[:-3], right[:-3], 1e-4, 1e-5):
        some = f"they begin {describe(found[:3])}, expected {describe(right[:3])}"
        return f"the results differ: {some} (for the mean {describe(mean)} and the deviation {describe(std)})."
    if learning:
        return f"{learning:.0f} numbers would learn, and none should: use buffers, not parameters."
    if not moved:
        return "a tensor stays behind when the layer moves: mean and std both need register_buffer."
    return f"it saves {saved:.0f} numbers, and should save 6: mean and std as buffers, and nothing else."


class Normalises(nn.Module):
    """The reference, and with settings each of the mistakes."""

    def __init__(self, mean, std, keep="buffer", shape=(3, 1, 1), transient=(), calculate=None):
        super().__init__()
        self.calculate = calculate or (lambda images, mean, std: (images - mean) / std)
        for name, numbers in (("mean", mean), ("std", std)):
            numbers = numbers.view(shape)
            if keep == "buffer" or keep == name or (keep == "one learns" and name == "mean"):
                self.register_buffer(name, numbers, persistent=name not in transient)
            elif keep in ("parameter", "one learns"):
                setattr(self, name, nn.Parameter(numbers))
            else:
                setattr(self, name, numbers)

    def forward(self, images):
        return self.calculate(images, self.mean, self.std)


def by_channels(mean, std):
    """The reference's judgement: each channel by itself, and what is wanted of the rest."""
    channels = [(pictures()[:, c] - mean[c]) / std[c] for c in range(3)]
    return torch.cat([torch.stack(channels, dim=1).flatten(), torch.tensor([6.0, 0, 1])])


def normalising(**settings):
    return lambda mean, std: layer_state(Normalises(mean, std, **settings))


check_normalise = NumbersExercise(
    "Normalise",
    by_channels,
    cases=[
        (torch.tensor([0.5, 0.25, 0.1]), torch.tensor([0.5, 2.0, 0.25])),
        (torch.tensor([0.0, 1.0, -1.0]), torch.tensor([3.0, 0.5, 1.5])),
        (torch.tensor([0.48, 0.46, 0.41]), torch.tensor([0.23, 0.22, 0.21])),
    ],
    mistakes=[
        (
            normalising(keep="nothing"),
            "both tensors stay behind when the layer moves, and are not saved: register them as buffers.",
        ),
        (
            normalising(keep="mean"),
            "one of the two stays behind when the layer moves: both need register_buffer.",
        ),
        (
            normalising(keep="parameter"),
            "mean and std would learn: they are parameters, and should be buffers.",
        ),
        (
            normalising(keep="one learns"),
            "one of the two would learn: it is a parameter, and both should be buffers.",
        ),
        (
            normalising(transient=("mean", "std")),
            "the layer works on the other device, but its numbers are not saved: use register_buffer, persistent.",
        ),
        (
            normalising(transient=("std",)),
            "the layer works on the other device, but saved 3 numbers and should save 6: both are buffers, persistent.",
        ),
        (
            normalising(shape=(3,)),
            "the numbers are laid along the last axis: view(3, 1, 1) puts them beside the channels.",
        ),
        (
            normalising(calculate=lambda images, mean, std: (images - mean) * std),
            "it multiplies by the standard deviation: divide.",
        ),
        (
            normalising(calculate=lambda images, mean, std: images / std - mean),
            "it divides before it subtracts: the mean comes first.",
        ),
        (
            normalising(calculate=lambda images, mean, std: (images - mean) / std**2),
            "it divides by the variance: std is the standard deviation already.",
        ),
    ],
    judge=lambda answer, mean, std: numbers_of(answer(mean, std), layer_state),
    explain=explain_layer,
)

# --- 2 · gradients in parts ------------------------------------------------------------------------------------------


class Stale(nn.Sequential):
    """A network with gradients of an earlier step, which an ordinary copy would not have."""

    def __deepcopy__(self, memo):
        new = Stale(*copy.deepcopy(list(self), memo))
        for parameter in new.parameters():
            parameter.grad = torch.ones_like(parameter)
        return new


def small_model(kind=nn.Sequential):
    """Return a small network without batch norm."""
    torch.manual_seed(0)
    return kind(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 2 * 3, 5))


def batch(count):
    """Return `count` pictures and labels; the same every time."""
    torch.manual_seed(count)
    return torch.randn(count, 3, 4, 5), torch.arange(count) % 5


def gradients(model, *arguments):
    """Return all the gradients of a model as one tensor; zeros where there is none."""
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad.detach()).flatten() for p in model.parameters()]
    )


def at_once(model, images, labels, part):
    """The reference: the gradient of the whole batch, and how it should come about (see `watched`)."""
    found = torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))
    return torch.cat([*(gradient.flatten() for gradient in found), torch.tensor([part, -(-len(labels) // part), 1, 0])])


def watched(answer, model, images, labels, part):
    """Return the gradients that the answer leaves, and four numbers on how they came about.

    The largest number of images in one forward pass, how many passes there were, how many of them waited for their
    backward pass at one time, and whether a weight has changed.
    """
    sizes, waiting, most = [], [], [0]

    def done(gradient):
        waiting.pop()

    def look(module, given, output):
        sizes.append(len(given[0]))
        if output.requires_grad:
            waiting.append(1)
            most[0] = max(most[0], len(waiting))
            output.register_hook(done)

    old = [parameter.detach().clone() for parameter in model.parameters()]
    model.register_forward_hook(look)

    def numbers(result):
        changed = not all(torch.equal(one, other) for one, other in zip(old, model.parameters()))
        seen = torch.tensor([float(max(sizes, default=0)), len(sizes), most[0], changed])
        return torch.cat([gradients(result), seen])

    return numbers_of(answer(model, images, labels, part), numbers)


def explain_gradients(found, right, model, images, labels, part):
    """Return what is wrong with the gradients, or with how they came about."""
    largest, passes, waiting, changed = found[-4:].tolist()
    if changed:
        return "the weights have changed: no optimizer.step in here, the gradients alone are wanted."
    if not found[:-4].any():
        return "there are no gradients: call backward for each part."
    if largest > part:
        return f"{largest:.0f} images went through the model at one time, and only {part} fit: split the batch."
    if waiting > 1:
        return f"{waiting:.0f} parts were kept at one time, so no memory is saved: call backward for each in the loop."
    if not torch.allclose(found[:-4], right[:-4], 1e-4, 1e-5):
        some = f"they begin {describe(found[:3])}, expected {describe(right[:3])}"
        return f"the gradients differ: {some} (for {len(labels)} images in parts of {part})."
    return f"{len(labels)} images went through in {passes:.0f} parts of at most {largest:.0f}: take parts of {part}."


def in_parts(weight=lambda here, everything, parts, part: here / everything, clear="first", **faults):
    """Return the gradients in parts, watched; each argument is a mistake that can be switched on."""

    def run(model, images, labels, part):
        if clear == "first":
            model.zero_grad()
        divide = torch.chunk if faults.get("chunk") else torch.split
        pieces = list(zip(divide(images, part), divide(labels, part)))
        for some, theirs in pieces[:1] if faults.get("one") else pieces:
            if faults.get("drop_last") and len(theirs) < part:
                continue
            if clear == "each":
                model.zero_grad()
            loss = F.cross_entropy(model(some), theirs)
            (loss * weight(len(theirs), len(labels), len(pieces), part)).backward()
        return model

    return lambda *arguments: watched(run, *arguments)


check_gradients_in_parts = NumbersExercise(
    "gradients_in_parts",
    at_once,
    cases=[
        (small_model(), *batch(10), 4),
        (small_model(Stale), *batch(12), 4),
        (small_model(), *batch(7), 3),
    ],
    mistakes=[
        (
            in_parts(lambda here, everything, parts, part: 1),
            "the parts' gradients are added as they are: weight each by its share of the images.",
        ),
        (
            in_parts(lambda here, everything, parts, part: 1 / parts),
            "a smaller last part counts as much as the others: weight by images, not by parts.",
        ),
        (
            in_parts(lambda here, everything, parts, part: 1 / everything),
            "the mean of a part is divided by all images: multiply by the part's number of images as well.",
        ),
        (
            in_parts(lambda here, everything, parts, part: here),
            "that is the gradient of the sum over the images: divide by the number of all of them.",
        ),
        (
            in_parts(lambda here, everything, parts, part: part / everything),
            "the last part is smaller than part: weight by len(theirs), not by part.",
        ),
        (
            in_parts(chunk=True),
            "chunk(part) makes `part` parts: split(part) makes parts of `part` images.",
        ),
        (
            in_parts(clear="never"),
            "old gradients are still in it: clear them once, before the first part.",
        ),
        (
            in_parts(clear="each"),
            "the gradients are cleared before each part: only the last part's are left.",
        ),
        (in_parts(drop_last=True), "the smaller last part is left out."),
        (in_parts(one=True), "only the first part has a gradient: is the return inside the loop?"),
    ],
    judge=watched,
    explain=explain_gradients,
)

# --- 3 · the largest batch -------------------------------------------------------------------------------------------


def by_counting(memory, parameters, copies, per_image):
    left, count = memory - 4 * parameters * copies, 0
    while left - per_image >= 0:
        left, count = left - per_image, count + 1
    return count


check_largest_batch = FunctionExercise(
    "largest_batch",
    by_counting,
    cases=[
        (1_000_000, 50_000, 4, 1_500),
        (900_000, 20_000, 3, 7_000),
        (100_000, 10_000, 3, 500),
        (5_000, 100, 2, 600),
        (700_000, 15_000, 2, 7_000),  # 82.86 images
    ],
    mistakes=[
        (
            lambda memory, parameters, copies, per_image: (memory - 4 * parameters * copies) // per_image,
            "where the model does not fit, the answer is 0, not a negative number.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(0, (memory - parameters * copies) // per_image),
            "a float32 has 4 bytes: multiply the parameters by 4.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(0, (memory - 4 * parameters) // per_image),
            "the parameters are kept `copies` times: gradients and the optimiser's state count too.",
        ),
        (
            lambda memory, parameters, copies, per_image: memory // per_image,
            "the model itself is left out: first take away its parameters, gradients and state.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(0, memory - 4 * parameters * copies) / per_image,
            "that is not whole: half an image does not fit, so round down with //.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(0, (memory - 4 * parameters * copies) // (4 * per_image)),
            "per_image is in bytes already: only the parameters are multiplied by 4.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(0, (memory - 4 * parameters * (copies + 1)) // per_image),
            "one copy too many: the weights themselves are among the copies.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(0, (memory - 4 * parameters * (copies - 1)) // per_image),
            "one copy is missing: all `copies` of the parameters take memory.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(0, round((memory - 4 * parameters * copies) / per_image)),
            "you rounded to the nearest: the last image does not fit.",
        ),
        (
            lambda memory, parameters, copies, per_image: max(
                0, math.ceil((memory - 4 * parameters * copies) / per_image)
            ),
            "you rounded up: the last image does not fit, so round down with //.",
        ),
    ],
)

# --- 4 · side by side ------------------------------------------------------------------------------------------------


def by_clock(count, load, compute):
    """The reference: two clocks. The worker never waits; computing waits for its batch, and for the one before."""
    loaded = finished = 0.0
    for _ in range(count):
        loaded += load
        finished = max(loaded, finished) + compute
    return finished


check_epoch_seconds = FunctionExercise(
    "epoch_seconds",
    by_clock,
    cases=[(10, 2.0, 3.0), (10, 3.0, 2.0), (5, 0.5, 0.25), (1, 2.0, 7.0)],
    mistakes=[
        (
            lambda count, load, compute: count * (load + compute),
            "nothing overlaps: that is one after the other, with no worker.",
        ),
        (
            lambda count, load, compute: count * max(load, compute),
            "everything overlaps: but the first computing waits for its batch, and the last has nothing beside it.",
        ),
        (
            lambda count, load, compute: load + count * compute,
            "that is right where computing is the slower one: take the slower of the two in between.",
        ),
        (
            lambda count, load, compute: count * load + compute,
            "that is right where loading is the slower one: take the slower of the two in between.",
        ),
        (
            lambda count, load, compute: load + count * max(load, compute) + compute,
            "one batch too many: between the first loading and the last computing take the slower count − 1 times.",
        ),
        (
            lambda count, load, compute: load + count * max(load, compute),
            "with the first loading apart, `count` times the slower is right only where that is computing: "
            "take it count − 1 times, and add the last computing.",
        ),
        (
            lambda count, load, compute: count * max(load, compute) + compute,
            "with the last computing apart, `count` times the slower is right only where that is loading: "
            "take it count − 1 times, and add the first loading.",
        ),
        (
            lambda count, load, compute: load + (count - 2) * max(load, compute) + compute,
            "one batch too few: between the first loading and the last computing lie count − 1 steps, not count − 2.",
        ),
        (
            lambda count, load, compute: load + (count - 1) * min(load, compute) + compute,
            "in between, the slower of the two decides, not the quicker.",
        ),
        (
            lambda count, load, compute: load + (count - 1) * max(load, compute),
            "the last computing is missing: it ends after the last loading.",
        ),
        (
            lambda count, load, compute: (count - 1) * max(load, compute) + compute,
            "the first loading is missing: nothing can be computed before it ends.",
        ),
    ],
)
