"""The requirements against the package index (`make resolve`: some minutes; nothing is installed here).

pip judges environment markers by the Python that runs it; everything else is resolved for the Python named.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.test_project import read, requirements
from tests.tools.kernels import ROOT

COLAB = ROOT / "tests" / "colab_constraints.txt"
COLAB_PYTHON = "3.13"
# Colab has its own front end, and nbval is for the tests only: no lesson imports these.
NOT_ON_COLAB = {"jupyterlab", "nbval"}


def resolve(folder, python, wanted, *options):
    """Return {package: version} that pip would install for that Python; fail with pip's words where there is none."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--python-version", python, "--only-binary=:all:", "--target", folder / "none", "--report", report]
    done = subprocess.run([*command, *options, *wanted], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [package["metadata"] for package in json.loads(report.read_text())["install"]]
    return {package["name"].lower(): package["version"] for package in found}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_requirements_resolve(tmp_path, python):
    found = resolve(tmp_path, python, ["-r", ROOT / "requirements-dev.txt"])
    assert set(requirements(read("requirements.txt"))) <= set(found)


def test_what_colab_has_may_stay(tmp_path):
    lessons = {name: wanted for name, (wanted, _) in requirements(read("requirements.txt")).items()}
    wanted = [name + versions for name, versions in lessons.items() if name not in NOT_ON_COLAB]
    found = resolve(tmp_path, COLAB_PYTHON, wanted, "-c", COLAB)
    for name, (versions, _) in requirements(COLAB.read_text(encoding="utf-8")).items():
        if name in found:
            assert found[name].startswith(versions.removeprefix("==").removesuffix("*")), name
    assert found["torch"].startswith("2.11.")


def test_the_explorers_on_ipywidgets_7(tmp_path):
    """Their own tests, with Colab's version in front of the one that is installed."""
    wanted = ["ipywidgets==7.7.*", "ipython_genutils"]  # what it needs besides is here already
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, *wanted]
    subprocess.run(command, check=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = [sys.executable, "-c", "import ipywidgets; print(ipywidgets.__version__)"]
    assert subprocess.check_output(found, env=environment, text=True).startswith("7.7.")
    explorers = sorted((ROOT / "tests").glob("test_explore*.py"))
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *explorers]
    done = subprocess.run(tests, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:]
