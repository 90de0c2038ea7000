"""The limit of detection from slides known to be negative: what is called stained there is noise.

Reads what ``her2kit score`` wrote for them. The statistics are `scoring.reading_error.negative_limit`'s.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from her2kit.errors import ManifestError
from her2kit.scoring.reading_error import negative_limit


def limit_of_detection(given: Sequence[str]) -> float:
    """Return the share of cells, 0..1, that may look stained without being so.

    Parameters
    ----------
    given
        One number from 0 to below 1, or the folders of slides without HER2 that were scored the same way: a
        negative control, negative cores.

    Raises
    ------
    ValueError
        If a number is out of range or stands beside something else.
    ManifestError
        If a folder holds no scored slide.
    """
    numbers = [float(word) for word in given if _is_number(word)]
    if numbers:
        if len(given) > 1 or not 0 <= numbers[0] < 1:
            raise ValueError(
                f"limit_of_detection={' '.join(given)!r}; pass one share of cells from 0 to below 1 (0.02 is "
                "2 %), or folders of scored negative slides"
            )
        return numbers[0]
    return negative_limit([_stained(Path(word)) for word in given])


def _stained(folder: Path) -> tuple[int, int]:
    """Return the cells called stained and all cells of a negative slide."""
    path = folder / "score.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        stained, n = int(record["any"]), int(record["n_cells"])
    except OSError as error:
        raise ManifestError(
            f"{path}: {error.strerror}; name the folder of a scored negative slide, or a number"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{path}: not the record of a scored slide ({error}); score the control first"
        ) from error
    if n < 1:
        raise ManifestError(f"{path}: its slide has no counted cell; score a control that has tumour cells")
    return stained, n


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
