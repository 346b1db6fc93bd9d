"""Each notebook rule passes a good notebook, and catches each bad one below."""

import copy
import json

import pytest

from tests.tools import notebook_rules as rules
from tests.tools.cells import prose
from tests.tools.stamp import repository

NAME = "01_edges.ipynb"
PLACE = repository()
SETUP = f'import sys\nclone = ["git", "https://github.com/{PLACE}"]\nsys.path.insert(0, "..")'
OPENING = f"""# 01 · Edges

[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({rules.BADGE}{PLACE}/blob/main/notebooks/{NAME})

![An edge.](../images/01_edge.svg)

After this lesson you can see. Runs in about 3 s on two CPU cores."""
HINT = "<details><summary>Hint</summary>Think.</details>"


def markdown(source, slide="-"):
    return {"cell_type": "markdown", "source": source, "metadata": {"slideshow": {"slide_type": slide}}}


def code(source, output=None, tags=()):
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    metadata = {"slideshow": {"slide_type": "-"}}
    if tags:
        metadata["tags"] = list(tags)
    return {"cell_type": "code", "source": source, "outputs": outputs, "metadata": metadata}


def notebook(cells):
    """Number the cells as a fresh run does."""
    count = 0
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index}"
        if cell["cell_type"] == "code":
            cell["execution_count"] = count = count + 1
    return {"cells": cells, "metadata": {"kernelspec": dict(rules.KERNELSPEC), "language_info": dict(rules.LANGUAGE)}}


def good_lesson():
    cells = [markdown(OPENING, "slide"), markdown("Say hello.", "notes"), code(SETUP)]
    cells += [markdown("The imports."), code("import math\n\nset_style()")]
    for step in range(10):
        cells += [
            markdown(f"A neighbour, step {step}: is 3 != 4?"),
            code(f"math.sqrt({step})", "0.0", ["nbval-check-output"]),
        ]
    cells += [markdown("## Break it\n\nBad."), code("1 / 0", tags=["raises-exception"])]
    cells[-1]["outputs"] = [{"output_type": "error", "ename": "Z", "evalue": "", "traceback": ["Z"]}]
    cells += [markdown("## Your turn")]
    for name in ("one", "two", "three"):
        cells += [markdown(f"Do {name}. {HINT}{HINT}"), code(f"{name} = ..."), markdown("Check.")]
        cells += [code(f"checks.check_{name}({name})", f"{name}: not attempted yet.")]
    cells += [markdown("## Recap\n\nAll.\n\n### Quiz\n" + 5 * "<details>A</details>\n" + "### Next\n\nMore.")]
    return notebook(cells)


def good_solution():
    cells = [code(SETUP), code("import math")]
    for name in ("one", "two", "three"):
        cells += [code(f"{name} = 1"), code(f"checks.check_{name}({name})", f"{name}: ✓ correct.")]
    return notebook(cells)


@pytest.fixture
def course(tmp_path):
    """A folder with a good lesson and its solution; returns the lesson's path."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "01_edge.svg").write_text("<svg/>", encoding="utf-8")
    solutions = tmp_path / "notebooks" / "solutions"
    solutions.mkdir(parents=True)
    (solutions / NAME).write_text(json.dumps(good_solution()), encoding="utf-8")
    path = tmp_path / "notebooks" / NAME
    path.write_text(json.dumps(good_lesson()), encoding="utf-8")
    return path


@pytest.mark.parametrize("rule", rules.LESSON_RULES)
def test_a_good_lesson_passes(rule, course):
    assert rule(good_lesson(), course) == []


@pytest.mark.parametrize("rule", rules.SOLUTION_RULES)
def test_a_good_solution_passes(rule, course):
    assert rule(good_solution(), course.parent / "solutions" / NAME) == []


def edit(index, old, new):
    """Return a change: replace a text in a cell's source."""

    def change(bad):
        assert old in bad["cells"][index]["source"]
        bad["cells"][index]["source"] = bad["cells"][index]["source"].replace(old, new)

    return change


def put(value, *keys):
    """Return a change: set what stands under these keys."""

    def change(bad):
        for key in keys[:-1]:
            bad = bad[key]
        bad[keys[-1]] = value

    return change


def drop(index):
    return lambda bad: bad["cells"].pop(index)


def insert(index, *cells):
    def change(bad):
        bad["cells"][index:index] = copy.deepcopy(cells)

    return change


