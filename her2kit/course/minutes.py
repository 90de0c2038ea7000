"""How long a notebook takes: to run, by the clock of its rendering, and to read, by what is on the page.

Both stand in the opening as ``**Takes** N minutes to run and M to read.``, written by ``her2kit render``.
Thinking about an exercise or a prediction is not counted: nobody has measured it here.

References
----------
Brysbaert M. How many words do we read per minute? A review and meta-analysis of reading rate. J Mem Lang
2019;109:104047. Most adults read English non-fiction at 175 to 300 words a minute; who reads English as a
second language reads more slowly.
"""

import re
from typing import Any

WORDS_PER_MINUTE = 238
"""Silent reading of English non-fiction by adults, mean of 190 studies (Brysbaert 2019)."""
SECONDS_PER_FIGURE = 12
"""What Medium's read time gives the first picture of a page; ours for each, since a figure here is read."""
SECONDS_PER_CODE_LINE = 5
"""Ours: we know of no published pace for short, plain cells; studies of code reading report fixations."""
SENTENCE = re.compile(r"\*\*Takes\*\* (a minute|\d+ minutes) to run and (a minute|\d+) to read\.")
_ANY_SENTENCE = re.compile(r"\*\*Takes\*\* [^.\n]+ to run,? and [^.\n]+ to read\.")


def reading_minutes(notebook: Any) -> float:
    """Return the minutes that words, lines of code and figures of a rendered notebook take to read."""
    minutes = 0.0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            minutes += prose_words(cell.source) / WORDS_PER_MINUTE
        elif cell.cell_type == "code":
            figures = sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
            minutes += code_lines(cell.source) * SECONDS_PER_CODE_LINE / 60
            minutes += figures * SECONDS_PER_FIGURE / 60
    return minutes


def code_lines(source: str) -> int:
    """Return the number of lines that are neither blank nor a comment alone."""
    return sum(1 for line in source.splitlines() if line.strip() and not line.strip().startswith("#"))


def prose_words(markdown: str) -> int:
    """Return the words that a reader sees: no addresses of links, no tags, not the sentence of minutes."""
    text = _ANY_SENTENCE.sub(" ", markdown)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"</?[a-zA-Z][^>]*>", " ", text)
    return sum(any(letter.isalnum() for letter in word) for word in text.split())


def whole(minutes: float) -> int:
    """Return minutes as they are said: rounded, and at least one."""
    return max(1, round(minutes))


def said_minutes(markdown: str) -> tuple[int, int] | None:
    """Return the minutes to run and to read that the sentence says, or None where there is none."""
    found = SENTENCE.search(markdown)
    if not found:
        return None
    run, read = (1 if words == "a minute" else int(words.split()[0]) for words in found.groups())
    return run, read


def write_minutes(notebook: Any, run_seconds: float) -> None:
    """Write measured minutes into the sentence of a notebook that was run, in place.

    A notebook without such a sentence stays as it is.

    Parameters
    ----------
    notebook
        Executed: its figures count.
    run_seconds
        How long it ran.
    """
    run, read = whole(run_seconds / 60), whole(reading_minutes(notebook))
    words = "**Takes** {} to run and {} to read.".format(
        "a minute" if run == 1 else f"{run} minutes", "a minute" if read == 1 else read
    )
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and _ANY_SENTENCE.search(cell.source):
            cell.source = _ANY_SENTENCE.sub(words, cell.source, count=1)
            return
