"""`python -m tests.tools.stamp [OWNER/NAME]` writes the course's place on GitHub where it is needed.

It stands in pyproject.toml, [tool.course] repository. From there it goes into README.md and into every notebook:
the Colab badge, and the address that the set-up cell clones. Nothing else in these files changes, not one byte.
Without an argument the place stays as it is, and files that differ (after a merge, say) are brought in line.
"""

import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# GitHub's own rules: an owner has at most 39 letters, digits and hyphens.
WELL_FORMED = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/(?!\.{1,2}$)(?![^/]*\.git$)[A-Za-z0-9._-]{1,100}", re.ASCII
)
SETTING = re.compile(r'(^\[tool\.course\]\n(?:[^\[\n].*\n|\n)*?repository = ")([^"\n]*)(")', re.MULTILINE)
# A link to Colab, or an address on GitHub in a line that clones it (in a notebook's JSON, lines end with \n, too).
# Other links to GitHub are not ours.
PLACES = re.compile(
    r"(colab\.research\.google\.com/github/|\bclone\b(?:(?!\\n)[^\n])*?https://github\.com/)"
    r"([\w.-]+/[\w.-]+?)(?=/blob/|\.git\b|[^\w.-]|$)"
)


class StampError(ValueError):
    """Nothing was stamped; says why in one sentence."""


def repository(root=ROOT):
    """Return the course's place on GitHub, "OWNER/NAME"."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["course"]["repository"]


def stamped_files(root=ROOT):
    """Return the files that carry the place: README.md, the lessons and the solutions."""
    notebooks = root / "notebooks"
    return [root / "README.md", *sorted(notebooks.glob("[0-9]*.ipynb")), *sorted(notebooks.glob("solutions/*.ipynb"))]


def places(text):
    """Return the places on GitHub, "OWNER/NAME", that a text clones or opens in Colab."""
    return {match[2] for match in PLACES.finditer(text)}


def read(path):
    """Return a file's text with its line endings as they are."""
    return path.read_bytes().decode("utf-8")


def write(path, text):
    """Write a text in one move: whoever opens the file sees the old one or the new one."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(text.encode("utf-8"))
    os.replace(part, path)


def stamp(place, root=ROOT):
    """Write `place` into pyproject.toml, README.md and every notebook; return the paths of those that changed.

    Raises StampError, before anything is written, where `place` is not of the form OWNER/NAME.
    """
    if not WELL_FORMED.fullmatch(place):
        raise StampError(
            f"{place!r} is not a place on GitHub: give the owner and the repository's name, as in "
            "make stamp REPO=ada-lovelace/cnn-course"
        )
    settings = root / "pyproject.toml"
    new = {settings: SETTING.sub(rf"\g<1>{place}\g<3>", read(settings))}
    for path in stamped_files(root):
        new[path] = PLACES.sub(rf"\g<1>{place}", read(path))
    changed = [path for path, text in new.items() if text != read(path)]
    for path in changed:
        write(path, new[path])
    return changed


def main(arguments=None, root=ROOT):
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) > 1:
        sys.exit("Give one place, owner and name with a slash between: make stamp REPO=ada-lovelace/cnn-course")
    place = arguments[0] if arguments else repository(root)
    try:
        changed = stamp(place, root)
    except StampError as error:
        sys.exit(str(error))
    print(f"The course is at https://github.com/{place}; {len(changed)} files changed.")


if __name__ == "__main__":
    main()