def longer(*cells_and_lines):
    """Return a change: give these cells (by index) so many lines."""

    def change(bad):
        for index, lines in cells_and_lines:
            bad["cells"][index]["source"] = "\n".join(["x = 1"] * lines)

    return change


def long_class(lines):
    return code("class Net:\n" + "\n".join(["    x = 1"] * (lines - 1)))


def many_lines(count):
    return lambda bad: [cell.update(source="1\n" * count) for cell in bad["cells"] if cell["cell_type"] == "code"]


ERROR = [{"output_type": "error", "ename": "E", "evalue": "", "traceback": []}]
WIDGET = [{"output_type": "display_data", "data": {"application/vnd.jupyter.widget-view+json": {}}, "metadata": {}}]
TRACEBACK = [{"output_type": "error", "ename": "E", "evalue": "", "traceback": ["File \x1b[32m/work/x.py\x1b[39m"]}]
PROSE, CODE, STUB, CHECK = 5, 6, 29, 31  # cells of the good lesson
LESSON_CASES = [
    (rules.opening, edit(0, "# 01", "# 02"), "title"),
    (rules.opening, edit(0, f"notebooks/{NAME}", "notebooks/02_x.ipynb"), "badge"),
    (rules.opening, edit(0, "![An edge.](../images/01_edge.svg)", ""), "hero"),
    (rules.opening, edit(0, "Runs in about 3 s", "Quick"), "Runs in about"),
    (rules.opening, edit(0, "After this lesson", "Now"), "After this lesson"),
    (rules.opening, drop(0), "title"),
    (rules.opening, insert(0, code("1")), "markdown"),
    (rules.repository, edit(2, PLACE, "else/where"), "else/where"),
    (rules.repository, edit(0, PLACE, "else/where"), "else/where"),
    (rules.setup, edit(2, "sys.path.insert", "print"), "set-up"),
    (rules.setup, edit(2, "import sys", "import sys\n" * 11), "13 lines"),
    (rules.imports, edit(4, "set_style()", "x = 1"), "only imports"),
    (rules.imports, edit(4, "import math", "import math\n" * 10), "at most 10"),
    (rules.imports, edit(CODE, "math", "from math import *\nmath"), "instead of *"),
    (rules.cell_lengths, many_lines(7), "median"),
    (rules.cell_lengths, longer((6, 16), (8, 16), (10, 16)), "one code cell in ten"),
    (rules.cell_lengths, longer((6, 26)), "26 lines"),
    (rules.cell_lengths, insert(6, long_class(36)), "36 lines"),
    (rules.cell_lengths, insert(6, long_class(30), long_class(30)), "30 lines"),
    (rules.cell_count, lambda bad: bad["cells"].__delitem__(slice(5, 17)), "13 code cells"),
    (rules.cell_count, insert(6, *[code("1")] * 22), "41 code cells"),
    (rules.cell_count, insert(6, code("\n")), "empty"),
    (rules.prose_first, lambda bad: [bad["cells"].pop(i) for i in (7, 5)], "before it"),
    (rules.prose_first, drop(30), "before it"),  # between a stub and its check, too
    (rules.execution_order, put(9, "cells", CODE, "execution_count"), "not 1 to"),
    (rules.execution_order, put(None, "cells", CODE, "execution_count"), "not 1 to"),
    (rules.stored_errors, put(ERROR, "cells", CODE, "outputs"), "mend"),
    (rules.stored_errors, put(["raises-exception"], "cells", CODE, "metadata", "tags"), "remove the tag"),
    (rules.checked_cells, put([], "cells", CODE, "outputs"), "nothing stored"),
    (rules.checked_cells, put(None, "cells", CODE, "execution_count"), "nothing stored"),
    (rules.checked_cells, edit(CODE, ")", ");"), "semicolon"),
    (rules.checked_cells, edit(CODE, "math", "Out[2]"), "Out["),
    (rules.checked_cells, put("<f at 0x7f12>", "cells", CODE, "outputs", 0, "text"), "address"),
    (rules.widgets, put({}, "metadata", "widgets"), "state"),
    (rules.widgets, put(WIDGET, "cells", CODE, "outputs"), "widget is stored"),
    (rules.metadata, put(1, "metadata", "vscode"), "vscode"),
    (rules.metadata, put("Python 3 (mine)", "metadata", "kernelspec", "display_name"), "kernelspec"),
    (rules.metadata, put("3.11", "metadata", "language_info", "version"), "language_info"),
    (rules.metadata, put(True, "cells", CODE, "metadata", "collapsed"), "collapsed"),
    (rules.metadata, put(True, "cells", CODE, "metadata", "slideshow", "x"), "metadata x"),
    (rules.cell_ids, put("cell-1", "cells", CODE, "id"), "id of its own"),
    (rules.cell_ids, put(None, "cells", CODE, "id"), "id of its own"),
    (rules.slides, put({}, "cells", CODE, "metadata"), "slide_type"),
    (rules.slides, put("page", "cells", CODE, "metadata", "slideshow", "slide_type"), "'page'"),
    (rules.slides, drop(1), "notes"),
    (rules.machine_names, edit(CODE, "math", "open('/home/me/x')\nmath"), "source"),
    (rules.machine_names, put("saved in /tmp/x", "cells", CODE, "outputs", 0, "text"), "output"),
    (rules.machine_names, put(TRACEBACK, "cells", CODE, "outputs"), "/work/x.py"),
    (rules.machine_names, edit(PROSE, "A ", r"C:\Users\me "), "Users"),
    (rules.machine_names, edit(PROSE, "A ", "http://127.0.0.1:8888 "), "127.0.0.1"),
    (rules.pictures, edit(PROSE, "A ", "![](../images/01_edge.svg) "), "alt text"),
    (rules.pictures, edit(PROSE, "A ", "<img src='../images/01_edge.svg'> "), "alt text"),
    (rules.pictures, edit(PROSE, "A ", "<img src='../images/01_edge.svg' alt=''> "), "alt text"),
    (rules.links, edit(PROSE, "A ", "![x](../images/gone.svg) "), "gone.svg"),
    (rules.links, edit(PROSE, "A ", "<img alt='x' src='../images/gone.svg'> "), "gone.svg"),
    (rules.links, edit(PROSE, "A ", "[next](02_gone.ipynb#top) "), "02_gone.ipynb"),
    (rules.british_spelling, edit(PROSE, "neighbour", "Neighbor"), "Neighbor"),
    (rules.british_spelling, edit(PROSE, "neighbour", "normalized image"), "normalized"),
    (rules.british_spelling, edit(PROSE, "neighbour", "grayscale"), "grayscale"),
    (rules.british_spelling, edit(PROSE, "neighbour", "optimizer"), "optimizer"),
    (rules.filler, edit(PROSE, "A ", "Just a "), "Just"),
    (rules.filler, edit(PROSE, "A ", "Of course "), "Of course"),
    (rules.filler, edit(PROSE, "A ", "It works! A "), "“!”"),
    (rules.headings, edit(27, "Your turn", "Practice"), "Your turn"),
    (rules.headings, edit(25, "Break it", "Recap"), "Break it"),
    (rules.headings, lambda bad: bad["cells"].append(bad["cells"].pop(25)), "order"),
    (rules.quiz, edit(-1, "Quiz", "Questions"), "Quiz"),
    (rules.quiz, edit(-1, "<details>A</details>\n###", "###"), "4 folded answers"),
    (rules.exercises, lambda bad: bad["cells"].__delitem__(slice(28, 32)), "2 calls of check_"),
    (rules.exercises, insert(32, *[code("x = ..."), code("check_x(x)", "not attempted yet")] * 3), "6 calls"),
    (rules.exercises, edit(STUB, "...", "1"), "stub"),
    (rules.exercises, edit(STUB - 1, HINT + HINT, HINT), "1 folded hints"),
    (rules.exercises, put("✓", "cells", CHECK, "outputs", 0, "text"), "untouched"),
    (rules.exercises, edit(CHECK, "(one)", "(one, 2)"), "check_one(one, 2)"),
    (rules.vocabulary, edit(CODE, "math", "x_train2 = 1\nmath"), "x_train2"),
    (rules.vocabulary, edit(CODE, "math", "net1, dataset1 = 1, 2\nmath"), "net1"),
    (rules.vocabulary, edit(CODE, "math", "def f(l): return l\nmath"), "name l by"),
    (rules.device_names, edit(CODE, "math", "model.to('cuda')\nmath"), "naming cuda"),
    (rules.device_names, edit(CODE, "math", "x = torch.zeros(1, device='cuda:0')\nmath"), "naming cuda:0"),
    (rules.device_names, edit(CODE, "math", "def f(x): return x.cuda()\nmath"), "naming cuda"),
    (rules.device_names, edit(CODE, "math", "device = torch.device('cpu')\nmath"), "naming cpu"),
    (rules.device_names, edit(CODE, "math", "if device.type == 'mps': print()\nmath"), "naming mps"),
    (rules.safe_code, edit(CODE, "math", "torch.load('x')\nmath"), "weights_only"),
    (rules.safe_code, edit(CODE, "math", "torch.load('x', weights_only=False)\nmath"), "weights_only"),
    (rules.safe_code, edit(CODE, "math", "np.load('x', allow_pickle=True)\nmath"), "pickles"),
    (rules.safe_code, edit(CODE, "math", "pickle.load(file)\nmath"), "safetensors"),
    (rules.safe_code, edit(CODE, "math", "!pip install x\nmath"), "install nothing"),
    (rules.safe_code, edit(CODE, "math", "%pip install x\nmath"), "install nothing"),
]
SOLUTION_CASES = [
    (rules.solution_cells, insert(2, *[code("1")] * 4), "12 code cells"),
    (rules.solution_cells, edit(2, "1", "..."), "unsolved stub"),
    (rules.solution_cells, put("one: ✗ wrong.", "cells", 3, "outputs", 0, "text"), "should say ✓"),
    (rules.solution_cells, put([], "cells", 3, "outputs"), "should say ✓"),
    (rules.setup, drop(0), "set-up"),
]


