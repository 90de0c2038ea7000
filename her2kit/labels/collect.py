"""Logs from other computers brought into a review: checked first, then copied whole, nothing overwritten
that holds more.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from her2kit.errors import ReviewError
from her2kit.exchange.whole import whole_file
from her2kit.labels.merge import read_logs
from her2kit.labels.review_log import ReviewLog
from her2kit.labels.rounds import Review


def collect_logs(review: Review, logs: Iterable[str | os.PathLike]) -> list[Path]:
    """Copy readers' logs into a review; return where they are now.

    A log that is there already is replaced by a longer one of the same id: the same log, gone on with. Rounds
    that are closed here are closed in the new log, too.

    Raises
    ------
    ReviewError
        If a log is not of this review or of none of its readers, two are of one reader, the log that is there
        holds entries that the new one lacks, or new entries are of a closed round; nothing is copied then.
    """
    logs = [Path(p) for p in logs]
    read_logs(logs, review_id=review.review_id)
    known = {name for held in review.rounds for name in held["readers"]}
    closed = [held["name"] for held in review.rounds if held["closed"]]
    where = {}
    for path in logs:
        with ReviewLog.open(path, review_id=review.review_id) as log:
            reader, log_id, new = log.reader, log.log_id, log.entries()
        if reader not in known:
            raise ReviewError(
                f"{path}: is the log of {reader}, who is no reader of this review; its readers are "
                f"{', '.join(sorted(known))}"
            )
        target, known_entries = review.log_path(reader), 0
        if target.exists():
            with ReviewLog.open(target) as log:
                same, old = log.log_id == log_id, log.entries()
            if not same:
                raise ReviewError(
                    f"{path} and {target} are two logs of the reader {reader}; if two people used one id, "
                    "open the round anew with an id for each"
                )
            if len(old) > len(new) or not old.equals(new.head(len(old))):
                raise ReviewError(f"{path}: lacks entries that {target} has; bring the log that went on")
            known_entries = len(old)
        late = new.iloc[known_entries:].query("round in @closed")
        if len(late):
            raise ReviewError(
                f"{path}: holds {len(late):,} new entries of the {late['round'].iat[0]} round, which is "
                "closed; let the reader decide in the next round"
            )
        where[path] = target
    for path, target in where.items():
        with whole_file(target) as part:
            shutil.copyfile(path, part)
        with ReviewLog.open(target) as log:
            for name in closed:
                log.close_round(name)
    return list(where.values())
