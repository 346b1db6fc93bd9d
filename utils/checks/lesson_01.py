"""Checks of lesson 01: padding, a convolution with two strides, a kernel to design, a gradient by hand."""

import torch
from torch.nn import functional as F

from utils.checks import FunctionExercise, ValueExercise


def tensor(*numbers, shape):
    return torch.tensor(numbers, dtype=torch.float32).reshape(shape)


# --- 1 · the padding that keeps the size ---------------------------------------------------------------------


def padding_reference(kernel_size, dilation=1):
    """Try paddings on a real layer until the size stays the same."""
    image, kernel = torch.zeros(1, 1, 40, 40), torch.zeros(1, 1, kernel_size, kernel_size)
    for padding in range(40):
        if F.conv2d(image, kernel, padding=padding, dilation=dilation).shape == image.shape:
            return padding
    raise ValueError("an even kernel_size with this dilation has no such padding")


check_padding_for_same = FunctionExercise(
    "padding_for_same",
    padding_reference,
    cases=[(3, 1), (5, 1), (1, 1), (7, 1), (3, 2), (3, 3), (5, 2), (7, 3)],
    mistakes=[
        (
            lambda kernel_size, dilation=1: (kernel_size - 1) // 2,
            "right without dilation, but the dilation is ignored.",
        ),
        (
            lambda kernel_size, dilation=1: dilation * (kernel_size - 1),
            "that is the padding of both sides together; `padding` is what is added on each side.",
        ),
        (
            lambda kernel_size, dilation=1: (dilation * (kernel_size - 1) + 1) // 2 + 1,
            "one pixel too many: the output would be larger than the input.",
        ),
        (
            lambda kernel_size, dilation=1: dilation * kernel_size // 2,
            "the kernel's span is dilation * (kernel_size - 1) + 1, not dilation * kernel_size.",
        ),
    ],
)

# --- 2 · a convolution with its own stride for each axis -------------------------------------------------------


def strided(image, kernel, stride):
    """Slide by hand; the mistakes below change one thing each."""
    (height, width), (kernel_height, kernel_width) = image.shape, kernel.shape
    rows = range(0, height - kernel_height + 1, stride[0])
    columns = range(0, width - kernel_width + 1, stride[1])
    values = [(image[i : i + kernel_height, j : j + kernel_width] * kernel).sum() for i in rows for j in columns]
    return torch.stack(values).reshape(len(rows), len(columns))


def without_striding_the_window(image, kernel, stride):
    dense = strided(image, kernel, (1, 1))
    right = strided(image, kernel, stride)
    return dense[: right.shape[0], : right.shape[1]]


generator = torch.Generator().manual_seed(1)
random_integers = [
    torch.randint(-4, 5, shape, generator=generator).float() for shape in [(7, 9), (3, 2), (8, 6), (2, 3)]
]

check_conv2d_strided = FunctionExercise(
    "conv2d_strided",
    lambda image, kernel, stride: F.conv2d(image[None, None], kernel[None, None], stride=stride)[0, 0],
    cases=[
        (random_integers[0], random_integers[1], (1, 1)),
        (random_integers[0], random_integers[1], (2, 3)),
        (random_integers[2], random_integers[3], (3, 1)),
        (random_integers[2], random_integers[1], (2, 2)),
    ],
    mistakes=[
        (
            lambda image, kernel, stride: strided(image, kernel, stride[::-1]),
            "height and width are swapped: stride[0] belongs to the rows, stride[1] to the columns.",
        ),
        (
            lambda image, kernel, stride: strided(image, kernel.flip(0, 1), stride),
            "the kernel is flipped: that is the mathematician's convolution; PyTorch slides it as it is.",
        ),
        (
            lambda image, kernel, stride: strided(image[:-1, :-1], kernel, stride),
            "the last position is missing: there are (size - kernel_size) // stride + 1 of them.",
        ),
        (
            lambda image, kernel, stride: strided(image, kernel, (stride[0], stride[0])),
            "the height is right, but the width uses the stride of the height.",
        ),
        (
            without_striding_the_window,
            "the size is right, but the window moves by one pixel: row i of the output starts at i * stride[0].",
        ),
        (lambda image, kernel, stride: strided(image, kernel, (1, 1)), "the stride is ignored."),
    ],
)

# --- 3 · design a kernel -----------------------------------------------------------------------------------------

falling = torch.eye(3)  # a bright line from the top left to the bottom right
rising = falling.flip(1)
upright = tensor(0, 1, 0, 0, 1, 0, 0, 1, 0, shape=(3, 3))
level = upright.T


