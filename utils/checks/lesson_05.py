"""Checks of lesson 05: a stable softmax, cross-entropy, early stopping, the size of a test split."""

import math

import torch
from torch.nn import functional as F

from utils.checks import FunctionExercise

generator = torch.Generator().manual_seed(5)
small_logits = torch.randn(3, 4, generator=generator)
batch_logits, batch_labels = 3 * torch.randn(6, 5, generator=generator), torch.tensor([0, 4, 1, 1, 3, 2])

# --- 1 · a softmax that does not overflow ---


def without_subtracting(logits):
    return logits.exp() / logits.exp().sum(dim=1, keepdim=True)


check_stable_softmax = FunctionExercise(
    "stable_softmax",
    lambda logits: F.softmax(logits, dim=1),
    cases=[
        (small_logits,),
        (torch.tensor([[1000.0, 0.0], [-1000.0, -1001.0]]),),
        (torch.tensor([[0.0, 90.0, 100.0]]),),
    ],
    mistakes=[
        (
            without_subtracting,
            "right for small logits, but exp(1000) overflows to infinity: subtract each row's maximum first.",
        ),
        (
            lambda logits: F.softmax(logits, dim=0),
            "the columns sum to one: the classes lie along dim=1, so each row must.",
        ),
        (
            lambda logits: logits.exp() / logits.exp().sum(dim=0),
            "the columns sum to one, where each row must (dim=1); and exp(1000) overflows: subtract the maximum first.",
        ),
        (
            lambda logits: F.softmax(logits.flatten(), dim=0).view_as(logits),
            "the whole batch sums to one: each row is an image of its own.",
        ),
        (
            lambda logits: (logits - logits.max()).exp() / (logits - logits.max()).exp().sum(dim=1, keepdim=True),
            "the maximum of the whole batch is subtracted: a row far below it underflows to 0/0. Use each row's own.",
        ),
        (
            lambda logits: F.log_softmax(logits, dim=1),
            "these are the logarithms of the probabilities.",
        ),
    ],
)

# --- 2 · cross-entropy from logits ---


def chosen_log_probabilities(logits, labels):
    return F.log_softmax(logits, dim=1)[torch.arange(len(labels)), labels]


check_mean_cross_entropy = FunctionExercise(
    "mean_cross_entropy",
    lambda logits, labels: F.cross_entropy(logits, labels),
    cases=[
        (batch_logits, batch_labels),
        (batch_logits[:2], batch_labels[:2]),
        (torch.tensor([[200.0, 0.0]]), torch.tensor([1])),
    ],
    mistakes=[
        (
            lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"),
            "the losses are added up; the mean divides by the number of images.",
        ),
        (
            lambda logits, labels: chosen_log_probabilities(logits, labels).mean(),
            "the sign is missing: log p is negative, the loss is −log p.",
        ),
        (
            lambda logits, labels: -chosen_log_probabilities(logits, labels).sum() / logits.numel(),
            "divided by images × classes; each image has one loss, so divide by the number of images.",
        ),
        (
            lambda logits, labels: F.cross_entropy(logits, labels) / math.log(2),
            "this is the logarithm to base 2; PyTorch's loss uses the natural logarithm.",
        ),
        (
            lambda logits, labels: F.cross_entropy(F.softmax(logits, dim=1), labels),
            "softmax is applied twice: log_softmax wants logits, not probabilities.",
        ),
        (
            lambda logits, labels: -F.log_softmax(logits, dim=1)[:, labels].mean(),
            "[:, labels] takes those columns from every row; one pair a row needs [torch.arange(len(labels)), labels].",
        ),
        (
            lambda logits, labels: -F.log_softmax(logits, dim=0)[torch.arange(len(labels)), labels].mean(),
            "the softmax runs down the columns (dim=0); the classes of one image lie along dim=1.",
        ),
        (
            lambda logits, labels: -F.softmax(logits, dim=1)[torch.arange(len(labels)), labels].log().mean(),
            "right until a probability underflows to 0, whose logarithm is −infinity: use log_softmax on the logits.",
        ),
    ],
)

# --- 3 · early stopping ---


def patience_by_search(validation_losses, patience):
    """Return (epoch to stop after, epoch to keep), counted from 1, by looking at every prefix."""
    losses = torch.tensor(validation_losses)
    for stop in range(1, len(losses) + 1):
        best = losses[:stop].argmin().item() + 1
        if stop - best >= patience:
            return stop, best
    return len(losses), losses.argmin().item() + 1


