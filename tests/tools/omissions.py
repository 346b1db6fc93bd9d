"""Plants omissions: copies of a source in which one tensor is left where it was.

`omissions(source, name)` yields (what was left out, changed source) for every `.to(…device…)`, `.cpu()` and
`device=…` in the function `name`.
"""

import ast


class Forget(ast.NodeTransformer):
    """Leaves out the move of this number, counted within the function of this name (or everywhere, for None)."""

    def __init__(self, number):
        self.number, self.met, self.forgotten = number, 0, None

    def now(self, words):
        self.met += 1
        if self.met - 1 != self.number:
            return False
        self.forgotten = words
        return True

    def visit_Call(self, call):
        self.generic_visit(call)
        name = getattr(call.func, "attr", "")
        where = ", ".join(ast.unparse(part) for part in (*call.args, *(k.value for k in call.keywords)))
        if (name == "cpu" and not where) or (name == "to" and "device" in where):
            return call.func.value if self.now(ast.unparse(call)) else call
        named = [keyword for keyword in call.keywords if keyword.arg == "device"]
        if named and self.now(f"device={ast.unparse(named[0].value)}"):
            call.keywords.remove(named[0])
        return call


def without_move(source, name, number):
    """Return (what was left out, source without it), or None where the function has fewer moves than that."""
    tree, forget = ast.parse(source), Forget(number)
    for place, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            tree.body[place] = forget.visit(node)
    return (forget.forgotten, ast.unparse(ast.fix_missing_locations(tree))) if forget.forgotten else None


def omissions(source, name):
    number = 0
    while found := without_move(source, name, number):
        yield found
        number += 1
