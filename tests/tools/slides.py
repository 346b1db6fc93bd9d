"""Slides of every lesson from its stored outputs: `make slides`. They open with no network, from the file itself.

`build/slides` holds a page for each lesson, the images, and reveal.js and MathJax out of two Python packages.
"""

import re
import shutil
import sys
from pathlib import Path

import nbformat
from nbconvert.exporters import SlidesExporter

from tests.tools.kernels import ROOT, lesson_paths

PARTS = ROOT / "build" / "parts"  # where the Makefile unpacks the two packages
FOLDER = ROOT / "build" / "slides"
IMAGES = ROOT / "images"
NEEDED = [  # below PARTS, and below the slides' folder
    ("sphinx_revealjs/_static/revealjs", "reveal.js"),
    ("sphinx-mathjax-offline/static/mathjax/tex-svg.js", "mathjax/tex-svg.js"),
]
BADGE = re.compile(r"\[!\[[^\]]*\]\(https?://[^)]*\)\]\([^)]*\)\s*")


def copy_parts(folder):
    """Copy reveal.js, MathJax and the course's images into the slides' folder.

    Raises FileNotFoundError where the first two are not unpacked.
    """
    for source, name in NEEDED:
        if not (PARTS / source).exists():
            raise FileNotFoundError(f"{name} is missing: `make slides` fetches it once, with a network.")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (PARTS / source).is_dir():
            shutil.copytree(PARTS / source, folder / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.map"))
        else:
            shutil.copy2(PARTS / source, folder / name)
    shutil.copytree(IMAGES, folder / "images", dirs_exist_ok=True, ignore=shutil.ignore_patterns("figures"))


def exporter():
    """Return nbconvert's exporter with the course's template, without prompts."""
    return SlidesExporter(
        extra_template_basedirs=[str(Path(__file__).parent / "templates")],
        template_name="slides",
        reveal_url_prefix="reveal.js",
        mathjax_url="mathjax/tex-svg.js",
        reveal_theme="white",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )


def build_slides(path, folder=FOLDER):
    """Write the slides of the lesson at `path` to `folder`; return their path."""
    folder.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            # The badge is a picture from the network; the course's own lie beside the slides.
            cell.source = BADGE.sub("", cell.source).replace("../images/", "images/")
    resources = {"metadata": {"name": path.stem, "path": str(path.parent)}}
    html, _ = exporter().from_notebook_node(notebook, resources)
    target = folder / f"{path.stem}.slides.html"
    target.write_text(html, encoding="utf-8")
    return target


def main():
    try:
        copy_parts(FOLDER)
    except FileNotFoundError as error:
        sys.exit(str(error))
    for path in lesson_paths():
        print(build_slides(path).relative_to(ROOT))


if __name__ == "__main__":
    main()
