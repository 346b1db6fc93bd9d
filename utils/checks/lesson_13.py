"""Checks of lesson 13: the cheapest answer, the coverage that a risk allows, and a batch norm folded away."""

import copy
import inspect
from dataclasses import dataclass, field
from itertools import combinations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from utils.checks import FunctionExercise, describe


def numbers_of(value):
    """Return all tensors in an argument, a norm's among them."""
    if isinstance(value, nn.Module):
        return [*value.state_dict().values(), torch.tensor(value.eps)]
    return [torch.as_tensor(value)]


def describe_exactly(value):
    """Describe an argument: a bool tensor by True and False, a norm by its channels and eps."""
    if isinstance(value, nn.BatchNorm2d):
        return f"a BatchNorm2d of {value.num_features} channels with eps {value.eps:g}"
    if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
        shown = ", ".join(str(part) for part in value.flatten().tolist()[:9])
        return f"a tensor of shape {tuple(value.shape)} [{shown}{', …' if value.numel() > 9 else ''}]"
    return describe(value)


@dataclass
class Exercise(FunctionExercise):
    """Its arguments stay as they are, and are described exactly.

    variants: further functions that make a mistake, each with its sentence, which may stand in `mistakes` already.
    """

    variants: list = field(default_factory=list)

    def verdict(self, answer):
        if not callable(answer):
            return super().verdict(answer)
        changed = []

        def watched(*arguments):
            before = copy.deepcopy(arguments)
            result = answer(*arguments)
            for name, old, new in zip(inspect.signature(self.reference).parameters, before, arguments):
                if not all(torch.equal(one, other) for one, other in zip(numbers_of(old), numbers_of(new))):
                    changed.append(name)
            return self.accepted(result)

        verdict = super().verdict(watched)
        if not changed:
            return verdict
        return f"✗ the argument `{changed[0]}` has changed: work on a copy; *= and methods such as mul_ work in place."

    def accepted(self, result):
        """Return the result in the form in which it is compared."""
        return result

    def named_mistake(self, results):
        results = [
            (result.item() if isinstance(result, torch.Tensor) and result.ndim == 0 else result, error)
            for result, error in results
        ]  # a tensor of one number is a mistake by itself, and not the first to be named
        every = FunctionExercise(self.name, self.reference, self.cases, self.mistakes + self.variants)
        return every.named_mistake(results)

    def first_difference(self, results, expected):
        problem, given, arguments = super().first_difference(results, expected).rpartition("(for the arguments ")
        for case in self.cases:
            arguments = arguments.replace(", ".join(map(describe, case)), ", ".join(map(describe_exactly, case)))
        return problem + given + arguments


# --- 1 · the cheapest answer -----------------------------------------------------------------------------------------


def decide_one_by_one(probabilities, costs):
    """The reference: each action's price for each picture, added up term by term."""
    chosen = []
    for row in probabilities.tolist():
        prices = [sum(p * price for p, price in zip(row, action)) for action in costs.tolist()]
        chosen.append(prices.index(min(prices)))
    return torch.tensor(chosen)


def pictures(count, num_classes, seed):
    """Return probabilities (count, num_classes), some sure and some not."""
    logits = torch.randn(count, num_classes, generator=torch.Generator().manual_seed(seed))
    return (2 * logits).softmax(dim=1)


def last_action(costs):
    return len(costs) - 1


def by_threshold(threshold, unsure=last_action):
    """Return the mistake: the likeliest class where its probability is over a threshold, else one certain action."""

    def decide(probabilities, costs):
        confidences, classes = probabilities.max(dim=1)
        limit = threshold(costs) if callable(threshold) else threshold
        return torch.where(confidences > limit, classes, unsure(costs))

    return decide


def yes_or_no(threshold, confidences=lambda probabilities: probabilities[:, 1]):
    """Return the mistake: action 1 where a probability is over a threshold, else action 0."""
    return lambda probabilities, costs: (confidences(probabilities) > threshold).long()


BY_THRESHOLD = (
    "a threshold on a probability decides: one threshold suits one table of costs. "
    "Add up each action's costs, weighted with the probabilities."
)
THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)


class Decide(Exercise):
    """The numbers of actions are whole numbers."""

    def verdict(self, answer):
        kinds = set()

        def noted(*arguments):
            result = answer(*arguments)
            if isinstance(result, torch.Tensor) and result.is_floating_point():
                kinds.add(str(result.dtype).removeprefix("torch."))
            return result

        verdict = super().verdict(noted if callable(answer) else answer)
        if verdict.startswith("✓") and kinds:
            return f"✗ the values are right, but they are {kinds.pop()}: an action's number is a whole number (int64)."
        return verdict


