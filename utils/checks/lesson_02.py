"""Checks of lesson 02: ELU's slope, two layers merged into one, max pooling, a masked average, firing rates."""

import torch
from torch.nn import functional as F

from utils.checks import FunctionExercise

generator = torch.Generator().manual_seed(2)


def randn(*shape):
    return torch.randn(*shape, generator=generator)


def randint(low, high, *shape):
    return torch.randint(low, high, shape, generator=generator).float()


# --- 1 · ELU's slope from its output ---------------------------------------------------------------------------


def slope_by_autograd(output, alpha):
    """Find the input that gives this output, and ask autograd for the slope there."""
    inputs = torch.where(output > 0, output, torch.log1p(output.clamp(max=0) / alpha)).double().requires_grad_()
    F.elu(inputs, alpha).sum().backward()
    return inputs.grad.float()


def negative_side(slope):
    """Return the mistake that is right where the output is positive, and slope(output, alpha) where it is not."""
    return lambda output, alpha: torch.where(output > 0, torch.ones_like(output), slope(output, alpha))


check_elu_slope = FunctionExercise(
    "elu_slope",
    slope_by_autograd,
    cases=[
        (torch.tensor([-0.9, -0.5, -0.1, 0.3, 2.0]), 1.0),
        (torch.tensor([[1.5, -1.8], [-0.2, 4.0]]), 2.0),
        (torch.tensor([-0.4, 0.7, -0.05]), 0.5),
    ],
    mistakes=[
        (
            negative_side(lambda output, alpha: output + 1),
            "right for alpha = 1 only: the negative side of the slope is output + something that depends on alpha.",
        ),
        (
            negative_side(lambda output, alpha: alpha * output.exp()),
            "that is the formula for the slope at the *input* x; here you are given the output.",
        ),
        (
            negative_side(lambda output, alpha: output),
            "on the negative side this is the output itself: alpha * (exp(x) - 1), and the slope has no - 1.",
        ),
        (
            negative_side(lambda output, alpha: torch.zeros_like(output)),
            "on the negative side this is ReLU's slope, 0.",
        ),
        (
            negative_side(lambda output, alpha: torch.full_like(output, alpha)),
            "on the negative side this is alpha everywhere: a straight line, as Leaky ReLU has.",
        ),
        (
            lambda output, alpha: torch.where(output > 0, output + alpha, torch.ones_like(output)),
            "the two sides are swapped: the slope is 1 where the output is positive.",
        ),
        (
            lambda output, alpha: output + alpha,
            "the negative side is right; where the output is positive the slope is 1.",
        ),
    ],
)

# --- 2 · two layers in one ---------------------------------------------------------------------------------------


def slide(image, kernel):
    return F.conv2d(image[None, None], kernel[None, None])[0, 0]


def merged_by_probing(first, second, first_bias, second_bias):
    """Send single bright pixels through the two layers, one after the other, and read off what the one kernel is."""
    shape = [a + b - 1 for a, b in zip(first.shape, second.shape)]

    def both(image):
        return (slide(slide(image, first) + first_bias, second) + second_bias)[0, 0]

    bias = both(torch.zeros(*shape))
    pixels = torch.eye(shape[0] * shape[1]).reshape(-1, *shape)
    return torch.stack([both(pixel) - bias for pixel in pixels]).reshape(shape), bias


def merged_kernel(first, second):
    height, width = second.shape
    return slide(F.pad(first, (width - 1, width - 1, height - 1, height - 1)), second.flip(0, 1))


def with_bias(bias):
    """Return the mistake whose kernel is right and whose bias is bias(first, second, first_bias, second_bias)."""
    return lambda *layers: (merged_kernel(*layers[:2]), bias(*layers))


def with_kernel(kernel):
    """Return the mistake whose bias is right and whose kernel is kernel(first, second)."""
    return lambda *layers: (kernel(*layers[:2]), layers[2] * layers[1].sum() + layers[3])


