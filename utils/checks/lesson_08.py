"""Checks of lesson 08: a skip folded in, a shortcut without parameters, label smoothing, and what a row has gained."""

import torch
from torch.nn import functional as F

from utils.checks import FunctionExercise

generator = torch.Generator().manual_seed(8)


def randn(*shape):
    return torch.randn(*shape, generator=generator)


# --- 1 · a skip, folded into its convolution ------------------------------------------------------------------------


def folded_by_trying(weight):
    """Find the kernels from the answers: what a convolution makes of an image with a single 1 is its kernel, turned."""
    channels = len(weight)
    ones = torch.zeros(channels, channels, 5, 5)
    ones[range(channels), range(channels), 2, 2] = 1  # one image for each input channel
    answers = F.conv2d(ones, weight, padding=1) + ones
    return answers[:, :, 1:4, 1:4].flip(2, 3).transpose(0, 1)


def adding(place):
    """Return the fold by hand; `place` adds something to a copy of the weight."""

    def fold_skip(weight):
        folded = weight.clone()
        place(folded, range(len(weight)))
        return folded

    return fold_skip


def everywhere(folded, channels):
    folded += 1


def every_tap(folded, channels):
    folded[channels, channels] += 1


def every_pair(folded, channels):
    folded[:, :, 1, 1] += 1


def corner(folded, channels):
    folded[channels, channels, 0, 0] += 1


def replaced(folded, channels):
    folded[channels, channels, 1, 1] = 1


def first_channel(folded, channels):
    folded[0, 0, 1, 1] += 1


def subtracted(folded, channels):
    folded[channels, channels, 1, 1] -= 1


class FoldSkip(FunctionExercise):
    """The weight that is given stays as it is."""

    def verdict(self, answer):
        def watched(weight):
            before = weight.clone()
            folded = answer(weight)
            if not torch.equal(weight, before):
                raise ValueError("the weight that was given has changed: work on a copy, weight.clone()")
            return folded

        return super().verdict(watched if callable(answer) else answer)


check_fold_skip = FoldSkip(
    "fold_skip",
    folded_by_trying,
    cases=[(randn(4, 4, 3, 3),), (randn(3, 3, 3, 3),), (randn(1, 1, 3, 3),)],
    mistakes=[
        (lambda weight: weight.clone(), "the weight is unchanged: where has x gone?"),
        (adding(everywhere), "1 is added to every number: x must come through once, from its own channel and pixel."),
        (adding(every_tap), "1 is added to all nine taps of a kernel: that adds x's neighbours too."),
        (adding(every_pair), "1 is added for every pair of channels: channel i must receive its own x alone."),
        (
            adding(corner),
            "the 1 stands in a corner: that shifts x by a row and a column. Which tap meets the pixel itself?",
        ),
        (adding(replaced), "the middle is replaced by 1: the convolution's own weight there is lost. Add to it."),
        (adding(first_channel), "only the first channel gets its x: every channel has a kernel that reads itself."),
        (adding(subtracted), "that is conv(x) − x: the skip is added."),
    ],
)

# --- 2 · a shortcut without parameters ------------------------------------------------------------------------------


def shortcut_by_convolution(maps, out_channels):
    """A 1×1 convolution with stride 2 whose matrix has ones on its diagonal."""
    return F.conv2d(maps, torch.eye(out_channels, maps.shape[1])[:, :, None, None], stride=2)


def padded(pixels=lambda maps: maps[:, :, ::2, ::2], pad=lambda more: (0, more)):
    """Return the shortcut by hand; every argument is a mistake that can be switched on."""

    def padded_shortcut(maps, out_channels):
        before, behind = pad(out_channels - maps.shape[1])
        return F.pad(pixels(maps), (0, 0, 0, 0, before, behind))

    return padded_shortcut


def repeated(maps, out_channels):
    return maps[:, :, ::2, ::2].repeat(1, -(-out_channels // maps.shape[1]), 1, 1)[:, :out_channels]


def too_many_zeros(maps, out_channels):
    return F.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, 0, out_channels))


