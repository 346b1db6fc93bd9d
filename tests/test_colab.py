"""One notebook alone, as Colab opens it: the course arrives, or the reason is plain; and nothing is installed."""

import ast
import re

import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

from tests.tools.cells import code_cells, read, text
from tests.tools.colab import leading_to, lesson_alone, make_remote, pretend_colab, run_until_a_figure
from tests.tools.kernels import ROOT, lesson_paths, solution_paths


def ask(client, expression):
    """Return the value of an expression in the kernel, as text."""
    client.nb.cells.append(new_code_cell(f"print({expression})"))
    cell = client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
    return cell.outputs[0].text.strip()


def test_the_first_figure_of_a_lesson_that_is_opened_alone(tmp_path):
    """The network is down, then up: the first run says so and leaves nothing, the next ends in a figure."""
    remote, content = tmp_path / "remote", tmp_path / "content"
    content.mkdir()
    with lesson_alone(content, {**leading_to(remote), **pretend_colab(tmp_path / "colab")}) as (client, cells):
        index, setup = cells[0]
        with pytest.raises(CellExecutionError, match=r"'git', 'clone'.* returned non-zero exit status 128"):
            client.execute_cell(setup, index)  # git's own words come from another thread: see test_setup_cell.py
        assert [path.name for path in content.iterdir()] == ["01_convolution.ipynb"]

        make_remote(remote)
        run_until_a_figure(client, cells)
        assert ask(client, "utils.__file__") == str(content / "cnn-course" / "utils" / "__init__.py")
        assert ask(client, "__import__('google.colab').__name__") == "google"
    assert sorted(path.name for path in content.iterdir()) == ["01_convolution.ipynb", "cnn-course"]


@pytest.mark.parametrize("path", lesson_paths() + solution_paths(), ids=lambda path: path.stem)
def test_no_notebook_installs_anything(path):
    everything = "\n".join(text(cell["source"]) for _, cell in code_cells(read(path)))
    assert not re.search(r"\b(?:pip|conda|mamba|uv|apt|apt-get)\b.*\binstall\b", everything)


# What ipywidgets 8 added. Colab has version 7; `make resolve` runs the explorers' tests on it.
NEW_WIDGETS = set("ColorsInput DatetimePicker FloatsInput IntsInput NaiveDatetimePicker Stack TagsInput".split())
NEW_WIDGETS |= {"TimePicker", "TypedTuple"}
NEW_TRAITS = set("tabbable titles description_allow_html behavior playing repeat text_color font_style".split())
NEW_TRAITS |= set("font_size font_family font_variant border_top border_right border_bottom border_left".split())


def new_names(source):
    """Return the names in a module's calls and attributes that ipywidgets 7 does not know."""
    nodes = list(ast.walk(ast.parse(source)))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {keyword.arg for node in nodes if isinstance(node, ast.Call) for keyword in node.keywords}
    return (NEW_WIDGETS | NEW_TRAITS) & used


@pytest.mark.parametrize("path", sorted((ROOT / "utils").glob("explorers*/**/*.py")), ids=lambda path: path.stem)
def test_the_explorers_keep_to_ipywidgets_7(path):
    assert not new_names(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("source", ["w.TagsInput()", "w.Button(tabbable=True)", "slider.behavior = 'drag'"])
def test_a_newer_widget_is_caught(source):
    assert new_names(source)
