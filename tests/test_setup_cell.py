"""The set-up cell that every notebook begins with: from the course's folder, alone, and beside a foreign `utils`."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from tests.tools.kernels import ROOT, lesson_paths


def setup_cell():
    cells = json.loads(lesson_paths()[0].read_text(encoding="utf-8"))["cells"]
    return "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "code"))


def run(folder, before="", after="print(utils.__file__)", **environment):
    """Run the set-up cell as a kernel in `folder` would; return the finished process."""
    code = "\n".join([textwrap.dedent(before), setup_cell(), after])
    return subprocess.run(
        [sys.executable, "-c", code],
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
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "course"]):
        subprocess.run(["git", "-C", repository, *command], check=True)
    url = re.search(r'"(https://[^"]+)"', setup_cell())[1]
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": url,
    }


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


def test_no_network_fails_at_once_and_leaves_nothing(tmp_path):
    nowhere = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/nowhere.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }
    done = run(tmp_path, **nowhere)
    assert done.returncode != 0
    assert "git" in done.stderr
    assert not (tmp_path / "cnn-course").exists()
