"""How pytest runs the notebooks, shown on a small course: a dead kernel, a failing cell, a greedy one, a good one."""

import os
import re
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.tools import kernels
from tests.tools.kernels import ROOT, settle_course_data

CONFTEST = """from tests.tools import notebook_runs

notebook_runs.MEMORY_CEILING_MB = 300
pytest_plugins = ["tests.tools.notebook_runs"]
"""
GOOD = "import os, matplotlib\nassert 'inline' in matplotlib.get_backend()\nos.environ['COURSE_DATA']"
COURSE = {
    "01_dead": ["import os; os._exit(3)", "1", "2"],
    "02_fails": ["1 / 0", "1"],
    "03_good": [GOOD],
    "04_greedy": ["a = bytearray(400_000_000)\na[::4096] = b'x' * len(a[::4096])", "1"],
    "05_once": ["x = [1]", "x.pop()", "1"],
    "06_raises": ["1 / 0"],
    "solutions/03_good": ["1"],
    "solutions/05_once": ["x = [1]", "x.pop()"],
    "scratch": ["1 / 0"],
    ".ipynb_checkpoints/03_good": ["1 / 0"],
}


def write(folder, name, sources):
    path = folder / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_code_cell(source, execution_count=i + 1) for i, source in enumerate(sources)]
    if name == "06_raises":
        cells[0].metadata.tags = ["raises-exception"]
    nbformat.write(new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What pytest says of the small course."""
    root = tmp_path_factory.mktemp("course")
    (root / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (root / "pyproject.toml").write_text(settings, encoding="utf-8")
    for name, sources in COURSE.items():
        write(root / "notebooks", name, sources)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COURSE"))}
    environment |= {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, "-m", "pytest", "-v", "--color=no", "-p", "no:cacheprovider", "notebooks"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    return done.stdout


def test_lessons_and_solutions_are_collected_and_nothing_else(report):
    collected = set(re.findall(r"^notebooks/(\S+)::ipynb::Cell", report, re.MULTILINE))
    assert collected == {name for name in COURSE if name[0] != "." and name != "scratch"}


def test_a_dead_kernel_is_noticed(report):
    assert "01_dead::ipynb::Cell 0 FAILED" in report
    assert "The kernel died while this cell ran; its exit code is 3." in report
    seconds = float(re.search(r"01_dead\.ipynb +([\d.]+) s", report)[1])
    assert seconds < 30


def test_after_a_failing_cell_the_others_are_skipped(report):
    assert "02_fails::ipynb::Cell 1 SKIPPED" in report
    assert "Cell 0 of notebooks/02_fails.ipynb failed, and this cell may need it" in report
    assert "4 failed, 6 passed, 5 skipped" in report


def test_a_cell_that_runs_once_only_is_caught(report):
    assert "notebooks/05_once::ipynb::Cell 1 FAILED" in report
    assert re.search(r"Cell 1: in its second run in succession: Cell execution caused an exception", report)
    assert "IndexError" in report


def test_solutions_run_once(report):
    assert "notebooks/solutions/05_once::ipynb::Cell 1 PASSED" in report


def test_an_expected_exception_may_be_raised_twice(report):
    assert "notebooks/06_raises::ipynb::Cell 0 PASSED" in report


def test_too_much_memory_fails(report):
    assert re.search(r"The notebook has taken \d+ MB of memory; a lesson may take 300 MB\.", report)


def test_totals_are_listed(report):
    assert "notebooks, COURSE_DATA=offline" in report
    assert re.search(r"^notebooks/03_good\.ipynb +[\d.]+ s +\d+ MB$", report, re.MULTILINE)


def test_course_data(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    assert settle_course_data("offline") == "offline"
    assert os.environ["COURSE_DATA"] == "offline"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA", "pack")
    assert settle_course_data("offline") == "real"
    assert os.environ["COURSE_DATA"] == str(tmp_path / "pack")


FORKED = """import os, time, psutil
from tests.tools.kernels import bytes_of
before = bytes_of(psutil.Process())
held = bytearray(200_000_000)
held[::4096] = b"x" * len(held[::4096])
child = os.fork()
if child == 0:
    time.sleep(60)
both = [psutil.Process(), psutil.Process(child)]
print(sum(map(bytes_of, both)) - before, sum(process.memory_info().rss for process in both))
os.kill(child, 9)
"""


SWELLS = """import sys, time
print("started", flush=True)
sys.stdin.readline()
swollen = b"x" * 300_000_000
time.sleep(1.5)
del swollen
time.sleep(60)"""


def test_a_peak_is_seen_and_a_level_is_not_counted_again_and_again(monkeypatch):
    counts = []
    monkeypatch.setattr(kernels, "bytes_of", lambda process: counts.append(process) or process.memory_info().rss)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SWELLS], text=True, **pipes) as process:
        process.stdout.readline()
        watch = kernels.MemoryWatch(process.pid, interval=0.05, longest=1.0)
        try:
            time.sleep(0.5)
            assert 0 < watch.peak_mb < 100
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(3.5)
            assert 300 < watch.peak_mb < 400
        finally:
            watch.stop()
            process.kill()
    assert 3 <= len(counts) < 40, "of about 80 glances; the memory rises in fewer"


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells what is shared")
def test_what_processes_share_counts_once():
    done = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    counted, resident = map(int, done.stdout.split())
    assert 195e6 < counted < 300e6
    assert resident > 400e6, "the parent's pages, and the child's"
