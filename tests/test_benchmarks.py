"""``python -m benchmarks``: one failing benchmark stops nothing, and every claim is in the summary."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GOOD = """
from benchmarks.claims import Claim, write_claims
if __name__ == "__main__":
    claims = [Claim("fast", 3.0, "s", "<= 5"), Claim("seen", 2.0, "", None), Claim("slow", 9.0, "s", "<= 5")]
    write_claims("good", claims)
"""
BROKEN = 'if __name__ == "__main__":\n    raise RuntimeError("no slide")\n'
SILENT = 'if __name__ == "__main__":\n    pass\n'
HELPER = "raise RuntimeError('a helper is not run')\n"


@pytest.fixture
def copy(tmp_path):
    """Return a folder with the runner, the claims and three benchmarks."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name in ("__init__.py", "__main__.py", "claims.py"):
        shutil.copy(ROOT / "benchmarks" / name, folder)
    for name, text in {"broken": BROKEN, "good": GOOD, "silent": SILENT, "helper": HELPER}.items():
        (folder / f"{name}.py").write_text(text)
    return tmp_path


def call(folder, *names):
    command = [sys.executable, "-m", "benchmarks", *names]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_all_run_and_the_summary_names_what_fails(copy):
    done = call(copy)
    assert done.returncode == 1
    summary = done.stdout[done.stdout.index("== summary") :].splitlines()
    assert [line.split() for line in summary[1:4]] == [
        ["good", "fast", "3", "s", "<=", "5", "holds"],
        ["good", "seen", "2"],
        ["good", "slow", "9", "s", "<=", "5", "FAILS"],
    ]
    assert summary[4] == "1 of 2 claims hold; not finished: broken (status 1), silent (wrote no claims)"
    assert "RuntimeError: no slide" in done.stderr


def test_an_old_report_does_not_stand_in_for_a_run_that_failed(copy):
    (copy / "reports/bench").mkdir(parents=True)
    old = copy / "reports/bench/broken.json"
    old.write_text('[{"claim": "of last week", "value": 1.0, "unit": "", "bound": "<= 5", "holds": true}]')
    os.utime(old, (1e9, 1e9))
    done = call(copy, "broken")
    assert done.returncode == 1
    assert "of last week" not in done.stdout
    assert "0 of 0 claims hold; not finished: broken (status 1)" in done.stdout


def test_an_unknown_name_is_a_wrong_call(copy):
    done = call(copy, "god")
    assert done.returncode == 2
    assert done.stderr == "no benchmark 'god'; there is: broken, good, silent\n"