def upper_left_quarter(maps):
    return maps[:, :, : (maps.shape[2] + 1) // 2, : (maps.shape[3] + 1) // 2]


check_padded_shortcut = FunctionExercise(
    "padded_shortcut",
    shortcut_by_convolution,
    cases=[(randn(2, 3, 4, 6), 6), (randn(3, 2, 5, 4), 5), (randn(2, 4, 6, 8), 4)],
    mistakes=[
        (padded(pad=lambda more: (more, 0)), "the zeros stand before the old channels: they belong behind them."),
        (
            padded(pad=lambda more: (more // 2, more - more // 2)),
            "half of the zeros stand before the old channels: all of them belong behind.",
        ),
        (padded(pixels=lambda maps: maps), "the maps keep their size: take every second pixel of every second row."),
        (padded(pixels=lambda maps: maps[:, :, ::2]), "the rows are right, but every column is still there."),
        (padded(pixels=lambda maps: maps[:, :, :, ::2]), "the columns are right, but every row is still there."),
        (
            padded(pixels=lambda maps: maps[:, :, 1::2, 1::2]),
            "the pixels begin with the second: a stride begins with the first, at index 0.",
        ),
        (
            padded(pixels=lambda maps: F.avg_pool2d(maps, 2, ceil_mode=True)),
            "the pixels are averaged in twos: that is a pooling. Take the pixels as they are.",
        ),
        (
            padded(pixels=lambda maps: F.avg_pool2d(maps, 2)),
            "the pixels are averaged in twos, and an odd last row is lost: take every second pixel as it is.",
        ),
        (
            padded(pixels=lambda maps: F.max_pool2d(maps, 2, ceil_mode=True)),
            "the largest of each 2 × 2 is taken: that is a pooling. Take the pixels as they are.",
        ),
        (padded(pixels=upper_left_quarter), "a quarter of the image is cut out: take every second pixel of all of it."),
        (too_many_zeros, "out_channels is what there is to be afterwards: the zeros are as many as are missing."),
        (padded(pad=lambda more: (0, 0)), "the channels are still those of the input: fill up with zeros."),
        (repeated, "the new channels repeat the old ones: they are to be zero."),
    ],
)

# --- 3 · label smoothing ----------------------------------------------------------------------------------------------


def library_smoothing(logits, labels, epsilon):
    return F.cross_entropy(logits, labels, label_smoothing=epsilon)


def towards(target, reduce=torch.mean, log=F.log_softmax):
    """Return the loss towards a target that is made from (one-hot labels, epsilon, number of classes)."""

    def smoothed_cross_entropy(logits, labels, epsilon):
        classes = logits.shape[1]
        targets = target(F.one_hot(labels, classes).float(), epsilon, classes)
        return reduce(-(targets * log(logits, dim=1)).sum(dim=1))

    return smoothed_cross_entropy


def smoothed_target(truth, epsilon, classes):
    return (1 - epsilon) * truth + epsilon / classes


check_smoothed_cross_entropy = FunctionExercise(
    "smoothed_cross_entropy",
    library_smoothing,
    cases=[
        (2 * randn(4, 3), torch.tensor([2, 0, 1, 1]), 0.3),
        (3 * randn(6, 5), torch.tensor([0, 4, 2, 3, 1, 0]), 0.1),
        (2 * randn(5, 10), torch.tensor([9, 0, 3, 5, 5]), 0.0),
    ],
    mistakes=[
        (towards(lambda truth, epsilon, classes: truth), "nothing is smoothed: epsilon is not used."),
        (
            towards(lambda truth, epsilon, classes: (1 - epsilon) * truth + epsilon * (1 - truth) / (classes - 1)),
            "epsilon is spread over the wrong classes only: the right one gets its part of it too.",
        ),
        (
            towards(lambda truth, epsilon, classes: (1 - epsilon) * truth),
            "the right class has given epsilon away, but nobody gets it: the target must add up to 1.",
        ),
        (
            towards(lambda truth, epsilon, classes: truth + epsilon / classes),
            "the others get their parts, but the right class keeps all of its own: the target must add up to 1.",
        ),
        (
            towards(lambda truth, epsilon, classes: (1 - epsilon) * truth + epsilon),
            "every class gets the whole of epsilon: divide it by the number of classes.",
        ),
        (
            towards(lambda truth, epsilon, classes: epsilon * truth + (1 - epsilon) / classes),
            "epsilon and 1 − epsilon are swapped: epsilon is the share that is spread.",
        ),
        (towards(smoothed_target, reduce=torch.sum), "that is the sum over the images: return their mean."),
        (
            towards(smoothed_target, log=lambda logits, dim: F.log_softmax(F.softmax(logits, dim), dim)),
            "softmax is taken twice: log_softmax starts from the logits.",
        ),
        (towards(smoothed_target, reduce=lambda losses: losses), "one loss for each image: return their mean."),
        (towards(smoothed_target, reduce=lambda losses: -losses.mean()), "the sign is wrong: a loss is not negative."),
    ],
)

# --- 4 · what a row has gained ----------------------------------------------------------------------------------------


def gain_by_sums(before, after):
    """The difference of two means and its standard error, in double precision and without torch's statistics."""
    means, errors = [], []
    for scores in (before.double().tolist(), after.double().tolist()):
        mean = sum(scores) / len(scores)
        means.append(mean)
        errors.append(sum((score - mean) ** 2 for score in scores) / (len(scores) - 1) / len(scores))
    return torch.tensor(means[1] - means[0]), torch.tensor(sum(errors) ** 0.5)


def gain_with(spread, sign=1):
    """Return (gain, error) by hand; `spread` makes the error from the two rows."""

    def gain(before, after):
        return sign * (after.mean() - before.mean()), torch.as_tensor(spread(before, after))

    return gain


def error(before, after, correction=1):
    parts = [scores.var(correction=correction) / len(scores) for scores in (before, after)]
    return sum(parts) ** 0.5


class GainExercise(FunctionExercise):
    """The pair may be of tensors or of plain numbers."""

    def verdict(self, answer):
        def as_tensors(before, after):
            result = answer(before, after)
            if isinstance(result, tuple):
                return tuple(torch.as_tensor(part) if isinstance(part, int | float) else part for part in result)
            return result

        return super().verdict(as_tensors if callable(answer) else answer)


check_gain = GainExercise(
    "gain",
    gain_by_sums,
    cases=[
        (torch.tensor([0.80, 0.81, 0.82]), torch.tensor([0.83, 0.85, 0.84])),
        (torch.tensor([0.70, 0.74, 0.72, 0.71, 0.73]), torch.tensor([0.72, 0.70, 0.74])),
        (torch.tensor([0.90, 0.80]), torch.tensor([0.84, 0.86, 0.88, 0.90])),
    ],
    mistakes=[
        (gain_with(error, sign=-1), "the sign of the gain is wrong: after minus before."),
        (
            gain_with(lambda before, after: error(before, after, correction=0)),
            "the variances are divided by n: use the unbiased ones (n − 1); with three seeds it matters.",
        ),
        (
            gain_with(lambda before, after: (before.var() + after.var()) ** 0.5),
            "that is the scatter of single runs: a mean over n seeds scatters less, so divide each variance by its n.",
        ),
        (
            gain_with(lambda before, after: error(before, after) ** 2),
            "the root is missing: that is the variance of the gain.",
        ),
        (
            gain_with(lambda before, after: (before.var() / len(before)) ** 0.5 + (after.var() / len(after)) ** 0.5),
            "the two errors are added: add their squares, and take the root of the sum.",
        ),
        (
            gain_with(lambda before, after: (before.std() / len(before) + after.std() / len(after)) ** 0.5),
            "the standard deviations stand where the variances belong.",
        ),
        (
            gain_with(lambda before, after: (after.var() / len(after)) ** 0.5),
            "only the second row's scatter counts: the first row is uncertain too.",
        ),
        (
            gain_with(lambda before, after: ((before.var() + after.var()) / len(before)) ** 0.5),
            "both variances are divided by the first row's number of seeds: each has its own.",
        ),
    ],
)
