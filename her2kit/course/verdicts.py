"""The verdicts of a comparison as a person reads them: red ones last, each with its reason."""

from collections.abc import Callable, Sequence

from her2kit.course.regression import GOOD, NOT_JUDGED, NOTHING, RED, Verdict

_HEAD = ("notebook", "metric", "expected", "got", "verdict")
_WIDE = 44
"""Longest text in a column; what is red is said in full below its line."""
_COLOURS = {GOOD: "green", RED: "red", NOT_JUDGED: "yellow"}


def table_of(
    verdicts: Sequence[Verdict],
    *,
    every: bool = False,
    paint: Callable[[str, str], str] | None = None,
) -> str:
    """Return the verdicts as a table: what is as expected, what is not judged, then what is red.

    Parameters
    ----------
    every
        Show each metric that nothing is expected of; otherwise one line a notebook counts them.
    paint
        Puts a text in a colour (``green``, ``yellow``, ``red``); None for plain text.
    """
    paint = paint or (lambda text, colour: text)
    red = [v for v in verdicts if v.verdict == RED]
    calm = [v for v in verdicts if v.verdict != RED]
    rows = [*(calm if every else _counted(calm)), *red]
    cells = [_HEAD, *((v.notebook, v.metric, _cut(v.expected), _cut(v.got), v.verdict) for v in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]

    def line(row: Sequence[str]) -> str:
        start = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False))
        return f"{start}  {paint(row[4], _COLOURS[row[4]]) if row[4] in _COLOURS else row[4]}"

    lines = [line(cells[0])]
    for verdict, row in zip(rows, cells[1:], strict=True):
        if red and verdict is red[0] and len(rows) > len(red):
            lines.append("")
        lines.append(line(row))
        lines += _more(verdict) if verdict.verdict == RED else []
    return "\n".join(lines)


def _counted(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts with those on metrics that nothing is expected of as one line a notebook."""
    rows: list[Verdict] = []
    for notebook in dict.fromkeys(v.notebook for v in verdicts):
        own = [v for v in verdicts if v.notebook == notebook]
        rest = sum(v.expected == NOTHING for v in own)
        rows += [v for v in own if v.expected != NOTHING]
        if rest:
            rows.append(Verdict(notebook, f"{rest} more", NOTHING, "", NOT_JUDGED))
    return rows


def _more(verdict: Verdict) -> list[str]:
    """Return what a red line leaves out: texts that were cut, and why this was expected."""
    said = [("expected", verdict.expected), ("got", verdict.got)]
    lines = [f"    {name}: {text}" for name, text in said if _cut(text) != text]
    reason = "where" if verdict.metric == "run" else "why"
    return lines + ([f"    {reason}: {verdict.why}"] if verdict.why else [])


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDE else text[: _WIDE - 3] + "..."


def all_good(verdicts: Sequence[Verdict]) -> bool:
    """Return whether something was judged and nothing is red."""
    return any(v.verdict == GOOD for v in verdicts) and not any(v.verdict == RED for v in verdicts)


def summary_of(verdicts: Sequence[Verdict]) -> str:
    """Return one line: how many metrics are as expected, how many are red and in which notebooks."""
    good, red = (sum(v.verdict == verdict for v in verdicts) for verdict in (GOOD, RED))
    if not good and not red:
        return "nothing was judged: expected.yaml holds for notebooks at their default parameters"
    where = ", ".join(dict.fromkeys(v.notebook for v in verdicts if v.verdict == RED))
    words = f"{good} metric{'s are' if good != 1 else ' is'} as expected"
    return words + (f", {red} line{'s are' if red != 1 else ' is'} red: {where}" if red else ", none is red")
