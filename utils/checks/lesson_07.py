"""Checks of lesson 07: batch norm forward and backward, statistics merged, maps dropped, a normalisation folded in."""

import torch
from torch.nn import functional as F

from utils.checks import FunctionExercise

generator = torch.Generator().manual_seed(7)


def randn(*shape):
    return torch.randn(*shape, generator=generator)


def rand(*shape):
    return torch.rand(*shape, generator=generator)


# --- 1 · batch norm in training mode, for dense layers and for maps ---------------------------------------------


def library_batch_norm(x, gamma, beta, eps):
    """PyTorch's, in double precision: in single, a constant channel comes out wrong in the fourth decimal."""
    gamma, beta = (None if numbers is None else numbers.double() for numbers in (gamma, beta))
    return F.batch_norm(x.double(), None, None, gamma, beta, training=True, eps=eps).float()


def normalised(dims=None, correction=0, eps_inside=True, use_gamma=True, use_beta=True, root=True, epsilon=True):
    """Return batch norm by hand; every argument is a mistake that can be switched on."""

    def batch_norm(x, gamma, beta, eps):
        axes = tuple(dims(x)) if dims else (0, *range(2, x.ndim))
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=correction, keepdim=True)
        eps = eps if epsilon else 0.0
        spread = (variance + eps) ** (0.5 if root else 1.0) if eps_inside else variance.sqrt() + eps
        result = (x - mean) / spread
        result = result * gamma.reshape(shape) if use_gamma else result
        return result + beta.reshape(shape) if use_beta else result

    return batch_norm


def gamma_after_beta(x, gamma, beta, eps):
    shape = (1, -1, *[1] * (x.ndim - 2))
    return (library_batch_norm(x, None, None, eps) + beta.reshape(shape)) * gamma.reshape(shape)


check_batch_norm = FunctionExercise(
    "batch_norm",
    library_batch_norm,
    cases=[
        (3 * randn(4, 3, 2, 5) + 2, rand(3) + 1, randn(3), 0.1),
        (2 * randn(6, 4) - 1, rand(4) + 1, randn(4), 0.2),
        (randn(3, 2, 7), rand(2) + 0.5, randn(2), 0.05),
        (torch.full((2, 2, 2, 2), 5.0), rand(2) + 1, randn(2), 0.01),
    ],
    mistakes=[
        (
            normalised(dims=lambda x: range(1, x.ndim)),
            "the statistics are taken over each image (that is layer norm): they belong to a channel, over all images.",
        ),
        (
            normalised(dims=lambda x: range(x.ndim)),
            "one mean and one variance for everything: each channel has its own.",
        ),
        (
            normalised(dims=lambda x: (0,)),
            "the statistics are taken over the images only, position by position: a map's pixels count together.",
        ),
        (
            normalised(correction=1),
            "the variance is the unbiased one (divided by n − 1); the batch is normalised with the biased one (n).",
        ),
        (
            normalised(correction=1, eps_inside=False),
            "x.std() is the unbiased one (divided by n − 1), and eps belongs to the variance, inside of the root.",
        ),
        (
            normalised(dims=lambda x: (1,)),
            "the statistics are taken over the channels: they belong to a channel, over all other axes.",
        ),
        (
            normalised(dims=lambda x: (0, 1)),
            "the statistics are taken over images and channels: keep axis 1, and take all others.",
        ),
        (lambda x, gamma, beta, eps: library_batch_norm(x, gamma, beta, 1e-5), "eps is an argument: use it."),
        (
            lambda x, gamma, beta, eps: library_batch_norm(x, beta, gamma, eps),
            "gamma and beta have changed places: gamma scales, beta shifts.",
        ),
        (normalised(eps_inside=False), "eps is added outside of the root: it belongs to the variance."),
        (normalised(epsilon=False), "eps is missing: a channel that is constant divides zero by zero."),
        (normalised(root=False), "divided by the variance: take its root first."),
        (normalised(use_gamma=False), "gamma is forgotten."),
        (normalised(use_beta=False), "beta is forgotten."),
        (normalised(use_gamma=False, use_beta=False), "gamma and beta are both forgotten."),
        (gamma_after_beta, "gamma multiplies beta too: scale first, then shift."),
    ],
)

