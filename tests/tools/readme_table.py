"""`python -m tests.tools.readme_table` writes the lesson table in README.md and in lesson 00 from what was measured.

It stands between <!-- lessons:start --> and <!-- lessons:end -->. Minutes come from tests/results/timings.json
(see store_notebooks), accuracies from tests/results/ledger.json; nothing is executed.
"""

import json
import re
import statistics
import sys

import nbformat

from tests.tools.kernels import ROOT
from tests.tools.lessons import LESSONS

MARKERS = re.compile(r"(<!-- lessons:start -->\n).*?(<!-- lessons:end -->)", re.DOTALL)
HEADER = "| | lesson | the question it answers | on 2 CPU cores | with a GPU | measured |\n" + "|---" * 6 + "|\n"


def results(name, root=ROOT):
    """Return a file of tests/results as a dict; an empty one where there is no such file yet."""
    path = root / "tests" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def duration(seconds):
    """Return a running time as people say it: "7 s", "40 s", "3 minutes"."""
    if seconds < 90:
        step = 1 if seconds < 10 else 5
        return f"{max(1, step * round(seconds / step))} s"
    return f"{round(seconds / 60)} minutes"


def computing(lesson, timings):
    """Return a lesson's running time: on real data, or else, and saying so, on the stand-in."""
    kinds = timings.get(f"{lesson.name}.ipynb", {})
    kind = next((kind for kind in ("real", "offline") if kind in kinds), None)
    if kind is None:
        return "–"
    run = kinds[kind]
    notes = [] if run["cores"] == 2 else [f"{run['cores']} cores"]
    if kind == "offline" and run["sources"]:
        notes.append("stand-in data")
    return duration(run["seconds"]) + (f" ({', '.join(notes)})" if notes else "")


def with_a_gpu(lesson, timings):
    """Return a lesson's running time with an accelerator, and which; "not measured" until somebody has stored one."""
    run = timings.get(f"{lesson.name}.ipynb", {}).get("accelerator")
    return f"{duration(run['seconds'])} ({run['accelerator']})" if run else "not measured"


def measured(lesson, ledger):
    """Return the accuracy that `make ledger` found for a lesson, its spread over seeds, and the data.

    ledger: {"05_mnist": {"source": "MNIST", "runs": [{"test_accuracy": 0.989, …}, …]}, …}. A lesson whose runs
    hold no test accuracy shows its validation accuracy.
    """
    entry = ledger.get(lesson.name, {"runs": []})
    for split in ("test", "validation"):
        scores = [100 * run[f"{split}_accuracy"] for run in entry["runs"] if f"{split}_accuracy" in run]
        if scores:
            spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
            seeds = f"{len(scores)} seeds" if len(scores) > 1 else "1 seed"
            return f"{split} accuracy {statistics.mean(scores):.2f}{spread} % ({seeds}, {entry['source']})"
    return "–"


def table(root=ROOT):
    """Return the lesson table in Markdown. A lesson that is not written yet is named without a link."""
    timings, ledger = results("timings", root), results("ledger", root)
    rows = []
    for lesson in LESSONS:
        number, file = lesson.name[:2], f"notebooks/{lesson.name}.ipynb"
        if (root / file).is_file():
            times = computing(lesson, timings), with_a_gpu(lesson, timings)
            columns = f"[{lesson.title}]({file})", lesson.question, *times, measured(lesson, ledger)
        else:
            columns = f"{lesson.title} *(in preparation)*", lesson.question, "–", "–", "–"
        rows.append(f"| {number} | {' | '.join(columns)} |\n")
    return HEADER + "".join(rows)


def lesson_map(root=ROOT):
    """Return lesson 00's table in Markdown: lessons, questions and minutes, with links from the same folder."""
    timings, rows = results("timings", root), []
    for lesson in LESSONS:
        file = f"{lesson.name}.ipynb"
        is_there = (root / "notebooks" / file).is_file()
        title = f"[{lesson.title}]({file})" if is_there else f"{lesson.title} *(in preparation)*"
        minutes = computing(lesson, timings) if is_there else "–"
        rows.append(f"| {lesson.name[:2]} | {title} | {lesson.question} | {minutes} |\n")
    return "| | lesson | the question it answers | computing |\n|---|---|---|---|\n" + "".join(rows)


def refresh_lesson_map(root=ROOT):
    """Write the map into lesson 00, if that is there; nothing else in the file changes."""
    path = root / "notebooks" / "00_start_here.ipynb"
    if not path.is_file():
        return
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = MARKERS.sub(lambda match: f"{match[1]}{lesson_map(root)}{match[2]}", cell.source)
    new = nbformat.writes(notebook).rstrip("\n") + "\n"
    if new != path.read_text(encoding="utf-8"):
        path.write_text(new, encoding="utf-8")


def refresh(root=ROOT):
    """Write the table into README.md. Raises ValueError where README.md has no place for it."""
    path = root / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not MARKERS.search(text):
        raise ValueError("README.md has no place for the table: add <!-- lessons:start --> and <!-- lessons:end -->")
    new = MARKERS.sub(lambda match: f"{match[1]}{table(root)}{match[2]}", text)
    if new != text:
        path.write_text(new, encoding="utf-8")
    refresh_lesson_map(root)


if __name__ == "__main__":
    try:
        refresh()
    except ValueError as error:
        sys.exit(str(error))
