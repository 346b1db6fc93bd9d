"""The set-up cell that every notebook begins with: from the course's folder, alone, and beside a foreign `utils`."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from tests.tools.colab import commit, leading_to
from tests.tools.copies import copy_course
from tests.tools.kernels import ROOT, lesson_paths


def setup_cell():
    cells = json.loads(lesson_paths()[0].read_text(encoding="utf-8"))["cells"]
    return "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "code"))


def run(folder, before="", after="print(utils.__file__)", command=(), **environment):
    """Run the set-up cell as a kernel in `folder` would, behind `command`; return the finished process."""
    code = "\n".join([textwrap.dedent(before), setup_cell(), after])
    return subprocess.run(
        [*command, sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", "PYTHONSAFEPATH": "1", "GIT_TERMINAL_PROMPT": "0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def remote(tmp_path):
    """A local git repository in the remote's place; returns the environment that points there."""
    repository = tmp_path / "remote"
    (repository / "utils").mkdir(parents=True)
    for name in ("__init__.py", "arithmetic.py"):
        (repository / "utils" / name).write_text((ROOT / "utils" / name).read_text(encoding="utf-8"), encoding="utf-8")
    commit(repository)
    return leading_to(repository)


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/solutions", "images"])
def test_the_course_is_found_from_any_of_its_folders(folder):
    done = run(ROOT / folder)
    assert done.stdout.strip() == str(ROOT / "utils" / "__init__.py"), done.stderr


def test_one_notebook_alone_fetches_the_course_and_the_second_run_finds_it(tmp_path, remote):
    alone = tmp_path / "alone"
    alone.mkdir()
    for _ in range(2):
        done = run(alone, **remote)
        assert done.stdout.strip() == str(alone / "cnn-course" / "utils" / "__init__.py"), done.stderr
        remote = {"GIT_CONFIG_COUNT": "0"}  # the second time there is nothing to fetch


def test_the_cell_may_be_run_twice(tmp_path):
    assert run(ROOT / "notebooks", before=setup_cell()).returncode == 0


def test_a_foreign_utils_in_the_path_does_not_win(tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("raise SystemExit('the foreign package was imported')")
    done = run(ROOT / "notebooks", before=f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
    assert done.stdout.strip() == str(ROOT / "utils" / "__init__.py"), done.stderr


def test_a_foreign_utils_that_is_loaded_already_is_refused_by_name(tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("")
    done = run(ROOT / "notebooks", before=f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import utils")
    assert done.returncode != 0
    assert "restart the kernel" in done.stderr
    assert str(tmp_path / "utils" / "__init__.py") in done.stderr
    assert "is another package's utils" in done.stderr


def test_no_network_fails_at_once_and_leaves_nothing(tmp_path, remote):
    alone = tmp_path / "alone"
    alone.mkdir()
    done = run(alone, **leading_to(tmp_path / "nowhere"))
    assert done.returncode != 0
    assert "fatal:" in done.stderr, "git says what went wrong"
    assert f"'{tmp_path}/nowhere' does not" in done.stderr
    assert list(alone.iterdir()) == []
    assert run(alone, **remote).returncode == 0, "with the network back, the same cell works"


def test_without_git_the_error_names_git_and_nothing_is_left(tmp_path):
    done = run(tmp_path, PATH=str(tmp_path))
    assert done.stderr.strip().endswith("FileNotFoundError: [Errno 2] No such file or directory: 'git'")
    assert list(tmp_path.iterdir()) == []


def test_a_clone_that_is_cut_off_does_not_pass_for_the_course(tmp_path, remote):
    """A git that is killed halfway leaves its half under another name; the next run fetches the course anew."""
    alone, tools = tmp_path / "alone", tmp_path / "tools"
    alone.mkdir()
    tools.mkdir()
    git = tools / "git"
    git.write_text(
        '#!/bin/sh\nfor last in "$@"; do :; done\n'
        'mkdir -p "$last/utils" && : > "$last/utils/arithmetic.py" && kill -9 $$\n'
    )
    git.chmod(0o755)
    done = run(alone, PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert "died with <Signals.SIGKILL: 9>" in done.stderr
    (half,) = alone.iterdir()
    assert re.fullmatch(r"cnn-course\.\d+", half.name)

    done = run(alone, **remote)
    assert done.stdout.strip() == str(alone / "cnn-course" / "utils" / "__init__.py"), done.stderr
    assert half.is_dir(), "what is not ours to judge is left alone"


# --- a folder that was moved, or that cannot be written to ---------------------------------------------------

USE = """
from utils.data import load_mnist, runs_folder
print(utils.__file__)
print(len(load_mnist().train.labels), runs_folder())
"""


def test_a_course_folder_that_was_moved_and_renamed(tmp_path):
    course = copy_course(tmp_path / "Küche und Bad" / "mein Kurs")
    done = run(course / "notebooks", after=USE, COURSE_DATA="offline", COURSE_RUNS="")
    assert done.stdout.splitlines()[0] == str(course / "utils" / "__init__.py"), done.stderr
    assert done.stdout.splitlines()[-1] == f"4000 {course / 'runs'}"


@pytest.fixture
def read_only_course(tmp_path):
    """A copy of the course in which nothing can be written, and the command that keeps even root from it."""
    needs_help = not hasattr(os, "geteuid") or os.geteuid() == 0
    if needs_help and not shutil.which("setpriv"):
        pytest.skip("this user may write anywhere")
    course = copy_course(tmp_path / "course")
    folders = [course, *(path for path in course.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    powers = "-dac_override,-dac_read_search,-fowner"
    yield course, ["setpriv", f"--bounding-set={powers}", "--inh-caps=-all"] if needs_help else []
    for folder in folders:
        folder.chmod(0o755)


def test_a_course_folder_that_cannot_be_written_to(tmp_path, read_only_course):
    course, mortal = read_only_course
    before = sorted(course.rglob("*"))
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "COURSE_DATA": "offline", "COURSE_RUNS": ""}
    done = run(course / "notebooks", after=USE, command=mortal, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(course / "utils" / "__init__.py")
    assert "runs cannot be written to, so ~/.cache/cnn-course/runs is used." in done.stdout
    assert done.stdout.splitlines()[-1] == f"4000 {tmp_path / '.cache' / 'cnn-course' / 'runs'}"
    assert sorted(course.rglob("*")) == before