# --- 2 · the gradient of batch norm -------------------------------------------------------------------------------


def autograd_batch_norm(x, upstream, gamma, eps):
    x = x.clone().requires_grad_()
    F.batch_norm(x, None, None, gamma, None, training=True, eps=eps).backward(upstream)
    return x.grad


def gradient(
    through_mean=True, through_variance=True, mean=torch.mean, use_gamma=True, use_spread=True, sign=1,
    correction=0, along_z=True, divided=True,
):  # fmt: skip
    """Return the gradient by hand; every argument is a mistake that can be switched on."""

    def batch_norm_gradient(x, upstream, gamma, eps):
        spread = (x.var(dim=0, correction=correction) + eps).sqrt()
        z = (x - x.mean(dim=0)) / (spread if divided else 1.0)
        result = upstream.clone()
        result -= mean(upstream, dim=0) if through_mean else 0.0
        result -= sign * (z if along_z else 1.0) * mean(upstream * z, dim=0) if through_variance else 0.0
        return result * (gamma if use_gamma else 1.0) / (spread if use_spread else 1.0)

    return batch_norm_gradient


check_batch_norm_gradient = FunctionExercise(
    "batch_norm_gradient",
    autograd_batch_norm,
    cases=[
        (randn(5, 3) * 2 + 1, randn(5, 3), rand(3) + 1, 1e-3),
        (randn(8, 2) * 0.5, randn(8, 2) + 0.5, rand(2) + 1, 1e-5),
    ],
    mistakes=[
        (
            gradient(through_mean=False, through_variance=False),
            "mean and variance are treated as constants; both depend on x, and gradients flow through them too.",
        ),
        (
            gradient(through_mean=False),
            "the path through the mean is missing: subtract the mean of the upstream gradient.",
        ),
        (
            gradient(through_variance=False),
            "the path through the variance is missing: subtract z times the mean of (upstream · z).",
        ),
        (
            gradient(mean=torch.sum),
            "sums where there should be means: each of the n values is a 1/n part of mean and variance.",
        ),
        (gradient(sign=-1), "the part along z is added: it has to be subtracted, so that none is left."),
        (
            gradient(along_z=False),
            "the mean of upstream · z is subtracted as it is: multiply it by z first, each row by its own.",
        ),
        (gradient(divided=False), "x − mean stands where z should: divide it by √(variance + eps)."),
        (gradient(correction=1), "the variance is the unbiased one; batch norm divides by n."),
        (gradient(use_gamma=False), "gamma is forgotten: it scales the output, and so the gradient."),
        (gradient(use_spread=False), "the division by √(variance + eps) is forgotten."),
    ],
)

# --- 3 · the statistics of a union --------------------------------------------------------------------------------


def merged_by_moments(means, variances, counts):
    """The mean, and the mean of the squares minus the square of the mean, in double precision."""
    shares = counts.double() / counts.sum()
    mean = (shares * means.double()).sum()
    squares = (shares * (variances.double() + means.double() ** 2)).sum()
    return mean.float(), (squares - mean**2).float()


def merged(weighted=True, between=True, weighted_variance=True, sign=1, root=False):
    """Return the merge by hand; every argument is a mistake that can be switched on."""

    def merge_statistics(means, variances, counts):
        equal = torch.full_like(means, 1 / len(means))
        shares = counts / counts.sum()
        mean = ((shares if weighted else equal) * means).sum()
        spread = sign * (means - mean) ** 2 if between else torch.zeros_like(means)
        variance = ((shares if weighted_variance else equal) * (variances + spread)).sum()
        return mean, variance.sqrt() if root else variance

    return merge_statistics


