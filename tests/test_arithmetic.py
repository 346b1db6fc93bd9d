"""The arithmetic of the lessons against PyTorch's own layers, its gradients and counters, and an independent package.

Every function meets at least 500 random settings. Layers live on the `meta` device where only shapes matter.
"""

import copy

import pytest
import torch
import torchinfo
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from utils.arithmetic import (
    as_pair,
    conv_multiply_adds,
    conv_output_size,
    conv_parameters,
    count_layer,
    field_after,
    layer_table,
    next_receptive_field,
    summarise,
    trace_layers,
    window_of,
)

MANY = settings(max_examples=500, deadline=None)


def pairs(least, most):
    """Return settings as layers take them: one whole number, or one for the rows and one for the columns."""
    numbers = st.integers(least, most)
    return numbers | st.tuples(numbers, numbers)


# --- one layer: output size, parameters, multiply-adds -----------------------------------------------------------


@given(
    size=st.integers(1, 40),
    kernel_size=st.integers(1, 7),
    stride=st.integers(1, 5),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 4),
)
@MANY
def test_output_size_is_the_layers(size, kernel_size, stride, padding, dilation):
    layer = nn.Conv1d(1, 1, kernel_size, stride, padding, dilation, device="meta")
    image = torch.empty(1, 1, size, device="meta")
    try:
        expected = layer(image).shape[-1]
    except RuntimeError:  # the kernel is larger than the padded input
        with pytest.raises(ValueError, match="the kernel spans"):
            conv_output_size(size, kernel_size, stride, padding, dilation)
    else:
        assert conv_output_size(size, kernel_size, stride, padding, dilation) == expected


@given(size=st.integers(2, 40), kernel_size=st.integers(1, 5), stride=st.integers(1, 4), padding=st.integers(0, 2))
@MANY
def test_pooling_follows_the_same_formula(size, kernel_size, stride, padding):
    assume(padding <= kernel_size // 2 and kernel_size <= size + 2 * padding)
    pooled = nn.MaxPool1d(kernel_size, stride, padding)(torch.zeros(1, 1, size))
    assert conv_output_size(size, kernel_size, stride, padding) == pooled.shape[-1]


channels = st.integers(1, 12)


@given(channels, channels, pairs(1, 7), st.integers(1, 6), st.booleans())
@MANY
def test_parameters_are_the_layers(in_channels, out_channels, kernel_size, groups, bias):
    try:
        layer = nn.Conv2d(in_channels, out_channels, kernel_size, groups=groups, bias=bias, device="meta")
    except ValueError:  # the groups do not divide the channels
        with pytest.raises(ValueError, match="groups must divide"):
            conv_parameters(in_channels, out_channels, kernel_size, groups, bias)
    else:
        counted = sum(weight.numel() for weight in layer.parameters())
        assert conv_parameters(in_channels, out_channels, kernel_size, groups, bias) == counted


@given(
    channels, channels, pairs(1, 5), st.integers(1, 4), pairs(1, 3), pairs(0, 3), st.tuples(*[st.integers(5, 20)] * 2)
)
@MANY
def test_multiply_adds_are_half_the_flops_that_pytorch_counts(
    in_channels, out_channels, kernel_size, groups, stride, padding, size
):
    in_channels, out_channels = in_channels * groups, out_channels * groups
    settings = {"stride": stride, "padding": padding, "groups": groups, "device": "meta"}
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, **settings)
    with FlopCounterMode(display=False) as counter:
        output = layer(torch.empty(1, in_channels, *size, device="meta"))
    counted = conv_multiply_adds(in_channels, out_channels, kernel_size, tuple(output.shape[-2:]), groups)
    assert 2 * counted == counter.get_total_flops()


@given(pairs(0, 50))
@MANY
def test_a_pair_is_what_a_layer_makes_of_a_setting(setting):
    assert as_pair(setting) == nn.Conv2d(1, 1, 1, padding=setting, device="meta").padding


# --- receptive fields, against the gradient of one output number ---------------------------------------------------

