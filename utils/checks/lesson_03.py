"""Checks of lesson 03: a convolution with many channels, a colour filter to design, a 1×1 convolution, a bill."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from utils.checks import FunctionExercise, ValueExercise

generator = torch.Generator().manual_seed(3)


def integers(*shape):
    """Return random whole numbers from −4 to 4, as floats."""
    return torch.randint(-4, 5, shape, generator=generator).float()


# --- 1 · many channels, a batch, a stride ------------------------------------------------------------------------


def convolve(images, weight, bias, stride):
    return F.conv2d(images, weight, bias, stride)


def top_left_corner(images, weight, bias, stride):
    """Return the right shape, filled from windows that move by one pixel."""
    rows, columns = convolve(images, weight, bias, stride).shape[2:]
    return convolve(images, weight, bias, 1)[:, :, :rows, :columns]


def rows_without_stride(images, weight, bias, stride):
    """Fold im2col's positions into as many rows as there were without a stride."""
    maps = convolve(images, weight, bias, stride).flatten(2)
    return maps.unflatten(2, (images.shape[2] - weight.shape[2] + 1, -1))


def swapped_in_loops(images, weight, bias, stride):
    """Read weight[i, o]: one of the indices runs out of range unless there are as many inputs as outputs."""
    if len(weight) != weight.shape[1]:
        raise IndexError("index is out of bounds for dimension 0")
    return convolve(images, weight.transpose(0, 1), bias, stride)


check_conv2d_channels = FunctionExercise(
    "conv2d_channels",
    convolve,
    cases=[  # each output has as many rows and columns as channels, so that a bias on the wrong axis still fits
        (integers(2, 3, 4, 5), integers(3, 3, 2, 3), integers(3), 1),
        (integers(2, 2, 6, 5), integers(2, 2, 3, 2), integers(2), 2),
        (integers(1, 3, 6, 5), integers(4, 3, 3, 2), integers(4), 1),
        (integers(3, 4, 6, 7), integers(2, 4, 1, 2), integers(2), 3),
    ],
    mistakes=[
        (
            lambda images, weight, bias, stride: convolve(images, weight[:, :1].expand_as(weight), bias, stride),
            "kernels are shared across input channels: input i of output o has a kernel of its own, weight[o, i].",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight, images.shape[1] * bias, stride),
            "the bias is added once for each input channel; it belongs to the sum, once for each output channel.",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight, None, stride) + bias,
            "the biases run along the width: give them the shape (out, 1, 1), as in bias[:, None, None].",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight, None, stride) + bias[:, None],
            "the biases run along the height: maps of four axes need bias[:, None, None].",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight, None, stride),
            "right except for the bias, which is missing.",
        ),
        (
            swapped_in_loops,
            "input and output channels are swapped: the kernel is weight[o, i], with the output first.",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight.transpose(0, 1), bias, stride),
            "input and output channels are swapped: the weight's axes are (out, in, height, width).",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight.transpose(2, 3), bias, stride),
            "the kernel's height and width are swapped: its rows are axis 2 of the weight, its columns axis 3.",
        ),
        (
            lambda images, weight, bias, stride: convolve(images[:, -1:], weight[:, -1:], bias, stride),
            "only the last input channel counts: its products replace the sum where they should be added to it.",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight / images.shape[1], bias, stride),
            "the input channels are averaged; their products are summed.",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight.flip(2, 3), bias, stride),
            "the kernels are flipped: PyTorch slides them as they are.",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight, bias, 1),
            "the stride is ignored.",
        ),
        (
            lambda images, weight, bias, stride: convolve(images, weight, bias, (stride, 1)),
            "the stride is used for the rows only; it holds for both axes.",
        ),
        (
            rows_without_stride,
            "the number of rows must use the stride: (H - KH) // stride + 1.",
        ),
        (
            top_left_corner,
            "the size is right, but the window moves by one pixel: row r of the output starts at r * stride.",
        ),
    ],
)

# --- 2 · a filter for one kind of edge ---------------------------------------------------------------------------

