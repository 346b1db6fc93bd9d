"""The rules of a notebook that can be counted. Each is a function: (notebook as a dict, its path) → complaints.

A complaint names the cell, by its place among all the cells (from 0), and says what to do.
LESSON_RULES and SOLUTION_RULES list them; tests/test_rules_catch.py shows that each catches what it should.
"""

import ast
import re
import statistics
from urllib.parse import unquote

from tests.tools import stamp
from tests.tools.cells import (
    called_name,
    check_calls,
    code_cells,
    images,
    lines,
    markdown_cells,
    parse,
    printed,
    prose,
    read,
    relative_targets,
    sections,
    tags,
    text,
    where,
)

SETUP_LINES = 12
IMPORT_LINES = 10
MEDIAN_LINES = 6
USUAL_LINES, USUAL_SHARE = 15, 0.9
MOST_LINES, CLASS_LINES = 25, 35
CODE_CELLS = (15, 40)
PROSE_SHARE = 0.95
EXERCISES = (3, 5)
HINTS = 2
QUIZ_QUESTIONS = 5
MOST_BYTES = 600 * 1024
SLIDE_TYPES = {"slide", "subslide", "fragment", "skip", "notes", "-"}
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python"}
STORE = "store the notebook again: python -m tests.tools.store_notebooks"
RUNTIME = re.compile(r"Runs in about .*? on two CPU cores")
BADGE = "https://colab.research.google.com/github/"

# --- the opening ---------------------------------------------------------------------------------------------


def opening(notebook, path):
    """The first cell: title with the file's number, badge, hero figure, running time, three verbs."""
    first = notebook["cells"][0]
    source, number = text(first["source"]), path.name[:2]
    if first["cell_type"] != "markdown":
        return ["cell 0: begin the lesson with a markdown cell"]
    badge = rf"{re.escape(BADGE)}[^/\s)]+/[^/\s)]+/blob/main/notebooks/{re.escape(path.name)}\b"
    figures = [alt for alt, target in images(source) if target.startswith("../images/")]
    wanted = {
        f"begin with the title “# {number} · …”": re.match(rf"# {number} · \S", source),
        f"link the Colab badge to {BADGE}OWNER/REPO/blob/main/notebooks/{path.name}": re.search(badge, source),
        "show the hero figure from ../images/, with alt text": any(figures),
        "say “Runs in about … on two CPU cores”": RUNTIME.search(source),
        "say “After this lesson you can …”": "after this lesson you can" in source.lower(),
    }
    return [f"cell 0: {advice}" for advice, found in wanted.items() if not found]


def repository(notebook, path):
    """The badge opens, and the set-up cell clones, the repository that pyproject.toml names."""
    found = stamp.places("\n".join(text(cell["source"]) for cell in notebook["cells"]))
    if strays := sorted(found - {stamp.repository()}):
        return [f"leads to {', '.join(strays)}, not to {stamp.repository()}: run python -m tests.tools.stamp"]
    return []


# --- set-up and imports --------------------------------------------------------------------------------------


def setup(notebook, path):
    """The first code cell is the set-up: short, and it puts the course on sys.path."""
    code = code_cells(notebook)
    if not code:
        return ["there is no code cell: begin with the set-up cell"]
    index, cell = code[0]
    complaints = []
    if len(lines(cell)) > SETUP_LINES:
        complaints.append(f"{where(index, cell)}: {len(lines(cell))} lines; set up in at most {SETUP_LINES}")
    if "sys.path.insert" not in text(cell["source"]):
        complaints.append(f"{where(index, cell)}: make the set-up (sys.path.insert …) the first code cell")
    return complaints


def same_setup(notebooks):
    """Every notebook, lessons and solutions, has the same set-up cell. Takes {name: notebook}."""
    cells = {name: text(code_cells(notebook)[0][1]["source"]) for name, notebook in notebooks.items()}
    first = next(iter(cells), None)
    advice = f"copy the set-up cell of {first}: this one differs"
    return [f"{name}: {advice}" for name, source in cells.items() if source != cells[first]]


def is_import(statement):
    """Tell whether a statement may stand in the import cell: an import, or the one call of set_style()."""
    style = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return isinstance(statement, ast.Import | ast.ImportFrom) or (style and called_name(statement.value) == "set_style")


