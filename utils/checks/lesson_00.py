"""Checks of lesson 00: a batch from an image, an accuracy, a slope by autograd."""

import torch

from utils.checks import FunctionExercise

generator = torch.Generator().manual_seed(0)


def random_bytes(*shape):
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


# --- 1 · from a picture of bytes to a batch ---

check_to_batch = FunctionExercise(
    "to_batch",
    lambda image: torch.stack([image.unsqueeze(0)]).float().div(255),
    cases=[(random_bytes(28, 28),), (random_bytes(2, 3) // 2,), (torch.tensor([[0, 255]], dtype=torch.uint8),)],
    mistakes=[
        (lambda image: image[None, None].float(), "the shape is right, but the numbers still run from 0 to 255."),
        (lambda image: image.float() / 255, "the numbers are right, but the two axes in front are missing."),
        (lambda image: image[None].float() / 255, "one axis is missing: images come first, then channels."),
        (lambda image: image[:, :, None, None].float() / 255, "the new axes stand at the end; they belong in front."),
        (lambda image: image[None, None].float() / 256, "divided by 256; the largest byte, 255, should become 1."),
        (
            lambda image: image[None, None].float() / image.max(),
            "divided by this picture's own maximum: a dark picture would turn bright. The scale is 255 for all.",
        ),
        (lambda image: image[None, None] // 255, "// drops the fractions: only 0 and 1 are left. Divide with /."),
    ],
)

# --- 2 · accuracy ---


def counted_accuracy(logits, labels):
    right = sum(row.index(max(row)) == label for row, label in zip(logits.tolist(), labels.tolist()))
    return right / len(labels)


check_accuracy = FunctionExercise(
    "accuracy",
    counted_accuracy,
    cases=[
        (torch.tensor([[2.0, 1, 0], [0, 1, 2], [0, 3, 1], [5, 4, 0]]), torch.tensor([0, 2, 2, 0])),
        (torch.randn(30, 10, generator=generator), torch.arange(30) % 10),
        (torch.tensor([[1.0, 2.0]]), torch.tensor([1])),
    ],
    mistakes=[
        (
            lambda logits, labels: 100 * counted_accuracy(logits, labels),
            "this is a percentage; return the fraction, between 0 and 1.",
        ),
        (
            lambda logits, labels: counted_accuracy(logits, labels) * len(labels),
            "this is the number of right answers; divide by the number of images.",
        ),
        (
            lambda logits, labels: 1 - counted_accuracy(logits, labels),
            "this is the fraction of wrong answers.",
        ),
        (
            lambda logits, labels: (logits.argmax() == labels).float().mean().item(),
            "argmax without dim looks for one largest number in the whole table; each row needs its own (dim=1).",
        ),
        (
            lambda logits, labels: counted_accuracy(-logits, labels),
            "the smallest logit is taken; the network's answer is the largest.",
        ),
    ],
)

# --- 3 · a slope by autograd ---


def square(x):
    return x**2


def wave(x):
    return torch.sin(3 * x)


def bell(x):
    return torch.exp(-(x**2))


check_slope = FunctionExercise(
    "slope",
    lambda function, x: torch.func.grad(function)(torch.tensor(x)).item(),
    cases=[(square, 3.0), (wave, 0.5), (bell, -1.0), (square, -2.0)],
    mistakes=[
        (
            lambda function, x: function(torch.tensor(x)).item(),
            "this is the function's value; its slope is in x.grad after backward().",
        ),
        (
            lambda function, x: None,
            "it returned None: is the return missing? Or was it .grad, which is None until backward() has run? "
            "(backward() itself returns nothing.)",
        ),
        (
            lambda function, x: torch.func.grad(function)(torch.tensor(x)).abs().item(),
            "the sign is lost: where the function falls, the slope is negative.",
        ),
        (
            lambda function, x: (function(torch.tensor(x + 0.1)) - function(torch.tensor(x))).item() / 0.1,
            "close, but a nudge of 0.1 is too coarse: let backward() compute it exactly.",
        ),
        (
            lambda function, x: (function(torch.tensor(x + 0.01)) - function(torch.tensor(x))).item() / 0.01,
            "close, but a nudge of 0.01 is still too coarse: let backward() compute it exactly.",
        ),
        (
            lambda function, x: -torch.func.grad(function)(torch.tensor(x)).item(),
            "the sign is the wrong way round.",
        ),
    ],
)
