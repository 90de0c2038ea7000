"""Checks of notebook 02's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

import pandas as pd

from her2kit.course.judging import RIGHT, judged, list_of, whole, word
from her2kit.learning.leakage import find_leaks
from her2kit.learning.splits import split


@judged(word, "Give the name of a column, in quotes.")
def check_unit(table: pd.DataFrame, *, answer: str) -> str:
    """Return whether a split by the column ``answer`` keeps slides and patients whole, for several seeds."""
    if answer not in ("row", *table.columns):
        return f"The table has no column {answer!r}: give one of its columns, in quotes."
    for seed in range(5):
        try:
            parts = split(table, unit=answer, parts={"train": 0.5, "test": 0.5}, stratify=None, seed=seed)
        except ValueError:
            return f"{answer} has too few values to split by."
        leaks = find_leaks(table.assign(split=parts))
        if len(leaks):
            leak = leaks.iloc[0]
            return f"Not yet: with seed {seed}, {leak['kind']} {leak['name']} stands in both parts."
    return RIGHT


@judged(list_of(whole), "Give the numbers of rows as a list, in square brackets.")
def check_leaking_rows(table: pd.DataFrame, *, answer: list[int]) -> str:
    """Return whether without the rows ``answer`` nothing leaks, and no row was taken out for nothing."""
    strange = [row for row in answer if row not in table.index]
    if strange:
        return f"The table has no row {strange[0]!r}: give numbers from its left margin."
    if len(set(answer)) == len(table):
        return "Then nothing is left to train on. Which rows could stay?"
    if len(find_leaks(table.drop(index=answer))):
        return "Something still leaks: compare the slides, then the patients of the two parts."
    needless = [
        row for row in answer if not len(find_leaks(table.drop(index=[r for r in answer if r != row])))
    ]
    if needless:
        return f"Nothing leaks any more, but row {needless[0]} could have stayed."
    return RIGHT


@judged(whole, "Models are whole: give a whole number.")
def check_models(*, outer: int, inner: int, answer: int) -> str:
    """Return whether ``answer`` is how many models nested folds train for one choice of settings.

    Each outer fold trains one model for each inner fold to choose, and one more on all but the tested slides.
    """
    if answer == outer * (inner + 1):
        return RIGHT
    if answer == outer * inner:
        return "Nearly: those choose. Which model is then tested on the outer fold?"
    return "Not yet: how many models does one outer fold need, to choose and then to be tested?"
