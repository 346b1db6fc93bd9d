"""One JupyterLab and one Chromium for all tests; the lessons are a copy, so nothing here can change them."""

import pytest
from playwright.sync_api import sync_playwright

from tests.tools.copies import copy_course
from tests.tools.lab import browser, lab_server


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
