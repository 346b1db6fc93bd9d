"""Checks of lesson 06: statistics in chunks, a shift for each image, mixup's loss, accuracy by class."""

import torch
from torch.nn import functional as F

from utils.checks import FunctionExercise

generator = torch.Generator().manual_seed(6)

# --- 1 · the channels' statistics, chunk by chunk ---


def photographs(count, brightness):
    """Return images (count, 3, 32, 32) whose channels, and whose own brightness, differ."""
    own = torch.rand(count, 3, 1, 1, generator=generator) - 0.5
    levels = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1)
    spreads = torch.tensor([0.1, 0.3, 0.2]).view(3, 1, 1)
    return levels + brightness + own * spreads + spreads * torch.randn(count, 3, 32, 32, generator=generator)


def whole(chunks):
    images = torch.cat(chunks)
    return images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3))


def averaging(chunks):
    means, stds = zip(*(whole([chunk]) for chunk in chunks))
    return torch.stack(means).mean(dim=0), torch.stack(stds).mean(dim=0)


def averaging_deviations(chunks):
    sizes = torch.tensor([float(len(chunk)) for chunk in chunks])
    stds = torch.stack([whole([chunk])[1] for chunk in chunks])
    return whole(chunks)[0], sizes @ stds / sizes.sum()


def averaging_variances(chunks):
    sizes = torch.tensor([float(len(chunk)) for chunk in chunks])
    variances = torch.stack([whole([chunk])[1] ** 2 for chunk in chunks])
    return whole(chunks)[0], (sizes @ variances / sizes.sum()).sqrt()


def by_sums(count=lambda images: images[:, 0].numel(), root=True):
    """Return the statistics from sums; every argument is a mistake that can be switched on."""

    def channel_statistics(chunks):
        images = torch.cat(chunks).double()
        mean = images.sum(dim=(0, 2, 3)) / count(images)
        variance = (images**2).sum(dim=(0, 2, 3)) / count(images) - mean**2
        return mean, variance.sqrt() if root else variance

    return channel_statistics


check_channel_statistics = FunctionExercise(
    "channel_statistics",
    whole,
    cases=[
        ([photographs(4, 0.0), photographs(4, 0.4), photographs(1, -0.6)],),
        ([photographs(3, -0.2), photographs(2, 0.7)],),
    ],
    mistakes=[
        (
            averaging,
            "chunk averages are averaged, so the smaller ones count too much: add up sums, divide once.",
        ),
        (
            averaging_deviations,
            "the mean is right; the deviation is the average of the chunks' own, which leaves out how they differ.",
        ),
        (
            averaging_variances,
            "the mean is right; the variance is the average of the chunks' own, which leaves out how they differ.",
        ),
        (
            lambda chunks: (whole(chunks)[0], torch.cat(chunks).std(dim=(2, 3)).mean(dim=0)),
            "the deviation is the average over single images; how bright one image is beside another is left out.",
        ),
        (
            lambda chunks: (torch.cat(chunks).mean(), torch.cat(chunks).std()),
            "one number for all channels: keep the channel axis, dim=1.",
        ),
        (
            lambda chunks: (torch.cat(chunks).mean(dim=(1, 2, 3)), torch.cat(chunks).std(dim=(1, 2, 3))),
            "these are numbers for each image: average over images, rows and columns, dim=(0, 2, 3).",
        ),
        (
            lambda chunks: (whole(chunks)[0], whole(chunks)[1] ** 2),
            "the mean is right; the second is the variance, so the square root is missing.",
        ),
        (
            lambda chunks: (whole(chunks)[0], (torch.cat(chunks) ** 2).mean(dim=(0, 2, 3)).sqrt()),
            "the mean is right; under the square root the square of the mean has not been subtracted.",
        ),
        (
            by_sums(root=False),
            "the mean is right; the root of the second is missing: mean of squares minus square of mean.",
        ),
        (by_sums(count=len), "divided by the number of images: each of them has height × width pixels in a channel."),
        (
            by_sums(count=torch.numel),
            "divided by all numbers, those of the other channels included: count the pixels of one channel.",
        ),
        (lambda chunks: whole(chunks)[::-1], "the two have changed places: the mean first, then the deviation."),
        (lambda chunks: torch.stack(whole(chunks)), "return the two as a tuple, not stacked into one tensor."),
        (lambda chunks: whole(chunks[-1:]), "only the last chunk counts: are the sums set back to zero in the loop?"),
    ],
)