edge = torch.tensor([[1.0, 0, -1]]).repeat(3, 1)
diagonal = torch.tensor([[2.0, 1, 0], [1, 0, -1], [0, -1, -2]])
centre = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
nothing = torch.zeros(3, 3)
yellow = torch.tensor([[0.0, 0, 1]] * 3)  # on the right, in the red and in the green channel
blue_then_yellow = torch.stack([yellow, yellow, 1 - yellow])


def response(colour_filter, picture=blue_then_yellow):
    return (colour_filter * picture).sum().item()


def response_to_level(colour_filter):
    return response(colour_filter, blue_then_yellow.transpose(1, 2))


def blue_minus_yellow(kernel):
    """Return the filter that lays a kernel over blue, and half of its negative over red and over green."""
    return torch.stack([-kernel / 2, -kernel / 2, kernel])


check_opponent_filter = ValueExercise(
    "opponent_filter",
    (3, 3, 3),
    rules=[
        (
            lambda colour_filter: colour_filter.abs().max().item() > 0,
            "it is all zeros: it answers to nothing.",
            torch.zeros(3, 3, 3),
        ),
        (
            lambda colour_filter: colour_filter.sum(dim=(1, 2)).abs().max().item() < 1e-4,
            "it answers to an area of one plain colour: the nine weights of each kernel must sum to zero.",
            blue_minus_yellow(centre),
        ),
        (
            lambda colour_filter: colour_filter.sum(dim=0).abs().max().item() < 1e-4,
            "it answers to grey edges: the three kernels must sum to zero, weight by weight.",
            torch.stack([-edge, -edge, edge]),
        ),
        (
            lambda colour_filter: (colour_filter[0] - colour_filter[1]).abs().max().item() < 1e-4,
            "it tells red from green: yellow is both together, so their two kernels must be the same.",
            torch.stack([-edge, nothing, edge]),
        ),
        (
            lambda colour_filter: response(colour_filter) >= 0,
            "blue on the left and yellow on the right gives a negative number: the signs are inverted.",
            blue_minus_yellow(-edge),
        ),
        (
            lambda colour_filter: abs(response(colour_filter)) >= abs(response_to_level(colour_filter)),
            "a level edge excites it more than an upright one: turn the kernels by a quarter.",
            blue_minus_yellow(edge.T),
        ),
        (
            lambda colour_filter: response(colour_filter) > 2 * abs(response_to_level(colour_filter)),
            "a level edge excites it at least half as much as the upright one, or neither does at all.",
            blue_minus_yellow(diagonal),
        ),
        (
            lambda colour_filter: response(colour_filter) >= 1,
            "its answer to the edge is positive but less than 1: the weights are too small.",
            blue_minus_yellow(0.1 * edge),
        ),
    ],
)

# --- 3 · a 1×1 convolution without a convolution -----------------------------------------------------------------


def at_every_pixel(images, table, bias):
    """Return the outputs with the channels last: (N, H, W, out)."""
    return images.permute(0, 2, 3, 1) @ table.T + bias


def reshaped_before(images, table, bias):
    batch_size, channels, height, width = images.shape
    return (images.reshape(batch_size, height, width, channels) @ table.T + bias).permute(0, 3, 1, 2)


def reshaped_after(images, table, bias):
    batch_size, _, height, width = images.shape
    return at_every_pixel(images, table, bias).reshape(batch_size, len(table), height, width)


