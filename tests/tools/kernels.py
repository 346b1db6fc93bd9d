"""What every run of a notebook shares: the files, the data they run on, a kernel, and an eye on its memory."""

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

ROOT = Path(__file__).resolve().parents[2]
KEPT = []  # temporary folders that running kernels write in
NOTEBOOK_PATTERN = "[0-9][0-9]_*.ipynb"


def lesson_paths(root=ROOT):
    """Return the lessons' files, in order."""
    return sorted((Path(root) / "notebooks").glob(NOTEBOOK_PATTERN))


def solution_paths(root=ROOT):
    """Return the solutions' files, in order."""
    return sorted((Path(root) / "notebooks" / "solutions").glob(NOTEBOOK_PATTERN))


@contextlib.contextmanager
def offline_data():
    """Let COURSE_DATA be "offline" within the block: the data that need no network."""
    chosen = os.environ.get("COURSE_DATA")
    os.environ["COURSE_DATA"] = "offline"
    try:
        yield
    finally:
        os.environ.pop("COURSE_DATA") if chosen is None else os.environ.update(COURSE_DATA=chosen)


def settle_course_data(default):
    """Set COURSE_DATA to `default` where it is unset, and make a folder's path absolute (kernels run elsewhere).

    Returns the kind of data, "offline" or "real".
    """
    setting = os.environ.get("COURSE_DATA", "").strip() or default
    if setting.lower() == "offline":
        os.environ["COURSE_DATA"] = "offline"
        return "offline"
    folder = Path(setting).expanduser().resolve()
    if folder == ROOT / "data":
        folder.mkdir(exist_ok=True)  # the place of downloads; any other folder must be there already
    os.environ["COURSE_DATA"] = str(folder)
    return "real"


@contextlib.contextmanager
def kernel_environment():
    """Set, for the kernels that are started inside, what they inherit; put the old settings back at the end."""
    settings = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    trained = tempfile.TemporaryDirectory(prefix="course-runs-")  # each run's own: two may run side by side
    settings["COURSE_RUNS"] = trained.name
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1 and "OMP_NUM_THREADS" not in os.environ:
        # Kernels side by side share the cores: more threads than cores slow both down.
        settings["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        KEPT.append(trained)  # the kernel outlives this block; the folder goes when this process ends
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def notebook_client(notebook, folder, timeout, **settings):
    """Return an nbclient for a notebook in `folder`, with a kernel of the Python that runs this very process."""
    manager = AsyncKernelManager(
        kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager(ensure_native_kernel=True)
    )
    return NotebookClient(
        notebook,
        km=manager,
        timeout=timeout,
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
        shutdown_kernel="immediate",
        **settings,
    )


def bytes_of(process):
    """Return the memory of a process; where the system tells, what it shares with others is divided by their number."""
    info = process.memory_full_info() if psutil.LINUX else process.memory_info()
    return getattr(info, "pss", info.rss)


class MemoryWatch(threading.Thread):
    """Samples the memory of a process and its children, and keeps the largest sum, in MB.

    On Linux, pages that several of them share count once: a forked worker has those of its parent, at no cost. That
    count walks through every page, a tenth of a core's time if it were made at each glance. So it is made where the
    resident memory, which is cheap to read, is larger than ever before, and `longest` seconds after the last count at
    the latest.
    """

    def __init__(self, pid, interval=0.25, longest=5.0):
        super().__init__(daemon=True, name=f"memory of {pid}")
        self.peak_mb = 0.0
        self._process = psutil.Process(pid)
        self._interval, self._longest = interval, longest
        self._stopped = threading.Event()
        self.start()

    def run(self):
        most, counted = 0, -self._longest
        while self._process.is_running() and not self._stopped.wait(self._interval):
            resident = self._sum(lambda process: process.memory_info().rss)
            if resident > most or time.monotonic() > counted + self._longest:
                most, counted = max(most, resident), time.monotonic()
                self.sample()

    def sample(self):
        """Measure now; return the largest sum so far, in MB."""
        self.peak_mb = max(self.peak_mb, self._sum(bytes_of) / 1e6)
        return self.peak_mb

    def _sum(self, measure):
        total = 0
        with contextlib.suppress(psutil.Error):
            total += measure(self._process)
            for child in self._process.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += measure(child)
        return total

    def stop(self):
        self._stopped.set()