# --- 2 · a shift for each image ---


def one_by_one(images, down, right):
    """Return the shifted images, by copying what stays in view into zeros."""
    shifted = torch.zeros_like(images)
    height, width = images.shape[-2:]
    for i, (d, r) in enumerate(zip(down.tolist(), right.tolist())):
        kept = images[i, :, max(0, -d) : height - max(0, d), max(0, -r) : width - max(0, r)]
        shifted[i, :, max(0, d) : height + min(0, d), max(0, r) : width + min(0, r)] = kept
    return shifted


def going_round(images, down, right):
    rolled = [image.roll((d, r), (1, 2)) for image, d, r in zip(images, down.tolist(), right.tolist())]
    return torch.stack(rolled)


def with_mirrored_border(images, down, right):
    padded = F.pad(images, (3, 3, 3, 3), mode="reflect")
    return one_by_one(padded, down, right)[..., 3:-3, 3:-3]


def cut(choose):
    """Return the shift by cutting windows of the padded images; `choose` picks them."""

    def shift_each(images, down, right):
        windows = F.pad(images, (3, 3, 3, 3)).unfold(2, images.shape[2], 1).unfold(3, images.shape[3], 1)
        return choose(windows, torch.arange(len(images)), down, right)

    return shift_each


check_shift_each = FunctionExercise(
    "shift_each",
    one_by_one,
    cases=[
        (torch.randn(3, 2, 5, 7, generator=generator), torch.tensor([1, -2, 0]), torch.tensor([0, 3, -1])),
        (torch.randn(2, 1, 6, 4, generator=generator), torch.tensor([-3, 2]), torch.tensor([2, 1])),
        (torch.randn(2, 3, 4, 5, generator=generator), torch.tensor([0, 2]), torch.tensor([0, -3])),
    ],
    mistakes=[
        (
            lambda images, down, right: one_by_one(images, -down, -right),
            "up and down, left and right are swapped: a window cut further down shows the picture further up.",
        ),
        (
            lambda images, down, right: one_by_one(images, right, down),
            "rows and columns are swapped: `down` moves along dim=2, `right` along dim=3.",
        ),
        (
            lambda images, down, right: one_by_one(images, down[:1].expand_as(down), right[:1].expand_as(right)),
            "every image moves as the first one does: each has its own shift.",
        ),
        (
            cut(lambda windows, each, down, right: windows[each, :, down, right]),
            "the window of row and column 0 is not the unmoved one: that begins at 3, the padding.",
        ),
        (
            cut(lambda windows, each, down, right: windows[each, :, -down, -right]),
            "the signs are right, and the start is missing: the unmoved window begins at 3, the padding.",
        ),
        (
            cut(lambda windows, each, down, right: windows[:, :, 3 - down, 3 - right]),
            "every image gets the windows of all: count the images too, windows[torch.arange(len(images)), :, …].",
        ),
        (going_round, "what leaves on one side comes back on the other; zeros should come into view."),
        (with_mirrored_border, "the border is mirrored, as in augmented_batches; here zeros should come into view."),
        (
            lambda images, down, right: one_by_one(images, down, torch.zeros_like(right)),
            "the images move down as they should, and not to the right.",
        ),
        (
            lambda images, down, right: one_by_one(images, torch.zeros_like(down), right),
            "the images move to the right as they should, and not down.",
        ),
    ],
)

# --- 3 · mixup's loss ---


def with_shares(logits, labels, partners, share):
    """Return the cross-entropy against shares, as the lesson trains with it."""
    first, second = (F.one_hot(numbers, logits.shape[1]).float() for numbers in (labels, partners))
    return F.cross_entropy(logits, share * first + (1 - share) * second)


def mixed_probability(logits, labels, partners, share):
    probabilities, rows = F.softmax(logits, dim=1), torch.arange(len(labels))
    return -(share * probabilities[rows, labels] + (1 - share) * probabilities[rows, partners]).log().mean()


def mixed_numbers(logits, labels, partners, share):
    return F.cross_entropy(logits, (share * labels + (1 - share) * partners).round().long())


def mix_case(count, share):
    labels, partners = torch.randint(0, 7, (2, count), generator=generator)
    return 2 * torch.randn(count, 7, generator=generator), labels, partners, share


