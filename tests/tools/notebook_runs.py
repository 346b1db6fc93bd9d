"""How pytest runs the notebooks: nbval, in one fresh kernel a notebook, with these additions.

- COURSE_DATA is "offline" unless it is set, so a plain `pytest` needs no network.
- A kernel that dies is noticed within a second. After a notebook's first failing cell the others are skipped.
- A cell that takes a notebook above MEMORY_CEILING_MB fails.
- With no real data, each cell of a lesson runs twice in succession, as learners run them: nothing may depend on a
  cell's being run once. The seconds are those of the first run.
- The seconds and the peak memory of each notebook are listed at the end. Seconds are reported, never judged.
"""

import contextlib
import os
import time
from pathlib import Path
from queue import Empty
from typing import ClassVar

import nbval.plugin
import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, NbCellError

from tests.tools.kernels import MemoryWatch, kernel_environment, settle_course_data

MEMORY_CEILING_MB = 4000  # of the kernel and its children: some lessons start workers, each with its own PyTorch
POLL_SECONDS = 0.5
OUTPUT_SECONDS = 20  # how long to wait for a finished cell's output; nbval's 5 are few on a busy machine
REAL_DATA_CELL_SECONDS = 1200  # a headline cell may train for five minutes on two cores, longer on a slow laptop


class KernelDiedError(RuntimeError):
    """The kernel's process ended while a cell ran."""


class WatchedKernel(RunningKernel):
    """nbval's kernel; it notices its own death, has its memory watched, and is always stopped in the end."""

    running: ClassVar[set] = set()

    def __init__(self, kernel_name, cwd=None, startup_timeout=60):
        try:
            with kernel_environment():
                super().__init__(kernel_name, cwd=cwd, startup_timeout=startup_timeout)
        except BaseException:
            self.stop()
            raise
        self.memory = MemoryWatch(self.km.provisioner.pid)
        WatchedKernel.running.add(self)

    def get_message(self, stream, timeout=None):
        """Wait for a message as nbval does, but look every half second whether the kernel is still alive."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            try:
                return super().get_message(stream, timeout=min(POLL_SECONDS, max(0, deadline - time.monotonic())))
            except Empty:
                if not self.is_alive():
                    raise KernelDiedError(self.describe_death()) from None
                if time.monotonic() >= deadline:
                    raise

    def describe_death(self):
        code = getattr(self.km.provisioner.process, "returncode", None) if hasattr(self, "km") else None
        hint = " (killed: the machine may have run out of memory)" if code == -9 else ""
        return f"The kernel died while this cell ran; its exit code is {code}{hint}."

    def stop(self):
        if hasattr(self, "memory"):
            self.memory.stop()
        WatchedKernel.running.discard(self)
        if hasattr(self, "km"):
            super().stop()


class Totals:
    """Adds up seconds and peak memory by notebook, also where several workers ran them, and prints the list."""

    def __init__(self):
        self.seconds, self.peak_mb = {}, {}

    def pytest_runtest_logreport(self, report):
        properties = dict(report.user_properties)
        if name := properties.get("notebook"):
            self.seconds[name] = self.seconds.get(name, 0) + report.duration - properties["again_seconds"]
            self.peak_mb[name] = max(self.peak_mb.get(name, 0), properties["peak_mb"])

    def pytest_terminal_summary(self, terminalreporter):
        if not self.seconds:
            return
        terminalreporter.section(f"notebooks, COURSE_DATA={os.environ['COURSE_DATA']}")
        width = max(map(len, self.seconds))
        for name, seconds in sorted(self.seconds.items()):
            terminalreporter.write_line(f"{name:{width}} {seconds:7.1f} s {self.peak_mb[name]:6.0f} MB")


def pytest_configure(config):
    os.environ.setdefault("MPLBACKEND", "agg")  # for the tests' own process; kernels draw inline
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:  # as in kernel_environment; it counts, since nothing has imported PyTorch yet
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
        # glibc asks for large pages (elsewhere nothing is changed): a training's processor time falls by about a tenth.
        os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    nbval.plugin.RunningKernel = WatchedKernel
    if settle_course_data("offline") == "real":
        config.option.nbval_cell_timeout = max(config.option.nbval_cell_timeout, REAL_DATA_CELL_SECONDS)
    config.pluginmanager.register(Totals(), "notebook-totals")


def pytest_ignore_collect(collection_path, config):
    """Of all notebooks, collect the lessons and the solutions: no checkpoints, no reader's copies."""
    if collection_path.suffix != ".ipynb":
        return None
    lessons = config.rootpath / "notebooks"
    numbered = collection_path.name[:2].isdigit() and collection_path.name[2:3] == "_"
    return None if numbered and collection_path.parent in (lessons, lessons / "solutions") else True


LONGEST = "06_cifar10 08_residual_networks 09_looking_inside 10_transfer_learning 07_batchnorm_and_dropout 05_mnist"
LONGEST += " 13_shipping_a_classifier 14_your_own_photos 12_many_gpus 11_gpu_training"
LONGEST = (*[f"{name}.ipynb" for name in LONGEST.split()], "test_skip_training.py")


def pytest_collection_modifyitems(items):
    """Begin the files that take minutes first: none of them is left over when the other worker has nothing to do."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_itemcollected(item):
    if isinstance(item, IPyNbCell):
        item.output_timeout = OUTPUT_SECONDS
        # nbval's own limit comes first, with the better message.
        item.add_marker(pytest.mark.timeout(2 * item.config.option.nbval_cell_timeout + 120))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    failed = getattr(item.parent, "failed_cell", None)
    if isinstance(item, IPyNbCell) and failed:
        pytest.skip(f"{failed} failed, and this cell may need it")


def run_again(item):
    """Run a cell once more; what is wrong with it then is said to be of its second run."""
    start = time.monotonic()
    try:
        item.runtest()
    except NbCellError as error:
        complaint = f"in its second run in succession: {error}"
        raise NbCellError(item.cell_num, complaint, error.source, error.inner_traceback) from None
    finally:
        item.again_seconds = time.monotonic() - start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not isinstance(item, IPyNbCell):
        return (yield)
    try:
        result = yield
        if os.environ["COURSE_DATA"] == "offline" and item.path.parent.name == "notebooks":
            run_again(item)
    except KernelDiedError as error:
        item.parent.kernel.stop()
        raise NbCellError(item.cell_num, str(error), item.cell.source) from None
    peak_mb = item.parent.kernel.memory.sample()
    if peak_mb > MEMORY_CEILING_MB:
        message = f"The notebook has taken {peak_mb:.0f} MB of memory; a lesson may take {MEMORY_CEILING_MB} MB."
        raise NbCellError(item.cell_num, message, item.cell.source)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if isinstance(item, IPyNbCell):
        name = Path(item.path).relative_to(item.config.rootpath).as_posix()
        if report.failed and not hasattr(item.parent, "failed_cell"):
            item.parent.failed_cell = f"{item.name} of {name}"
        memory = getattr(item.parent.kernel, "memory", None)
        report.user_properties.append(("notebook", name))
        report.user_properties.append(("peak_mb", memory.peak_mb if memory else 0))
        again = getattr(item, "again_seconds", 0) if call.when == "call" else 0
        report.user_properties.append(("again_seconds", again))
    return report


def pytest_sessionfinish():
    for kernel in list(WatchedKernel.running):
        with contextlib.suppress(Exception):  # it may be half gone already
            kernel.stop()