check_conv1x1 = FunctionExercise(
    "conv1x1",
    lambda images, table, bias: F.conv2d(images, table[:, :, None, None], bias),
    cases=[
        (integers(2, 3, 4, 5), integers(2, 3), integers(2)),
        (integers(3, 3, 3, 3), integers(3, 3), integers(3)),
        (integers(1, 4, 3, 2), integers(5, 4), integers(5)),
        (integers(2, 2, 5, 3), integers(3, 2), integers(3)),
    ],
    mistakes=[
        (
            lambda images, table, bias: torch.einsum("nihw,io->nohw", images, table) + bias[:, None, None],
            "the table is transposed: its rows belong to the outputs, its columns to the inputs.",
        ),
        (
            lambda images, table, bias: torch.einsum("nihw,oi->nohw", images, table) + bias,
            "the biases run along the width: give them the shape (out, 1, 1), as in bias[:, None, None].",
        ),
        (
            reshaped_before,
            "the images were reshaped to put the channels last, which scrambles them; permute moves the axes.",
        ),
        (
            reshaped_after,
            "the result was reshaped to put the channels back, which scrambles it; permute moves the axes.",
        ),
        (
            lambda images, table, bias: table @ images + bias[:, None, None],
            "the table meets the rows of the images, not their channels: use flatten(2) first, and unflatten after.",
        ),
        (at_every_pixel, "the numbers are right, but the channels are still last: permute them back to axis 1."),
        (
            lambda images, table, bias: at_every_pixel(images, table, bias).permute(0, 3, 2, 1),
            "height and width are swapped in the result.",
        ),
        (
            lambda images, table, bias: at_every_pixel(images, table, 0 * bias).permute(0, 3, 1, 2),
            "right except for the bias, which is missing.",
        ),
    ],
)

# --- 4 · the bill for a separable block --------------------------------------------------------------------------


def count_by_pytorch(in_channels, out_channels, kernel_size, output_size):
    """Build the two layers without memory behind them; count what they hold, and what running them computes."""
    block = nn.Sequential(
        nn.Conv2d(in_channels, in_channels, kernel_size, groups=in_channels, device="meta"),
        nn.Conv2d(in_channels, out_channels, 1, device="meta"),
    )
    height, width = (size + kernel_size - 1 for size in output_size)
    with FlopCounterMode(display=False) as counter:
        block(torch.empty(1, in_channels, height, width, device="meta"))
    return sum(parameter.numel() for parameter in block.parameters()), counter.get_total_flops() // 2


def bill(depthwise, pointwise, biases, positions, factor=1):
    """Return (parameters, multiply-adds) from the weights of both layers; the mistakes below change one thing each."""
    return depthwise + pointwise + biases, factor * (depthwise + pointwise) * positions


check_separable_cost = FunctionExercise(
    "separable_cost",
    count_by_pytorch,
    cases=[(64, 128, 3, (56, 40)), (3, 8, 5, (10, 12)), (6, 4, 7, (9, 5)), (10, 10, 1, (4, 7))],
    mistakes=[
        (
            lambda i, o, k, size: bill(i * i * k * k, i * o, i + o, size[0] * size[1]),
            "groups are forgotten: the depthwise layer has one kernel for each channel, not in times in.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, i + o, size[0] * size[1])[::-1],
            "the two counts are swapped: parameters first, multiply-adds second.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, 0, i, size[0] * size[1]),
            "the pointwise layer is left out: the block has a 1×1 convolution after the depthwise one.",
        ),
        (
            lambda i, o, k, size: bill(o * k * k, i * o, o + o, size[0] * size[1]),
            "the depthwise layer has as many outputs as inputs; out_channels come with the 1×1 layer.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o * k * k, i + o, size[0] * size[1]),
            "the pointwise kernels are 1×1: k × k belongs to the depthwise layer only.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, o, i + o, size[0] * size[1]),
            "kernels are shared across input channels: the 1×1 layer has a weight for each input and output.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, (i + o) * size[0] * size[1], size[0] * size[1]),
            "the bias is counted per pixel: one number is learned for each output channel, and used everywhere.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, i + i * o, size[0] * size[1]),
            "the bias is counted per input channel: the 1×1 layer has one for each output channel.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, o, size[0] * size[1]),
            "the depthwise layer has biases too, one for each of its output channels.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, 0, size[0] * size[1]),
            "the multiply-adds are right, but the parameters leave out the biases.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, i + o, size[0] * size[1], factor=2),
            "twice too much work: a multiply-add is two operations, but it counts once here.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, i + o, size[0] * size[0]),
            "the height is used for both axes: there are height times width positions.",
        ),
        (
            lambda i, o, k, size: bill(i * k * k, i * o, i + o, 1),
            "the multiply-adds are those of one position: multiply by height times width.",
        ),
        (
            lambda i, o, k, size: (i * k * k + i * o + i + o, (i * k * k + i * o + i + o) * size[0] * size[1]),
            "the biases are counted as multiply-adds; adding them is left out of the count.",
        ),
    ],
)
