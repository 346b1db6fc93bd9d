"""The course's place on GitHub: one setting, one command, the same in every file that needs it."""

import shutil
import subprocess
import sys

import pytest

from tests.tools.kernels import ROOT, lesson_paths, solution_paths
from tests.tools.stamp import StampError, main, places, repository, stamp, stamped_files


@pytest.fixture
def course(tmp_path):
    """A copy of the files that carry the place, and the bytes of each."""
    for path in [ROOT / "pyproject.toml", *stamped_files()]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_lesson_and_solution_is_stamped():
    assert {ROOT / "README.md", *lesson_paths(), *solution_paths()} <= set(stamped_files())


@pytest.mark.parametrize("path", stamped_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_files_agree_with_the_setting(path):
    assert places(path.read_text(encoding="utf-8")) == {repository()}, "run: python -m tests.tools.stamp"


def test_the_readme_opens_the_first_lesson_in_colab():
    link = f"https://colab.research.google.com/github/{repository()}/blob/main/notebooks/{lesson_paths()[0].name}"
    assert f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})" in (
        ROOT / "README.md"
    ).read_text(encoding="utf-8")


def test_a_fork_is_stamped_and_stamped_back(course):
    before, old, new = contents(course), repository(course), "ada-lovelace/my.cnn_course"
    changed = stamp(new, course)
    assert sorted(path.relative_to(course).as_posix() for path in changed) == sorted(before)
    assert repository(course) == new
    for path in stamped_files(course):
        assert places(path.read_text(encoding="utf-8")) == {new}
        assert f"{new}/blob/" in path.read_text(encoding="utf-8") or f"github.com/{new}" in path.read_text("utf-8")
    stamp(old, course)
    assert contents(course) == before


def test_nothing_but_the_place_changes(course):
    old, before = repository(course).encode(), contents(course)
    stamp("ada/cnn", course)
    for name, new in contents(course).items():
        assert new == before[name].replace(old, b"ada/cnn"), name


def test_stamping_twice_changes_nothing_the_second_time(course):
    assert stamp("ada/cnn", course)
    assert stamp("ada/cnn", course) == []


def test_without_an_argument_the_files_follow_the_setting(course, capsys):
    stray, wanted = stamped_files(course)[-1], contents(course)
    stray.write_bytes(stray.read_bytes().replace(repository(course).encode(), b"someone/else"))
    main([], course)
    assert contents(course) == wanted
    assert "1 files changed" in capsys.readouterr().out


def test_the_folder_that_the_setup_cell_makes_keeps_its_name(course):
    stamp("ada/another-name", course)
    text = stamped_files(course)[-1].read_text(encoding="utf-8")
    assert r"Path(\"cnn-course\")" in text
    assert "https://github.com/ada/another-name" in text


def test_other_links_to_github_stay_and_line_endings_too(course):
    readme = course / "README.md"
    text = b"git clone https://github.com/a/b.git\r\nsee https://github.com/pytorch/vision/issues/9536\r\n"
    readme.write_bytes(text)
    stamp("ada/cnn", course)
    assert readme.read_bytes() == text.replace(b"a/b", b"ada/cnn")


def test_a_link_in_the_line_after_is_not_ours():
    assert places(r'"source": "A clone of it.\nSee https://github.com/pytorch/vision"') == set()
    assert places("A clone of it.\nSee https://github.com/pytorch/vision") == set()


NOT_PLACES = ["", " ", "ada", "ada/", "/cnn", "ada/my course", " ada/cnn", "ada/cnn\n", "a/b/c", "ada/..", "é/cnn"]
NOT_PLACES += ["https://github.com/ada/cnn", "ada/cnn.git", "-ada/cnn", "a" * 40 + "/cnn", 'ada/c"nn', "ada\\1/cnn"]


@pytest.mark.parametrize("place", NOT_PLACES)
def test_a_malformed_place_is_refused_and_nothing_changes(course, place):
    before = contents(course)
    with pytest.raises(StampError, match="give the owner and the repository's name"):
        stamp(place, course)
    with pytest.raises(SystemExit, match="make stamp REPO="):
        main([place], course)
    assert contents(course) == before


def test_two_arguments_are_refused(course):
    with pytest.raises(SystemExit, match="Give one place"):
        main(["ada", "cnn"], course)


def test_a_fork_with_a_long_name_still_passes_lint(course):
    stamp(f"{'a' * 39}/cnn-course", course)  # the longest owner name there is
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=course, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
