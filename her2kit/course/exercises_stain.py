"""Checks of the exercises of notebook 03: fields of view, and what may be normalised."""

from collections.abc import Mapping

from her2kit.course.judging import RIGHT, by_name, judged, number
from her2kit.course.verdict import Verdict

MAY_NORMALISE = {
    "score HER2": "raw",
    "train an H&E tumour model": "normalised",
    "show two slides side by side": "normalised",
    "train a network that grades HER2": "raw",
}
"""What each piece of work should be given."""
_HINTS = {
    "score HER2": "what does a score read, and what does normalising do to it?",
    "train an H&E tumour model": "is the strength of the stain what such a model should learn from?",
    "show two slides side by side": "the eye compares shapes here, and nobody measures anything",
    "train a network that grades HER2": "what parts 0 from 1+, if not the amount of brown?",
}


@judged(number, "Give a number of pixels.")
def check_field_px(*, um: float, mpp: float, level: int, answer: float) -> str:
    """Return whether ``answer`` is how many pixels of a level, each half as fine as the last, span ``um``."""
    right = um / (mpp * 2**level)
    if abs(answer - right) <= max(1.0, 0.01 * right):
        return RIGHT
    if abs(answer - um / mpp) <= max(1.0, 0.01 * um / mpp):
        return f"That is at level 0. A pixel of level {level} is wider: how much?"
    if abs(answer - um * mpp * 2**level) <= 0.01 * um * mpp * 2**level:
        return "Multiplied where it should be divided: is one pixel wider or narrower than one micrometre?"
    return f"Not yet: how many micrometres wide is one pixel of level {level}?"


@judged(by_name, "Write 'raw' or 'normalised' for each piece of work, by its name.")
def check_may_normalise(answers: Mapping[str, str]) -> str:
    """Return which answers, ``raw`` or ``normalised``, to think about again."""
    open_ones = [work for work in MAY_NORMALISE if answers.get(work, ...) is ...]
    if open_ones:
        return Verdict(f"Still open: {', '.join(open_ones)}. Write 'raw' or 'normalised'.", "open")
    strange = [work for work, word in answers.items() if word not in ("raw", "normalised")]
    if strange:
        return f"{answers[strange[0]]!r} is no answer: write 'raw' or 'normalised'."
    wrong = [work for work, word in MAY_NORMALISE.items() if answers[work] != word]
    if not wrong:
        return RIGHT
    return "Think again. " + " ".join(f"{work}: {_HINTS[work]}" for work in wrong)
