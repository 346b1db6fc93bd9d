"""Checks of lesson 04: a network on paper, a receptive field, a gradient stamped by hand, the first weights' scale."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from utils.checks import FunctionExercise

# --- 1 · a network on paper ------------------------------------------------------------------------------------


def running_network(height, width):
    """Build the network, send an image through it, and count its parameters."""
    layers = [nn.Conv2d(3, 8, 5, padding=2), nn.MaxPool2d(3, stride=2), nn.Conv2d(8, 12, 3, stride=2), nn.Flatten()]
    images, shapes = torch.zeros(1, 3, height, width), []
    for layer in layers:
        images = layer(images)
        shapes.append(tuple(images.shape[1:]))
    layers.append(nn.Linear(images.shape[1], 10))
    parameters = sum(weight.numel() for layer in layers for weight in layer.parameters())
    return *shapes[:3], shapes[3][0], parameters


def on_paper(height, width, floor=math.floor, frame=4, pool_stride=2, per_input=True, bias=True):
    """Do the exercise by arithmetic; the mistakes below change one thing each."""
    sizes = [[size + frame - 4 for size in (height, width)]]
    sizes.append([floor((size - 3) / pool_stride) + 1 for size in sizes[0]])
    sizes.append([floor((size - 3) / 2) + 1 for size in sizes[1]])
    shapes = [(channels, *size) for channels, size in zip((8, 8, 12), sizes)]
    row = math.prod(shapes[2])
    weights = 8 * 25 * (3 if per_input else 1) + 12 * 9 * (8 if per_input else 1) + 10 * row
    return *shapes, row, weights + (8 + 12 + 10 if bias else 0)


def channels_last(height, width):
    first, second, third, *numbers = on_paper(height, width)
    return *((*shape[1:], shape[0]) for shape in (first, second, third)), *numbers


def biases_per_pixel(height, width):
    *shapes, row, parameters = on_paper(height, width)
    return *shapes, row, parameters - 20 + math.prod(shapes[0]) + math.prod(shapes[2])


def flattened_without_channels(height, width):
    *shapes, row, parameters = on_paper(height, width)
    return *shapes, row // 12, parameters - 10 * row + 10 * row // 12


def pooled_by_two(height, width):
    first, *_ = on_paper(height, width)
    pooled = (8, first[1] // 2, first[2] // 2)
    last = (12, (pooled[1] - 3) // 2 + 1, (pooled[2] - 3) // 2 + 1)
    return first, pooled, last, math.prod(last), 608 + 876 + 10 * math.prod(last) + 10


def without_the_dense_layer(height, width):
    *found, _ = on_paper(height, width)
    return *found, 608 + 876


def pooling_with_parameters(height, width):
    *found, parameters = on_paper(height, width)
    return *found, parameters + 8 * 9


check_network_on_paper = FunctionExercise(
    "network_on_paper",
    running_network,
    cases=[(32, 32), (28, 41), (33, 30), (17, 50), (40, 23)],
    mistakes=[
        (
            lambda height, width: on_paper(height, width, floor=math.ceil),
            "the floor is forgotten: a window that would overhang is dropped, so the division rounds down.",
        ),
        (
            lambda height, width: on_paper(height, width, frame=2),
            "the padding is counted once: it is added on both sides, 2 · 2 pixels in all.",
        ),
        (
            lambda height, width: on_paper(height, width, frame=0),
            "the padding of the first convolution is forgotten.",
        ),
        (
            lambda height, width: on_paper(height, width, pool_stride=1),
            "the pooling moves by one pixel; its stride is 2, so the map is halved.",
        ),
        (
            lambda height, width: on_paper(height, width, pool_stride=3),
            "the pooling moves by 3, its kernel size; that is nn.MaxPool2d's default, but here the stride is 2.",
        ),
        (
            lambda height, width: on_paper(width, height),
            "height and width are swapped: shapes are (C, H, W).",
        ),
        (channels_last, "the channels stand last: PyTorch's shapes are (C, H, W)."),
        (
            flattened_without_channels,
            "the shapes are right, but the flattened row has the numbers of all 12 maps, not of one.",
        ),
        (
            lambda height, width: on_paper(height, width, per_input=False),
            "kernels are shared across input channels: each pair of input and output channel has a kernel of its own.",
        ),
        (
            lambda height, width: on_paper(height, width, bias=False),
            "everything but the biases: there is one for each output channel, and one for each class.",
        ),
        (
            biases_per_pixel,
            "the biases are counted per pixel: a convolution has one for each output channel, added to the whole map.",
        ),
        (pooled_by_two, "the pooling's window is 3 × 3, moved by 2; these are the sizes of a window of 2 × 2."),
        (without_the_dense_layer, "the shapes are right, but the parameters of the dense layer are missing."),
        (pooling_with_parameters, "the pooling is given weights: it has no parameters."),
    ],
)

# --- 2 · the receptive field of a stack --------------------------------------------------------------------------


def measured_field(layers):
    """Count the positions with a non-zero gradient for one number in the middle of the last map, along one axis."""
    signal = torch.ones(1, 1, 400, dtype=torch.float64, requires_grad=True)
    values = signal
    for kernel_size, stride, dilation in layers:
        ones = torch.ones(1, 1, kernel_size, dtype=torch.float64)
        values = F.conv1d(values, ones, stride=stride, dilation=dilation)
    values[0, 0, values.shape[2] // 2].backward()
    seen = signal.grad[0, 0].nonzero()
    return (seen.max() - seen.min()).item() + 1


def grown(layers, own_stride=False, strides=True, dilations=True, taps=-1, added=False, only_last=False, start=1):
    """Grow the field layer by layer; the mistakes below change one thing each."""
    size, step = start, 1
    for kernel_size, stride, dilation in layers:
        after = stride if only_last else step + stride - 1 if added else step * stride
        used = (after if own_stride else step) if strides else 1
        size += (dilation if dilations else 1) * (kernel_size + taps) * used
        step = after
    return size


check_receptive_field = FunctionExercise(
    "receptive_field",
    measured_field,
    cases=[
        ([(3, 1, 1)],),
        ([(3, 1, 1), (2, 2, 1), (3, 1, 1)],),
        ([(7, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1)],),
        ([(3, 1, 1), (3, 1, 2), (3, 1, 4)],),
        ([(5, 2, 1), (3, 1, 2), (2, 2, 1), (3, 3, 1), (3, 1, 1)],),
    ],
    mistakes=[
        (
            lambda layers: grown(layers, strides=False),
            "the strides are ignored: after a stride of 2, each tap of a later layer is worth two pixels.",
        ),
        (
            lambda layers: grown(layers, own_stride=True),
            "each stride is applied to its own layer; it widens what the next layers add.",
        ),
        (
            lambda layers: grown(layers, dilations=False),
            "the dilation is forgotten: the kernel's first and last tap lie dilation * (kernel_size - 1) apart.",
        ),
        (
            lambda layers: grown(layers, taps=0),
            "each layer adds kernel_size - 1 steps, not kernel_size: the first tap is there already.",
        ),
        (lambda layers: grown(layers, start=0), "one pixel is missing: without any layer, a pixel sees itself."),
        (
            lambda layers: grown(layers, added=True),
            "the strides are added up; they multiply: two strides of 2 make steps of 4 pixels.",
        ),
        (
            lambda layers: grown(layers, only_last=True),
            "only the stride of the layer before is used; the strides of all layers so far multiply.",
        ),
        (
            lambda layers: grown(layers[::-1]),
            "the layers are taken from the last to the first with a rule that goes from the first to the last.",
        ),
    ],
)

# --- 3 · the input's gradient, stamped -----------------------------------------------------------------------------


def autograd_gradient(upstream, weight, image_size, stride):
    image = torch.zeros(1, weight.shape[1], *image_size, requires_grad=True)
    F.conv2d(image, weight, stride=stride).backward(upstream[None])
    return image.grad[0]


def stamped(upstream, weight, image_size, stride, add=True):
    """Stamp by hand; the mistakes below change one thing each."""
    (outputs, height, width), size = upstream.shape, weight.shape[-1]
    gradient = torch.zeros(weight.shape[1], *image_size)
    for o in range(outputs):
        for i in range(height):
            for j in range(width):
                window = gradient[:, i * stride : i * stride + size, j * stride : j * stride + size]
                window.mul_(float(add)).add_(upstream[o, i, j] * weight[o])
    return gradient


def cut_to_the_windows(upstream, weight, image_size, stride):
    reached = [(size - 1) * stride + weight.shape[-1] for size in upstream.shape[1:]]
    return stamped(upstream, weight, reached, stride)


generator = torch.Generator().manual_seed(4)


def randn(*shape):
    return torch.randn(*shape, generator=generator)


check_image_gradient_by_stamps = FunctionExercise(
    "image_gradient_by_stamps",
    autograd_gradient,
    cases=[
        (randn(3, 4, 5), randn(3, 2, 2, 2), (5, 6), 1),
        (randn(2, 3, 3), randn(2, 2, 3, 3), (8, 7), 2),
        (randn(3, 3, 4), randn(3, 3, 3, 3), (7, 9), 2),
        (randn(3, 2, 3), randn(3, 3, 2, 2), (6, 8), 3),
    ],
    mistakes=[
        (
            lambda upstream, weight, *rest: stamped(upstream, weight.flip(2, 3), *rest),
            "the kernels are flipped: a stamp is the kernel as it is. (The flip belongs to the other way, sliding.)",
        ),
        (
            lambda upstream, weight, image_size, stride: stamped(upstream, weight, image_size, 1),
            "the stride is ignored: the stamp of output (i, j) lies at row i * stride, column j * stride.",
        ),
        (
            lambda upstream, weight, *rest: stamped(upstream, weight.transpose(0, 1), *rest),
            "the sum runs over the wrong axis: weight is (output channels, input channels, k, k), "
            "and each input channel collects from all output channels.",
        ),
        (
            lambda *case: stamped(*case).sum(dim=0, keepdim=True).expand_as(autograd_gradient(*case)),
            "the input channels are summed; each of them has a gradient of its own.",
        ),
        (
            lambda *case: stamped(*case, add=False),
            "stamps that overlap replace each other; they must add up.",
        ),
        (
            cut_to_the_windows,
            "the numbers are right, but the rows and columns that the floor left over are missing: they get zeros.",
        ),
        (
            lambda upstream, weight, *rest: stamped(upstream[:1], weight[:1], *rest),
            "only the first output channel sends its gradient back; all of them must.",
        ),
        (
            lambda upstream, weight, *rest: stamped(upstream, weight, *rest) / len(upstream),
            "the mean over the output channels is taken; gradients that meet are summed.",
        ),
        (
            lambda upstream, weight, *rest: stamped(upstream, weight.transpose(2, 3), *rest),
            "rows and columns of the kernels are swapped.",
        ),
    ],
)

# --- 4 · the scale of the first weights ------------------------------------------------------------------------------


def he_reference(in_channels, out_channels, kernel_size, groups=1):
    """Ask a real layer how many weights one of its outputs has."""
    fan_in = nn.Conv2d(in_channels, out_channels, kernel_size, groups=groups).weight[0].numel()
    return nn.init.calculate_gain("relu") / math.sqrt(fan_in)


def area(kernel_size):
    return kernel_size**2 if isinstance(kernel_size, int) else math.prod(kernel_size)


def side(kernel_size):
    return kernel_size if isinstance(kernel_size, int) else kernel_size[0]


check_he_std = FunctionExercise(
    "he_std",
    he_reference,
    cases=[(1, 16, 3, 1), (16, 32, 3, 1), (64, 64, (1, 7), 1), (32, 64, 5, 4), (24, 24, 3, 24)],
    mistakes=[
        (
            lambda c_in, c_out, kernel_size, groups=1: 2 / (c_in / groups * area(kernel_size)),
            "that is the variance; the standard deviation is its square root.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(2 / (c_out / groups * area(kernel_size))),
            "that is fan_out: count what one output is computed from, the input channels.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(2 / (c_in / groups)),
            "the kernel's area is forgotten: one output sums over every weight of the kernel in every channel.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(2 / (c_in / groups * side(kernel_size))),
            "one side of the kernel is missing: its area is height times width.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(2 / (c_in / groups * side(kernel_size) ** 2)),
            "the height is used for both sides of the kernel: its area is height times width.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(2 / (c_in / groups * kernel_size**2)),
            "kernel_size may be a pair: as_pair(kernel_size) gives (height, width) in both cases.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(1 / (c_in / groups * area(kernel_size))),
            "the 2 is missing: ReLU throws away half of the mean square, which the weights must make good.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(2 / (c_in * area(kernel_size))),
            "right without groups, but with groups an output sees only in_channels / groups channels.",
        ),
        (
            lambda c_in, c_out, kernel_size, groups=1: math.sqrt(2 / ((c_in + c_out) / groups * area(kernel_size))),
            "that is Glorot's formula, with both fans; He's has fan_in alone.",
        ),
    ],
)