def imports(notebook, path):
    """The second code cell holds imports (and set_style()) only; no cell imports a star."""
    complaints = []
    for place, (index, cell) in enumerate(code_cells(notebook)):
        statements = parse(cell).body
        if place == 1:
            if not all(map(is_import, statements)):
                complaints.append(f"{where(index, cell)}: only imports belong into the second code cell")
            if len(lines(cell)) > IMPORT_LINES:
                complaints.append(f"{where(index, cell)}: import in at most {IMPORT_LINES} lines")
        stars = [s for s in statements if isinstance(s, ast.ImportFrom) and s.names[0].name == "*"]
        complaints += [f"{where(index, cell)}: import names instead of * from {s.module}" for s in stars]
    return complaints


# --- the size of things --------------------------------------------------------------------------------------


def cell_lengths(notebook, path):
    """Median, nine in ten, and longest code cell; one cell that defines a class may be longer."""
    code = code_cells(notebook)
    counts = [len(lines(cell)) for _, cell in code]
    complaints = []
    if statistics.median(counts or [0]) > MEDIAN_LINES:
        complaints.append(f"the median code cell has {statistics.median(counts):g} lines: split to {MEDIAN_LINES}")
    over = [i for (i, _), n in zip(code, counts) if n > USUAL_LINES]
    if len(counts) - len(over) < USUAL_SHARE * len(counts):
        complaints.append(f"more than one code cell in ten has over {USUAL_LINES} lines: split cells {over}")
    spare_class = True
    for (index, cell), count in zip(code, counts):
        is_class = any(isinstance(node, ast.ClassDef) for node in parse(cell).body)
        if spare_class and is_class and MOST_LINES < count <= CLASS_LINES:
            spare_class = False
        elif count > MOST_LINES:
            complaints.append(
                f"{where(index, cell)}: {count} lines; split it ({MOST_LINES} at most, one class {CLASS_LINES})"
            )
    return complaints


def cell_count(notebook, path):
    """As many code cells as a lesson needs, and none of them empty."""
    count, (least, most) = len(code_cells(notebook)), CODE_CELLS
    complaints = [f"{count} code cells: a lesson has {least} to {most}"] if not least <= count <= most else []
    for index, cell in enumerate(notebook["cells"]):
        if not lines(cell):
            complaints.append(f"cell {index}: empty; remove it")
    return complaints


def prose_first(notebook, path):
    """Prose stands before every code cell but the set-up; one in twenty may go without."""
    cells, code = notebook["cells"], code_cells(notebook)[1:]
    bare = [i for i, _ in code if i == 0 or cells[i - 1]["cell_type"] != "markdown"]
    if len(code) - len(bare) >= PROSE_SHARE * len(code):
        return []
    return [f"{where(i, cells[i])}: write a markdown cell before it, saying why" for i in bare]


def file_size(notebook, path):
    size = path.stat().st_size
    if size <= MOST_BYTES:
        return []
    return [f"{size / 1024:.0f} KB: smaller or fewer figures, {MOST_BYTES // 1024} KB at most"]


# --- the stored run ------------------------------------------------------------------------------------------


def execution_order(notebook, path):
    """The stored run went top to bottom in a fresh kernel."""
    counts = [cell.get("execution_count") for _, cell in code_cells(notebook)]
    if counts == list(range(1, len(counts) + 1)):
        return []
    return [f"execution counts are {counts}, not 1 to {len(counts)}: {STORE}"]


def stored_errors(notebook, path):
    """An error is stored where, and only where, the tag raises-exception announces it."""
    complaints = []
    for index, cell in code_cells(notebook):
        raised = any(output["output_type"] == "error" for output in cell.get("outputs", []))
        if raised and "raises-exception" not in tags(cell):
            complaints.append(f"{where(index, cell)}: mend the stored error, or tag the cell raises-exception")
        if not raised and "raises-exception" in tags(cell):
            complaints.append(f"{where(index, cell)}: tagged raises-exception, but raises nothing: remove the tag")
    return complaints


def checked_cells(notebook, path):
    """nbval compares the outputs of a checked cell only if it has a count, and something to compare."""
    complaints = []
    for index, cell in code_cells(notebook):
        if "nbval-check-output" not in tags(cell):
            continue
        if not (cell.get("execution_count") and cell.get("outputs")):
            complaints.append(f"{where(index, cell)}: nothing stored to compare with: {STORE}, or remove the tag")
        if re.search(r";\s*$", text(cell["source"])) or re.search(r"\b(?:In|Out)\[", text(cell["source"])):
            complaints.append(f"{where(index, cell)}: nbval knows no In[…], Out[…] or final semicolon")
        if " at 0x" in printed(cell):
            complaints.append(f"{where(index, cell)}: an address in memory changes each time; print something else")
    return complaints