check_merge_statistics = FunctionExercise(
    "merge_statistics",
    merged_by_moments,
    cases=[
        (torch.tensor([6.0, 2.0]), torch.tensor([4.0, 4.0]), torch.tensor([8.0, 8.0])),
        (torch.tensor([1.0, 3.0, 8.0]), torch.tensor([2.0, 5.0, 1.0]), torch.tensor([10.0, 30.0, 4.0])),
        (torch.tensor([-1.0, 0.5]), torch.tensor([0.25, 9.0]), torch.tensor([100.0, 1.0])),
    ],
    mistakes=[
        (
            merged(between=False),
            "the mean is right, but the variance averages the variances: the parts also differ in their means.",
        ),
        (
            merged(weighted=False, weighted_variance=False),
            "every part counts the same: weigh each by its number of values.",
        ),
        (
            merged(weighted=False, weighted_variance=False, between=False),
            "plain averages of both: parts have different sizes, and their means differ.",
        ),
        (
            merged(weighted_variance=False),
            "the mean is right, but the variance does not weigh the parts by their size.",
        ),
        (
            merged(sign=-1),
            "the differences between the means are subtracted; they add to the variance.",
        ),
        (
            lambda means, variances, counts: (
                (counts * means).sum() / counts.sum(),
                (counts * (variances + means**2)).sum() / counts.sum(),
            ),
            "the variance is the mean of the squares; the square of the common mean has not been subtracted.",
        ),
        (
            lambda means, variances, counts: (
                (counts * means).sum() / counts.sum(),
                (counts * variances).sum() / counts.sum() + means.var(),
            ),
            "the spread of the means is taken as if all parts were equal: weigh it by the counts, and divide by all.",
        ),
        (
            lambda means, variances, counts: ((counts * means).sum(), merged()(means, variances, counts)[1]),
            "the variance is right; the mean is a sum: divide by the number of all values.",
        ),
        (merged(weighted=False), "the mean does not weigh the parts by their size."),
        (merged(root=True), "that is the standard deviation: the variance was asked for."),
    ],
)

# --- 4 · spatial dropout --------------------------------------------------------------------------------------------


def dropped_map_by_map(maps, p, random_numbers, training):
    """Decide for one map of one image after the other."""
    result = maps.clone()
    if training:
        for image, channel in torch.cartesian_prod(*map(torch.arange, maps.shape[:2])):
            kept = random_numbers[image, channel] >= p
            result[image, channel] = maps[image, channel] / (1 - p) if kept else 0.0
    return result


def dropping(keep=None, scale=lambda p: 1 / (1 - p), always=False, inference=lambda p: 1.0):
    """Return spatial dropout by hand; every argument is a mistake that can be switched on."""
    keep = keep or (lambda numbers, p: numbers >= p)

    def drop_maps(maps, p, random_numbers, training):
        if not training and not always:
            return maps * inference(p)
        return maps * keep(random_numbers, p).float()[:, :, None, None] * scale(p)

    return drop_maps


def first_image_only(numbers, p):
    return (numbers[:1] >= p).expand(numbers.shape)


def first_channel_only(numbers, p):
    return (numbers[:, :1] >= p).expand(numbers.shape)


