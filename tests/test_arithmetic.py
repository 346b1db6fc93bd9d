"""The arithmetic of lesson 01 against PyTorch's own layers, over random settings."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from utils.arithmetic import conv_output_size


@given(
    size=st.integers(1, 40),
    kernel_size=st.integers(1, 7),
    stride=st.integers(1, 5),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 4),
)
@settings(max_examples=500, deadline=None)
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
@settings(max_examples=200, deadline=None)
def test_pooling_follows_the_same_formula(size, kernel_size, stride, padding):
    assume(padding <= kernel_size // 2 and kernel_size <= size + 2 * padding)
    pooled = nn.MaxPool1d(kernel_size, stride, padding)(torch.zeros(1, 1, size))
    assert conv_output_size(size, kernel_size, stride, padding) == pooled.shape[-1]


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
