"""Checks of lesson 13: the cheapest answer, the coverage that a risk allows, and a batch norm folded away."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from utils.checks import FunctionExercise

# --- 1 · the cheapest answer -----------------------------------------------------------------------------------------


def decide_one_by_one(probabilities, costs):
    """The reference: each action's price for each picture, added up term by term."""
    chosen = []
    for row in probabilities.tolist():
        prices = [sum(p * price for p, price in zip(row, action)) for action in costs.tolist()]
        chosen.append(prices.index(min(prices)))
    return torch.tensor(chosen)


def pictures(count, num_classes, seed):
    """Return probabilities (count, num_classes), some sure and some not."""
    logits = torch.randn(count, num_classes, generator=torch.Generator().manual_seed(seed))
    return (2 * logits).softmax(dim=1)


check_decide = FunctionExercise(
    "decide",
    decide_one_by_one,
    cases=[
        (pictures(8, 2, 0), torch.tensor([[0.0, 10.0], [4.0, 0.0], [1.0, 1.0]])),  # the third action: ask
        (pictures(8, 4, 1), torch.tensor([[0.0, 2.0, 3.0, 9.0], [2.5, 1.0, 0.0, 0.5]])),  # go on, or brake
        (pictures(9, 3, 2), torch.tensor([[0.0, 1.0, 9.0], [2.0, 0.0, 3.0], [3.5, 1.0, 0.0]])),
    ],
    mistakes=[
        (
            lambda probabilities, costs: probabilities.argmax(dim=1),
            "that is the likeliest class: the costs are not used.",
        ),
        (
            lambda probabilities, costs: costs[:, probabilities.argmax(dim=1)].argmin(dim=0),
            "only the likeliest class's costs are looked at: weigh the costs of all classes with their probabilities.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs.T).argmax(dim=1),
            "that is the dearest action: take the smallest cost.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs.T).amin(dim=1),
            "these are the costs themselves: return the number of the action that has the least.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs).argmin(dim=1),
            "the table is the wrong way round: costs has a row for each action, so it has to be transposed.",
        ),
        (
            lambda probabilities, costs: costs.amax(dim=1).argmin().expand(len(probabilities)),
            "every picture gets the action whose worst case is mildest: the probabilities are not used.",
        ),
        (
            lambda probabilities, costs: costs.sum(dim=1).argmin().expand(len(probabilities)),
            "every class counts alike for every picture: weigh the costs with the picture's probabilities.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs.T).argmin(dim=0),
            "the smallest is taken over the pictures: for each picture take it over the actions (dim=1).",
        ),
        (
            lambda probabilities, costs: probabilities @ costs.T,
            "these are all actions' costs for every picture: argmin over the actions is still to come.",
        ),
        (
            lambda probabilities, costs: (probabilities.softmax(dim=1) @ costs.T).argmin(dim=1),
            "the probabilities went through a softmax once more, which makes them nearly equal.",
        ),
    ],
)

# --- 2 · the coverage that a risk allows -----------------------------------------------------------------------------


def coverage_one_by_one(confidences, correct, most):
    """The reference: try every number of answers."""
    pairs = sorted(zip(confidences.tolist(), correct.tolist()), reverse=True)
    allowed = [n for n in range(1, len(pairs) + 1) if sum(not hit for _, hit in pairs[:n]) <= most * n + 1e-9]
    return max(allowed, default=0) / len(pairs)


def curve(confidences, correct, descending=True):
    """Return the risk after each picture, and the pictures' order."""
    order = confidences.argsort(descending=descending)
    return (~correct[order]).cumsum(dim=0) / torch.arange(1, len(order) + 1), order


def last(allowed):
    """Return how many pictures the last allowed place stands for."""
    places = allowed.nonzero()
    return int(places[-1]) + 1 if len(places) else 0


def first_crossing(confidences, correct, most):
    risk, _ = curve(confidences, correct)
    over = (risk > most + 1e-7).nonzero()
    return (int(over[0]) if len(over) else len(risk)) / len(risk)


def of_all_images(confidences, correct, most):
    wrong = (~correct[confidences.argsort(descending=True)]).cumsum(dim=0)
    return last(wrong <= most * len(correct) + 1e-9) / len(correct)


def off_by_one(confidences, correct, most):
    return max(last(curve(confidences, correct)[0] <= most + 1e-7) - 1, 0) / len(correct)


def as_confidence(confidences, correct, most):
    risk, order = curve(confidences, correct)
    count = last(risk <= most + 1e-7)
    return float(confidences[order[count - 1]]) if count else 0.0


def how_many_are_allowed(confidences, correct, most):
    return float((curve(confidences, correct)[0] <= most + 1e-7).double().mean())


