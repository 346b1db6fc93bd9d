"""Holds every notebook to the rules that can be counted (tests/tools/notebook_rules.py)."""

import functools

import pytest

from tests.tools.cells import read
from tests.tools.kernels import NOTEBOOK_PATTERN, ROOT, lesson_paths, solution_paths
from tests.tools.notebook_rules import LESSON_RULES, SOLUTION_RULES, same_setup

load = functools.cache(read)


def name(value):
    return getattr(value, "stem", None) or value.__name__


def fail_on(complaints):
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.mark.parametrize("rule", LESSON_RULES, ids=name)
@pytest.mark.parametrize("path", lesson_paths(), ids=name)
def test_lesson(path, rule):
    fail_on(rule(load(path), path))


@pytest.mark.parametrize("rule", SOLUTION_RULES, ids=name)
@pytest.mark.parametrize("path", solution_paths(), ids=name)
def test_solution(path, rule):
    fail_on(rule(load(path), path))


def test_every_notebook_has_the_same_setup_cell():
    notebooks = {path.relative_to(ROOT).as_posix(): load(path) for path in lesson_paths() + solution_paths()}
    fail_on(same_setup(notebooks))


def test_every_lesson_has_its_solution_and_every_notebook_a_number():
    lessons = {path.name for path in lesson_paths()}
    assert lessons == {path.name for path in solution_paths()}
    numbers = [lesson[:2] for lesson in lessons]
    assert len(set(numbers)) == len(numbers), "two lessons share a number"
    shipped = [path for folder in ("notebooks", "notebooks/solutions") for path in (ROOT / folder).glob("*.ipynb")]
    unnumbered = [path.name for path in shipped if not path.match(NOTEBOOK_PATTERN)]
    assert not unnumbered, "not collected, since the name does not begin with a number: " + ", ".join(unnumbered)