def response(kernel, pattern):
    return (kernel * pattern).sum().item()


check_diagonal_kernel = ValueExercise(
    "diagonal_kernel",
    (3, 3),
    rules=[
        (
            lambda kernel: kernel.abs().max().item() > 0,
            "it is all zeros: it answers to nothing.",
            torch.zeros(3, 3),
        ),
        (
            lambda kernel: abs(kernel.sum().item()) < 1e-4,
            "its numbers do not sum to zero, so it answers to plain brightness: a white wall would light up.",
            falling,
        ),
        (
            lambda kernel: response(kernel, falling) >= 0,
            "a bright falling line gives a negative number: the signs are inverted.",
            1 - 3 * falling,
        ),
        (
            lambda kernel: response(kernel, falling) >= response(kernel, rising),
            "the other diagonal (top right to bottom left) excites it more: mirror it.",
            3 * rising - 1,
        ),
        (
            lambda kernel: abs(response(kernel, falling)) > 1e-4,
            "it answers to an edge, not to a line: along the falling line its weights sum to zero.",
            tensor(2, 1, 0, 1, 0, -1, 0, -1, -2, shape=(3, 3)),
        ),
        (
            lambda kernel: response(kernel, falling) >= 1,
            "its response to the falling line is positive but less than 1: the weights are too small.",
            (3 * falling - 1) / 10,
        ),
        (
            lambda kernel: (
                response(kernel, falling) > 2 * max(abs(response(kernel, line)) for line in (rising, upright, level))
            ),
            "another line through the centre (upright, level or rising) excites it at least half as much.",
            9 * upright * level - 1,
        ),
    ],
)

# --- 4 · the gradients of kernel and bias, by hand ---


def slide(image, kernel):
    return F.conv2d(image[None, None], kernel[None, None])[0, 0]


def autograd_gradients(image, target, kernel, bias):
    kernel, bias = kernel.clone().requires_grad_(), bias.clone().requires_grad_()
    F.mse_loss(slide(image, kernel) + bias, target).backward()
    return kernel.grad, bias.grad


def by_hand(image, target, kernel, bias):
    error = slide(image, kernel) + bias - target
    return 2 * slide(image, error) / error.numel(), 2 * error.mean()


def scaled(factor):
    """Return the mistake that multiplies both gradients with factor(image, target, kernel)."""

    def mistake(image, target, kernel, bias):
        return tuple(factor(image, target, kernel) * part for part in by_hand(image, target, kernel, bias))

    return mistake


def with_the_error_flipped(image, target, kernel, bias):
    error = (slide(image, kernel) + bias - target).flip(0, 1)
    return 2 * slide(image, error) / error.numel(), 2 * error.mean()


def randn(*shape):
    return torch.randn(*shape, generator=generator)


check_gradients_by_hand = FunctionExercise(
    "gradients_by_hand",
    autograd_gradients,
    cases=[
        (randn(6, 7), randn(4, 5), randn(3, 3), randn(())),
        (randn(5, 5), randn(4, 3), randn(2, 3), randn(())),
    ],
    mistakes=[
        (scaled(lambda *case: 0.5), "the factor 2 from the derivative of the square is missing."),
        (
            scaled(lambda image, target, kernel: target.numel()),
            "these are the gradients of the summed squares; the mean divides by the number of cells in the map.",
        ),
        (
            scaled(lambda image, target, kernel: target.numel() / 2),
            "both factors are missing: the 2 of the square, and the division by the number of cells in the map.",
        ),
        (
            scaled(lambda image, target, kernel: target.numel() / kernel.numel()),
            "divided by the number of weights; the loss is a mean over the cells of the map.",
        ),
        (
            scaled(lambda image, target, kernel: target.numel() / image.numel()),
            "divided by the number of pixels; the loss is a mean over the cells of the map.",
        ),
        (scaled(lambda *case: -1), "the sign is the other way round: the error is prediction minus target."),
        (
            lambda image, target, kernel, bias: by_hand(image, target, kernel, 0),
            "the bias is missing from the map, so the errors are wrong.",
        ),
        (
            lambda *case: (by_hand(*case)[0].flip(0, 1), by_hand(*case)[1]),
            "the kernel's gradient is upside down: row u belongs to the weights of row u.",
        ),
        (
            with_the_error_flipped,
            "the error is flipped: the gradient of a cross-correlation correlates image and error as they are.",
        ),
        (
            lambda *case: (by_hand(*case)[0], by_hand(*case)[1] * case[1].numel()),
            "the kernel's gradient is right; the bias's is a sum over the cells where it should be their mean.",
        ),
    ],
)