check_decide = Decide(
    "decide",
    decide_one_by_one,
    cases=[
        (pictures(8, 2, 0), torch.tensor([[0.0, 10.0], [4.0, 0.0], [1.0, 1.0]])),  # the third action: ask
        (pictures(8, 4, 1), torch.tensor([[0.0, 2.0, 3.0, 9.0], [2.5, 1.0, 0.0, 0.5]])),  # go on, or brake
        (pictures(9, 3, 2), torch.tensor([[0.0, 1.0, 9.0], [2.0, 0.0, 3.0], [3.5, 1.0, 0.0]])),
    ],
    mistakes=[
        (
            lambda probabilities, costs: probabilities.argmax(dim=1),
            "that is the likeliest class: the costs are not used.",
        ),
        (
            lambda probabilities, costs: costs[:, probabilities.argmax(dim=1)].argmin(dim=0),
            "only the likeliest class's costs are looked at: weigh the costs of all classes with their probabilities.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs.T).argmax(dim=1),
            "that is the dearest action: take the smallest cost.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs.T).amin(dim=1),
            "these are the costs themselves: return the number of the action that has the least.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs).argmin(dim=1),
            "the table is the wrong way round: costs has a row for each action, so it has to be transposed.",
        ),
        (
            lambda probabilities, costs: costs.amax(dim=1).argmin().expand(len(probabilities)),
            "every picture gets the action whose worst case is mildest: the probabilities are not used.",
        ),
        (
            lambda probabilities, costs: costs.sum(dim=1).argmin().expand(len(probabilities)),
            "every class counts alike for every picture: weigh the costs with the picture's probabilities.",
        ),
        (
            lambda probabilities, costs: (probabilities @ costs.T).argmin(dim=0),
            "the smallest is taken over the pictures: for each picture take it over the actions (dim=1).",
        ),
        (
            lambda probabilities, costs: probabilities @ costs.T,
            "these are all actions' costs for every picture: argmin over the actions is still to come.",
        ),
        (
            lambda probabilities, costs: (probabilities.softmax(dim=1) @ costs.T).argmin(dim=1),
            "the probabilities went through a softmax once more, which makes them nearly equal.",
        ),
        (by_threshold(0.9), BY_THRESHOLD),
    ],
    variants=[
        (mistake, BY_THRESHOLD)
        for threshold in THRESHOLDS
        for mistake in (
            *(by_threshold(threshold, unsure) for unsure in (last_action, len, lambda costs: 2, lambda costs: 0)),
            by_threshold(threshold, lambda costs: costs.shape[1]),
            by_threshold(threshold, lambda costs: -1),
            yes_or_no(threshold),
            yes_or_no(threshold, lambda probabilities: probabilities.amax(dim=1)),
        )
    ]
    + [
        (by_threshold(lambda costs: 1 - costs[-1, 0] / costs.max()), BY_THRESHOLD),  # 1 − ask / wrong, of the lesson
        (by_threshold(lambda costs: 1 - costs[-1].max() / costs.max()), BY_THRESHOLD),
    ],
)

# --- 2 · the coverage that a risk allows -----------------------------------------------------------------------------


def coverage_one_by_one(confidences, correct, most):
    """The reference: try every number of answers."""
    pairs = sorted(zip(confidences.tolist(), correct.tolist()), reverse=True)
    allowed = [n for n in range(1, len(pairs) + 1) if sum(not hit for _, hit in pairs[:n]) <= most * n + 1e-9]
    return max(allowed, default=0) / len(pairs)


def curve(confidences, correct, descending=True):
    """Return the risk after each picture, and the pictures' order."""
    order = confidences.argsort(descending=descending)
    return (~correct[order]).cumsum(dim=0) / torch.arange(1, len(order) + 1), order


def last(allowed):
    """Return how many pictures the last allowed place stands for."""
    places = allowed.nonzero()
    return int(places[-1]) + 1 if len(places) else 0


def first_crossing(confidences, correct, most):
    risk, _ = curve(confidences, correct)
    over = (risk > most + 1e-7).nonzero()
    return (int(over[0]) if len(over) else len(risk)) / len(risk)


def of_all_images(confidences, correct, most):
    wrong = (~correct[confidences.argsort(descending=True)]).cumsum(dim=0)
    return last(wrong <= most * len(correct) + 1e-9) / len(correct)


def off_by_one(confidences, correct, most):
    return max(last(curve(confidences, correct)[0] <= most + 1e-7) - 1, 0) / len(correct)


