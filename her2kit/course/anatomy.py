"""What every notebook of the course has in common, as checks that name the cell (design.md, Notebooks).

Checks look and shape, never whether a notebook is right: that is what its results and ``expected.yaml`` are
for.
"""

import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from her2kit.course.clean import MAX_BYTES, stamp_of
from her2kit.course.minutes import code_lines
from her2kit.course.notebooks import cell_name, code_stamp, read_notebook, tagged
from her2kit.course.parameters import OUT_DIR, read_parameters
from her2kit.errors import Her2Error

MEDIAN_LINES, MAX_LINES = 5, 25
"""Lines of a code cell: what one sitting reads at a glance, and what fits one screen."""
SECTIONS = ("what can go wrong", "exercise", "summary", "source")
_MACHINE_PATH = re.compile(
    r"(?<![\w.])(?:/(?:home|Users|root|tmp|opt|mnt|var|private|work|content)/[\w.-]+|[A-Z]:\\\w+)"
)
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}|object at 0x")


def findings(path: Path) -> list[str]:
    """Return what is wrong with the notebook at ``path``, one line each; an empty list where nothing is."""
    notebook = read_notebook(path)
    found = [*_opening(notebook), *_tags(notebook, path.stem), *_sections(notebook), *_size(notebook, path)]
    return [*found, *_outputs(notebook), *_stamp(notebook)]


def _words(text: str) -> int:
    return len(re.findall(r"[^\W\d_]\w*", text))


def _opening(notebook: Any) -> Iterator[str]:
    """Check the first cells: a question, three things to learn, what it needs and gives."""
    first = notebook.cells[0] if notebook.cells else None
    title = (
        first.source.lstrip().splitlines()[0]
        if first and first.cell_type == "markdown" and first.source
        else ""
    )
    if not re.fullmatch(r"# .+\?", title.strip()):
        yield f"the first line must be a title as a question, '# ...?', not {title!r}"
    opening = ""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            break
        opening += cell.source + "\n"
    if len(re.findall(r"^\s*(?:[-*]|\d+\.)\s", opening, re.MULTILINE)) < 3:
        yield "before the first code, list the three things that the reader will learn"
    for word in ("needs", "produces", "minute", "research and teaching only"):
        if word not in opening.lower():
            yield f"before the first code, say {word!r}"


def _tags(notebook: Any, name: str) -> Iterator[str]:
    """Check the tagged cells: parameters as commented literals, results after them."""
    where = {tag: tagged(notebook, tag) for tag in ("parameters", "results")}
    for tag, cells in where.items():
        if len(cells) != 1 or notebook.cells[cells[0]].cell_type != "code":
            yield f"one code cell must carry the tag {tag!r}, not {len(cells)}"
    if where["parameters"] and where["results"] and where["results"][0] < where["parameters"][0]:
        yield "the cell tagged results stands before the one tagged parameters"
    for index in where["results"]:
        if "write_results(" not in notebook.cells[index].source:
            yield "the cell tagged results must call write_results(out_dir, {...})"
    try:
        parameters = read_parameters(notebook, where=name)
    except Her2Error as error:
        yield str(error)
        return
    if where["parameters"] and OUT_DIR not in parameters:
        yield f"the parameters cell lacks {OUT_DIR} = '../reports/notebooks/{name}'"
    for index in where["parameters"]:
        for line in notebook.cells[index].source.splitlines():
            if re.match(r"\w+\s*(:[^=]+)?=", line) and "#" not in line:
                yield f"say unit or meaning of the parameter in a comment: {line.strip()}"


def _sections(notebook: Any) -> Iterator[str]:
    """Check that the closing sections are there and that prose keeps up with code."""
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    headings = " | ".join(re.findall(r"^#+\s+(.+)$", prose, re.MULTILINE)).lower()
    for section in SECTIONS:
        if section not in headings:
            yield f"no heading with {section!r}"
    code = [c.source for c in notebook.cells if c.cell_type == "code"]
    words = (_words(prose), sum(_words(source) for source in code))
    if words[0] < words[1]:
        yield f"{words[0]} words of prose and {words[1]} of code; write as much prose as code"


def _size(notebook: Any, path: Path) -> Iterator[str]:
    """Check the length of code cells and the size of the file."""
    sizes = {i: code_lines(c.source) for i, c in enumerate(notebook.cells) if c.cell_type == "code"}
    if sizes and statistics.median(sizes.values()) > MEDIAN_LINES:
        yield f"the median code cell has {statistics.median(sizes.values()):g} lines; at most {MEDIAN_LINES}"
    for index, size in sizes.items():
        if size > MAX_LINES:
            yield f"{cell_name(notebook, index)} has {size} lines of code; at most {MAX_LINES}"
    if path.stat().st_size > MAX_BYTES:
        yield f"{path.stat().st_size:,} bytes; at most {MAX_BYTES:,}"


def _outputs(notebook: Any) -> Iterator[str]:
    """Check that outputs hold no error, no stderr, no machine's path, no memory address."""
    for index, cell in enumerate(notebook.cells):
        text = cell.source
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield f"{cell_name(notebook, index)} ends in {output.ename}"
            if output.get("name") == "stderr":
                yield f"{cell_name(notebook, index)} shows stderr"
            kinds = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/png")}
            text += "\n" + str(output.get("text", "")) + "\n".join(str(v) for v in kinds.values())
        for pattern, what in ((_MACHINE_PATH, "a path of one machine"), (_ADDRESS, "a memory address")):
            found = pattern.search(text)
            if found:
                yield f"{cell_name(notebook, index)} holds {what}: {found[0]}"


def _stamp(notebook: Any) -> Iterator[str]:
    """Check that the outputs were made by this code."""
    stamp = stamp_of(notebook)
    if stamp is None:
        yield "never rendered; call make render"
    elif stamp != code_stamp(notebook):
        yield "the code changed after the outputs were made; call make render"
