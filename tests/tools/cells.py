"""Reads a notebook's cells: sources, code, calls, headings, links, and the prose without what is not prose."""

import ast
import json
import re

from IPython.core.inputtransformer2 import TransformerManager


def read(path):
    """Return a notebook file as a dict."""
    return json.loads(path.read_text(encoding="utf-8"))


def text(value):
    """Return a notebook's text, which may be stored as a string or as a list of lines, as one string."""
    return "".join(value)


def lines(cell):
    """Return the lines of a cell that are not blank."""
    return [line for line in text(cell["source"]).splitlines() if line.strip()]


def tags(cell):
    return cell.get("metadata", {}).get("tags", [])


def code_cells(notebook):
    """Return the pairs (index among all cells, cell) of the code cells that are not empty."""
    return [(i, cell) for i, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code" and lines(cell)]


def markdown_cells(notebook):
    return [(i, cell) for i, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "markdown"]


def where(index, cell):
    """Name a cell in a complaint: its place among all the cells (from 0) and how it begins."""
    first = next(iter(lines(cell)), "").strip()
    return f"cell {index} ({first[:60]}{'…' if len(first) > 60 else ''})"


# --- code ----------------------------------------------------------------------------------------------------


def parse(cell):
    """Return a code cell's syntax tree; magics become calls. Raises SyntaxError."""
    return ast.parse(TransformerManager().transform_cell(text(cell["source"])))


def called_name(call):
    """Return the last part of a called function's name: "load" for torch.load(…)."""
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


def check_calls(cell):
    """Return the calls of exercises' checks, as written: ["checks.check_padding(my_padding)"]."""
    calls = (node for node in ast.walk(parse(cell)) if isinstance(node, ast.Call))
    return [ast.unparse(call) for call in calls if called_name(call).startswith("check_")]


# --- stored outputs ------------------------------------------------------------------------------------------

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def output_text(output):
    """Return all that can be read in a stored output, without its colours."""
    data = output.get("data", {})
    parts = [output.get("text", ""), output.get("ename", ""), output.get("evalue", "")]
    parts += [text(value) for kind, value in data.items() if kind.startswith("text/")]
    parts += output.get("traceback", [])
    return ANSI.sub("", "\n".join(text(part) for part in parts))


def printed(cell):
    """Return the text of all outputs of a cell."""
    return "\n".join(output_text(output) for output in cell.get("outputs", []))


# --- prose ---------------------------------------------------------------------------------------------------

FENCED = re.compile(r"^[ ]*(```|~~~).*?^[ ]*\1[ ]*$", re.DOTALL | re.MULTILINE)
CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
MATHS = re.compile(r"\$\$.*?\$\$|\$(?=\S)[^$\n]*?(?<=\S)\$", re.DOTALL)
MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(\s*<?([^)\s>]+)[^)]*\)")
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
LINK_TARGET = re.compile(r"\]\(\s*<?([^)\s>]+)|\b(?:href|src)\s*=\s*[\"']([^\"']+)")
EXTERNAL_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(\s*<?https?://[^)]*\)")
TITLE = re.compile(r"[\"“][^\"“”\n]+[\"”]|(?<![*\w])\*(?!\*)[^*\n]+\*(?![*\w])|(?<![_\w])_[^_\n]+_(?![_\w])")


def without_code(markdown):
    return CODE_SPAN.sub(" ", FENCED.sub(" ", markdown))


def prose(markdown, titles=True):
    """Return a markdown text without code, formulas, tags and addresses.

    titles=False leaves out, too, what may be somebody else's wording: quotations, italics, names of links.
    """
    plain = MATHS.sub(" ", without_code(markdown))
    if not titles:
        plain = TITLE.sub(" ", EXTERNAL_LINK.sub(" ", plain))
    plain = MARKDOWN_IMAGE.sub(r" \1 ", plain)
    plain = re.sub(r"\]\([^)]*\)", "] ", plain)
    plain = re.sub(r"<!--.*?-->|</?[a-zA-Z][^>]*>", " ", plain, flags=re.DOTALL)
    return re.sub(r"https?://\S+", " ", plain)


def images(markdown):
    """Return the pairs (alternative text, source) of a markdown text's images."""
    plain = without_code(markdown)
    found = [(alt.strip(), source) for alt, source in MARKDOWN_IMAGE.findall(plain)]
    for tag in HTML_IMAGE.findall(plain):
        attributes = {name.lower(): value for name, _, value in re.findall(r"(\w+)\s*=\s*(['\"])(.*?)\2", tag)}
        found.append((attributes.get("alt", "").strip(), attributes.get("src", "")))
    return found


def relative_targets(markdown):
    """Return the targets of links and images that are files of the course, without their #anchors."""
    found = (a or b for a, b in LINK_TARGET.findall(without_code(markdown)))
    paths = (target.split("#")[0] for target in found if not re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.I))
    return [path for path in paths if path]


def sections(notebook):
    """Return the triples (index of the heading's cell, heading, text up to the next heading), in order."""
    found = []
    for index, cell in markdown_cells(notebook):
        for line in FENCED.sub("", text(cell["source"])).splitlines():
            if heading := re.match(r"#{1,6}\s+(.*?)\s*#*$", line):
                found.append([index, heading[1], ""])
            elif found:
                found[-1][2] += line + "\n"
    return [tuple(section) for section in found]
