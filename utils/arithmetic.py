"""The arithmetic of a CNN's layers: sizes, parameters, multiply-adds, receptive fields, and a table of them all.

Lesson 01 derives the output size, lesson 03 the parameters and multiply-adds, lesson 04 the receptive field and the
table. All of it is plain counting; only `summarise` runs a network.
"""

import copy

import torch
from torch import nn


def conv_output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """Return the output size of a convolution or pooling layer along one axis, in pixels.

    `size` is the input's height or width; `padding` is added on both sides. The division is floored:
    positions at which the kernel would overhang the padded input are dropped.

    Raises ValueError, naming the setting and the rule, where no such layer exists.
    """
    at_least_1 = {"size": size, "kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    for name, value in at_least_1.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, but it is {value}")
    if padding < 0:
        raise ValueError(f"padding must not be negative, but it is {padding}")
    span = dilation * (kernel_size - 1) + 1  # pixels from the kernel's first tap to its last
    if span > size + 2 * padding:
        raise ValueError(f"the kernel spans {span} pixels, the padded input has only {size + 2 * padding}")
    return (size + 2 * padding - span) // stride + 1


def as_pair(setting):
    """Return (height, width) of a setting that may be one whole number for both."""
    return (setting, setting) if isinstance(setting, int) else tuple(setting)


