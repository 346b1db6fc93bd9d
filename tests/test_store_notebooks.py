"""Storing a notebook: what is kept, what is cleaned away, and that a failing one is left as it was."""

import base64
import io
import json

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from tests.tools import readme_table, store_notebooks
from tests.tools.lessons import LESSONS
from tests.tools.store_notebooks import NotStoredError

ABOUT = {"cores": 2, "device": "cpu"}
BUSY = """import sys
print("MNIST: 4 images · source: a pack (pack)")
print("noise", file=sys.stderr)
import ipywidgets
display(ipywidgets.IntSlider())
6 * 7"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one small notebook; returns the function that writes its cells and gives its path."""
    monkeypatch.setattr(store_notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(store_notebooks, "results", lambda name: readme_table.results(name, tmp_path))
    (tmp_path / "notebooks").mkdir()

    def write(*sources, tags=()):
        cells = [new_markdown_cell("# 01 · X\n\nRuns in about 9 hours on two CPU cores; quick.")]
        cells += [new_code_cell(source, metadata={"tags": list(tags), "collapsed": True}) for source in sources]
        path = tmp_path / "notebooks" / "01_x.ipynb"
        nbformat.write(new_notebook(cells=cells, metadata={"vscode": 1, "accelerator": "GPU"}), path)
        return path

    return write


def test_a_stored_notebook_is_clean_and_stable(course, tmp_path):
    path = course(BUSY, "1 + 1")
    store_notebooks.process(path, "real", ABOUT, check=False)
    stored = nbformat.read(path, as_version=4)
    assert stored.metadata == {
        "accelerator": "GPU",
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    busy = stored.cells[1]
    assert [output.output_type for output in busy.outputs] == ["stream", "execute_result"]
    assert busy.outputs[0].text == "MNIST: 4 images · source: a pack (pack)\n"
    assert busy.metadata == {}
    assert [cell.execution_count for cell in stored.cells[1:]] == [1, 2]
    assert "Runs in about" in stored.cells[0].source
    assert "9 hours" not in stored.cells[0].source

    entry = json.loads((tmp_path / "tests" / "results" / "timings.json").read_text("utf-8"))["01_x.ipynb"]["real"]
    assert entry["sources"] == ["a pack (pack)"]
    assert entry["seconds"] > 0
    assert entry["peak_memory_mb"] > 10

    first = path.read_text("utf-8")
    store_notebooks.write(nbformat.read(path, as_version=4), path)
    assert path.read_text("utf-8") == first
    assert first.endswith("}\n")


@pytest.mark.parametrize(
    ("sources", "tags", "kind", "reason"),
    [
        (["1", "1 / 0"], [], "offline", "cell 2 failed:\n1 / 0"),
        (["import os; os._exit(1)"], [], "offline", "cell 1 failed"),
        ([BUSY], ["nbval-check-output"], "offline", "writes to stderr"),
        (["print('source: digits (offline)')"], [], "real", "stand-in"),
    ],
)
def test_what_cannot_be_stored_is_left_as_it_was(course, tmp_path, sources, tags, kind, reason):
    path = course(*sources, tags=tags)
    before = path.read_bytes()
    with pytest.raises(NotStoredError, match=reason):
        store_notebooks.process(path, kind, ABOUT, check=False)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not (tmp_path / "tests").exists()


def test_a_check_stores_nothing_but_the_time(course, tmp_path):
    path = course("1")
    before = path.read_bytes()
    store_notebooks.process(path, "offline", ABOUT, check=True)
    assert path.read_bytes() == before
    assert "offline" in json.loads((tmp_path / "tests" / "results" / "timings.json").read_text("utf-8"))["01_x.ipynb"]


def test_the_command_says_what_was_not_stored(course, monkeypatch, capsys):
    path = course("1 / 0")
    monkeypatch.setenv("COURSE_DATA", "offline")
    monkeypatch.setattr(store_notebooks, "lesson_paths", lambda: [path])
    monkeypatch.setattr(store_notebooks, "solution_paths", list)
    monkeypatch.setattr(store_notebooks, "refresh", lambda: None)
    with pytest.raises(SystemExit, match=r"Not stored: 01_x\.ipynb"):
        store_notebooks.main(["01"])
    assert "cell 1 failed:\n1 / 0" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no lesson 77"):
        store_notebooks.main(["77"])


def test_a_photograph_is_stored_as_jpeg_and_a_drawing_as_png():
    rows, columns = np.mgrid[:120, :160]
    noise = np.random.default_rng(0).normal(0, 6, (120, 160, 3))
    photograph = (rows + columns)[..., None] * (0.8, 0.6, 0.4) + noise  # smooth colours with a camera's noise
    drawing = np.full((120, 160, 3), 255)
    drawing[rows == columns] = (0, 114, 178)
    for pixels, kind in ((photograph, "image/jpeg"), (drawing, "image/png")):
        picture, file = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), io.BytesIO()
        picture.save(file, "PNG")
        ((found, data),) = store_notebooks.compact(base64.b64encode(file.getvalue())).items()
        assert found == kind
        stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(float)
        assert np.abs(stored - np.asarray(picture)).mean() < 6
        assert len(base64.b64decode(data)) < len(file.getvalue())


def test_tracebacks_name_no_machine():
    line = "File \x1b[32m/srv/me/.venv/lib/python3.11/site-packages/torch/nn/modules/module.py:9\x1b[39m, in f"
    assert store_notebooks.shorten(line) == "File \x1b[32m…/torch/nn/modules/module.py:9\x1b[39m, in f"
    assert store_notebooks.shorten(f"{store_notebooks.ROOT}/utils/data.py") == "…/utils/data.py"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (7.4, "7 s"), (41, "40 s"), (89, "90 s"), (95, "2 minutes"), (200, "3 minutes")],
)
def test_durations(seconds, words):
    assert readme_table.duration(seconds) == words


