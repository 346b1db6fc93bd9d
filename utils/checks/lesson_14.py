"""Checks of lesson 14: the hash of a mirror image, series told by their times, a leak counted, and a group's error."""

import torch

from utils.checks import FunctionExercise

# --- 1 · the hash of the mirror image ------------------------------------------------------------------------------


def hash_by_heights(bits):
    """The reference: a landscape whose steps have these bits is built, mirrored, and compared anew."""
    steps = bits.int() * 2 - 1
    heights = torch.cat([torch.zeros(len(bits), 1).int(), steps.cumsum(dim=1)], dim=1).flip(1)
    return heights[:, 1:] > heights[:, :-1]


def some_bits(seed, rows, columns):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, columns, generator=generator) < 0.5


check_mirrored = FunctionExercise(
    "mirrored",
    hash_by_heights,
    cases=[
        (torch.tensor([[True, False, False], [False, False, True]]),),
        (some_bits(0, 8, 8),),
        (some_bits(1, 4, 6),),
    ],
    mistakes=[
        (lambda bits: bits.clone(), "nothing has changed: which pixel is to the right of which in the mirror?"),
        (
            lambda bits: bits.flip(1),
            "the columns are reversed, and the bits are not: what was brighter than its left neighbour is now on the "
            "left itself.",
        ),
        (lambda bits: ~bits, "the bits are turned over, but they stay in their places: a mirror swaps left and right."),
        (
            lambda bits: ~bits.flip(0),
            "the rows are reversed: this mirror exchanges left and right, and rows stay in their order.",
        ),
        (
            lambda bits: ~bits.flip(0, 1),
            "both axes are reversed, which is half a turn: a mirror reverses the columns alone.",
        ),
        (lambda bits: bits.flip(0, 1), "both axes are reversed, and the bits are not turned over."),
        (lambda bits: bits.flip(0), "that is the picture upside down, and the bits are not turned over."),
    ],
)


# --- 2 · series by time --------------------------------------------------------------------------------------------


def series_one_by_one(seconds, gap):
    """The reference: in the order of time, with a loop."""
    numbers, number, before = [0] * len(seconds), 0, None
    for place in sorted(range(len(seconds)), key=lambda i: float(seconds[i])):
        now = float(seconds[place])
        if before is not None and now - before > gap:
            number += 1
        numbers[place], before = number, now
    return torch.tensor(numbers)


def in_given_order(seconds, gap):
    return torch.cat([torch.zeros(1).long(), (seconds.diff() > gap).long()]).cumsum(0)


def not_put_back(seconds, gap):
    return in_given_order(seconds.sort().values, gap)


def from_first(seconds, gap):
    numbers, number, first = [0] * len(seconds), 0, None
    for place in sorted(range(len(seconds)), key=lambda i: float(seconds[i])):
        first = seconds[place] if first is None else first
        if seconds[place] - first > gap:
            number, first = number + 1, seconds[place]
        numbers[place] = number
    return torch.tensor(numbers)


def put_back(number):
    """Return a mistake that numbers the sorted times with `number(sorted times, gap)`, and puts them back."""

    def mistaken(seconds, gap):
        order = seconds.argsort()
        numbers = torch.zeros(len(seconds)).long()
        numbers[order] = number(seconds[order], gap)
        return numbers

    return mistaken


def backwards(seconds, gap):
    right = series_one_by_one(seconds, gap)
    return right.max() - right


def by_first_appearance(seconds, gap):
    seen = {}
    return torch.tensor([seen.setdefault(number, len(seen)) for number in series_one_by_one(seconds, gap).tolist()])


def indexed_by_order(seconds, gap):
    order = seconds.argsort()
    return in_given_order(seconds[order], gap)[order]


