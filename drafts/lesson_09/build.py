"""Make a notebook of a draft's cells: python drafts/lesson_09/build.py CELLS.txt OUT.ipynb STEM"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

MODEL = Path(__file__).resolve().parents[2] / "notebooks" / "08_residual_networks.ipynb"  # for set-up and metadata


def build(text, stem):
    """Return the notebook: each cell begins with a line `@@ md SLIDE`, `@@ code [check] [skip]` or `@@ setup`."""
    model = nbformat.read(MODEL, as_version=4)
    notebook = new_notebook(metadata=model.metadata)
    for number, part in enumerate(re.split(r"(?m)^@@ ", text)[1:]):
        head, _, source = part.partition("\n")
        kind, *words = head.split()
        make = new_markdown_cell if kind == "md" else new_code_cell
        cell = make(model.cells[3].source if kind == "setup" else source.strip("\n"))
        slide = "skip" if kind == "setup" or "skip" in words else (words or ["-"])[0] if kind == "md" else "-"
        cell.metadata["slideshow"] = {"slide_type": slide}
        if "check" in words:
            cell.metadata["tags"] = ["nbval-check-output"]
        cell.id = f"{stem}-{number:03d}"
        notebook.cells.append(cell)
    return notebook


if __name__ == "__main__":
    cells, out, stem = sys.argv[1:]
    made = build(Path(cells).read_text(encoding="utf-8"), stem)
    Path(out).write_text(nbformat.writes(made).rstrip("\n") + "\n", encoding="utf-8")
