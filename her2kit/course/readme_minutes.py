"""The README's table of notebooks: each row's minutes, as the notebook itself says them.

``python -m her2kit.course.readme_minutes`` fills the column after a rendering. Nothing is measured here: the
notebooks' sentences come from `her2kit.course.minutes`.
"""

import re
from pathlib import Path

from her2kit.course.minutes import said_minutes
from her2kit.course.notebooks import read_notebook
from her2kit.errors import Her2Error
from her2kit.exchange.whole import whole_file

_ROW = re.compile(r"^(\| \d\d \| .*\]\((?P<path>[^)]+\.ipynb)\) \| .* \|)(?P<minutes>[^|\n]*)\|$", re.M)


def with_minutes(readme: str, folder: Path) -> str:
    """Return the text of a README, the last column of each row of a notebook filled with ``run + read``.

    Parameters
    ----------
    folder
        Where the README lies; its links start there.

    Raises
    ------
    Her2Error
        If the text has no row of a notebook, or a notebook does not say its minutes.
    """
    if not _ROW.search(readme):
        raise Her2Error("the README has no row '| 01 | [question](path.ipynb) | ... | minutes |'")
    return _ROW.sub(lambda row: f"{row[1]} {_minutes(folder / row['path'])} |", readme)


def _minutes(path: Path) -> str:
    prose = (c.source for c in read_notebook(path).cells if c.cell_type == "markdown")
    said = next((found for found in map(said_minutes, prose) if found), None)
    if said is None:
        raise Her2Error(f"{path} does not say **Takes** N minutes to run and M to read.; call make render")
    return f"{said[0]} + {said[1]}"


if __name__ == "__main__":
    place = Path(__file__).parents[2] / "README.md"
    text = with_minutes(place.read_text(encoding="utf-8"), place.parent)
    with whole_file(place) as part:
        part.write_text(text, encoding="utf-8")
