"""The arithmetic of a CNN's layers. Lesson 01 derives the output size and checks it against PyTorch."""


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
