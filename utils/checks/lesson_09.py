"""Checks of lesson 09: how much of a map lies in a square, the area under a curve, and a step towards a class."""

import torch
from torch import nn
from torch.nn import functional as F

from utils.checks import FunctionExercise

generator = torch.Generator().manual_seed(9)


def rand(*shape):
    return torch.rand(*shape, generator=generator)


# --- 1 · how much of a map lies in a square --------------------------------------------------------------------------


def share_by_mask(heat, top, left, size):
    """The share by a mask of ones and zeros, in double precision."""
    rows, columns = (torch.arange(length) for length in heat.shape)
    mask = ((rows >= top) & (rows < top + size))[:, None] & ((columns >= left) & (columns < left + size))
    return ((heat.double() * mask).sum() / heat.double().sum()).float()


def share(place=lambda top, left, size: (slice(top, top + size), slice(left, left + size)), whole=torch.sum):
    """Return the share by hand; every argument is a mistake that can be switched on."""

    def share_inside(heat, top, left, size):
        return heat[place(top, left, size)].sum() / whole(heat)

    return share_inside


check_share_inside = FunctionExercise(
    "share_inside",
    share_by_mask,
    cases=[(rand(6, 9), 1, 4, 3), (rand(8, 5), 3, 0, 2), (rand(7, 7), 0, 2, 5)],
    mistakes=[
        (
            share(lambda top, left, size: (slice(left, left + size), slice(top, top + size))),
            "rows and columns are swapped: `top` counts rows, the first axis.",
        ),
        (
            share(lambda top, left, size: (slice(top, size), slice(left, size))),
            "the slices end at `size`: they should end at top + size and left + size.",
        ),
        (
            share(lambda top, left, size: (slice(top, top + size + 1), slice(left, left + size + 1))),
            "the square is one row and one column too large: the end of a slice is not part of it.",
        ),
        (share(whole=lambda heat: 1), "that is the sum inside: divide it by the sum of the whole map."),
        (share(whole=torch.numel), "divided by the number of pixels: divide by the sum of the map's values."),
        (
            lambda heat, top, left, size: heat[top : top + size, left : left + size].mean() / heat.mean(),
            "a ratio of means says how much brighter the square is: the share is a ratio of sums.",
        ),
        (
            lambda heat, top, left, size: torch.tensor(size * size / heat.numel()),
            "that is the square's share of the area: the map itself is not used.",
        ),
        (
            lambda heat, top, left, size: 1 - share_by_mask(heat, top, left, size),
            "that is the share outside of the square.",
        ),
    ],
)

# --- 2 · the area under a curve --------------------------------------------------------------------------------------


def area_by_steps(curve):
    """The trapezoids one by one, in double precision."""
    curve, steps = curve.double(), curve.shape[1] - 1
    return sum((curve[:, step] + curve[:, step + 1]) / 2 for step in range(steps)).div(steps).float()


def weighted(scale=lambda points: 1 / (points - 1), ends=0.5, first=True, last=True):
    """Return the area by weights; the two ends count by half, and every argument is a mistake."""

    def area_under(curve):
        weights = torch.ones(curve.shape[1])
        weights[0], weights[-1] = ends * first, ends * last
        return (curve * weights).sum(dim=1) * scale(curve.shape[1])

    return area_under


check_area_under = FunctionExercise(
    "area_under",
    area_by_steps,
    cases=[(rand(3, 5),), (rand(1, 2),), (rand(4, 17),)],
    mistakes=[
        (
            lambda curve: curve.mean(dim=1),
            "that is the mean of the points: the first and the last stand for half a step each.",
        ),
        (weighted(lambda points: 1), "the width of a step is missing: the axis goes from 0 to 1."),
        (weighted(lambda points: 1 / points), "there is one step fewer than there are points."),
        (
            weighted(ends=1.0),
            "the first and the last point stand for half a step each, and count as much as the others here.",
        ),
        (weighted(ends=1.0, last=False), "each step takes the value at its left end: take the mean of its two ends."),
        (weighted(ends=1.0, first=False), "each step takes the value at its right end: take the mean of its two ends."),
        (lambda curve: area_by_steps(curve).mean(), "one number for all curves: return one for each row."),
        (lambda curve: 1 - area_by_steps(curve), "that is the area above the curve."),
    ],
)

# --- 3 · a step towards a class --------------------------------------------------------------------------------------


def small_network(seed):
    """Return a network of one hidden layer for images (3, 4, 4) and five classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 5)).eval()


def step_by_functions(model, images, classes, epsilon):
    """The step by torch.func, from the log-probability instead of the loss."""

    def log_probability(pixels):
        logs = F.log_softmax(model(pixels), dim=1)
        return logs[range(len(classes)), classes].sum()

    direction = torch.func.grad(log_probability)(images).sign()
    return torch.minimum(torch.maximum(images + epsilon * direction, torch.zeros(())), torch.ones(()))


def step(sign=-1, direction=torch.sign, keep=lambda images: images.clamp(0, 1), objective=F.cross_entropy):
    """Return the step by hand; every argument is a mistake that can be switched on."""

    def step_towards(model, images, classes, epsilon):
        images = images.detach().clone().requires_grad_()
        gradient = torch.autograd.grad(objective(model(images), classes), images)[0]
        return keep(images + sign * epsilon * direction(gradient)).detach()

    return step_towards


def away_from_the_answer(model, images, classes, epsilon):
    return step(sign=1)(model, images, model(images).argmax(dim=1), epsilon)


check_step_towards = FunctionExercise(
    "step_towards",
    step_by_functions,
    cases=[
        (small_network(1), rand(3, 3, 4, 4), torch.tensor([0, 4, 2]), 0.1),
        (small_network(2), rand(2, 3, 4, 4), torch.tensor([1, 1]), 0.3),
    ],
    mistakes=[
        (step(sign=1), "that step goes away from the class: the loss towards it must fall, so subtract."),
        (step(direction=lambda gradient: gradient), "the gradient itself is added: take its sign, so each moves by ε."),
        (
            step(direction=F.normalize),
            "the gradient is divided by its length: take its sign, so that every number moves by ε.",
        ),
        (step(keep=lambda images: images), "some numbers leave 0..1: clamp, or it is no image any more."),
        (
            step(objective=lambda logits, classes: -logits[range(len(classes)), classes].sum()),
            "did you climb the logit? Lower the cross-entropy, which takes the other classes into account.",
        ),
        (away_from_the_answer, "that leads away from the network's own answer: go towards `classes`."),
        (lambda model, images, classes, epsilon: images, "the images are unchanged."),
    ],
)