def test_readme_table(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "05_mnist.ipynb").touch()
    results = tmp_path / "tests" / "results"
    results.mkdir(parents=True)
    runs = [{"test_accuracy": 0.98, "seed": 0}, {"test_accuracy": 0.99, "seed": 1}]
    (results / "ledger.json").write_text(json.dumps({"05_mnist": {"source": "MNIST", "runs": runs}}), "utf-8")
    timings = {"05_mnist.ipynb": {"real": {"seconds": 130, "cores": 2, "sources": ["MNIST"]}}}
    (results / "timings.json").write_text(json.dumps(timings), "utf-8")
    readme = tmp_path / "README.md"
    readme.write_text("Above\n<!-- lessons:start -->\nold\n<!-- lessons:end -->\nBelow\n", "utf-8")
    readme_table.refresh(tmp_path)
    lines = readme.read_text("utf-8").splitlines()
    assert lines[0] == "Above"
    assert lines[-1] == "Below"
    assert "old" not in lines
    assert len(lines) == 2 + 2 + 2 + len(LESSONS)
    row = next(line for line in lines if line.startswith("| 05"))
    assert "[MNIST](notebooks/05_mnist.ipynb)" in row
    assert "| 2 minutes | not measured | test accuracy 98.50 ± 0.71 % (2 seeds, MNIST) |" in row
    assert "in preparation" in lines[-4]


def test_stand_in_data_and_other_machines_are_named():
    lesson, run = LESSONS[5], {"seconds": 30, "cores": 8, "sources": ["digits (offline)"]}
    text = readme_table.computing(lesson, {"05_mnist.ipynb": {"offline": run}})
    assert text == "30 s (8 cores, stand-in data)"


def test_a_gpu_is_named():
    run = {"seconds": 20, "device": "cuda", "accelerator": "Tesla T4"}
    assert readme_table.with_a_gpu(LESSONS[5], {"05_mnist.ipynb": {"accelerator": run}}) == "20 s (Tesla T4)"


def test_a_readme_without_a_place_is_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("words", "utf-8")
    with pytest.raises(ValueError, match="lessons:start"):
        readme_table.refresh(tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8") == "words"