def conv_parameters(in_channels, out_channels, kernel_size, groups=1, bias=True):
    """Return how many weights and biases a 2-D convolution learns.

    `kernel_size` is a whole number or (height, width). With groups, each output channel sees only the
    in_channels / groups input channels of its own group.

    Raises ValueError, naming the setting and the rule, where no such layer exists.
    """
    height, width = as_pair(kernel_size)
    at_least_1 = {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": min(height, width)}
    for name, value in (at_least_1 | {"groups": groups}).items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, but it is {value}")
    for name in ("in_channels", "out_channels"):
        if at_least_1[name] % groups:
            raise ValueError(f"groups must divide {name}, but {groups} does not divide {at_least_1[name]}")
    weights_per_output = in_channels // groups * height * width
    return out_channels * (weights_per_output + bool(bias))


def conv_multiply_adds(in_channels, out_channels, kernel_size, output_size, groups=1):
    """Return the multiply-adds of a 2-D convolution for one image: every weight is used once at every position.

    `output_size` is a whole number or (height, width) of the output. The additions of the bias are not counted;
    one multiply-add is two floating-point operations.

    Raises ValueError, naming the setting and the rule, where no such layer exists.
    """
    height, width = as_pair(output_size)
    if min(height, width) < 1:
        raise ValueError(f"output_size must be at least 1, but it is {min(height, width)}")
    return conv_parameters(in_channels, out_channels, kernel_size, groups, bias=False) * height * width


def next_receptive_field(field, kernel_size, stride=1, padding=0, dilation=1):
    """Return the receptive field after one more convolution or pooling layer, along one axis, in image pixels.

    `field` and the result are (size, stride, start): how many pixels one output number sees, how many pixels lie
    between the fields of neighbouring numbers, and the first pixel that the first number sees (negative in the
    padding). The image itself has (1, 1, 0). Source of the recursion: Araujo, Norris and Sim, "Computing receptive
    fields of convolutional neural networks", Distill (2019).

    Raises ValueError, naming the setting and the rule, where no such layer exists.
    """
    for name, value in {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, but it is {value}")
    if padding < 0:
        raise ValueError(f"padding must not be negative, but it is {padding}")
    size, step, start = field
    return size + dilation * (kernel_size - 1) * step, step * stride, start - padding * step


def window_of(layer, images):
    """Return the window of a layer as (kernel_size, stride, padding, dilation) for rows and for columns, else None.

    Global pooling is one window as large as the maps of `images` (N, C, H, W).
    """
    if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and layer.output_size in (1, (1, 1)):
        return tuple((size, 1, 0, 1) for size in images.shape[-2:])
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return None
    kernel_size, dilation = as_pair(layer.kernel_size), as_pair(getattr(layer, "dilation", 1))
    padding = layer.padding
    if isinstance(padding, str):  # nn.Conv2d allows "same" and "valid"
        padding = [d * (k - 1) // 2 if padding == "same" else 0 for k, d in zip(kernel_size, dilation)]
    return tuple(zip(kernel_size, as_pair(layer.stride), as_pair(padding), dilation))


def field_after(layer, images, before):
    """Return the receptive fields (rows, columns) of a layer's output, given those of its input; else None.

    None means unknown: a flattened map has no positions any more, and a layer that is neither a window nor works
    number by number may look anywhere.
    """
    window = window_of(layer, images)
    if before and window:
        return tuple(next_receptive_field(field, *setting) for field, setting in zip(before, window))
    family = type(layer).__module__.removeprefix("torch.nn.modules.")
    one_by_one = family in ("activation", "batchnorm", "dropout") or isinstance(layer, nn.Identity)
    return before if one_by_one else None


def count_layer(layer, output):
    """Return (parameters, multiply-adds) of one layer, whose output belongs to one image.

    Multiply-adds are counted for convolutions and dense layers. They are 0 for activations, pooling and
    normalisation, which cost little beside those, and None where another kind of layer has a matrix of weights.
    """
    weights = list(layer.parameters(recurse=False))
    parameters = sum(weight.numel() for weight in weights)
    if isinstance(layer, nn.Conv2d):
        kernel = (layer.in_channels, layer.out_channels, layer.kernel_size)
        return parameters, conv_multiply_adds(*kernel, tuple(output.shape[-2:]), layer.groups)
    if isinstance(layer, nn.Linear):
        return parameters, layer.in_features * output.numel()
    return parameters, None if any(weight.dim() > 1 for weight in weights) else 0


@torch.no_grad()
def trace_layers(model, input_shape):
    """Send a blank image (C, H, W) through a copy of a model; return its layers' (name, layer, input, output) in turn.

    Raises ValueError where input_shape is no image's, and where a layer cannot take what reaches it, by name.
    """
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(f"input_shape must be (channels, height, width), each at least 1, but it is {input_shape}")
    model = copy.deepcopy(model).eval()  # the original keeps its mode and its running statistics
    weight = next(model.parameters(), torch.empty(0))
    images = torch.zeros(1, *input_shape, device=weight.device, dtype=weight.dtype)
    names = {layer: name for name, layer in model.named_modules() if not list(layer.children())}
    entered, calls = [("", model, images)], []
    for layer in names:
        layer.register_forward_pre_hook(lambda layer, inputs: entered.append((names[layer], layer, inputs[0])))
        layer.register_forward_hook(lambda layer, inputs, output: calls.append((*entered[-1], output)))
    try:
        model(images)
    except RuntimeError as error:
        name, layer, given = entered[-1]
        shape = tuple(given.shape[1:])
        raise ValueError(f"{name} {type(layer).__name__} cannot take the shape {shape}: {error}".lstrip()) from error
    return calls


def layer_table(model, input_shape):
    """Return a row for each layer of a model in the order in which they run, for one image (C, H, W).

    A row is (name, output shape, parameters, multiply-adds, receptive fields of rows and columns); count_layer and
    field_after say where the last two are None. A layer that runs twice has its parameters counted once.
    """
    calls, counted, table = trace_layers(model, input_shape), set(), []
    fields = {id(call[2]): ((1, 1, 0), (1, 1, 0)) for call in calls[:1]}  # the first layer is given the image
    for name, layer, images, output in calls:
        parameters, multiply_adds = count_layer(layer, output)
        fields[id(output)] = field_after(layer, images, fields.get(id(images)))
        row = (f"{name} {type(layer).__name__}".strip(), tuple(output.shape[1:]))
        table.append((*row, 0 if layer in counted else parameters, multiply_adds, fields[id(output)]))
        counted.add(layer)
    return table


def summarise(model, input_shape):
    """Print a table of a model's layers for one image (C, H, W), with the totals in the last line.

    A dash stands where nothing is counted or known. The receptive field is in pixels, rows × columns. The total of
    the parameters includes those that belong to no layer or to layers that did not run.

    Raises ValueError where the image does not fit, naming the layer.
    """
    table = layer_table(model, input_shape)
    width = max(len(name) for name, *_ in table)
    line = f"{{:<{width}}} {{:>15}} {{:>12}} {{:>15}} {{:>16}}".format
    print(line("layer", "output shape", "parameters", "multiply-adds", "receptive field"))
    for name, shape, parameters, multiply_adds, fields in table:
        counts = [f"{count:,}" if count else "–" for count in (parameters, multiply_adds)]
        sees = f"{fields[0][0]} × {fields[1][0]}" if fields else "–"
        print(line(name, " × ".join(map(str, shape)), *counts, sees))
    parameters = sum(weight.numel() for weight in model.parameters())
    multiply_adds = sum(row[3] or 0 for row in table)
    print(line("total", "", f"{parameters:,}", f"{multiply_adds:,}", "").rstrip())