def widgets(notebook, path):
    """No widget is stored: its state is large, and empty for whoever reads on paper or on GitHub."""
    complaints = [f"widget state in the metadata: {STORE}"] if "widgets" in notebook["metadata"] else []
    for index, cell in code_cells(notebook):
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if "application/vnd.jupyter.widget-view+json" in kinds:
            complaints.append(f"{where(index, cell)}: a widget is stored: {STORE}")
    return complaints


def unexpected(mapping, allowed):
    return sorted(set(mapping) - set(allowed))


def metadata(notebook, path):
    """No stray metadata, which would make every save a change."""
    found = notebook["metadata"]
    allowed = {"kernelspec", "language_info", "accelerator", "colab"}
    complaints = [f"notebook metadata {key}: {STORE}" for key in unexpected(found, allowed)]
    if found.get("kernelspec") != KERNELSPEC or found.get("language_info") != LANGUAGE:
        complaints.append(f"kernelspec or language_info is not the course's: {STORE}")
    for index, cell in enumerate(notebook["cells"]):
        strays = unexpected(cell["metadata"], {"slideshow", "tags"})
        strays += unexpected(cell["metadata"].get("slideshow", {}), {"slide_type"})
        complaints += [f"{where(index, cell)}: cell metadata {key}: {STORE}" for key in strays]
    return complaints


def cell_ids(notebook, path):
    """Every cell has an id of its own, which keeps changes readable."""
    complaints, seen = [], set()
    for index, cell in enumerate(notebook["cells"]):
        if not cell.get("id") or cell["id"] in seen:
            complaints.append(f"{where(index, cell)}: give the cell an id of its own (it has {cell.get('id')!r})")
        seen.add(cell.get("id"))
    return complaints


def slides(notebook, path):
    """Every cell has its place in the slides, and somewhere the instructor is spoken to."""
    kinds = [cell["metadata"].get("slideshow", {}).get("slide_type") for cell in notebook["cells"]]
    complaints = [
        f"{where(index, notebook['cells'][index])}: slide_type {kind!r}; choose one of {sorted(SLIDE_TYPES)}"
        for index, kind in enumerate(kinds)
        if kind not in SLIDE_TYPES
    ]
    if "notes" not in kinds:
        complaints.append("no cell has the slide_type notes: write what an instructor should say, ask, watch for")
    return complaints


MACHINE = re.compile(
    r"(?<![\w.~/-])/(?:home|root|tmp|work|Users|private|mnt|var/folders)/[\w.-]+"
    r"|\b[A-Za-z]:\\+Users\b|\b127\.0\.0\.1\b|\blocalhost:\d+"
)


def machine_names(notebook, path):
    """Nothing tells on whose machine the notebook was run."""
    complaints = []
    for index, cell in enumerate(notebook["cells"]):
        for part, content in (("source", text(cell["source"])), ("output", printed(cell))):
            if found := MACHINE.search(content):
                complaints.append(f"{where(index, cell)}: its {part} names a place on one machine, {found[0]}")
    return complaints


# --- pictures, links, words ----------------------------------------------------------------------------------


def pictures(notebook, path):
    """Every image in markdown has alt text, and is there."""
    complaints = []
    for index, cell in markdown_cells(notebook):
        for alt, source in images(text(cell["source"])):
            if not alt:
                complaints.append(f"{where(index, cell)}: describe the image {source} in its alt text")
    return complaints


def links(notebook, path):
    """Every relative link or image leads to a file that is there."""
    complaints = []
    for index, cell in markdown_cells(notebook):
        for target in relative_targets(text(cell["source"])):
            if not (path.parent / unquote(target)).exists():
                complaints.append(f"{where(index, cell)}: there is no {target}; name it without a link, or make it")
    return complaints


AMERICAN = re.compile(
    r"\b(?:"
    r"(?!(?:re|down|up|over|under|out|mid|cap)?siz|priz|seiz|maiz)"
    r"[a-z]+iz(?:e|es|ed|ing|er|ers|able|ation|ations)"
    r"|\w*(?:analyz|paralyz|catalyz)\w*|color\w*|gray\w*|center\w*|neighbor\w*|behavior\w*|(?:un)?favor\w*"
    r"|flavor\w*|honor\w*|labor(?:s|ed|ing)?|humor|rumors?|vapor|fibers?|(?:milli|centi|kilo|nano)meters?"
    r"|(?:un)?label(?:ed|ing)|model(?:ed|ing|er)|travel(?:ed|ing)|cancel(?:ed|ing)|signal(?:ed|ing)"
    r"|level(?:ed|ing)|channel(?:ed|ing)|tunnel(?:ed|ing)|total(?:ed|ing)|fuel(?:ed|ing)|theaters?|liters?"
    r"|defense|offense|catalogs?|math|skeptic\w*|aluminum|artifacts?|fulfill|skillful|gotten"
    r")\b",
    re.IGNORECASE,
)


