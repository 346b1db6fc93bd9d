"""What `utils` holds of the course's ideas is what a lesson teaches, character of the code by character."""

import ast
import functools

import pytest

from tests.tools import taught
from tests.tools.cells import code_cells, parse, read
from tests.tools.kernels import ROOT, lesson_paths


@functools.cache
def lessons():
    return {path.name: [parse(cell) for _, cell in code_cells(read(path))] for path in lesson_paths()}


@functools.cache
def modules():
    files = {name: ROOT / "utils" / f"{name}.py" for name in taught.TAUGHT}
    return {name: ast.parse(file.read_text("utf-8")) for name, file in files.items() if file.is_file()}


def fail_on(complaints):
    if complaints:
        pytest.fail("\n\n".join(complaints), pytrace=False)


@pytest.mark.parametrize("module", sorted(modules()))
def test_utils_is_what_lessons_teach(module):
    fail_on(taught.drift(module, modules()[module], lessons()))


def test_no_lesson_imports_what_is_taught_later():
    fail_on(taught.too_early(modules(), lessons()))


# --- the comparison itself -----------------------------------------------------------------------------------

FIT = 'def fit(model):\n    """Train."""\n    return model  # same\n'


def course(**cells):
    """Turn sources into lessons: course(l05="…") is {"05_x.ipynb": [tree]}."""
    return {f"{name[1:]}_x.ipynb": [ast.parse(source)] for name, source in cells.items()}


@pytest.mark.parametrize(
    "lesson",
    [
        FIT,
        "def fit(model):\n    return model",
        "def fit(model):\n    '''Other words.'''\n    return (model)",
        "def fit(model): return ...\n" + FIT,  # an exercise's stub beside the whole
    ],
)
def test_the_same_code_passes(lesson):
    assert taught.drift("training", ast.parse(FIT), course(l05=lesson)) == []


@pytest.mark.parametrize(
    ("lesson", "complaint"),
    [
        ("def fit(model):\n    return None", "+    return model"),
        ("def fit(model, lr=1):\n    return model", "-def fit(model, lr=1):"),
        ("@no_grad()\n" + FIT, "-@no_grad()"),
        ("class fit:\n    pass", "-class fit:"),
        ("def train(model):\n    return model", "stands in no lesson"),
        ("if True:\n    def fit(model):\n        return model", "stands in no lesson"),
        ("from utils.training import fit", "stands in no lesson"),
    ],
)
def test_drift_is_caught(lesson, complaint):
    assert complaint in taught.drift("training", ast.parse(FIT), course(l05=lesson))[0]


def test_methods_docstrings_are_left_out_but_their_code_is_not():
    net = 'class Net:\n    """A net."""\n    def forward(self, x):\n        """Run."""\n        return x\n'
    short = "class Net:\n    def forward(self, x):\n        return x\n"
    assert taught.drift("models", ast.parse(net), course(l05=short)) == []
    assert taught.drift("models", ast.parse(net), course(l05=short.replace("return x", "return -x")))


def test_two_teachers_are_caught():
    found = taught.drift("training", ast.parse(FIT), course(l05=FIT, l08=FIT))
    assert "several lessons: 05_x.ipynb, 08_x.ipynb" in found[0]


def test_data_must_teach_its_batches_only():
    source = ast.parse("def batches(x):\n    return x\ndef load_mnist():\n    pass\ndef _private():\n    pass")
    found = taught.drift("data", source, {})
    assert len(found) == 1
    assert "batches stands in no lesson" in found[0]


@pytest.mark.parametrize(
    "early",
    [
        "from utils.training import fit",
        "from utils.training import fit as train",
        "from utils import training\ntraining.fit(1)",
        "import utils.training\nutils.training.fit(1)",
        "import utils.training as t\nt.fit(1)",
    ],
)
def test_an_early_import_is_caught(early):
    trees = {"training": ast.parse(FIT)}
    assert taught.too_early(trees, course(l03=early, l05=FIT))
    assert taught.too_early(trees, course(l05=FIT + early)), "the teaching lesson itself"
    assert taught.too_early(trees, course(l05=FIT, l06=early)) == []
    assert taught.too_early(trees, course(l04=early, l05=FIT)) == [], "a demonstration"
