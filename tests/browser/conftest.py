"""One JupyterLab and one Chromium for each worker; the lessons are a copy, so nothing here can change them.

`make browser` has two workers, which open two lessons at a time.
"""

import json
import re

import pytest
from playwright.sync_api import sync_playwright
from xdist.scheduler import LoadScopeScheduling

from tests.tools.copies import copy_course
from tests.tools.kernels import ROOT, lesson_paths
from tests.tools.lab import browser, lab_server
from tests.tools.machine import surroundings
from tests.tools.notebook_runs import LONGEST

RESULTS = ROOT / "tests" / "results" / "browser.json"


def pytest_collection_modifyitems(items):
    """Begin with the lessons that take minutes."""

    def place(item):
        path = item.callspec.params.get("lesson") if hasattr(item, "callspec") else None
        return LONGEST.index(path.name) if path and path.name in LONGEST else len(LONGEST)

    items.sort(key=place)


class ByPage(LoadScopeScheduling):
    """Sends all tests that look at one page, a lesson's or its slides', to the same worker."""

    def _split_scope(self, nodeid):
        file, lesson = nodeid.partition("::")[0], re.search(r"\[(\d\d_\w+)", nodeid)
        return f"{file} {lesson[1]}" if lesson else file


def pytest_xdist_make_scheduler(config, log):
    return ByPage(config, log)


class Times:
    """Collects what test_seconds says of each lesson; writes it to tests/results/browser.json when all have run."""

    def __init__(self, workers):
        self.seconds, self.workers = {}, workers

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and "lesson_seconds" in (said := dict(report.user_properties)):
            name, seconds = said["lesson_seconds"]
            self.seconds[name] = seconds

    def pytest_sessionfinish(self):
        if set(self.seconds) == {path.name for path in lesson_paths()}:
            found = {"lessons": dict(sorted(self.seconds.items())), "side_by_side": self.workers, **surroundings()}
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # the process that hears of every test
        config.pluginmanager.register(Times(config.getoption("numprocesses", None) or 1), "lesson-times")


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """A copy of the course in a temporary folder."""
    return copy_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="session")
def lab(course):
    """JupyterLab's (address, token) on the copy, with the data that ships with the packages."""
    with lab_server(course, windowing="none", COURSE_DATA="offline") as served:
        yield served


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def chromium_window(playwright):
    with browser(playwright) as window:
        yield window