def british_spelling(notebook, path):
    """Prose is in British spelling; code, quotations, italics and names of outside links are left alone."""
    complaints = []
    for index, cell in markdown_cells(notebook):
        for word in sorted(set(AMERICAN.findall(prose(text(cell["source"]), titles=False)))):
            complaints.append(f"{where(index, cell)}: “{word}” is American; write it the British way")
    return complaints


FILLER = re.compile(r"\b(?:simply|just|obviously|of course)\b|(?<![\d!])!(?=[\s\"'”’)*_\]]|$)", re.IGNORECASE)


def filler(notebook, path):
    """No word that tells a reader how easy it should have been, and no exclamation marks."""
    complaints = []
    for index, cell in markdown_cells(notebook):
        for word in sorted(set(FILLER.findall(prose(text(cell["source"]))))):
            complaints.append(f"{where(index, cell)}: write the sentence without “{word}”")
    return complaints


def headings(notebook, path):
    """Break it, Your turn, Recap: in this order, near the end."""
    titles = [title.lower() for _, title, _ in sections(notebook)]
    places = []
    for wanted in ("break it", "your turn", "recap"):
        found = [place for place, title in enumerate(titles) if wanted in title]
        if not found:
            return [f"write a section with the heading “{wanted.capitalize()}”"]
        places.append(found[-1])
    return [] if places == sorted(places) else ["order the last sections: Break it, Your turn, Recap"]


def quiz(notebook, path):
    """Five quiz questions with folded answers."""
    for index, title, content in sections(notebook):
        if "quiz" in title.lower():
            count = content.count("<details")
            wrong = count != QUIZ_QUESTIONS
            return [f"cell {index}: {count} folded answers; the quiz has {QUIZ_QUESTIONS}"] if wrong else []
    return ["write a section with the heading “Quiz”: five questions with folded answers"]


# --- exercises and code --------------------------------------------------------------------------------------


def exercises(notebook, path):
    """Three to five exercises, each with a stub, two folded hints, an untouched check, and its solution."""
    cells = notebook["cells"]
    turn = max((index for index, title, _ in sections(notebook) if "your turn" in title.lower()), default=0)
    checks = [(index, check) for index, cell in code_cells(notebook) for check in check_calls(cell)]
    least, most = EXERCISES
    complaints = []
    if not least <= len(checks) <= most:
        complaints.append(f"{len(checks)} calls of check_…(…): a lesson has {least} to {most} exercises")
    start = turn  # an exercise reaches from here to its check
    for index, check in checks:
        own = cells[start:index]
        stubs = [cell for cell in own if cell["cell_type"] == "code" and "..." in text(cell["source"])]
        told = "\n".join(text(cell["source"]) for cell in own if cell["cell_type"] == "markdown")
        hints = re.findall(r"<details[^>]*>\s*<summary[^>]*>[^<]*hint", told, re.IGNORECASE)
        if not stubs:
            complaints.append(f"{where(index, cells[index])}: put a stub with … as three dots before {check}")
        if len(hints) != HINTS:
            complaints.append(f"{where(index, cells[index])}: {len(hints)} folded hints before {check}; write {HINTS}")
        if "not attempted yet" not in printed(cells[index]):
            complaints.append(f"{where(index, cells[index])}: store it untouched, saying “not attempted yet”")
        start = index + 1
    return complaints + unsolved([check for _, check in checks], path)


def unsolved(checks, path):
    """Complain about the checks that the solution's notebook does not call in the same way."""
    solution = path.parent / "solutions" / path.name
    if not solution.is_file():
        return [f"write the solutions in solutions/{path.name}"]
    solved = {check for _, cell in code_cells(read(solution)) for check in check_calls(cell)}
    return [f"solutions/{path.name}: solve the exercise and call {check}" for check in checks if check not in solved]


