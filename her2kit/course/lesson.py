"""What makes a notebook a lesson: exercises, predictions, a quiz, where it leads, how long it takes.

The form of the notebook is ``anatomy``'s; whether links lead somewhere is tested for all pages together.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from her2kit.course.minutes import reading_minutes, said_minutes, whole
from her2kit.course.notebooks import cell_name, read_notebook, tagged, tags_of
from her2kit.course.verdict import shown_kind

EXERCISES = range(2, 5)
"""How many exercises a notebook may have (design.md: two or three; four at most)."""
MIN_GLOSSARY_LINKS = 4
QUESTIONS, OPTIONS = 4, "abc"
MINUTES_OFF = 1
"""How far the reading minutes may be from the text: a mended sentence needs no new rendering."""
_QUESTION = re.compile(r"^\*\*(\d+)\. .+?\*\*\s*$", re.MULTILINE)
_OPTION = re.compile(
    r"<details><summary>(\w)\) .+?</summary>\s*<b>(No|Right)\.</b>\s*(.*?)</details>", re.DOTALL
)
_MARKDOWN = re.compile(r"`|\]\(|(?<![\w*])\*+\w")
_NEXT = re.compile(r"^\*\*Next:\*\* .*?\]\((\d\d_\w+\.ipynb)\) asks: .+\?", re.MULTILINE)


def lesson_findings(path: Path) -> list[str]:
    """Return what the notebook at ``path`` lacks as a lesson, one line each; an empty list where nothing."""
    notebook = read_notebook(path)
    found = [*_exercises(notebook), *_predictions(notebook), *_quiz(notebook)]
    return [*found, *_way(notebook, path), *_minutes(notebook)]


def _exercises(notebook: Any) -> Iterator[str]:
    """Check that there are enough, that each has a blank and a check, and that it is shown open."""
    found = tagged(notebook, "exercise")
    if len(found) not in EXERCISES:
        yield f"{len(found)} cells tagged 'exercise'; {EXERCISES[0]} to {EXERCISES[-1]} are wanted"
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        blank = bool(re.search(r"\bcheck_\w+\(", cell.source)) and _blank(cell.source)
        if blank and index not in found:
            yield f"{cell_name(notebook, index)} has a blank and a check; tag it 'exercise'"
        if index in found and not blank:
            yield f"{cell_name(notebook, index)} has no blank ... that a check_... judges"
        if index in found and shown_kind(cell) != "open":
            yield f"{cell_name(notebook, index)} does not show that it is open; call make render"


def _predictions(notebook: Any) -> Iterator[str]:
    """Check that what is asked for is open, is told later under the same name, and is summed up."""
    calls = [(i, call) for i, cell in enumerate(notebook.cells) for call in _calls(cell)]
    asks = [(i, _name(call)) for i, call in calls if call.func.attr == "ask"]
    if not asks:
        yield "no prediction: write predicted.ask(name, ...) in a cell tagged 'predict'"
        return
    later = {}
    for index, call in calls:
        if call.func.attr == "tell":
            later[_name(call)] = index
    for index, name in asks:
        place = cell_name(notebook, index)
        if "predict" not in tags_of(notebook.cells[index]):
            yield f"{place} asks for a prediction; tag it 'predict'"
        if not _blank(notebook.cells[index].source):
            yield f"{place} asks for a prediction without a blank ..."
        if later.get(name, -1) <= index:
            yield f"{place} asks for {name!r}, and no later cell tells it"
    for name, index in later.items():
        if name not in [asked for _, asked in asks]:
            yield f"{cell_name(notebook, index)} tells {name!r}, and no cell asks for it"
    ends = [i for i, call in calls if call.func.attr == "summary"]
    if not ends or ends[-1] < max(later.values(), default=0):
        yield "after the last prediction that is told, call predicted.summary()"


def _calls(cell: Any) -> list[Any]:
    """Return the calls of ``predicted``'s methods in a code cell."""
    if cell.cell_type != "code" or "predicted" not in cell.source:
        return []
    try:
        nodes = ast.walk(ast.parse(cell.source))
    except SyntaxError:  # the run says so, with its place
        return []
    return [
        n
        for n in nodes
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and getattr(n.func.value, "id", "") == "predicted"
    ]