check_mixup_loss = FunctionExercise(
    "mixup_loss",
    with_shares,
    cases=[mix_case(6, 0.7), mix_case(4, 0.25), mix_case(5, 1.0)],
    mistakes=[
        (
            lambda logits, labels, partners, share: with_shares(logits, partners, labels, share),
            "the shares are swapped: `share` belongs to `labels`, the rest to `partners`.",
        ),
        (
            lambda logits, labels, partners, share: with_shares(logits, labels, partners, 0.5),
            "both labels weigh the same; the first has the weight `share`, the second 1 − share.",
        ),
        (
            lambda logits, labels, partners, share: F.cross_entropy(logits, labels),
            "only the first label counts; the partner's pixels are in the image as well.",
        ),
        (
            lambda logits, labels, partners, share: (
                share * F.cross_entropy(logits, labels) + F.cross_entropy(logits, partners)
            ),
            "the partner's loss lacks its weight, 1 − share.",
        ),
        (
            lambda logits, labels, partners, share: F.cross_entropy(logits, labels) + F.cross_entropy(logits, partners),
            "neither loss has a weight: share for the first, 1 − share for the second.",
        ),
        (
            lambda logits, labels, partners, share: with_shares(F.softmax(logits, dim=1), labels, partners, share),
            "softmax twice: F.cross_entropy takes logits.",
        ),
        (
            mixed_numbers,
            "the class numbers are averaged: between classes 2 and 4 lies no class 3. Average the two losses.",
        ),
        (
            mixed_probability,
            "this is the logarithm of the mixed probabilities; cross-entropy mixes the logarithms.",
        ),
        (
            lambda logits, labels, partners, share: len(labels) * with_shares(logits, labels, partners, share),
            "the losses are added up; take the mean over the images.",
        ),
    ],
)

# --- 4 · accuracy by class ---


def class_by_class(logits, labels, num_classes):
    """Return the accuracy of each class by looking at its images alone; nan where there are none."""
    found = [logits[labels == c].argmax(dim=1) for c in range(num_classes)]
    return torch.stack([(predicted == c).double().mean() for c, predicted in enumerate(found)])


def table(logits, labels, num_classes):
    """Return (right answers, images, answers) by class."""
    predicted = logits.argmax(dim=1)
    right = labels[predicted == labels].bincount(minlength=num_classes)
    return right, labels.bincount(minlength=num_classes), predicted.bincount(minlength=num_classes)


def class_case(count, num_classes, absent=None):
    labels = torch.randint(0, num_classes, (count,), generator=generator)
    if absent is not None:
        labels[labels == absent] = absent - 1
    return F.one_hot(labels, num_classes) + torch.randn(count, num_classes, generator=generator), labels, num_classes


check_class_accuracies = FunctionExercise(
    "class_accuracies",
    class_by_class,
    cases=[class_case(60, 4), class_case(40, 5, absent=3), class_case(30, 3)],
    mistakes=[
        (
            lambda *case: table(*case)[0] / table(*case)[2],
            "divided by how often the class was answered: that is the precision. Divide by how many images it has.",
        ),
        (
            lambda logits, labels, num_classes: table(logits, labels, num_classes)[0] / len(labels),
            "divided by all images; each class's right answers belong over that class's images.",
        ),
        (
            lambda *case: table(*case)[0] / table(*case)[1].clamp(min=1),
            "right, but a class without images gets 0, as if all had been wrong: it has no accuracy, so return nan.",
        ),
        (
            lambda *case: class_by_class(*case)[table(*case)[1] > 0],
            "right, but a class without images is left out, so the others change their places: keep it, as nan.",
        ),
        (
            lambda *case: class_by_class(*case).nanmean().expand(case[2]),
            "every class has the same number: select each class's own images before you average.",
        ),
        (
            lambda logits, labels, num_classes: torch.stack(
                [((logits.argmax(dim=1) == c) == (labels == c)).double().mean() for c in range(num_classes)]
            ),
            "this counts every image that is rightly *not* called the class, too: select the class's own images.",
        ),
        (
            lambda *case: 100 * class_by_class(*case),
            "right, but in per cent: an accuracy lies between 0 and 1.",
        ),
        (
            lambda logits, labels, num_classes: torch.stack(
                [F.softmax(logits[labels == c].double(), dim=1)[:, c].mean() for c in range(num_classes)]
            ),
            "this is the mean probability of the right class; an accuracy counts right answers.",
        ),
    ],
)