check_merge_layers = FunctionExercise(
    "merge_layers",
    merged_by_probing,
    cases=[
        (randint(-3, 4, 3, 3), randint(-3, 4, 3, 3) + torch.eye(3), torch.tensor(2.0), torch.tensor(-1.0)),
        (randint(-3, 4, 2, 3), randint(1, 4, 4, 2), torch.tensor(-3.0), torch.tensor(5.0)),
    ],
    mistakes=[
        (
            with_bias(lambda first, second, first_bias, second_bias: first_bias + second_bias),
            "the biases are added as they are; the first one passes through the second kernel, which multiplies it.",
        ),
        (
            with_bias(lambda first, second, first_bias, second_bias: second_bias),
            "the kernel is right, but the first layer's bias is forgotten.",
        ),
        (
            with_bias(lambda first, second, first_bias, second_bias: first_bias * second.sum()),
            "the kernel is right, but the second layer's bias is forgotten.",
        ),
        (
            with_bias(lambda first, second, first_bias, second_bias: first_bias * first.sum() + second_bias),
            "the first bias is multiplied by its own kernel's sum; it meets the weights of the second kernel.",
        ),
        (
            with_bias(
                lambda first, second, first_bias, second_bias: first_bias * second.sum() + second_bias * first.sum()
            ),
            "the second bias is multiplied too; it is added last, and no kernel comes after it.",
        ),
        (
            with_bias(lambda first, second, first_bias, second_bias: first_bias * second.numel() + second_bias),
            "the first bias is multiplied by the number of weights in the second kernel, not with their sum.",
        ),
        (
            lambda *layers: merged_by_probing(*layers)[::-1],
            "kernel and bias are swapped: the kernel comes first.",
        ),
        (
            with_kernel(lambda first, second: merged_kernel(first, second.flip(0, 1))),
            "the second kernel is upside down: its weight (u, v) moves the first kernel down by u and right by v.",
        ),
        (
            with_kernel(lambda first, second: merged_kernel(first, second).flip(0, 1)),
            "the merged kernel is upside down.",
        ),
        (
            with_kernel(lambda first, second: merged_kernel(first, second)[: first.shape[0], : first.shape[1]]),
            "the merged kernel is cut off: two kernels of size 3 see 3 + 3 - 1 = 5 pixels.",
        ),
    ],
)

# --- 3 · max pooling by hand -----------------------------------------------------------------------------------


def pooled(maps, window, stride, padding, fill=float("-inf"), last=1):
    """Pool by hand; the mistakes below change one thing each."""
    padded = F.pad(maps, (padding,) * 4, value=fill)
    rows = range(0, padded.shape[1] - window[0] + last, stride[0])
    columns = range(0, padded.shape[2] - window[1] + last, stride[1])
    values = [padded[:, i : i + window[0], j : j + window[1]].amax(dim=(1, 2)) for i in rows for j in columns]
    return torch.stack(values, dim=1).reshape(len(maps), len(rows), len(columns))


check_max_pool2d = FunctionExercise(
    "max_pool2d",
    lambda maps, window, stride, padding: F.max_pool2d(maps[None], window, stride, padding)[0],
    cases=[
        (randint(-9, 10, 2, 6, 8), (2, 2), (2, 2), 0),
        (randint(-9, 10, 3, 7, 9), (3, 2), (2, 3), 0),
        (randint(-9, 0, 2, 6, 7), (2, 3), (2, 1), 1),
        (randint(-9, 10, 1, 8, 7), (4, 2), (1, 2), 1),
    ],
    mistakes=[
        (
            lambda maps, window, stride, padding: pooled(maps, window, stride, padding, fill=0.0),
            "a zero of the padding wins where all numbers are negative: pad with minus infinity.",
        ),
        (
            lambda maps, window, stride, padding: pooled(maps, window[::-1], stride[::-1], padding),
            "height and width are swapped: window[0] and stride[0] belong to the rows.",
        ),
        (
            lambda maps, window, stride, padding: pooled(maps, window[::-1], stride, padding),
            "the window's sides are swapped: window[0] is its height, window[1] its width.",
        ),
        (
            lambda maps, window, stride, padding: pooled(maps, window, stride[::-1], padding),
            "the strides are swapped: stride[0] is the step between rows, stride[1] the step between columns.",
        ),
        (
            lambda maps, window, stride, padding: pooled(maps, window, window, padding),
            "the windows move by their own size; they should move by the stride.",
        ),
        (
            lambda maps, window, stride, padding: pooled(maps, stride, stride, padding),
            "the stride is taken for the window: each maximum is over stride[0] × stride[1] numbers.",
        ),
        (
            lambda maps, window, stride, padding: pooled(maps, window, stride, padding).amax(dim=0, keepdim=True),
            "the channels are mixed: each map is pooled by itself, and as many come out as went in.",
        ),
        (
            lambda maps, window, stride, padding: pooled(maps, window, stride, padding, last=0),
            "the last position is missing where the window ends exactly at the last row or column.",
        ),
        (lambda maps, window, stride, padding: pooled(maps, window, stride, 0), "the padding is ignored."),
    ],
)

# --- 4 · the average of what is real ------------------------------------------------------------------------------


def average_one_by_one(maps, heights, widths):
    """Cut each image's own part out, and let PyTorch average it."""
    parts = [image[:, : int(h), : int(w)] for image, h, w in zip(maps, heights, widths)]
    return torch.stack([F.adaptive_avg_pool2d(part[None], 1)[0, :, 0, 0] for part in parts])