window_settings = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))


@given(st.lists(window_settings, min_size=1, max_size=4))
@MANY
def test_a_receptive_field_reaches_as_far_as_the_gradient(layers):
    """With weights of one no two paths cancel, and a unit in the middle of a wide image meets no padding."""
    field = (1, 1, 0)
    for setting in layers:
        field = next_receptive_field(field, *setting)
    size, stride, start = field
    pixels = torch.zeros(1, 1, 3 * size + 20 * stride, dtype=torch.float64, requires_grad=True)
    output = pixels
    for kernel_size, *setting in layers:
        output = nn.functional.conv1d(output, torch.ones(1, 1, kernel_size, dtype=torch.float64), None, *setting)
    place = output.shape[-1] // 2
    output[0, 0, place].backward()
    seen = pixels.grad[0, 0].nonzero().flatten()
    first = start + place * stride
    assert (seen.min().item(), seen.max().item()) == (first, first + size - 1)


# --- whole networks, against torchinfo -----------------------------------------------------------------------------


@st.composite
def networks(draw):
    """Return (a random network on the meta device, the shape of its images); some do not fit their images."""
    count = draw(st.integers(1, 4))
    first, layers = count, []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "conv", "grouped", "max", "average", "relu", "norm"]))
        window = {"kernel_size": draw(pairs(1, 4)), "stride": draw(pairs(1, 2))}
        if kind in ("conv", "grouped"):
            groups = count if kind == "grouped" else 1
            wider = groups * draw(st.integers(1, 4))
            more = {"padding": draw(pairs(0, 2)), "dilation": draw(pairs(1, 2)), "bias": draw(st.booleans())}
            layers.append(nn.Conv2d(count, wider, groups=groups, **window, **more))
            count = wider
        elif kind in ("max", "average"):
            layers.append((nn.MaxPool2d if kind == "max" else nn.AvgPool2d)(**window))
        else:
            layers.append(nn.ReLU() if kind == "relu" else nn.BatchNorm2d(count))
    if draw(st.booleans()):
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(count, draw(st.integers(1, 10)))]
    return nn.Sequential(*layers), (first, draw(st.integers(4, 24)), draw(st.integers(4, 24)))


@given(networks())
@MANY
def test_a_networks_table_is_torchinfos(network):
    model, shape = network
    try:
        model.eval()(torch.zeros(1, *shape))
    except RuntimeError:  # a kernel that is larger than its padded input
        with pytest.raises(ValueError, match="cannot take the shape"):
            layer_table(model, shape)
        return
    counted = [row for row in torchinfo.summary(model, (1, *shape), verbose=0).summary_list if row.is_leaf_layer]
    table = layer_table(model, shape)
    assert [row[1] for row in table] == [tuple(layer.output_size[1:]) for layer in counted]
    assert [row[2] for row in table] == [layer.num_params for layer in counted]
    for row, layer in zip(table, counted):
        if layer.class_name in ("Conv2d", "Linear"):
            bias = 0 if layer.module.bias is None else torch.Size(layer.output_size).numel()  # torchinfo counts it in
            assert row[3] == layer.macs - bias
        else:
            assert row[3] == 0
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape))
    assert 2 * sum(row[3] for row in table) == counter.get_total_flops()


