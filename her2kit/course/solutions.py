"""The solutions beside the notebooks: ``solutions/NN_name.ipynb`` holds one cell for each exercise, in order.

An exercise is a code cell tagged ``exercise`` whose ``check_...`` call judges a blank, ``...``. Its solution,
tagged ``solution``, is the whole cell with the blank filled. Here the two are held against each other and put
together; whether a solution is right, only a run tells.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from her2kit.course.notebooks import cell_name, read_notebook, tagged, title_of
from her2kit.errors import Her2Error

EXERCISE, SOLUTION = "exercise", "solution"
MIN_WORDS = 12
"""Words of reasoning before a solution; ours: below it nothing is explained."""


def solution_path(notebook: Path) -> Path:
    """Return where the solutions to a notebook are."""
    return notebook.parent / "solutions" / notebook.name


def solved(notebook: Path) -> Any:
    """Return the notebook with each exercise's blank filled, not yet run.

    Raises
    ------
    Her2Error
        If there are no solutions, more or fewer than exercises, or one that answers another question.
    """
    path = solution_path(notebook)
    if not path.is_file():
        raise Her2Error(f"no {_short(path)}; write one cell tagged 'solution' for each exercise")
    exercises, solutions = read_notebook(notebook), read_notebook(path)
    blank, filled = tagged(exercises, EXERCISE), tagged(solutions, SOLUTION)
    if len(blank) != len(filled):
        raise Her2Error(
            f"{notebook.name} has {len(blank)} cells tagged 'exercise', {_short(path)} has {len(filled)} "
            "tagged 'solution'; write one for each, in the same order"
        )
    for there, here in zip(blank, filled, strict=True):
        wrong = _mismatch(exercises.cells[there].source, solutions.cells[here].source)
        if wrong:
            raise Her2Error(
                f"{_short(path)}, {cell_name(solutions, here)}, for {cell_name(exercises, there)} "
                f"of {notebook.name}: {wrong}"
            )
        exercises.cells[there].source = solutions.cells[here].source
    return exercises


def findings(notebook: Path) -> list[str]:
    """Return what is wrong with the solutions to a notebook, one line each; empty where nothing is."""
    try:
        solved(notebook)
    except Her2Error as error:
        return [str(error)]
    return list(_form(read_notebook(solution_path(notebook)), title_of(read_notebook(notebook))))


def _form(solutions: Any, title: str) -> Iterator[str]:
    """Check title, reasons and that nothing was run."""
    if title_of(solutions) != f"Solutions to {title}":
        yield f"the title must be '# Solutions to {title}', not {title_of(solutions)!r}"
    for index in tagged(solutions, SOLUTION):
        before = solutions.cells[index - 1] if index else None
        if before is None or before.cell_type != "markdown" or len(before.source.split()) < MIN_WORDS:
            yield f"{cell_name(solutions, index)}: say in the cell before it why this is the answer"
    for index, cell in enumerate(solutions.cells):
        if cell.get("outputs") or cell.get("execution_count"):
            yield f"{cell_name(solutions, index)} was run; clear its outputs"


def _mismatch(exercise: str, solution: str) -> str:
    """Return how a solution differs from its exercise in more than the blank, or an empty string."""
    trees = []
    for source, what in ((exercise, "the exercise"), (solution, "the solution")):
        try:
            trees.append(ast.parse(source))
        except SyntaxError as error:
            return f"{what} is no Python: {error.msg}, line {error.lineno}"
    asked, given = (_check_call(tree) for tree in trees)
    if asked is None or not _blank(trees[0]):
        return "the exercise has no check_... call, or no blank ..."
    if given is None or ast.dump(given.func) != ast.dump(asked.func):
        return f"the solution must call {ast.unparse(asked.func)}, as the exercise does"
    if _blank(trees[1]):
        return "the solution still has a blank ..."
    for name, value in _arguments(asked).items():
        other = _arguments(given).get(name)
        if not _blank(value) and (other is None or ast.dump(other) != ast.dump(value)):
            return f"the argument {name} is {ast.unparse(value)} in the exercise; keep it"
    return ""


def _check_call(tree: ast.AST) -> ast.Call | None:
    """Return the last call of a ``check_...`` function."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "").startswith("check_")
    ]
    return max(calls, key=lambda call: call.lineno, default=None)


def _arguments(call: ast.Call) -> dict[str, ast.expr]:
    """Return the arguments of a call, by name or place."""
    by_place = {str(place): value for place, value in enumerate(call.args, start=1)}
    return by_place | {word.arg or "**": word.value for word in call.keywords}


def _blank(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(tree))


def _short(path: Path) -> str:
    return f"solutions/{path.name}"
