"""What `utils` holds of the course's ideas stands in full in one lesson, and only later lessons import it."""

import ast
import difflib

from tests.tools.cells import code_cells, parse, read

# What lessons teach. `None`: every public function and class of the module. The other modules teach nothing.
TAUGHT = {
    "arithmetic": None,
    "models": None,
    "training": None,
    "explain": None,
    "timing": None,
    "recipe": None,
    "shipping": None,
    "data": {"batches", "normalise_channels", "augmented_batches"},
}
# A lesson that shows a trained network before training is taught may import these.
DEMONSTRATIONS = {"00": {"models", "training"}, "04": {"models", "training"}}

DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(tree):
    """Return {name: definitions of that name} of a module's or a cell's top level."""
    found = {}
    for node in tree.body:
        if isinstance(node, DEFINITION):
            found.setdefault(node.name, []).append(node)
    return found


def assigned(node):
    """Return the names that a statement `name = …` or `name |= …` sets."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def define(path, space, constants=()):
    """Run what a lesson defines in its cells, and what it assigns to these constants, in the dict `space`; return that.

    Exercises' stubs are left out.
    """
    statements = [node for _, cell in code_cells(read(path)) for node in parse(cell).body]
    own = [node for node in statements if isinstance(node, DEFINITION) or assigned(node) & set(constants)]
    own = [node for node in own if not ast.unparse(node).endswith("return ...")]
    exec(compile(ast.Module(own, []), str(path), "exec"), space)
    return space


def bare(node):
    """Return a definition as a copy without docstrings, its own and those inside."""
    node = ast.parse(ast.unparse(node)).body[0]
    for inner in ast.walk(node):
        if isinstance(inner, DEFINITION) and ast.get_docstring(inner, clean=False) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return node


def same(one, other):
    """Tell whether two definitions are the same code, docstrings, comments and layout aside."""
    return ast.dump(bare(one)) == ast.dump(bare(other))


def difference(lesson, taught, module, used):
    """Return a unified diff from the lesson's definition to the module's."""
    before, after = (ast.unparse(bare(node)).splitlines() for node in (taught, used))
    return "\n".join(difflib.unified_diff(before, after, lesson, f"utils/{module}.py", lineterm=""))


def public(module, tree):
    """Return {name: definition} of what a module of `utils` must have from a lesson."""
    chosen = TAUGHT[module]
    found = {name: nodes[-1] for name, nodes in definitions(tree).items() if not name.startswith("_")}
    return {name: node for name, node in found.items() if chosen is None or name in chosen}


def teachers(name, lessons):
    """Return {lesson: definitions} of the lessons that define this name. `lessons`: {file name: [trees of cells]}."""
    found = {}
    for lesson, trees in lessons.items():
        if nodes := [node for tree in trees for node in definitions(tree).get(name, [])]:
            found[lesson] = nodes
    return found


def drift(module, tree, lessons):
    """Complain about each thing in a module that does not stand, the same, in exactly one lesson."""
    complaints = []
    for name, used in public(module, tree).items():
        found = teachers(name, lessons)
        if not found:
            complaints.append(f"utils/{module}.py: {name} stands in no lesson; write it in full in one")
        elif len(found) > 1:
            complaints.append(f"utils/{module}.py: {name} is defined in several lessons: {', '.join(found)}")
        for lesson, nodes in found.items():
            if not any(same(node, used) for node in nodes):
                diff = difference(lesson, nodes[-1], module, used)
                complaints.append(f"{name} is not what {lesson} teaches:\n{diff}")
    return complaints


def imported(trees):
    """Return the pairs (module, name) that a lesson takes from `utils`."""
    found, modules = set(), {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and node.module == "utils":
            modules.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("utils."):
            found |= {(node.module.removeprefix("utils."), alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("utils."):
                    modules[alias.asname or alias.name] = alias.name.removeprefix("utils.")
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            found.add((modules[ast.unparse(node.value)], node.attr))
    return found


def too_early(modules, lessons):
    """Complain about each lesson that imports what is taught in it, or later. `modules`: {name: tree}."""
    complaints = []
    for lesson, trees in lessons.items():
        for module, name in sorted(imported(trees)):
            if module not in modules or module in DEMONSTRATIONS.get(lesson[:2], ()):
                continue
            if name in public(module, modules[module]):
                late = [teacher for teacher in teachers(name, lessons) if teacher >= lesson]
                complaints += [f"{lesson} imports {name} from utils.{module}, which {t} teaches" for t in late]
    return complaints
