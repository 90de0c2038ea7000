"""The Features of a GeoJSON file one by one, so that a slide's cells never lie in memory as text.

Takes QuPath's layouts (FeatureCollection, bare list, single Feature) and a bare geometry. Interprets nothing.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from her2kit.errors import RegionError

_CHARACTERS = 1 << 20  # read at a time
_BETWEEN = re.compile(r"[\s,]*")
_LIST = re.compile(r'"features"\s*:\s*\[')


def read_features(path: str | os.PathLike) -> Iterator[dict]:
    """Yield each Feature of a file as a dict.

    Raises
    ------
    RegionError
        If the file is missing, is not UTF-8 JSON, holds no Features, or ends in the middle; one line.
    """
    path = Path(path)
    if not path.is_file():
        raise RegionError(f"{path}: no such file; correct the path")
    try:
        with path.open(encoding="utf-8-sig") as handle:
            for feature in _stream(handle):
                if not isinstance(feature, dict):
                    raise RegionError(f"{path}: its features are not objects; export them from QuPath again")
                yield feature
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise RegionError(
            f"{path}: not readable as GeoJSON ({reason}); export it from QuPath again"
        ) from error
    except OSError as error:
        raise RegionError(f"{path}: cannot be read ({error.strerror}); check the file") from error


def _stream(handle: TextIO) -> Iterator[object]:
    decoder = json.JSONDecoder()
    text = handle.read(_CHARACTERS)
    start = _LIST.search(text)
    while start is None and not text.lstrip().startswith("[") and (more := handle.read(_CHARACTERS)):
        text += more
        start = _LIST.search(text)
    if start is not None:
        at = start.end()
    elif text.lstrip().startswith("["):
        at = text.index("[") + 1
    else:
        whole = json.loads(text)
        yield whole if not isinstance(whole, dict) or whole.get("type") == "Feature" else {"geometry": whole}
        return
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        if text.startswith("]", at):
            return
        try:
            feature, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            more = handle.read(max(_CHARACTERS, len(text) - at))  # it may go on; doubling keeps this linear
            if not more:
                raise
            text, at = text[at:] + more, 0
            continue
        yield feature
