"""Notebooks run headless in processes of their own; a failure is named and stops nothing else."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from her2kit.course.plan import plan_runs
from her2kit.course.processes import cores
from her2kit.course.progress import Progress
from her2kit.course.runner import finished, run_notebooks
from her2kit.course.summary import write_summary

THREADS = """import os, sys
threads = {n: os.environ[n] for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
results = {"threads": threads, "python": sys.prefix, "n": n_cells}"""


def notebooks(put, sample):
    """Write three notebooks: a good one, one that raises in a named cell, one whose kernel is killed."""
    good = sample()
    good.cells[8].source = THREADS
    bad = sample()
    bad.cells[4].source = "stained = 0\nshare_of_none = n_cells / stained"
    dying = sample()
    dying.cells[4].source = "print('so far')\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    return [put("01_good", good), put("02_bad", bad), put("03_dying", dying)]


def test_failures_are_named_and_the_rest_is_done(put, sample, workplace):
    runs = plan_runs(notebooks(put, sample), out=workplace / "runs", given=[("n_cells", "8")])
    said = io.StringIO()
    good, bad, dying = run_notebooks(runs, workers=2, progress=Progress(stream=said))

    assert (good.status, good.failure) == ("done", None)
    assert good.results["n"] == 8
    assert set(good.results["threads"].values()) == {str(max(1, cores() // 2))}
    assert good.results["python"] == sys.prefix

    assert bad.status == "failed"
    assert bad.failure["cell"] == 'cell 5 under "Count the stained cells"'
    assert bad.failure["error"] == "ZeroDivisionError: division by zero"
    assert "n_cells / stained" in "\n".join(bad.failure["lines"])
    assert not (bad.run.folder / "results.json").exists()
    assert "ZeroDivisionError" in bad.page.read_text()

    assert dying.status == "failed"
    assert dying.failure["cell"] == 'cell 5 under "Count the stained cells"'
    assert dying.failure["error"].startswith(
        "KernelDied: the kernel was killed (SIGKILL), most often because"
    )
    assert "run fewer notebooks at a time (--workers 1)" in dying.failure["error"]
    assert "so far" in dying.page.read_text()

    lines = said.getvalue()
    assert "[3/3]" in lines
    assert re.search(r"01_good: done in \d+ s", lines)
    assert '02_bad: failed in cell 5 under "Count the stained cells": ZeroDivisionError' in lines

    page = good.page.read_text()
    assert "<title>How many cells are stained?</title>" in page
    assert "data:image/png;base64," in page
    assert not re.findall(
        r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"']?(?:https?:)?//[^>]*>", page
    )
    assert not re.findall(r"import\(|@import|url\(\s*[\"']?(?:https?:)?//", page)

    table = write_summary(workplace / "runs").read_text().splitlines()
    assert table[0].startswith("notebook,variant,tier,status,started,seconds,p.n_cells")
    assert [line.split(",")[:4] for line in table[1:4]] == [
        ["01_good", "", "fast", "done"], ["02_bad", "", "fast", "failed"], ["03_dying", "", "fast", "failed"],
    ]  # fmt: skip


def test_resume_keeps_only_what_is_done_with_the_same_code_and_values(put, sample, workplace):
    short = sample()
    del short.cells[5:7]  # the figure
    path = put("01_short", short)
    (run,) = plan_runs([path], out=workplace / "runs")
    assert finished(run) is None
    run_notebooks([run])
    record = run.folder / "run.json"
    written = record.stat().st_mtime_ns
    (kept,) = run_notebooks([run], resume=True)
    assert kept.resumed
    assert kept.results == {"stained": 10, "share": 0.25, "label": "2+"}
    assert record.stat().st_mtime_ns == written

    (other,) = plan_runs([path], out=workplace / "runs", given=[("n_cells", "20")])
    assert finished(other) is None
    text = record.read_text()
    for old, new in (
        ('"status": "done"', '"status": "running"'),
        ('"her2kit": "', '"her2kit": "0.0.'),
        ("{", ""),
    ):
        assert old in text
        record.write_text(text.replace(old, new, 1))
        assert finished(run) is None
    record.write_text(text)
    assert finished(run) is not None
    path.write_text(path.read_text().replace("print(stained)", "print(stained, share)"))
    assert finished(run) is None


def test_a_folder_that_is_not_a_run_is_never_emptied(put, workplace):
    path = put()
    (workplace / "runs/01_sample").mkdir(parents=True)
    (workplace / "runs/01_sample/thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds something that is not a run; give another --out"):
        run_notebooks(plan_runs([path], out=workplace / "runs"))
    assert (workplace / "runs/01_sample/thesis.txt").read_text() == "years of work"


def test_a_notebook_whose_process_is_killed_is_named_and_the_next_is_done(put, sample, workplace):
    dying, short = sample(), sample()
    dying.cells[4].source = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
    del short.cells[5:7]  # the figure
    killed, done = run_notebooks(
        plan_runs([put("01_dying", dying), put("02_short", short)], out=workplace / "runs")
    )
    assert killed.failure["error"].startswith("the notebook's process was killed (SIGKILL), most often")
    assert done.status == "done"


def test_a_full_disk_is_said_and_leaves_no_half_file(put, sample, workplace, monkeypatch):
    def full(run, **words):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = put()
    (run,) = plan_runs([path], out=workplace / "runs")
    with monkeypatch.context() as patch:
        patch.setattr("her2kit.course.runner.write_record", full)
        (outcome,) = run_notebooks([run])
    words = f"{run.folder}: No space left on device; make room, then go on with --resume"
    assert (outcome.status, outcome.failure["error"]) == ("failed", words)
    assert finished(run) is None
    assert not run.folder.exists()


def test_no_workers_is_an_error(put, workplace):
    with pytest.raises(ValueError, match="workers is 0; use 1 or more"):
        run_notebooks(plan_runs([put()], out=workplace / "runs"), workers=0)


def test_an_interruption_ends_the_kernel_and_is_not_a_failure(put, sample, workplace):
    slow = sample()
    slow.cells[4].source = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(300)"
    put("01_slow", slow)
    call = "from her2kit.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", call, "run", "1", "--out", "out"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pid = workplace / "notebooks/pid"
    wait_until(lambda: pid.is_file() and pid.read_text())
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes at once
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert said == "her2kit: stopped; what is done is kept, and --resume goes on from there\n"
    assert [p.name for p in (workplace / "out/01_slow").iterdir()] == ["run.json"]
    assert json.loads((workplace / "out/01_slow/run.json").read_text())["status"] == "running"
    wait_until(lambda: not alive(int(pid.read_text())))


def wait_until(true):
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "it did not come about in 120 s"
        time.sleep(0.1)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