def as_confidence(confidences, correct, most):
    risk, order = curve(confidences, correct)
    count = last(risk <= most + 1e-7)
    return float(confidences[order[count - 1]]) if count else 0.0


def how_many_are_allowed(confidences, correct, most):
    return float((curve(confidences, correct)[0] <= most + 1e-7).double().mean())


def divided_by_place(confidences, correct, most):
    wrong = (~correct[confidences.argsort(descending=True)]).cumsum(dim=0)
    return last(wrong / torch.arange(len(wrong)) <= most + 1e-7) / len(correct)


def as_risk(confidences, correct, most):
    risk, _ = curve(confidences, correct)
    count = last(risk <= most + 1e-7)
    return float(risk[count - 1]) if count else 0.0


def stopping(mistake, kind):
    """Return an answer without the case in which no place is allowed: it stops there with this kind of error."""

    def coverage_at_risk(confidences, correct, most):
        if coverage_one_by_one(confidences, correct, most) == 0:
            raise kind("there is no last place")
        return mistake(confidences, correct, most)

    return coverage_at_risk


ABOVE_ONE_MINUS_MOST = (
    "it counts the confidences above 1 − most: they need not be true, so count the wrong answers in `correct`."
)
NOTHING_ALLOWED = "right, but it stops where the risk is never low enough: return 0 where no place is allowed."

COVERAGE_MISTAKES = [
    (
        lambda confidences, correct, most: last(curve(confidences, correct, False)[0] <= most + 1e-7) / len(correct),
        "the least sure come first: sort with descending=True.",
    ),
    (
        lambda confidences, correct, most: (
            last((~correct).cumsum(0) / torch.arange(1, len(correct) + 1) <= most) / len(correct)
        ),
        "the pictures are taken in the order in which they came: sort them, the surest first.",
    ),
    (
        first_crossing,
        "it stops where the risk first goes over the limit: it can come back, and the last allowed place counts.",
    ),
    (
        of_all_images,
        "the wrong answers are a share of all pictures here: divide by the number answered so far.",
    ),
    (
        lambda confidences, correct, most: last(curve(confidences, correct)[0] < most - 1e-7) / len(correct),
        "a risk of exactly `most` is left out: at most means ≤.",
    ),
    (
        lambda confidences, correct, most: last(curve(confidences, correct)[0] <= most + 1e-7),
        "that is a number of pictures: divide it by how many there are.",
    ),
    (off_by_one, "one picture is missing: place i, counted from 0, stands for i + 1 pictures."),
    (as_confidence, "that is the confidence of the last picture answered: return the share of pictures answered."),
    (
        how_many_are_allowed,
        "it counts the places that are allowed: the last of them is what matters, whatever lies before it.",
    ),
    (
        lambda confidences, correct, most: last(1 - curve(confidences, correct)[0] <= most + 1e-7) / len(correct),
        "right and wrong are exchanged: the risk is the share of wrong answers.",
    ),
    (
        divided_by_place,
        "the number of wrong answers is divided by i: divide by i + 1, not i, since place i stands for i + 1 answers.",
    ),
    (as_risk, "that is the risk at the coverage that is wanted: return the coverage, the share of pictures answered."),
    (
        lambda confidences, correct, most: (confidences > 1 - most).double().mean().item(),
        ABOVE_ONE_MINUS_MOST,
    ),
    (
        stopping(coverage_one_by_one, IndexError),
        NOTHING_ALLOWED,
    ),
]

check_coverage_at_risk = Exercise(
    "coverage_at_risk",
    coverage_one_by_one,
    cases=[
        (
            torch.tensor([0.9, 0.5, 0.8, 0.7, 0.6]),
            torch.tensor([True, False, True, False, True]),
            0.25,
        ),
        (  # over the limit, and back: the risk is 0, 1/2, 1/3, 1/4, 1/5, 1/3, 3/7, 1/2
            torch.tensor([0.35, 0.99, 0.75, 0.97, 0.85, 0.95, 0.45, 0.65]),
            torch.tensor([False, True, True, False, True, True, False, False]),
            0.25,
        ),
        (torch.tensor([0.6, 0.9, 0.7, 0.8]), torch.tensor([True, False, True, False]), 0.1),
        (torch.tensor([0.6, 0.9, 0.7, 0.8]), torch.tensor([False, True, True, True]), 0.3),
    ],
    mistakes=COVERAGE_MISTAKES,
    variants=[
        (lambda confidences, correct, most: (confidences >= 1 - most).double().mean().item(), ABOVE_ONE_MINUS_MOST),
        *(
            (stopping(mistake, kind), sentence)
            for mistake, sentence in [(coverage_one_by_one, NOTHING_ALLOWED), *COVERAGE_MISTAKES[:-1]]
            for kind in (IndexError, ValueError, RuntimeError)
        ),
    ],
)

