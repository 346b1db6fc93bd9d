"""`python -m tests.tools.store_notebooks [NN …]` runs lessons and solutions and stores what they show.

Each runs top to bottom in a fresh kernel, on the data that COURSE_DATA names (data/ where it is unset). The outputs
are cleaned, so that two runs differ in nothing but results. Where a cell fails, its notebook is left as it was.
Seconds, peak memory, data and machine go into tests/results/timings.json, and from there into README.md.

--check runs and times, and leaves the notebooks as they are.
"""

import argparse
import base64
import io
import json
import os
import re
import subprocess
import sys
import time

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image
from tqdm import tqdm

from tests.tools.cells import printed
from tests.tools.kernels import (
    ROOT,
    MemoryWatch,
    kernel_environment,
    lesson_paths,
    notebook_client,
    settle_course_data,
    solution_paths,
)
from tests.tools.machine import surroundings
from tests.tools.notebook_rules import KERNELSPEC, LANGUAGE, RUNTIME
from tests.tools.readme_table import duration, refresh, results

CELL_SECONDS = 3600
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class NotStoredError(Exception):
    """A notebook's run cannot be stored; says why."""


# --- run -----------------------------------------------------------------------------------------------------


def run(notebook, folder, name):
    """Execute a notebook in place; return (seconds, peak memory in MB). Raises NotStoredError, showing the cell."""
    client = notebook_client(notebook, folder, CELL_SECONDS)
    started, count = time.perf_counter(), 0
    with kernel_environment(), client.setup_kernel(stderr=subprocess.DEVNULL):
        watch = MemoryWatch(client.km.provisioner.pid)
        try:
            for index, cell in enumerate(tqdm(notebook.cells, name, unit="cell", leave=False)):
                if cell.cell_type == "code" and cell.source.strip():
                    count += 1
                    client.execute_cell(cell, index, execution_count=count)
        except (CellExecutionError, DeadKernelError, TimeoutError) as error:
            raise NotStoredError(f"cell {index} failed:\n{cell.source}\n\n{error}") from None
        finally:
            peak_mb = watch.sample()
            watch.stop()
    return time.perf_counter() - started, peak_mb


# --- clean ---------------------------------------------------------------------------------------------------


def shorten(line):
    """Return a line of a traceback without the places of files on this machine."""
    line = re.sub(r"(?:/|[A-Z]:\\)[^\s\x1b]*(?:site-packages|lib[/\\]python3\.\d+)[/\\]", "…/", line)
    return line.replace(f"{ROOT}{os.sep}", "…/")


def compact(png):
    """Return {kind: base64} of a PNG, as small as no eye sees it.

    The 256 colours that suit it best take a third of its size; a photograph is smaller still as a JPEG.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    palette, jpeg = io.BytesIO(), io.BytesIO()
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(palette, "PNG", optimize=True)
    picture.save(jpeg, "JPEG", quality=75, optimize=True)
    photographic = len(jpeg.getvalue()) < 0.7 * len(palette.getvalue())
    kind, file = ("image/jpeg", jpeg) if photographic else ("image/png", palette)
    return {kind: base64.b64encode(file.getvalue()).decode("ascii")}


def clean_outputs(cell):
    """Drop what was written to stderr (progress bars, warnings) and widgets; shorten paths; make figures small."""
    kept = []
    for output in cell.outputs:
        if output.get("name") == "stderr" or WIDGET_VIEW in output.get("data", {}):
            continue
        if output.output_type == "error":
            output.traceback = [shorten(line) for line in output.traceback]
        if "image/png" in output.get("data", {}):
            output.data |= compact(output.data.pop("image/png"))
        kept.append(output)
    if len(kept) < len(cell.outputs) and "nbval-check-output" in cell.metadata.get("tags", []):
        raise NotStoredError(
            f"this cell is tagged nbval-check-output, but it writes to stderr or shows a widget:\n{cell.source}"
        )
    cell.outputs = kept


def clean(notebook):
    """Leave in an executed notebook what belongs to it, so that storing the same run twice changes nothing."""
    metadata = {key: notebook.metadata[key] for key in ("accelerator", "colab") if key in notebook.metadata}
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE, **metadata})
    for cell in notebook.cells:
        kept = NotebookNode()
        if "slideshow" in cell.metadata:
            kept.slideshow = NotebookNode(slide_type=cell.metadata.slideshow.get("slide_type") or "-")
        if cell.metadata.get("tags"):
            kept.tags = cell.metadata.tags
        cell.metadata = kept
        if cell.cell_type == "code":
            clean_outputs(cell)


def stamp_time(notebook, seconds):
    """Write the measured time into the opening cell's "Runs in about … on two CPU cores"."""
    opening = notebook.cells[0]
    opening.source = RUNTIME.sub(f"Runs in about {duration(seconds)} on two CPU cores", opening.source)


