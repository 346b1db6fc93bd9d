"""The flag that spares an instructor the headline training: the rest of the lesson works with the shipped network."""

import symtable

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell

from tests.tools.kernels import ROOT, kernel_environment, lesson_paths, notebook_client

FLAG = "skip_training = False"
FLAGGED = [path for path in lesson_paths() if FLAG in path.read_text(encoding="utf-8")]


def names(cell):
    """Return two sets: the names that a code cell takes from others, in functions too, and those that it binds."""
    top = symtable.symtable(TransformerManager().transform_cell(cell.source), "cell", "exec")
    bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    read, tables = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}, top.get_children()
    while tables:
        table = tables.pop()
        read |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        tables += table.get_children()
    return read - bound, bound


def affected(cells, start):
    """Return the cell at `start` and those after it that read, also by way of others, a name which it binds."""
    kept, changed = [cells[start]], names(cells[start])[1]
    for cell in cells[start + 1 :]:
        read, bound = names(cell)
        if read & changed:
            kept.append(cell)
            changed |= bound
    return kept


def with_what_they_need(cells, chosen):
    """Return the chosen cells and, in order, those before them that bind a name which they need.

    A lesson's other experiments take minutes, run in other tests, and mostly leave nothing behind.
    """
    kept, wanted = [], set()
    for cell in reversed(cells):
        read, bound = names(cell)
        if cell in chosen or bound & wanted or "sys.path" in cell.source:
            kept.insert(0, cell)
            wanted |= read
    return kept


def test_some_lesson_has_the_flag():
    assert FLAGGED


def test_what_nobody_needs_is_left_out():
    sources = ["import sys\nsys.path", "import os as system", "def f(x):\n    system.getcwd()", "a = f(1)", "y = 1"]
    sources += ["x = y", "z = f(x)", "w = y", "f(z)"]
    cells = [new_code_cell(source) for source in sources]
    chosen = affected(cells, 5)
    assert [cells.index(cell) for cell in chosen] == [5, 6, 8]
    assert [cells.index(cell) for cell in with_what_they_need(cells, chosen)] == [0, 1, 2, 4, 5, 6, 8]


@pytest.mark.parametrize("path", FLAGGED, ids=lambda path: path.stem)
def test_the_rest_of_the_lesson_works_without_the_training(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    headline = next(cell for cell in cells if FLAG in cell.source)
    headline.source = headline.source.replace(FLAG, "skip_training = True")
    notebook.cells = cells = with_what_they_need(cells, affected(cells, cells.index(headline)))
    with kernel_environment():
        notebook_client(notebook, ROOT / "notebooks", timeout=300).execute()  # raises where a cell fails
    texts = [output.get("text", "") for output in headline.outputs]
    assert not [word for word in ("epoch", "training on") if word in "".join(texts)]
    shown = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    assert "test accuracy" in shown
