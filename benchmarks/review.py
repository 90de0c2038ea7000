"""A round of reading whose processes are killed at random moments. Writes ``reports/bench/review.json``.

A process decides cell after cell and says so on its standard output once `ReviewLog` has returned; it is
killed (SIGKILL) at random moments, the next one goes on, until 1,000 decisions are acknowledged. Then every
acknowledged decision must be in the log, unchanged and in order. A kill does not take the power away: that
the log survives this, too, rests on SQLite's ``synchronous=EXTRA``, which is checked to be on.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claims import Claim, write_claims
from her2kit.labels.log_file import open_file
from her2kit.labels.reading import Reading
from her2kit.labels.review_log import LABELS
from her2kit.labels.rounds import load_review, open_round

DECISIONS = 1_000
SEED = 20
LONGEST_S = 0.6
"""A process lives at most so long after its first decision."""
READER = """
import sys
from her2kit.labels.reading import Reading
from her2kit.labels.review_log import LABELS
reading = Reading(sys.argv[1], "A")
print("ready", flush=True)
while (place := reading.next_place) is not None:
    key = reading.keys[place]
    entry = reading.decide(*key, LABELS[(7 * place) % len(LABELS)], reason=f"cell {place}")
    print(entry.number, entry.action, entry.cell_id, entry.after, flush=True)
    if entry.number % 50 == 0:
        entry = reading.undo()
        print(entry.number, entry.action, entry.cell_id, entry.after, flush=True)
"""
"""What a killed process runs: each line after the first acknowledges one entry."""


def round_of(folder: Path, n: int) -> Path:
    """Open a round of n cells for the reader A."""
    rng = np.random.default_rng(SEED)
    cells = pd.DataFrame(
        {
            "slide_id": "s1",
            "cell_id": [f"c{i}" for i in range(n)],
            "x_px0": rng.uniform(0, 4096, n),
            "y_px0": rng.uniform(0, 4096, n),
            "cell_class": rng.choice(LABELS[:4], n).tolist(),
        }
    )
    open_round(folder, ["A"], cells=cells)
    return folder


def under_fire(folder: Path, decisions: int, *, seed: int = SEED) -> dict[str, float]:
    """Return what became of a round whose readers were killed.

    Returns
    -------
    dict
        ``acknowledged`` entries, ``lost`` of them (missing or changed), ``kills``, ``unsaid`` entries (on
        disk, but killed before they could say so), ``seconds``.
    """
    rng, start = random.Random(seed), time.perf_counter()
    said: dict[int, list[str]] = {}
    kills = 0
    while len(said) < decisions:
        process = subprocess.Popen(
            [sys.executable, "-c", READER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("a reading process did not start; run it by hand to see why")
        time.sleep(rng.uniform(0, LONGEST_S))
        process.kill()
        for line in process.stdout:
            if line.endswith("\n"):
                words = line.split(maxsplit=3)
                said[int(words[0])] = [words[1], words[2], words[3].strip()]
        kills += process.wait() == -9
        process.stdout.close()
    entries = load_review(folder).entries()
    kept = {
        int(r.number): [r.action, r.cell_id, str(r.after)]
        for r in entries[["number", "action", "cell_id", "after"]].itertuples()
    }
    return {
        "acknowledged": len(said),
        "lost": sum(kept.get(number) != words for number, words in said.items()),
        "kills": kills,
        "unsaid": len(set(kept) - set(said)),
        "seconds": time.perf_counter() - start,
    }


def flushed(folder: Path) -> bool:
    """Say whether the log's file waits for the disk at each commit, and keeps no second file beside it."""
    db = open_file(load_review(folder).log_path("A"))
    (level,), (journal,) = (db.execute(f"PRAGMA {n}").fetchone() for n in ("synchronous", "journal_mode"))
    db.close()
    return level == 3 and journal == "delete"


def cost(folder: Path, decisions: int = 200) -> tuple[float, float]:
    """Return milliseconds of a decision with a log of 1,000 (median), and how many flushed lines it costs.

    A flushed line is the least that keeps a promise: one line added to a plain file, and `os.fsync`.
    """
    times, plain = [], []
    with (
        Reading(round_of(folder, DECISIONS + decisions), "A") as reading,
        (folder / "plain").open("a") as file,
    ):
        reading.decide_all([(*key, "2+", "") for key in reading.keys[:DECISIONS]])
        for key in reading.keys[DECISIONS:]:
            start = time.perf_counter()
            reading.decide(*key, "3+")
            between = time.perf_counter()
            file.write(f"{key} 3+\n")
            file.flush()
            os.fsync(file.fileno())
            times.append(between - start)
            plain.append(time.perf_counter() - between)
    return float(1e3 * np.median(times)), float(np.median(times) / np.median(plain))


def main() -> None:
    """Measure and write the claims."""
    with tempfile.TemporaryDirectory() as place:
        folder = round_of(Path(place, "r"), 2 * DECISIONS)
        found = under_fire(folder, DECISIONS)
        print(", ".join(f"{name} {value:.4g}" for name, value in found.items()))
        safe = flushed(folder)
        median, lines = cost(Path(place, "c"))
    write_claims(
        "review",
        [
            Claim("acknowledged decisions of a round", found["acknowledged"], "", f">= {DECISIONS}"),
            Claim("processes killed at random moments meanwhile", found["kills"], "", ">= 10"),
            Claim("acknowledged decisions lost", found["lost"], "", "<= 0"),
            Claim("decisions on disk that a kill kept from being acknowledged", found["unsaid"], "", None),
            Claim("each commit waits for the disk, in one file", safe, "", "is true"),
            Claim("a decision over a flushed line of a plain file", lines, "ratio", None),
            Claim("a decision, until it is on disk: median", median, "ms", None),
        ],
    )


if __name__ == "__main__":
    main()