@given(networks())
@MANY
def test_the_fields_in_the_table_are_those_of_the_gradient(network):
    """Rows and columns separately, each in the middle of an image that is large enough."""
    model, _ = network
    layers = [layer for layer in model if isinstance(layer, nn.Conv2d | nn.AvgPool2d)]
    model = copy.deepcopy(nn.Sequential(*layers)).double()
    assume(layers)
    for weight in model.parameters():
        nn.init.ones_(weight)
    first = next((layer.in_channels for layer in model if isinstance(layer, nn.Conv2d)), 1)
    *_, (rows, columns) = layer_table(model, (first, 200, 200))[-1]
    pixels = torch.zeros(1, first, 200, 200, dtype=torch.float64, requires_grad=True)
    output = model(pixels)
    place = [size // 2 for size in output.shape[-2:]]
    output[0, :, place[0], place[1]].sum().backward()
    seen = pixels.grad[0].sum(dim=0).nonzero()
    for axis, (size, stride, start) in enumerate((rows, columns)):
        first = start + place[axis] * stride
        assert (seen[:, axis].min().item(), seen[:, axis].max().item()) == (first, first + size - 1)


def test_the_printed_table(capsys):
    model = nn.Sequential(
        nn.Conv2d(3, 8, (3, 5), padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 7)
    )
    summarise(model, (3, 9, 6))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "layer output shape parameters multiply-adds receptive field".split(),
        "0 Conv2d 8 × 9 × 4 368 12,960 3 × 5".split(),
        "1 ReLU 8 × 9 × 4 – – 3 × 5".split(),
        "2 MaxPool2d 8 × 4 × 2 – – 4 × 6".split(),
        "3 Flatten 64 – – –".split(),
        "4 Linear 7 455 448 –".split(),
        "total 823 13,408".split(),
    ]


def test_global_pooling_sees_as_far_as_its_whole_map():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.AdaptiveMaxPool2d(1))
    assert layer_table(model, (1, 9, 13))[-1][-1] == ((9, 2, 0), (13, 2, 0))


def test_padding_in_words():
    same, valid = (layer_table(nn.Conv2d(1, 1, 5, padding=name), (1, 9, 9))[0][-1][0] for name in ("same", "valid"))
    assert (same, valid) == ((5, 1, -2), (5, 1, 0))


class Branches(nn.Module):
    """A residual block whose layers, but for the addition, are modules; the same ReLU runs twice."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.conv3, self.relu = nn.Conv2d(4, 4, 3), nn.ReLU()

    def forward(self, images):
        output = self.conv2(self.relu(self.conv1(images)))
        output += self.relu(images)
        return self.conv3(self.conv1(output) + 1)


def test_branches_shared_layers_and_what_is_unknown():
    model = Branches()
    table = layer_table(model, (4, 8, 8))
    assert [row[0].split()[0] for row in table] == "conv1 relu conv2 relu conv1 conv3".split()
    assert [row[2] for row in table] == [148, 0, 148, 0, 0, 148], "what runs twice is counted once"
    sizes = [row[4] and row[4][0][0] for row in table]
    assert sizes == [3, 3, 5, 1, 7, None], "an addition outside a layer hides where its result comes from"
    assert sum(row[2] for row in table) == sum(weight.numel() for weight in model.parameters())


class Mixer(nn.Module):
    """A layer of one's own that keeps the shape and looks everywhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(16, 16))

    def forward(self, images):
        return (images.flatten(2) @ self.weight).view_as(images)


def test_nothing_is_claimed_of_a_layer_of_ones_own(capsys):
    assert layer_table(Mixer(), (2, 4, 4)) == [("Mixer", (2, 4, 4), 256, None, None)]
    summarise(Mixer(), (2, 4, 4))
    assert capsys.readouterr().out.splitlines()[1].split() == "Mixer 2 × 4 × 4 256 – –".split()


@pytest.mark.parametrize(
    "layer",
    [nn.ConvTranspose2d(2, 2, 3, padding=1), nn.Linear(8, 8), nn.GroupNorm(1, 2), nn.Upsample(scale_factor=2)],
    ids=lambda layer: type(layer).__name__,
)
def test_what_looks_beyond_a_window_has_no_known_field(layer):
    table = layer_table(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), layer, nn.ReLU()), (2, 8, 8))
    assert [row[4] is None for row in table] == [False, True, True]


@pytest.mark.parametrize("layer", [nn.Identity(), nn.ELU(), nn.PReLU(), nn.BatchNorm2d(2), nn.Dropout2d()])
def test_what_works_number_by_number_keeps_the_field(layer):
    table = layer_table(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), layer), (2, 8, 8))
    assert table[1][4] == table[0][4]