check_series_by_time = FunctionExercise(
    "series_by_time",
    series_one_by_one,
    cases=[
        (torch.tensor([100.0, 3.0, 0.0, 61.0, 104.0, 200.0]), 40.0),
        (torch.tensor([50.0, 10.0, 40.0, 30.0, 20.0, 0.0]), 10.0),
        (torch.tensor([9.0, 1.0, 30.0, 7.0, 3.0, 32.0, 5.0]), 3.0),
        (torch.tensor([1000.0, 1500.0, 1005.0, 2000.0, 1003.0]), 60.0),
        (1.78e9 + torch.tensor([41.0, 390.0, 0.0, 333.0, 470.0, 100.0]).double(), 60.0),  # as a camera notes them
    ],
    mistakes=[
        (in_given_order, "the times are taken in the order in which they come: a folder need not be sorted by time."),
        (
            not_put_back,
            "the numbers belong to the sorted times: put each back to the place of its own picture.",
        ),
        (
            indexed_by_order,
            "the numbers are put back with numbers[order]: it is the other way round, result[order] = numbers.",
        ),
        (
            from_first,
            "a series is measured from its first picture: compare each picture with the one before it, so that a long "
            "series stays one.",
        ),
        (
            put_back(lambda times, gap: torch.cat([torch.zeros(1).long(), (times.diff() >= gap).long()]).cumsum(0)),
            "a pause of exactly the gap separates already: only a longer one should.",
        ),
        (
            lambda seconds, gap: series_one_by_one(seconds, gap) + 1,
            "the first series has the number 1: count from 0.",
        ),
        (backwards, "the series are counted from the last to the first: the earliest has the number 0."),
        (
            lambda seconds, gap: (seconds // gap).long(),
            "time is cut into pieces as long as the gap: a series that lies across a cut falls apart.",
        ),
        (
            put_back(lambda times, gap: torch.cat([torch.zeros(1).long(), (times.diff() > gap).long()])),
            "it says where a series begins: count those beginnings up, with cumsum.",
        ),
        (
            put_back(lambda times, gap: (times.diff(prepend=torch.zeros(1)) > gap).long().cumsum(0)),
            "the first picture is compared with the time 0: it begins the series 0, however late it was taken.",
        ),
        (
            by_first_appearance,
            "the series are numbered as they appear in the list: the numbers follow the time, and the earliest has 0.",
        ),
        (
            lambda seconds, gap: (seconds.sort().values.diff() > gap).long().cumsum(0),
            "one number is missing: N pictures have N − 1 pauses, so a 0 for the first picture stands before them.",
        ),
        (
            lambda seconds, gap: series_one_by_one(seconds.float(), gap),
            "the times have become float32, which knows numbers as large as a camera's times only to 128 seconds: keep "
            "them as they are given, in float64.",
        ),
    ],
)

# --- 3 · a leak, counted --------------------------------------------------------------------------------------------


def leaked_one_by_one(groups, is_test):
    trained_on = {group for group, tested in zip(groups.tolist(), is_test.tolist()) if not tested}
    return sum(group in trained_on for group, tested in zip(groups.tolist(), is_test.tolist()) if tested)


def shared(groups, is_test):
    return set(groups[is_test].tolist()) & set(groups[~is_test].tolist())


check_leaked = FunctionExercise(
    "leaked",
    leaked_one_by_one,
    cases=[
        (torch.tensor([0, 0, 0, 1, 1, 2, 2, 2]), torch.tensor([1, 1, 0, 0, 0, 1, 0, 0]).bool()),
        (torch.tensor([4, 4, 9, 9, 7, 7, 7]), torch.tensor([1, 1, 0, 0, 1, 1, 1]).bool()),
        (torch.tensor([3, 3, 3, 3, 5, 5, 6, 8, 8]), torch.tensor([1, 1, 1, 0, 0, 1, 1, 0, 0]).bool()),
    ],
    mistakes=[
        (lambda groups, is_test: len(shared(groups, is_test)), "that counts the groups: count their test pictures."),
        (
            lambda groups, is_test: sum(group in shared(groups, is_test) for group in groups[~is_test].tolist()),
            "that counts the training pictures of the groups that are on both sides: count the test pictures.",
        ),
        (
            lambda groups, is_test: sum(group in shared(groups, is_test) for group in groups.tolist()),
            "that counts all the pictures of the groups that are on both sides: count the test pictures alone.",
        ),
        (
            lambda groups, is_test: leaked_one_by_one(groups, is_test) / int(is_test.sum()),
            "that is their share of the test pictures: return how many they are.",
        ),
        (
            lambda groups, is_test: int(is_test.sum()) - leaked_one_by_one(groups, is_test),
            "that counts the test pictures that are clean: count those with a relative in the training part.",
        ),
        (
            lambda groups, is_test: int((groups[is_test][:, None] == groups[~is_test]).sum()),
            "that counts pairs: a test picture with three relatives counts once.",
        ),
        (
            lambda groups, is_test: torch.isin(groups[is_test], groups[~is_test]),
            "that is a mask: count it, with sum().",
        ),
        (
            lambda groups, is_test: torch.isin(groups, groups[~is_test]) & is_test,
            "that is a mask over all the pictures: count it, with sum().",
        ),
        (lambda groups, is_test: int(is_test.sum()), "every test picture counts: only those with a relative should."),
    ],
)

# --- 4 · the error of an accuracy, by groups ------------------------------------------------------------------------


def error_one_by_one(correct, groups):
    mean = sum(correct.tolist()) / len(correct)
    sums = {}
    for right, group in zip(correct.tolist(), groups.tolist()):
        sums[group] = sums.get(group, 0.0) + right - mean
    return sum(value**2 for value in sums.values()) ** 0.5 / len(correct)


def group_sums(correct, groups, centre=True):
    away = correct.double() - (correct.double().mean() if centre else 0)
    return torch.zeros(int(groups.max()) + 1).double().index_add(0, groups, away)


def error_of_group_means(correct, groups, correction=0):
    means = torch.stack([correct[groups == group].double().mean() for group in groups.unique()])
    return (means.std(correction=correction) / len(means) ** 0.5).item()


def naive(correct, count):
    share = correct.double().mean().item()
    return (share * (1 - share) / count) ** 0.5


check_group_error = FunctionExercise(
    "group_error",
    error_one_by_one,
    cases=[
        (torch.tensor([1, 1, 1, 0, 0, 0, 1, 1]).bool(), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])),
        (torch.tensor([1, 0, 1, 1, 1, 0, 0, 1, 1]).bool(), torch.tensor([2, 2, 0, 0, 0, 3, 3, 1, 1])),
        (torch.tensor([1, 1, 0, 1]).bool(), torch.tensor([3, 0, 1, 2])),
    ],
    mistakes=[
        (
            lambda correct, groups: naive(correct, len(correct)),
            "that is the error if every picture counted by itself: sum within each group before you square.",
        ),
        (
            lambda correct, groups: naive(correct, len(groups.unique())),
            "that is the error if each group were one picture: the sums of the groups say how much alike they are.",
        ),
        (
            error_of_group_means,
            "that treats all groups as equally large: work with the sums of the groups, not with their means.",
        ),
        (
            lambda correct, groups: error_of_group_means(correct, groups, 1),
            "that is the standard error of the groups' means, as if all groups were equally large: work with the sums "
            "of the groups.",
        ),
        (
            lambda correct, groups: (group_sums(correct, groups).square().sum().sqrt() / len(groups.unique())).item(),
            "the sum is divided by the number of groups: divide by the number of pictures.",
        ),
        (
            lambda correct, groups: (group_sums(correct, groups).square().sum() / len(correct) ** 2).item(),
            "that is the variance: the error is its square root.",
        ),
        (
            lambda correct, groups: (group_sums(correct, groups).square().sum() / len(correct)).sqrt().item(),
            "the number of pictures is under the square root: divide after taking the root.",
        ),
        (
            lambda correct, groups: (
                group_sums(correct, groups, centre=False).square().sum().sqrt() / len(correct)
            ).item(),
            "the accuracy is not subtracted: sum how far each answer lies from it.",
        ),
        (
            lambda correct, groups: (group_sums(correct, groups).abs().sum() / len(correct)).item(),
            "the sums are taken without their signs and not squared.",
        ),
        (
            lambda correct, groups: 1.96 * error_one_by_one(correct, groups),
            "that is already the half width of an interval: return the error itself, without the 1.96.",
        ),
    ],
)