def solution_cells(notebook, path):
    """A solution holds the set-up, the imports and the exercises' cells, and its checks are content."""
    code = code_cells(notebook)
    checks = [(index, cell) for index, cell in code if check_calls(cell)]
    complaints = []
    if len(code) > 2 + 3 * len(checks):
        complaints.append(f"{len(code)} code cells for {len(checks)} exercises: keep to the exercises' cells")
    for index, cell in code:
        if re.search(r"(?:=|return)\s*\.\.\.\s*(?:#.*)?$", text(cell["source"]), re.MULTILINE):
            complaints.append(f"{where(index, cell)}: an unsolved stub")
    for index, cell in checks:
        if "✓" not in printed(cell) or "✗" in printed(cell) or "not attempted" in printed(cell):
            complaints.append(f"{where(index, cell)}: its check should say ✓, but it says: {printed(cell).strip()!r}")
    return complaints


FOREIGN_NAME = re.compile(
    r"l|O|I|[xyXY]_?(?:train|test|val|valid|validation)\w*|(?:net|dataset|model|loader|optimizer|data)_?\d+"
)


def vocabulary(notebook, path):
    """Names in code are the field's words, never x_train2, dataset1 or net1."""
    complaints = []
    for index, cell in code_cells(notebook):
        nodes = list(ast.walk(parse(cell)))
        names = {getattr(node, "id", None) or getattr(node, "arg", None) or "" for node in nodes}
        for name in sorted(filter(FOREIGN_NAME.fullmatch, names)):
            complaints.append(f"{where(index, cell)}: name {name} by what it holds (images, labels, model …)")
    return complaints


DEVICE_NAME = re.compile(r"(?:cpu|cuda|mps|xpu)(?::\d+)?")
DEVICE_LESSONS = {"11", "12"}  # they teach what a device is and what it is called
DEVICE_FUNCTIONS = {"get_device", "choose_dtype"}  # the two that know the names, so that nothing else has to


def named_devices(tree):
    """Return the devices that code names, in text or by .cuda(); DEVICE_FUNCTIONS may."""
    if isinstance(tree, ast.FunctionDef) and tree.name in DEVICE_FUNCTIONS:
        return set()
    found = set().union(*map(named_devices, ast.iter_child_nodes(tree)))
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str) and DEVICE_NAME.fullmatch(tree.value):
        found.add(tree.value)
    if isinstance(tree, ast.Call) and called_name(tree) == "cuda":
        found.add("cuda")
    return found


def device_names(notebook, path):
    """No code names a device: get_device() finds the one that there is. The lessons on devices may."""
    if path.name[:2] in DEVICE_LESSONS:
        return []
    complaints = []
    for index, cell in code_cells(notebook):
        for name in sorted(named_devices(parse(cell))):
            complaints.append(f"{where(index, cell)}: take the device from get_device() instead of naming {name}")
    return complaints


def is_true(call, name):
    return any(k.arg == name and isinstance(k.value, ast.Constant) and k.value.value is True for k in call.keywords)


def unsafe_calls(tree):
    """Return advice on each call in a syntax tree that could run code from a file it loads."""
    advice = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name in ("torch.load", "load_state_dict_from_url") or name.endswith(".load_state_dict_from_url"):
            if not is_true(call, "weights_only"):
                advice.append(f"{name}(…) needs weights_only=True")
        elif name.split(".")[0] in ("pickle", "dill", "joblib") and called_name(call) in ("load", "loads"):
            advice.append(f"{name}(…) runs what a file says; use safetensors or np.load")
        if any(k.arg == "allow_pickle" and getattr(k.value, "value", True) is not False for k in call.keywords):
            advice.append(f"{name}(…) must not allow pickles")
    return advice


def safe_code(notebook, path):
    """No cell loads what could run, and none installs anything."""
    complaints = []
    for index, cell in code_cells(notebook):
        complaints += [f"{where(index, cell)}: {advice}" for advice in unsafe_calls(parse(cell))]
        if re.search(r"^\s*[!%].*\b(?:pip|conda|uv)\b", text(cell["source"]), re.MULTILINE):
            complaints.append(f"{where(index, cell)}: install nothing here; requirements.txt does")
    return complaints


BOTH_RULES = [
    repository,
    setup,
    imports,
    execution_order,
    stored_errors,
    checked_cells,
    widgets,
    metadata,
    cell_ids,
    machine_names,
    pictures,
    links,
    british_spelling,
    filler,
    vocabulary,
    device_names,
    safe_code,
]
LESSON_RULES = [
    opening,
    cell_lengths,
    cell_count,
    prose_first,
    file_size,
    slides,
    headings,
    quiz,
    exercises,
    *BOTH_RULES,
]
SOLUTION_RULES = [solution_cells, *BOTH_RULES]