@pytest.mark.parametrize(
    ("make", "rule", "change", "complaint"),
    [(good_lesson, *case) for case in LESSON_CASES] + [(good_solution, *case) for case in SOLUTION_CASES],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", "change"),
)
def test_a_bad_notebook_is_caught(make, rule, change, complaint, course):
    bad = make()
    change(bad)
    found = rule(bad, course)
    assert any(complaint in text for text in found), found


def test_every_rule_has_a_bad_notebook():
    shown = {rule for rule, *_ in LESSON_CASES + SOLUTION_CASES} | {rules.file_size}
    assert shown == {*rules.LESSON_RULES, *rules.SOLUTION_RULES}


def test_devices_are_named_where_they_are_taught(course):
    bad = good_lesson()
    edit(CODE, "math", "model.to('cuda')\nmath")(bad)
    assert rules.device_names(bad, course.with_name("11_gpu_training.ipynb")) == []
    for harmless in (
        "def get_device():\n    return torch.device('cpu')",
        "x.cpu()",
        "print('2 cpu cores')",
        "'a cuda'",
    ):
        assert rules.device_names(notebook([code(harmless)]), course) == []


def test_a_large_file_is_caught(course):
    course.write_bytes(b" " * (600 * 1024 + 1))
    assert "KB" in rules.file_size({}, course)[0]