def _name(call: ast.Call) -> str:
    """Return the name of a prediction: its text, or the code that makes it."""
    first = call.args[0] if call.args else None
    return str(first.value) if isinstance(first, ast.Constant) else ast.unparse(first or call)


def _blank(source: str) -> bool:
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Constant) and node.value is ... for node in nodes)


def _quiz(notebook: Any) -> Iterator[str]:
    """Check the quiz: four questions, three options each, one of them right, not always at the same place."""
    texts = [c.source if c.cell_type == "markdown" else "" for c in notebook.cells]
    found = [i for i, text in enumerate(texts) if re.search(r"^## Quiz\s*$", text, re.MULTILINE)]
    if len(found) != 1:
        yield f"{len(found)} headings '## Quiz'; one is wanted"
        return
    if not any(re.search(r"^## Exercise", text, re.MULTILINE) for text in texts[found[0] :]):
        yield "the quiz must stand before the exercises"
    quiz = texts[found[0]].split("## Quiz", 1)[1]
    parts = _QUESTION.split(quiz)[1:]
    numbers, bodies = parts[::2], parts[1::2]
    if numbers != [str(n) for n in range(1, QUESTIONS + 1)]:
        have = ", ".join(numbers) or "none"
        yield f"the quiz has questions {have}; write **1. ...?** to **{QUESTIONS}. ...?**"
    places = set()
    for number, body in zip(numbers, bodies, strict=True):
        options = _OPTION.findall(body)
        if "".join(letter for letter, _, _ in options) != OPTIONS or body.count("<details>") != len(OPTIONS):
            yield f"question {number} of the quiz must have the options a), b), c), each with No. or Right."
            continue
        right = [letter for letter, verdict, _ in options if verdict == "Right"]
        if len(right) != 1:
            yield f"question {number} of the quiz has {len(right)} right options; one is wanted"
        places.update(right)
        if any(len(why.split()) < 3 for _, _, why in options):
            yield f"question {number} of the quiz: say why, for each option"
        if _MARKDOWN.search("".join(re.findall(r"<details>.*?</details>", body, re.DOTALL))):
            yield f"question {number} of the quiz: in <details> only HTML shows; write <code>, <b>, <a>"
    if len(places) == 1:
        yield "the right options of the quiz are all at the same place"


def _way(notebook: Any, path: Path) -> Iterator[str]:
    """Check that words lead to the glossary and the end to another notebook."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = prose.count("](../docs/glossary.md#")
    if links < MIN_GLOSSARY_LINKS:
        yield f"{links} links to words of the glossary; at least {MIN_GLOSSARY_LINKS}"
    leads = _NEXT.search(prose)
    if not leads:
        yield "no line '**Next:** [notebook NN](NN_name.ipynb) asks: ...?'"
    elif leads[1] == path.name or not (path.parent / leads[1]).is_file():
        yield f"'**Next:**' leads to {leads[1]}, which is no other notebook"


def _minutes(notebook: Any) -> Iterator[str]:
    """Check that the minutes in the opening are there, and that the text takes as long to read."""
    cells = notebook.cells
    first_code = next((i for i, c in enumerate(cells) if c.cell_type == "code"), len(cells))
    said = said_minutes("\n".join(cell.source for cell in cells[:first_code]))
    if said is None:
        yield "before the first code, say '**Takes** N minutes to run and M to read.'; make render fills in"
    elif abs(said[1] - whole(reading_minutes(notebook))) > MINUTES_OFF:
        takes = whole(reading_minutes(notebook))
        yield f"the opening says {said[1]} minutes to read, the text takes {takes}; call make render"