check_drop_maps = FunctionExercise(
    "drop_maps",
    dropped_map_by_map,
    cases=[
        (randn(3, 4, 2, 3), 0.25, rand(3, 4), True),
        (randn(4, 3, 2, 2), 0.6, rand(4, 3), True),
        (randn(2, 2, 2, 2), 0.4, rand(2, 2), False),
        (randn(2, 3, 2, 2), 0.5, rand(2, 3), True),
    ],
    mistakes=[
        (dropping(scale=lambda p: 1.0), "nothing is scaled: with p = 0.5 the next layer would get half, on average."),
        (
            dropping(scale=lambda p: 1.0, inference=lambda p: 1 - p),
            "scaled at inference, not in training: right on average, but inverted dropout leaves inference alone.",
        ),
        (
            dropping(inference=lambda p: 1 - p),
            "scaled twice: in training by 1 / (1 − p), and at inference by (1 − p) again.",
        ),
        (dropping(always=True), "maps are dropped at inference too: with training=False, return the maps as they are."),
        (
            dropping(keep=lambda numbers, p: numbers < p, scale=lambda p: 1 / p),
            "p and 1 − p are swapped: p is the share that is dropped.",
        ),
        (
            dropping(keep=lambda numbers, p: numbers < p),
            "the wrong maps are kept: drop where the random number is below p.",
        ),
        (dropping(scale=lambda p: 1 / p), "divided by p: the share that survives is 1 − p."),
        (dropping(scale=lambda p: 1 - p), "multiplied by 1 − p: divide, so that the average stays what it was."),
        (
            dropping(inference=lambda p: 1 / (1 - p)),
            "scaled at inference too: with training=False, return the maps as they are.",
        ),
        (
            lambda maps, p, random_numbers, training: dropping()(maps, p, random_numbers, not training),
            "the two faces are exchanged: maps are dropped while training, and left alone at inference.",
        ),
        (dropping(keep=first_image_only), "every image gets the mask of the first: each draws its own."),
        (dropping(keep=first_channel_only), "whole images are dropped: each channel has its own random number."),
    ],
)

# --- 5 · the normalisation of the images, folded into the first convolution -----------------------------------------


def folded_by_trying(weight, bias, mean, std):
    """Find the folded layer from its answers: the layer is affine, so what it makes of zero is its bias."""
    in_channels, (height, width) = weight.shape[1], weight.shape[2:]

    def answer(images):
        return F.conv2d((images - mean[:, None, None]) / std[:, None, None], weight, bias).flatten(1)

    new_bias = answer(torch.zeros(1, in_channels, height, width))[0]
    units = torch.eye(in_channels * height * width).reshape(-1, in_channels, height, width)
    return (answer(units) - new_bias).T.reshape(weight.shape), new_bias


def folding(per=None, sign=-1, shift=lambda weight, bias, mean, std: None, divide=True, keep_bias=True):
    """Return the fold by hand; every argument is a mistake that can be switched on."""
    per = per or (lambda vector: vector[None, :, None, None])

    def fold_normalisation(weight, bias, mean, std):
        folded = weight / per(std) if divide else weight * per(std)
        moved = shift(weight, bias, mean, std)
        if moved is None:
            moved = sign * (folded * per(mean)).sum(dim=(1, 2, 3))
        return folded, (bias if keep_bias else 0 * bias) + moved

    return fold_normalisation


check_fold_normalisation = FunctionExercise(
    "fold_normalisation",
    folded_by_trying,
    cases=[
        (randn(3, 3, 2, 2), randn(3), rand(3), rand(3) / 4 + 0.2),
        (randn(4, 4, 3, 1), randn(4), rand(4), rand(4) / 4 + 0.2),
    ],
    mistakes=[
        (
            folding(per=lambda vector: vector[:, None, None, None]),
            "scaled along the output channels: mean and std belong to the input's, the weight's second axis.",
        ),
        (
            folding(shift=lambda weight, bias, mean, std: torch.zeros_like(bias)),
            "the weights are right, but the bias is unchanged: subtracting the mean moves every answer.",
        ),
        (folding(sign=1), "the sign of the shift is wrong: the mean is subtracted from the images."),
        (folding(divide=False), "multiplied by std: the images are divided by it, so the weights are too."),
        (
            folding(shift=lambda weight, bias, mean, std: -(weight * mean[None, :, None, None]).sum(dim=(1, 2, 3))),
            "the shift uses the old weights: the mean, too, is divided by std.",
        ),
        (
            folding(shift=lambda w, b, mean, std: -((w / std[None, :, None, None])[:, :, 0, 0] * mean).sum(dim=1)),
            "the shift counts one tap only: add over all rows and columns of the kernel.",
        ),
        (
            lambda weight, bias, mean, std: (weight, folding()(weight, bias, mean, std)[1]),
            "the bias is right; the weights are unchanged: dividing the images by std is theirs to do.",
        ),
        (folding(keep_bias=False), "the convolution's own bias is lost."),
    ],
)
