"""Every cell may be run twice in succession, as learners do: nothing depends on being run once."""

import copy
import subprocess

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from tests.tools.kernels import kernel_environment, lesson_paths, notebook_client

CELL_SECONDS = 300


def run_twice(notebook, folder):
    """Run each code cell twice in one fresh kernel; return a sentence about the first that fails, or None."""
    client = notebook_client(copy.deepcopy(notebook), folder, CELL_SECONDS)
    with kernel_environment(), client.setup_kernel(stderr=subprocess.DEVNULL):
        for index, cell in enumerate(notebook.cells):
            for run in ("first", "second"):
                try:
                    client.execute_cell(copy.deepcopy(cell), index)
                except (CellExecutionError, DeadKernelError, TimeoutError) as error:
                    return f"cell {index} failed in its {run} run:\n{cell.source}\n\n{error}"
    return None


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", lesson_paths(), ids=lambda path: path.stem)
def test_every_cell_runs_twice(path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "offline")
    complaint = run_twice(nbformat.read(path, as_version=4), path.parent)
    if complaint:
        pytest.fail(complaint, pytrace=False)


def notebook_of(*sources):
    return new_notebook(cells=[new_code_cell(source) for source in sources])


def test_a_cell_that_runs_once_only_is_caught(tmp_path):
    complaint = run_twice(notebook_of("x = [1]", "x.pop()", "1"), tmp_path)
    assert complaint.startswith("cell 1 failed in its second run:\nx.pop()")
    assert "IndexError" in complaint


def test_an_expected_exception_may_be_raised_twice(tmp_path):
    notebook = notebook_of("1 / 0", "'end'")
    notebook.cells[0].metadata.tags = ["raises-exception"]
    assert run_twice(notebook, tmp_path) is None