# --- 3 · a norm folded into a convolution ----------------------------------------------------------------------------


def norm_of(channels, seed, eps=1e-5):
    """Return a batch norm in evaluation mode, with every number set."""
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels, eps=eps).eval()
    with torch.no_grad():
        for numbers, low in ((norm.weight, 0.5), (norm.bias, -1), (norm.running_mean, -2), (norm.running_var, 0.2)):
            numbers.copy_(low + 2 * torch.rand(channels, generator=generator))
    return norm.requires_grad_(False)


def conv_of(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator), torch.randn(shape[0], generator=generator)


def fuse(weight, bias, norm):
    """The reference: PyTorch's own."""
    settings = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    return tuple(part.detach() for part in fuse_conv_bn_weights(weight, bias, *settings))


def folded(gamma=True, eps="variance", root=True, old="scaled", mean=-1, beta=True, axis=0):
    """Return the folding by hand; every argument is a mistake that can be switched on.

    eps: added to the variance, to its root (deviation), or to nothing;  old: the old bias, scaled, unscaled or dropped;
    mean: the sign of the running mean, or 0;  axis: of the weight, the one that is scaled (None: none).
    """

    def fold_norm(weight, bias, norm):
        spread = norm.running_var + (norm.eps if eps == "variance" else 0)
        spread = (spread.sqrt() if root else spread) + (norm.eps if eps == "deviation" else 0)
        scale = (norm.weight if gamma else 1) / spread
        shape = [-1 if place == axis else 1 for place in range(4)]
        kept = {"scaled": bias * scale, "unscaled": bias, "dropped": 0}[old]
        shift = kept + mean * norm.running_mean * scale + (norm.bias if beta else 0)
        return weight if axis is None else weight * scale.view(shape), shift

    return fold_norm


SLIPS = [
    ({"eps": ""}, "eps is left out, or it is not `norm.eps`: add norm.eps to the variance, before the root."),
    (
        {"eps": "deviation", "root": True},
        "eps is added to the standard deviation: it belongs to the variance, before the root.",
    ),
    ({"root": False}, "it divides by the variance: take its root."),
    ({"gamma": False}, "γ is left out: norm.weight multiplies each channel."),
    ({"old": "unscaled", "mean": 0, "beta": False}, "the bias is the old one: it passes through the norm as well."),
    ({"old": "dropped"}, "the old bias is dropped: scaled like the weight, it is a part of the new one."),
    ({"old": "unscaled"}, "the old bias is not scaled: the norm multiplies all that comes out of the convolution."),
    ({"mean": 0}, "the running mean is not subtracted from the bias."),
    ({"beta": False}, "β is missing: norm.bias is added at the end."),
    ({"mean": 1}, "the running mean is added: the norm subtracts it."),
    (
        {"axis": 1},
        "the input channels are scaled: the norm comes after the convolution, so scale its output channels.",
    ),
    ({"axis": 3}, "the kernels' columns are scaled: make the scale's shape (O, 1, 1, 1) before you multiply."),
    (
        {"axis": None},
        "the weight is the old one: each of its output channels is multiplied by γ / √(variance + eps).",
    ),
]


class FoldNorm(Exercise):
    """The pair may be a list."""

    def accepted(self, result):
        return tuple(result) if isinstance(result, list) and len(result) == 2 else result


check_fold_norm = FoldNorm(
    "fold_norm",
    fuse,
    cases=[
        (*conv_of((4, 3, 3, 3), 0), norm_of(4, 1)),
        (*conv_of((5, 5, 1, 1), 2), norm_of(5, 3, eps=0.5)),
        (*conv_of((2, 6, 3, 3), 4), norm_of(2, 5)),
    ],
    mistakes=[(folded(**slip), sentence) for slip, sentence in SLIPS]
    + [
        (
            lambda weight, bias, norm: folded()(weight, bias, norm)[::-1],
            "the two have changed places: the weight first, then the bias.",
        ),
        (
            lambda weight, bias, norm: (weight, bias),
            "nothing has changed: the norm has to go into the weight and into the bias.",
        ),
    ]
    + [
        (folded(**one, **other), f"two mistakes at once: (1) {first} (2) {second}")
        for (one, first), (other, second) in combinations(SLIPS, 2)
        if not one.keys() & other.keys() and {**one, **other} != {**SLIPS[4][0], "axis": None}  # all is old: above
    ],
)
