"""Checks of lesson 12: averages of unequal shares, the second half of the ring, warm-up, and how many processes pay."""

import math

import torch

from utils.checks import FunctionExercise

# --- 1 · unequal shares ----------------------------------------------------------------------------------------------


def averaged_one_by_one(gradients, counts):
    total, images = torch.zeros(gradients.shape[1]), 0
    for row, count in zip(gradients, counts.tolist()):
        if count:
            total, images = total + count * row, images + count
    return total / images


def weights_of(weigh):
    """Return an average that leaves processes without images out and weighs the others by weigh(counts)."""

    def average_gradients(gradients, counts):
        there = counts > 0
        return (gradients[there] * weigh(counts[there].float())[:, None]).sum(dim=0)

    return average_gradients


def with_nan(gradients, counts):
    return (gradients * counts[:, None]).sum(dim=0) / counts.sum()


def nan_as_zero(gradients, counts):
    return gradients.nan_to_num().mean(dim=0)


check_average_gradients = FunctionExercise(
    "average_gradients",
    averaged_one_by_one,
    cases=[
        (torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([4, 4])),
        (torch.tensor([[1.0, 2.0, 0.5], [5.0, -2.0, 1.0], [0.0, 4.0, -3.0]]), torch.tensor([6, 3, 1])),
        (torch.tensor([[2.0, 1.0], [math.nan, math.nan], [8.0, -5.0]]), torch.tensor([5, 0, 1])),
    ],
    mistakes=[
        (
            lambda gradients, counts: gradients.mean(dim=0),
            "that is the plain average: a process with few images counts as much as one with many.",
        ),
        (
            nan_as_zero,
            "that is the plain average, with zeros for the process without images: it must not count at all.",
        ),
        (
            weights_of(lambda counts: torch.full_like(counts, 1 / len(counts))),
            "the process without images is left out, but the others all count the same: weigh them by their images.",
        ),
        (
            with_nan,
            "a process without images spoils everything: nan times 0 is nan. Leave its row out first.",
        ),
        (
            weights_of(lambda counts: counts),
            "the weights are right but for their sum: divide by the number of all images.",
        ),
        (
            weights_of(lambda counts: counts / len(counts)),
            "divide by the number of all images, not by the number of processes.",
        ),
        (
            weights_of(lambda counts: (1 / counts) / (1 / counts).sum()),
            "the weights are upside down: many images, much weight.",
        ),
        (
            weights_of(torch.ones_like),
            "that is the sum of the rows: an all-reduce gives the sum, and the average is still to be taken.",
        ),
        (
            weights_of(lambda counts: counts.softmax(dim=0)),
            "softmax exaggerates: a weight is the process's share of all images, its count by the sum of counts.",
        ),
    ],
)

# --- 2 · the second half of the ring ---------------------------------------------------------------------------------


def complete(rows):
    """The reference: chunk c is complete with process c - 1, and in the end everybody has that."""
    n = len(rows)
    return torch.stack([rows[(chunk - 1) % n, chunk] for chunk in range(n)]).repeat(n, 1)


def gathering(first=1, direction=1, steps=-1, add=False, back=1):
    """Return an all-gather; each argument is a mistake that can be made."""

    def all_gather(rows):
        rows, n = rows.clone(), len(rows)
        for step in range(n + steps):
            sent = rows.clone()
            for rank in range(n):
                chunk = (rank + first - back * step) % n
                neighbour = (rank + direction) % n
                rows[neighbour, chunk] = sent[rank, chunk] + (rows[neighbour, chunk] if add else 0)
        return rows

    return all_gather


check_all_gather = FunctionExercise(
    "all_gather",
    complete,
    cases=[
        (torch.tensor([[1, 22], [11, 20]]),),
        (torch.tensor([[1, 222, 303], [11, 20, 333], [111, 220, 300]]),),
        (torch.tensor([[7 * row + 3 * chunk * chunk + row * chunk for chunk in range(5)] for row in range(5)]),),
    ],
    mistakes=[
        (lambda rows: rows.clone(), "nothing has changed: no chunk has been passed on."),
        (
            gathering(add=True),
            "the neighbour adds what it gets: the sums are complete already, so it must overwrite its own.",
        ),
        (
            gathering(first=0),
            "each process begins with chunk r, which is not complete with it: the complete one is chunk r + 1.",
        ),
        (gathering(steps=-2), "one step is missing: the last of a ring of n gets a chunk after n − 1 steps."),
        (gathering(back=-1), "the chunk's number goes up: what came in the step before has the number below."),
        (
            gathering(back=0),
            "each passes on the same chunk in every step: it is the turn of the one that has come.",
        ),
        (gathering(direction=-1), "the chunks go around the wrong way: process r passes on to r + 1."),
        (
            lambda rows: rows.sum(dim=0).repeat(len(rows), 1),
            "everything has been added up again: the sums of the first half are complete already.",
        ),
        (
            lambda rows: complete(rows)[0],
            "that is one row: every process has it in the end, so return all n rows.",
        ),
    ],
)

# --- 3 · warm-up -----------------------------------------------------------------------------------------------------


def warmed_up(step, lr, count, warm_up):
    if step >= warm_up:
        return float(count * lr)
    return lr * (1 - step / warm_up) + count * lr * step / warm_up