def counting_every_worse_epoch(validation_losses, patience):
    best, worse = 1, 0
    for epoch, loss in enumerate(validation_losses, 1):
        if loss < validation_losses[best - 1]:
            best = epoch
        elif epoch > 1:
            worse += 1
            if worse == patience:
                return epoch, best
    return len(validation_losses), best


def comparing_with_the_epoch_before(validation_losses, patience):
    worse = 0
    for epoch in range(2, len(validation_losses) + 1):
        worse = worse + 1 if validation_losses[epoch - 1] >= validation_losses[epoch - 2] else 0
        if worse == patience:
            break
    return epoch, min(range(epoch), key=validation_losses.__getitem__) + 1


def taking_ties_for_better(validation_losses, patience):
    best = 1
    for epoch, loss in enumerate(validation_losses, 1):
        if loss <= validation_losses[best - 1]:
            best = epoch
        if epoch - best >= patience:
            break
    return epoch, best


def looking_into_the_future(validation_losses, patience):
    stop, _ = patience_by_search(validation_losses, patience)
    return stop, validation_losses.index(min(validation_losses)) + 1


def keeping_the_last(validation_losses, patience):
    stop, _ = patience_by_search(validation_losses, patience)
    return stop, stop


def counting_from_zero(validation_losses, patience):
    stop, best = patience_by_search(validation_losses, patience)
    return stop - 1, best - 1


def one_epoch_late(validation_losses, patience):
    return patience_by_search(validation_losses, patience + 1)


check_early_stopping = FunctionExercise(
    "early_stopping",
    patience_by_search,
    cases=[
        ([0.5, 0.3, 0.4, 0.35, 0.2, 0.21, 0.22, 0.1], 3),
        ([0.9, 0.5, 0.6, 0.55, 0.52, 0.3], 3),
        ([0.9, 0.8, 0.7, 0.6], 2),
        ([0.5, 0.3, 0.31, 0.1, 0.2, 0.15, 0.3, 0.05], 2),
        ([0.5, 0.4, 0.4, 0.4, 0.3], 2),
    ],
    mistakes=[
        (counting_every_worse_epoch, "every worse epoch is counted; a new best must set the count back to zero."),
        (
            comparing_with_the_epoch_before,
            "each loss is compared with the epoch before; what counts is the best so far.",
        ),
        (taking_ties_for_better, "a tie is taken for a new best; only a smaller loss is one."),
        (
            looking_into_the_future,
            "the epoch to stop at is right, but the one to keep is chosen among epochs that were never trained.",
        ),
        (keeping_the_last, "the epoch to stop at is right, but the one to keep is the best, not the last."),
        (counting_from_zero, "the epochs are counted from 0; the first epoch is 1."),
        (one_epoch_late, "one epoch late: stop as soon as `patience` epochs have passed without a new best."),
    ],
)

# --- 4 · how many test images ---


def images_by_search(accuracy, half_width):
    """Return the smallest number of images whose interval is narrow enough, by doubling and halving."""

    def is_enough(num_images):
        return 1.96 * math.sqrt(accuracy * (1 - accuracy) / num_images) <= half_width

    too_few, enough = 0, 1
    while not is_enough(enough):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return enough


check_images_needed = FunctionExercise(
    "images_needed",
    images_by_search,
    cases=[(0.99, 0.001), (0.9, 0.01), (0.8, 0.033), (0.5, 0.03)],
    mistakes=[
        (
            lambda accuracy, half_width: math.floor(accuracy * (1 - accuracy) * (1.96 / half_width) ** 2),
            "rounded down, which is one image too few: round up.",
        ),
        (
            lambda accuracy, half_width: math.ceil(accuracy * (1 - accuracy) * 1.96 / half_width),
            "the ratio 1.96 / half_width must be squared, since the interval shrinks with the square root of n.",
        ),
        (
            lambda accuracy, half_width: math.ceil(accuracy * (1 - accuracy) * 1.96 / half_width**2),
            "half_width is squared, but 1.96 is not: both came out of one square root.",
        ),
        (
            lambda accuracy, half_width: math.ceil(accuracy * (1 - accuracy) / half_width**2),
            "the factor 1.96 is missing: this interval would hold 68 % of the time, not 95 %.",
        ),
        (
            lambda accuracy, half_width: math.ceil(accuracy * (1 - accuracy) * (2 * 1.96 / half_width) ** 2),
            "half_width is taken for the whole width: the interval is accuracy ± half_width.",
        ),
        (
            lambda accuracy, half_width: math.ceil((1.96 / half_width) ** 2),
            "the variance accuracy * (1 − accuracy) is missing.",
        ),
    ],
)
