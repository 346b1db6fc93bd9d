"""Checks of the exercises' answers: one module a lesson, built on the two kinds of exercise below.

An untouched stub is "not attempted yet"; a wrong answer is compared with the mistakes that people really make, and
if it behaves as one of them does, that mistake is named. Nothing a learner returns makes a check raise.
"""

import copy
import math
from dataclasses import dataclass, field

import torch

TOLERANCE = 1e-4  # relative; the answers are float32


def same(answer, reference):
    """Tell whether two results agree: type, shape and values (tensors, numbers, or tuples of them)."""
    if reference is None:
        return answer is None
    if isinstance(reference, tuple):
        if not isinstance(answer, tuple) or len(answer) != len(reference):
            return False
        return all(same(a, r) for a, r in zip(answer, reference))
    if isinstance(reference, torch.Tensor):
        if reference.ndim == 0 and isinstance(answer, int | float) and not isinstance(answer, bool):
            answer = torch.tensor(answer)  # what .item() gives is as good as a tensor of one number
        if not isinstance(answer, torch.Tensor) or answer.shape != reference.shape:
            return False
        return torch.allclose(answer.double(), reference.double(), TOLERANCE, 1e-5, equal_nan=True)
    if isinstance(reference, int):
        return isinstance(answer, int) and answer == reference
    if not isinstance(answer, int | float):
        return False
    return answer == reference or math.isclose(answer, reference, rel_tol=TOLERANCE, abs_tol=1e-7)


def describe(value):
    """Return a result in one short line, for a message."""
    if isinstance(value, torch.Tensor):
        numbers = [round(number, 4) for number in value.flatten().tolist()[:9]]
        more = ", …" if value.numel() > 9 else ""
        return f"a tensor of shape {tuple(value.shape)} [{', '.join(f'{n:g}' for n in numbers)}{more}]"
    if isinstance(value, torch.nn.Module):
        return f"a network of {sum(1 for _ in value.modules()) - 1} layers"
    if callable(value):
        return f"the function {getattr(value, '__name__', 'given')}"
    if isinstance(value, list) and value and all(isinstance(part, torch.Tensor) for part in value):
        return f"a list of {len(value)} tensors of shapes {', '.join(str(tuple(part.shape)) for part in value)}"
    if isinstance(value, tuple):
        return "(" + ", ".join(describe(part) for part in value) + ")"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def wrong_type(answer, reference):
    """Return what is wrong with the answer's type in a sentence, or None where the type is right."""
    if isinstance(reference, torch.Tensor):
        right, wanted = isinstance(answer, torch.Tensor), "a tensor"
    elif isinstance(reference, tuple):
        right = isinstance(answer, tuple) and len(answer) == len(reference)
        wanted = f"a tuple of {len(reference)} values"
    else:
        right, wanted = isinstance(answer, int | float), "a plain number (use .item() on a tensor)"
        if isinstance(reference, int) and isinstance(answer, float):
            right, wanted = False, "a whole number (wrap it in int, or divide with //)"
    returned = f"one of {len(answer)}" if isinstance(reference, tuple) and isinstance(answer, tuple) else ""
    return None if right else f"it should return {wanted}, but it returned {returned or type(answer).__name__}"


def outcome(function, case):
    """Call a function on a copy of the case's arguments; return (result, None) or (None, exception)."""
    try:
        return function(*copy.deepcopy(case)), None
    except Exception as error:
        return None, error


@dataclass
class FunctionExercise:
    """An exercise whose answer is a function. Calling it with the answer prints the verdict.

    reference: an independent right answer;  cases: a list of argument tuples;
    mistakes: pairs (a function that makes the mistake, the sentence that names it).
    """

    name: str
    reference: callable
    cases: list
    mistakes: list = field(default_factory=list)

    def __call__(self, answer):
        print(f"{self.name}: {self.verdict(answer)}")

    def verdict(self, answer):
        """Return the verdict on an answer in a sentence."""
        if answer is ... or answer is None:
            return "not attempted yet."
        if not callable(answer):
            return f"✗ pass the function itself, without calling it (this is {describe(answer)})."
        results = [outcome(answer, case) for case in self.cases]
        if results[0][0] is ...:
            return "not attempted yet."
        expected = [self.reference(*copy.deepcopy(case)) for case in self.cases]
        if all(error is None and same(result, right) for (result, error), right in zip(results, expected)):
            return f"✓ correct in all {len(self.cases)} cases."
        return "✗ " + (self.named_mistake(results) or self.first_difference(results, expected))

    def named_mistake(self, results):
        """Return the sentence of the mistake that gives these very results, or None."""
        for mistake, sentence in self.mistakes:
            made = [outcome(mistake, case) for case in self.cases]
            if all(
                type(error) is type(made_error) and (error is not None or same(result, made_result))
                for (result, error), (made_result, made_error) in zip(results, made)
            ):
                return sentence
        return None

    def first_difference(self, results, expected):
        """Return a sentence on the first case where the answer is not right."""
        for case, (result, error), right in zip(self.cases, results, expected):
            given = "for the arguments " + ", ".join(describe(argument) for argument in case)
            if error is not None:
                return f"it stopped with {type(error).__name__}: {error} ({given})."
            if result is None:
                return "it returned None: is the return missing?"
            if not same(result, right):
                problem = wrong_type(result, right)
                return f"{problem or f'it returned {describe(result)}, expected {describe(right)}'} ({given})."
        return "something differs, but no single case shows it."


@dataclass
class ValueExercise:
    """An exercise whose answer is a tensor that must obey rules. Calling it with the answer prints the verdict.

    shape: the shape wanted;  rules: triples (test of the answer, sentence where it fails, a value that fails it).
    """

    name: str
    shape: tuple
    rules: list

    def __call__(self, answer):
        print(f"{self.name}: {self.verdict(answer)}")

    def verdict(self, answer):
        """Return the verdict on an answer in a sentence."""
        if answer is ... or answer is None:
            return "not attempted yet."
        if not isinstance(answer, torch.Tensor):
            return f"✗ it should be a tensor, but it is {type(answer).__name__}."
        if tuple(answer.shape) != self.shape:
            return f"✗ its shape should be {self.shape}, but it is {tuple(answer.shape)}."
        for test, sentence, _ in self.rules:
            if not test(answer.detach().float()):
                return "✗ " + sentence
        return f"✓ correct: it keeps all {len(self.rules)} rules."