def write(notebook, path):
    """Write a notebook in one move: whoever opens the file sees the old one or the new one."""
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


# --- record --------------------------------------------------------------------------------------------------


def sources(notebook):
    """Return what the notebook's output says of its data: the lines with "source:"."""
    texts = (printed(cell) for cell in notebook.cells if cell.cell_type == "code")
    found = (line for text in texts for line in text.splitlines() if "source:" in line)
    return list(dict.fromkeys(line.split("source:", 1)[1].strip() for line in found))


def record(name, kind, entry):
    """Put a run into tests/results/timings.json, in place of the last one of its kind: real, offline, accelerator."""
    timings = results("timings")
    timings.setdefault(name, {})[kind] = entry
    path = ROOT / "tests" / "results" / "timings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(timings, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def process(path, kind, about, check):
    """Run one notebook, record its time, and store it unless this is a check. Raises NotStoredError."""
    name = path.relative_to(ROOT / "notebooks").as_posix()
    notebook = nbformat.read(path, as_version=4)
    seconds, peak_mb = run(notebook, path.parent, name)
    clean(notebook)
    data = sources(notebook)
    if kind == "real" and any(source.endswith("(offline)") for source in data):
        raise NotStoredError(f"real data was asked for, but it ran on a stand-in: {'; '.join(data)}")
    if not check:
        if kind == "real" and about["cores"] == 2 and about["device"] == "cpu":
            stamp_time(notebook, seconds)
        write(notebook, path)
    place = "accelerator" if kind == "real" and about["device"] != "cpu" else kind
    record(name, place, {"seconds": round(seconds, 1), "peak_memory_mb": round(peak_mb), "sources": data, **about})
    print(f"{name}: {seconds:.1f} s, {peak_mb:.0f} MB{'' if check else ', stored'}", flush=True)


def chosen(numbers):
    """Return the notebooks of these lessons, or of all. Raises SystemExit for a number without a lesson."""
    paths = lesson_paths() + solution_paths()
    for number in numbers:
        if not any(path.name.startswith(f"{number}_") for path in paths):
            sys.exit(f"There is no lesson {number}. Give two digits, as in the file's name: 05.")
    return [path for path in paths if not numbers or path.name[:2] in numbers]


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Run the notebooks, store their outputs, and record their times.")
    parser.add_argument("numbers", nargs="*", metavar="NN", help="the lessons' numbers; all of them without any")
    parser.add_argument("--check", action="store_true", help="run and time only; leave the notebooks as they are")
    options = parser.parse_args(arguments)
    kind, about, failed = settle_course_data("data"), surroundings(), []
    for path in chosen(options.numbers):
        try:
            process(path, kind, about, options.check)
        except NotStoredError as error:
            failed.append(path.name)
            print(f"{path.relative_to(ROOT)} was left as it was: {error}", file=sys.stderr, flush=True)
    try:
        refresh()
    except ValueError as error:
        print(error, file=sys.stderr)
    if failed:
        sys.exit(f"Not stored: {', '.join(failed)}")


if __name__ == "__main__":
    main()