def test_a_lesson_without_solution_is_caught(course):
    (course.parent / "solutions" / NAME).unlink()
    assert any("write the solutions" in text for text in rules.exercises(good_lesson(), course))


def test_another_setup_cell_is_caught():
    other = good_solution()
    other["cells"][0]["source"] += " "
    assert rules.same_setup({"a": good_lesson(), "b": good_solution()}) == []
    assert rules.same_setup({"a": good_lesson(), "b": other}) == ["b: copy the set-up cell of a: this one differs"]


@pytest.mark.parametrize(
    "harmless",
    [
        "`color` and `x!` and ``just ` this``",
        "```python\ncolor = normalize(x)  # just!\n```",
        "a formula $n!$, and 5! = 120",
        "<span style='color: gray'>colour</span>",
        "[Batch Normalization: a paper](https://example.org/normalize!)",
        "*Visualizing and Understanding*, and “Color images”",
        "the size, resized, the prize, seized, sizing; a kernel_size",
        "![An edge](gray.png) and <p align='center'>centre</p>",
    ],
)
def test_what_is_not_prose_is_left_alone(harmless, course):
    words = notebook([markdown(harmless)])
    assert rules.british_spelling(words, course) == []
    assert rules.filler(words, course) == []


def test_prose_keeps_what_readers_read():
    assert "colour" in prose("![a colour](x.png)")
    assert "named" in prose("[named](https://example.org)")
    assert "named" not in prose("[named](https://example.org)", titles=False)