def test_a_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    model[2].eval()
    before = copy.deepcopy(model.state_dict())
    summarise(model, (1, 5, 5))
    assert [part.training for part in model] == [True, True, False]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model)


def test_the_parts_agree_with_the_table():
    conv, images = nn.Conv2d(2, 4, 3, stride=2), torch.zeros(1, 2, 9, 9)
    (name, layer, given_images, output), *others = trace_layers(conv, (2, 9, 9))
    assert (name, others, given_images.shape, output.shape) == ("", [], images.shape, (1, 4, 4, 4))
    assert isinstance(layer, nn.Conv2d)
    assert window_of(conv, images) == ((3, 2, 0, 1), (3, 2, 0, 1))
    assert window_of(nn.ReLU(), images) is None
    assert field_after(conv, images, ((1, 1, 0), (1, 1, 0))) == ((3, 2, 0), (3, 2, 0))
    assert field_after(conv, images, None) is None
    assert count_layer(conv, output) == (76, 1152)


# --- impossible settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"stride": 0}, "stride must be at least 1, but it is 0"),
        ({"dilation": 0}, "dilation must be at least 1, but it is 0"),
        ({"kernel_size": 0}, "kernel_size must be at least 1, but it is 0"),
        ({"size": 0}, "size must be at least 1, but it is 0"),
        ({"padding": -1}, "padding must not be negative, but it is -1"),
        ({"kernel_size": 9}, "the kernel spans 9 pixels, the padded input has only 8"),
        ({"dilation": 4}, "the kernel spans 9 pixels, the padded input has only 8"),
    ],
)
def test_an_impossible_setting_is_named_with_its_rule(setting, message):
    with pytest.raises(ValueError, match=message):
        conv_output_size(**{"size": 8, "kernel_size": 3, **setting})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, but it is 0"),
        ({"out_channels": -2}, "out_channels must be at least 1, but it is -2"),
        ({"kernel_size": (3, 0)}, "kernel_size must be at least 1, but it is 0"),
        ({"groups": 0}, "groups must be at least 1, but it is 0"),
        ({"groups": 4}, "groups must divide in_channels, but 4 does not divide 6"),
        ({"groups": 3}, "groups must divide out_channels, but 3 does not divide 8"),
    ],
)
def test_channels_and_groups_that_no_layer_has(setting, message):
    settings = {"in_channels": 6, "out_channels": 8, "kernel_size": 3, **setting}
    with pytest.raises(ValueError, match=message):
        conv_parameters(**settings)
    with pytest.raises(ValueError, match=message):
        conv_multiply_adds(**settings, output_size=4)


def test_an_output_without_a_pixel():
    with pytest.raises(ValueError, match="output_size must be at least 1, but it is 0"):
        conv_multiply_adds(1, 1, 3, (4, 0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ((0, 1, 0, 1), "kernel_size must be at least 1, but it is 0"),
        ((3, 0, 0, 1), "stride must be at least 1, but it is 0"),
        ((3, 1, -1, 1), "padding must not be negative, but it is -1"),
        ((3, 1, 0, 0), "dilation must be at least 1, but it is 0"),
    ],
)
def test_a_receptive_field_of_no_layer(setting, message):
    with pytest.raises(ValueError, match=message):
        next_receptive_field((1, 1, 0), *setting)


@pytest.mark.parametrize("shape", [(28, 28), (1, 1, 28, 28), (1, 0, 28)])
def test_a_shape_that_no_image_has(shape):
    with pytest.raises(ValueError, match="input_shape must be"):
        summarise(nn.Conv2d(1, 1, 3), shape)


def test_a_layer_that_cannot_take_its_input_is_named():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(9, 10))
    with pytest.raises(ValueError, match=r"2 Linear cannot take the shape \(16,\): .*1x16 and 9x10"):
        summarise(model, (1, 6, 6))
    with pytest.raises(ValueError, match=r"0 Conv2d cannot take the shape \(1, 2, 2\)"):
        summarise(model, (1, 2, 2))