check_coverage_at_risk = FunctionExercise(
    "coverage_at_risk",
    coverage_one_by_one,
    cases=[
        (
            torch.tensor([0.9, 0.5, 0.8, 0.7, 0.6]),
            torch.tensor([True, False, True, False, True]),
            0.25,
        ),
        (  # over the limit, and back: the risk is 0, 1/2, 1/3, 1/4, 1/5, 1/3, 3/7, 1/2
            torch.tensor([0.35, 0.99, 0.75, 0.97, 0.85, 0.95, 0.45, 0.65]),
            torch.tensor([False, True, True, False, True, True, False, False]),
            0.25,
        ),
        (torch.tensor([0.6, 0.9, 0.7, 0.8]), torch.tensor([True, False, True, False]), 0.1),
        (torch.tensor([0.6, 0.9, 0.7, 0.8]), torch.tensor([True, True, False, True]), 0.5),
    ],
    mistakes=[
        (
            lambda confidences, correct, most: (
                last(curve(confidences, correct, False)[0] <= most + 1e-7) / len(correct)
            ),
            "the least sure come first: sort with descending=True.",
        ),
        (
            lambda confidences, correct, most: (
                last((~correct).cumsum(0) / torch.arange(1, len(correct) + 1) <= most) / len(correct)
            ),
            "the pictures are taken in the order in which they came: sort them, the surest first.",
        ),
        (
            first_crossing,
            "it stops where the risk first goes over the limit: it can come back, and the last allowed place counts.",
        ),
        (
            of_all_images,
            "the wrong answers are a share of all pictures here: divide by the number answered so far.",
        ),
        (
            lambda confidences, correct, most: last(curve(confidences, correct)[0] < most - 1e-7) / len(correct),
            "a risk of exactly `most` is left out: at most means ≤.",
        ),
        (
            lambda confidences, correct, most: last(curve(confidences, correct)[0] <= most + 1e-7),
            "that is a number of pictures: divide it by how many there are.",
        ),
        (off_by_one, "one picture is missing: place i, counted from 0, stands for i + 1 pictures."),
        (as_confidence, "that is the confidence of the last picture answered: return the share of pictures answered."),
        (
            how_many_are_allowed,
            "it counts the places that are allowed: the last of them is what matters, whatever lies before it.",
        ),
        (
            lambda confidences, correct, most: last(1 - curve(confidences, correct)[0] <= most + 1e-7) / len(correct),
            "right and wrong are exchanged: the risk is the share of wrong answers.",
        ),
    ],
)

# --- 3 · a norm folded into a convolution ----------------------------------------------------------------------------


def norm_of(channels, seed, eps=1e-5):
    """Return a batch norm in evaluation mode, with every number set."""
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels, eps=eps).eval()
    with torch.no_grad():
        for numbers, low in ((norm.weight, 0.5), (norm.bias, -1), (norm.running_mean, -2), (norm.running_var, 0.2)):
            numbers.copy_(low + 2 * torch.rand(channels, generator=generator))
    return norm.requires_grad_(False)


def conv_of(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator), torch.randn(shape[0], generator=generator)


def fuse(weight, bias, norm):
    """The reference: PyTorch's own."""
    settings = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    return tuple(part.detach() for part in fuse_conv_bn_weights(weight, bias, *settings))


def folded(scale=None, shift=None, axis=0):
    """Return a mistake: the right folding but for the scale, for the bias, or for the axis that is scaled."""

    def fold_norm(weight, bias, norm):
        factor = (scale or (lambda norm: norm.weight / (norm.running_var + norm.eps).sqrt()))(norm)
        shape = [1] * 4
        shape[axis] = -1
        make = shift or (lambda bias, norm, factor: (bias - norm.running_mean) * factor + norm.bias)
        return weight * factor.view(shape), make(bias, norm, factor)

    return fold_norm


def old_bias(bias, norm, factor):
    return bias


def unscaled_bias(bias, norm, factor):
    return bias - norm.running_mean * factor + norm.bias


check_fold_norm = FunctionExercise(
    "fold_norm",
    fuse,
    cases=[
        (*conv_of((4, 3, 3, 3), 0), norm_of(4, 1)),
        (*conv_of((5, 5, 1, 1), 2), norm_of(5, 3, eps=0.5)),
        (*conv_of((2, 6, 3, 3), 4), norm_of(2, 5)),
    ],
    mistakes=[
        (
            folded(scale=lambda norm: norm.weight / norm.running_var.sqrt()),
            "eps is left out: it is added to the variance before the root.",
        ),
        (
            folded(scale=lambda norm: norm.weight / (norm.running_var.sqrt() + norm.eps)),
            "eps is added to the standard deviation: it belongs to the variance, before the root.",
        ),
        (
            folded(scale=lambda norm: norm.weight / (norm.running_var + norm.eps)),
            "it divides by the variance: take its root.",
        ),
        (
            folded(scale=lambda norm: 1 / (norm.running_var + norm.eps).sqrt()),
            "γ is left out: norm.weight multiplies each channel.",
        ),
        (folded(shift=old_bias), "the bias is the old one: it passes through the norm as well."),
        (
            folded(shift=unscaled_bias),
            "the old bias is not scaled: the norm multiplies all that comes out of the convolution.",
        ),
        (
            folded(shift=lambda bias, norm, factor: bias * factor + norm.bias),
            "the running mean is not subtracted from the bias.",
        ),
        (
            folded(shift=lambda bias, norm, factor: (bias - norm.running_mean) * factor),
            "β is missing: norm.bias is added at the end.",
        ),
        (
            folded(shift=lambda bias, norm, factor: (bias + norm.running_mean) * factor + norm.bias),
            "the running mean is added: the norm subtracts it.",
        ),
        (
            folded(axis=1),
            "the input channels are scaled: the norm comes after the convolution, so scale its output channels.",
        ),
        (
            lambda weight, bias, norm: (weight, folded()(weight, bias, norm)[1]),
            "the weight is the old one: each of its output channels is multiplied by γ / √(variance + eps).",
        ),
    ],
)
