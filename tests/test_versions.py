"""A Python or a torch that is too old is refused in one sentence; every file asks for the same versions."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import utils
from tests.tools.kernels import ROOT

AS_IF = """
import importlib.metadata, sys
def version(name, found=importlib.metadata.version):
    if {torch} is None:
        raise importlib.metadata.PackageNotFoundError(name)
    return {torch}
importlib.metadata.version = version
sys.version_info = {python}
import utils
assert "torch" not in sys.modules
print(utils.__course__)
"""


def import_as_if(python=(3, 12, 1), torch="2.11.0+cu128"):
    """Import utils in a process of its own that says it has these versions; return the finished process."""
    code = AS_IF.format(python=(*python, "final", 0), torch=repr(torch))
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("python", [(3, 11, 4), (3, 13, 0), (4, 0, 0)])
@pytest.mark.parametrize("torch", ["2.9.0", "2.10.1+cpu", "2.14.0a0+git123", "3.0"])
def test_versions_that_will_do(python, torch):
    assert import_as_if(python, torch).stdout == "cnn-course\n"


@pytest.mark.parametrize("python", [(3, 9, 18), (3, 10, 12), (3, 11, 3)])
def test_an_old_python_is_refused(python):
    last = import_as_if(python=python).stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: This course needs Python 3.11.4 or newer, and this is ")
    assert ".".join(map(str, python)) + ":" in last
    assert "make lab PYTHON=" in last


@pytest.mark.parametrize(
    ("torch", "words"), [("2.8.1+cu126", "this is 2.8.1+cu126"), ("1.13.1", "this is 1.13.1"), (None, "there is none")]
)
def test_an_old_torch_or_none_is_refused(torch, words):
    last = import_as_if(torch=torch).stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: This course needs torch 2.9 or newer, and ")
    assert words in last
    assert f'run "{sys.executable}" -m pip install -r "{ROOT / "requirements.txt"}" and restart the kernel.' in last


def test_the_versions_are_the_same_everywhere():
    python, torch = (".".join(map(str, oldest)) for oldest in (utils.OLDEST_PYTHON, utils.OLDEST_TORCH))
    assert f"\ntorch>={torch},<" in (ROOT / "requirements.txt").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"{utils.OLDEST_PYTHON} <= v < (3, 14)" in makefile
    assert f"needs Python {python} or newer, below 3.14" in makefile
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert "python>=3.11,<3.14" in environment["dependencies"]
    assert "Python 3.11, 3.12 or 3.13" in (ROOT / "README.md").read_text(encoding="utf-8")


# --- make lab ------------------------------------------------------------------------------------------------

FAKE = """#!/bin/sh
# A Python that says it is version {version}. Asked for anything but a version, it notes that and gives up.
if [ "$1" = -c ]; then exec "{real}" -c "import sys; sys.version_info = {version}; exec(sys.argv[1])" "$2"; fi
echo "$@" > asked; exit 7
"""


@pytest.fixture
def make_lab(tmp_path):
    """Run `make lab` in a folder that holds the Makefile and the requirements, with a Python of the given version."""
    course = tmp_path / "course"
    course.mkdir()
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, course)

    def call(version):
        python = tmp_path / "python"
        python.write_text(FAKE.format(version=(*version, "final", 0), real=sys.executable))
        python.chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
        command = ["make", "lab", f"PYTHON={python}"]
        done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True, timeout=60)
        return done, sorted(path.name for path in course.iterdir())

    return call


@pytest.mark.parametrize("version", [(3, 10, 12), (3, 11, 3), (3, 14, 0)])
def test_make_lab_refuses_a_python_that_will_not_do(make_lab, version):
    done, files = make_lab(version)
    assert done.returncode != 0
    sentence = r"This course needs Python 3\.11\.4 or newer, below 3\.14; \S+ is {}\. Name another: make lab PYTHON="
    assert re.search(sentence.format(re.escape(".".join(map(str, version)))), done.stderr)
    assert files == ["Makefile", "requirements-dev.txt", "requirements.txt"], "nothing was created"


@pytest.mark.parametrize("version", [(3, 11, 4), (3, 13, 9)])
def test_make_lab_goes_on_with_a_python_that_will_do(make_lab, version):
    done, files = make_lab(version)
    assert "This course needs" not in done.stderr
    assert "asked" in files, "the next step is python -m venv .venv"