def padded_maps(channels, size, heights, widths):
    """Return random maps (N, C, size) that are zero outside each image's own part, with their heights and widths."""
    maps = torch.zeros(len(heights), channels, *size)
    for image, height, width in zip(maps, heights, widths):
        image[:, :height, :width] = randint(0, 9, channels, height, width)
    return maps, torch.tensor(heights), torch.tensor(widths)


def sums(maps):
    return maps.sum(dim=(2, 3))


check_masked_average_pool = FunctionExercise(
    "masked_average_pool",
    average_one_by_one,
    cases=[
        padded_maps(3, (6, 8), [6, 4, 3], [8, 5, 2]),
        padded_maps(2, (5, 5), [2, 5], [5, 3]),
        padded_maps(4, (4, 7), [4], [7]),
    ],
    mistakes=[
        (
            lambda maps, heights, widths: maps.mean(dim=(2, 3)),
            "divided by all cells: the padding counts as zeros, so small images look weak.",
        ),
        (
            lambda maps, heights, widths: sums(maps) / (maps != 0).sum(dim=(2, 3)),
            "divided by the number of cells that are not zero; a real cell may be zero, and counts.",
        ),
        (
            lambda maps, heights, widths: sums(maps) / (heights * widths),
            "each count has divided a channel instead of an image: give the counts a second axis with [:, None].",
        ),
        (
            lambda maps, heights, widths: (sums(maps) / (heights * widths)[:, None])[:, :, None, None],
            "the numbers are right, but the shape is (N, C, 1, 1); (N, C) is asked for.",
        ),
        (
            lambda maps, heights, widths: maps.sum(dim=(1, 2, 3)) / (heights * widths),
            "summed over the channels too: each channel has an average of its own.",
        ),
        (
            lambda maps, heights, widths: sums(maps).sum(dim=0) / (heights * widths).sum(),
            "averaged over the batch too: each image has averages of its own.",
        ),
        (
            lambda maps, heights, widths: sums(maps) / (heights + widths)[:, None],
            "divided by height + width; the number of real cells is height × width.",
        ),
        (
            lambda maps, heights, widths: maps.amax(dim=(2, 3)),
            "that is global max pooling: the largest number of each channel, not the mean.",
        ),
        (lambda maps, heights, widths: sums(maps), "these are sums: the division is missing."),
    ],
)

# --- 5 · how often a channel fires ------------------------------------------------------------------------------


def rates_by_pooling(maps):
    """Global max pooling tells whether a channel fires somewhere in an image."""
    return (F.adaptive_max_pool2d(maps, 1)[:, :, 0, 0] > 0).float().mean(dim=0)


def rectified_maps(dead, always, *shape):
    """Return random maps after ReLU (N, C, H, W) with one dead channel, and one that is positive everywhere."""
    maps = F.relu(randn(*shape) - 1.4)
    maps[:, dead], maps[:, always] = 0, 1
    return maps


check_firing_rate = FunctionExercise(
    "firing_rate",
    rates_by_pooling,
    cases=[
        (rectified_maps(1, 3, 6, 4, 3, 2),),
        (rectified_maps(0, 2, 5, 3, 2, 4),),
        (rectified_maps(2, 0, 4, 5, 3, 3),),
    ],
    mistakes=[
        (
            lambda maps: (maps > 0).float().mean(dim=(0, 2, 3)),
            "that is the share of positive *cells*; asked for is the share of images with at least one.",
        ),
        (
            lambda maps: (maps > 0).all(dim=3).all(dim=2).float().mean(dim=0),
            "a channel counts here only if it is positive at *every* position; one position is enough.",
        ),
        (
            lambda maps: (maps.amax(dim=(2, 3)) > 0).float().mean(dim=1),
            "the share is taken over the channels, which gives a number for each image: average over the batch.",
        ),
        (
            lambda maps: (maps.amax(dim=(2, 3)) >= 0).float().mean(dim=0),
            "after ReLU everything is >= 0; a channel fires where it is > 0.",
        ),
        (
            lambda maps: (maps.amax(dim=(2, 3)) > 0).float().sum(dim=0),
            "these are numbers of images; divide by how many images there are.",
        ),
        (
            lambda maps: (maps.amax(dim=(0, 2, 3)) > 0).float(),
            "this says only whether a channel fires for some image, not for how many.",
        ),
        (
            lambda maps: (maps.amax(dim=(2, 3)) <= 0).float().mean(dim=0),
            "the other way round: this is the share of images in which a channel is silent.",
        ),
    ],
)