def ramp(start, end, clamp=True):
    """Return a rate that goes from start(lr, count) to end(lr, count), and no further where `clamp` is set."""

    def warm_up_lr(step, lr, count, warm_up):
        share = 1.0 if warm_up == 0 else min(1, step / warm_up) if clamp else step / warm_up
        return start(lr, count) + share * (end(lr, count) - start(lr, count))

    return warm_up_lr


def of_one(lr, count):
    return lr


def of_all(lr, count):
    return lr * count


def one_ahead(step, lr, count, warm_up):
    return warmed_up(step + 1, lr, count, warm_up)


def not_scaled_at_once(step, lr, count, warm_up):
    return lr if warm_up == 0 else warmed_up(step, lr, count, warm_up)


def by_equal_factors(step, lr, count, warm_up):
    return lr * count ** (min(1, step / warm_up) if warm_up else 1)


def dividing_by_zero(step, lr, count, warm_up):
    return lr + min(1, step / warm_up) * (count * lr - lr)


check_warm_up_lr = FunctionExercise(
    "warm_up_lr",
    warmed_up,
    cases=[(0, 0.1, 8, 10), (3, 0.1, 8, 10), (10, 0.1, 8, 10), (50, 0.02, 4, 5), (0, 0.1, 2, 0)],
    mistakes=[
        (dividing_by_zero, "warm_up may be 0, and then step / warm_up does not exist: treat that case by itself."),
        (one_ahead, "it is one step ahead: in step 0 the rate is lr, in step warm_up it is count * lr."),
        (not_scaled_at_once, "without a warm-up the rate is scaled from the start: count * lr, not lr."),
        (by_equal_factors, "it rises by equal factors: here it rises by equal steps."),
        (
            lambda step, lr, count, warm_up: count * lr if step >= warm_up else lr,
            "it jumps from lr to count * lr: in between it rises in equal steps.",
        ),
        (ramp(of_one, of_all, clamp=False), "the rate rises for ever: behind the warm-up it stays at count * lr."),
        (ramp(lambda lr, count: 0.0, of_all), "it begins at 0: the warm-up starts from lr, the rate of one process."),
        (ramp(of_all, of_all), "that is the scaled rate from the start: the warm-up is missing."),
        (ramp(of_one, of_one), "the rate is never scaled: it should end at count times lr."),
        (ramp(of_one, lambda lr, count: lr / count), "it falls to lr / count: a larger batch takes a larger rate."),
        (
            ramp(of_one, lambda lr, count: lr + count * lr),
            "it ends at lr + count * lr: the way to go is (count − 1) * lr.",
        ),
        (ramp(of_one, lambda lr, count: lr * count**0.5), "that scales by the root of count: the rule here is linear."),
    ],
)

# --- 4 · how many pay ------------------------------------------------------------------------------------------------


def step_seconds(n, compute, num_parameters, bandwidth, latency):
    return compute / n + 2 * (n - 1) / n * 32 * num_parameters / (1e9 * bandwidth) + 2 * (n - 1) * latency


def best_by_trying(compute, num_parameters, bandwidth, latency, most):
    times = [step_seconds(n, compute, num_parameters, bandwidth, latency) for n in range(1, most + 1)]
    return times.index(min(times)) + 1


def choosing(bits=32, giga=1e9, latencies=1, first=1, last=1, share=True):
    """Return a choice of n; each argument is a mistake that can be made."""

    def best_count(compute, num_parameters, bandwidth, latency, most):
        def seconds(n):
            parts = 2 * (n - 1) / n if share else 2 * (n - 1)
            return compute / n + parts * bits * num_parameters / (giga * bandwidth) + latencies * 2 * (n - 1) * latency

        return min(range(first, most + last), key=seconds)

    return best_count


def the_time(compute, num_parameters, bandwidth, latency, most):
    return min(step_seconds(n, compute, num_parameters, bandwidth, latency) for n in range(1, most + 1))


check_best_count = FunctionExercise(
    "best_count",
    best_by_trying,
    cases=[
        (0.1, 25e6, 100.0, 1e-5, 8),
        (2.0, 25e6, 10.0, 1e-3, 64),
        (0.2, 5e6, 10.0, 2e-5, 256),
        (0.05, 25e6, 10.0, 5e-5, 16),
    ],
    mistakes=[
        (the_time, "that is the shortest time: return the n for which it is reached."),
        (choosing(bits=4), "bits are taken for bytes: a link of 8 gigabits a second carries one gigabyte."),
        (choosing(bits=8), "a float32 has four bytes: the sending is four times too short."),
        (
            choosing(giga=1),
            "it returns 1 every time: either the bandwidth is not in bytes a second (10⁹ and 8 bits), or it is the "
            "efficiency that was made large, which is always best at 1.",
        ),
        (choosing(latencies=0), "the latencies are missing: 2(n − 1) of them, and they grow with n."),
        (choosing(first=2), "it begins at 2: a single process may be the best choice."),
        (choosing(last=0), "range(1, most) ends one too early: n may be `most` too."),
        (choosing(share=False), "the share is missing: each sends 2(n − 1)/n times the gradient, not 2(n − 1) times."),
        (lambda *arguments: arguments[-1], "it always takes all: where the link is slow, fewer are faster."),
    ],
)
