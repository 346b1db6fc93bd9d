"""Every check passes a right answer, names each mistake that it claims to recognise, and never raises."""

import importlib
import pkgutil

import numpy as np
import pytest
import torch

import utils.checks
from utils.checks import FunctionExercise, ValueExercise, describe, same


def exercises(kind):
    """Return (name, exercise) for every exercise of this kind in every module of utils.checks."""
    modules = [importlib.import_module(f"utils.checks.{m.name}") for m in pkgutil.iter_modules(utils.checks.__path__)]
    found = [(f"{module.__name__}.{name}", value) for module in modules for name, value in vars(module).items()]
    return [pytest.param(exercise, id=name) for name, exercise in found if isinstance(exercise, kind)]


FUNCTIONS, VALUES = exercises(FunctionExercise), exercises(ValueExercise)
MISTAKES = [
    pytest.param(exercise.values[0], mistake, sentence, id=f"{exercise.id}-{number}")
    for exercise in FUNCTIONS
    for number, (mistake, sentence) in enumerate(exercise.values[0].mistakes)
]
RULES = [
    pytest.param(exercise.values[0], wrong, sentence, id=f"{exercise.id}-{number}")
    for exercise in VALUES
    for number, (_, sentence, wrong) in enumerate(exercise.values[0].rules)
]


def test_there_are_exercises():
    assert len(FUNCTIONS) + len(VALUES) >= 8


@pytest.mark.parametrize("exercise", FUNCTIONS)
def test_the_reference_passes(exercise, capsys):
    exercise(exercise.reference)
    assert f"{exercise.name}: ✓ correct" in capsys.readouterr().out


@pytest.mark.parametrize("exercise", FUNCTIONS)
def test_at_least_three_mistakes_are_named_each_with_its_own_sentence(exercise):
    sentences = [sentence for _, sentence in exercise.mistakes]
    assert len(set(sentences)) == len(sentences) >= 3


@pytest.mark.parametrize(("exercise", "mistake", "sentence"), MISTAKES)
def test_each_mistake_is_named(exercise, mistake, sentence):
    assert exercise.verdict(mistake) == f"✗ {sentence}"


@pytest.mark.parametrize(("exercise", "wrong", "sentence"), RULES)
def test_each_broken_rule_is_named(exercise, wrong, sentence):
    assert exercise.verdict(wrong) == f"✗ {sentence}"


@pytest.mark.parametrize("exercise", FUNCTIONS + VALUES)
def test_an_untouched_stub_is_not_attempted_yet(exercise):
    assert exercise.verdict(...) == "not attempted yet."
    if isinstance(exercise, FunctionExercise):
        assert exercise.verdict(lambda *arguments: ...) == "not attempted yet."


def divides_by_zero(*arguments):
    return 1 / 0


def returns_none(*arguments):
    return None


@pytest.mark.parametrize("exercise", FUNCTIONS)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (divides_by_zero, "it stopped with ZeroDivisionError: division by zero"),
        (returns_none, "is the return missing?"),
        (lambda *arguments: "text", "but it returned str"),
        (lambda *arguments: [1.0], "but it returned list"),
        (lambda: 1, "it stopped with TypeError"),
        (3.5, "pass the function itself"),
    ],
)
def test_a_strange_answer_gets_a_sentence(exercise, answer, words):
    verdict = exercise.verdict(answer)
    assert verdict.startswith("✗ ")
    assert words in verdict


@pytest.mark.parametrize("exercise", VALUES)
@pytest.mark.parametrize(
    ("answer", "words"),
    [([[1, 2]], "it is list"), (np.eye(3), "it is ndarray"), (torch.zeros(2, 5), "its shape should be")],
)
def test_a_strange_value_gets_a_sentence(exercise, answer, words):
    assert words in exercise.verdict(answer)


def test_a_right_kernel_passes():
    exercise = next(e.values[0] for e in VALUES if e.values[0].name == "diagonal_kernel")
    assert exercise.verdict(3 * torch.eye(3) - 1).startswith("✓ correct")
    assert exercise.verdict((3 * torch.eye(3) - 1).int()).startswith("✓ correct")


def test_a_wrong_answer_that_no_mistake_explains_shows_the_first_difference():
    exercise = FunctionExercise("double", lambda number: 2 * number, cases=[(0,), (3,)])
    assert exercise.verdict(lambda number: number) == "✗ it returned 3, expected 6 (for the arguments 3)."
    assert "a whole number" in exercise.verdict(lambda number: 2.0 * number)


def test_an_answer_cannot_change_the_case_it_is_given():
    exercise = FunctionExercise("plus", lambda grid: grid + 1, cases=[(torch.zeros(2),)] * 2)
    assert exercise.verdict(lambda grid: grid.add_(1)).startswith("✓")


def test_same_compares_shapes_values_and_nan():
    assert same(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("nan")]))
    assert not same(torch.ones(1, 3), torch.ones(3))
    assert not same(torch.ones(3) * 1.01, torch.ones(3))
    assert same((1, 2.0), (1, 2.0))
    assert not same((1,), (1, 2))
    assert not same(True, 1.5)


def test_describe_is_short():
    assert describe(torch.arange(12.0)) == "a tensor of shape (12,) [0, 1, 2, 3, 4, 5, 6, 7, 8, …]"
