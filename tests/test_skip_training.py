"""The flag that spares an instructor the headline training: the rest of the lesson works with the shipped network."""

import nbformat
import pytest

from tests.tools.kernels import ROOT, kernel_environment, lesson_paths, notebook_client

FLAG = "skip_training = False"
FLAGGED = [path for path in lesson_paths() if FLAG in path.read_text(encoding="utf-8")]


def test_some_lesson_has_the_flag():
    assert FLAGGED


@pytest.mark.parametrize("path", FLAGGED, ids=lambda path: path.stem)
def test_the_rest_of_the_lesson_works_without_the_training(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    headline = next(cell for cell in cells if FLAG in cell.source)
    headline.source = headline.source.replace(FLAG, "skip_training = True")
    with kernel_environment():
        notebook_client(notebook, ROOT / "notebooks", timeout=300).execute()  # raises where a cell fails
    texts = [output.get("text", "") for output in headline.outputs]
    assert not [word for word in ("epoch", "training on") if word in "".join(texts)]
    shown = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    assert "test accuracy" in shown
