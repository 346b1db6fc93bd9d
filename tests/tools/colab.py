"""One notebook alone, as Colab opens it; `python -m tests.tools.colab` measures how soon its first figure shows.

The notebook lies in an empty folder, a package google.colab can be imported, and the set-up cell's `git clone`
meets a repository on this disk that holds the course's files as they are now. Nothing leaves this machine.
Writes tests/results/colab.json.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import nbformat

from tests.tools.copies import copy_course
from tests.tools.kernels import ROOT, kernel_environment, notebook_client
from tests.tools.machine import surroundings
from tests.tools.stamp import repository

PATH = ROOT / "tests" / "results" / "colab.json"
LESSON = ROOT / "notebooks" / "01_convolution.ipynb"


def make_remote(folder):
    """Make `folder` a git repository with the course's files of this moment, committed; return it."""
    return commit(copy_course(folder))


def commit(folder):
    """Make `folder` a git repository with one commit of all its files; return it."""
    author = ["-c", "user.name=course", "-c", "user.email=course@example.org"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "The course"]):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return folder


def leading_to(folder):
    """Return the environment in which the address that the set-up cell clones leads to `folder`."""
    return {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{folder}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{repository()}",
    }


def pretend_colab(folder):
    """Write a package google.colab below `folder`; return the environment that has it in its path, and no course."""
    (folder / "google" / "colab").mkdir(parents=True)
    (folder / "google" / "colab" / "__init__.py").write_text("")
    return {"PYTHONPATH": str(folder)}


@contextlib.contextmanager
def lesson_alone(folder, environment, lesson=LESSON):
    """Open a copy of `lesson`, the only file in `folder`, with a kernel there; give the client and its code cells."""
    (folder / lesson.name).write_bytes(lesson.read_bytes())
    notebook = nbformat.read(folder / lesson.name, as_version=4)
    client = notebook_client(notebook, folder, timeout=120)
    with kernel_environment():
        settings = {**os.environ, "COURSE_DATA": "offline", **environment}
        with client.setup_kernel(env=settings, stderr=subprocess.DEVNULL):
            yield client, [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def run_until_a_figure(client, cells):
    """Run the cells until one has shown a figure; return how many that took. Raises AssertionError without one."""
    for count, (index, cell) in enumerate(cells, start=1):
        client.execute_cell(cell, index)
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            return count
    raise AssertionError("no cell of the lesson shows a figure")


def measure():
    """Return {what had happened: seconds since the notebook was opened in an empty folder}."""
    with tempfile.TemporaryDirectory(prefix="course-colab-") as name:
        place = Path(name)
        environment = {**leading_to(make_remote(place / "remote")), **pretend_colab(place / "colab")}
        (place / "content").mkdir()
        start, seconds = time.monotonic(), {}
        with lesson_alone(place / "content", environment) as (client, cells):
            seconds["kernel_ready"] = time.monotonic() - start
            client.execute_cell(cells[0][1], cells[0][0])
            seconds["course_cloned"] = time.monotonic() - start
            run_until_a_figure(client, cells[1:])
            seconds["first_figure"] = time.monotonic() - start
    return {name: round(value, 1) for name, value in seconds.items()}


def main():
    entry = {"lesson": LESSON.name, "seconds": [measure() for _ in range(3)], **surroundings()}
    PATH.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(entry, indent=1))


if __name__ == "__main__":
    main()
