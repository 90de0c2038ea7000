"""The lesson's cohort: readers who err near lines, a slide cut short, a reader who contests, coverage."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from her2kit.cohort import TABLE, jobs_of, score_cohort
from her2kit.course.cohort_lab import (
    EYES,
    cohort_or_phantoms,
    coverage,
    edited_cells,
    patchy_section,
    records_of,
    work_manifest,
    write_edited,
)
from her2kit.manifest import read_manifest
from her2kit.rescore import rescore
from her2kit.scoring.readings import read_readings


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    return cohort_or_phantoms(slides=3, size_px=768, seed=11, cases=("3+", "2+", "0-null"), folder=folder)


@pytest.fixture(scope="module")
def scored(cohort, tmp_path_factory):
    """Score the cohort with one slide cut short, mend it, and score again; return what both calls left."""
    folder = tmp_path_factory.mktemp("scored")
    out = folder / "scores"
    out.mkdir()
    cut = cohort.table["slide_id"][2]
    manifest = work_manifest(cohort.table, folder / "in", cut_short=cut)
    failed = score_cohort(jobs_of([], manifest, {}), out, resume=True)
    rows = pd.read_csv(out / TABLE)
    times = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/score.json")}
    manifest = work_manifest(cohort.table, folder / "in")
    again = score_cohort(jobs_of([], manifest, {}), out, resume=True)
    return out, cut, failed, rows, times, again


def test_the_files_are_those_that_validate_takes(cohort):
    assert len(cohort.table) == 3
    assert set(cohort.table["label"]) == {"3+", "2+", "0"}
    readings = read_readings(cohort.readers, slides=cohort.table["slide_id"])
    assert len(readings) == 3 * len(EYES)
    assert set(readings["reader"]) == {eye.name for eye in EYES}
    assert readings["h_score"].between(0, 300).all()
    label = cohort.table.set_index("slide_id")["label"]
    sure = readings[readings["slide_id"].map(label) == "3+"]
    assert set(sure["score"]) == {"3+"}


def test_a_cohort_is_made_once_and_ones_own_is_taken(cohort, tmp_path):
    folder = cohort.manifest.parents[2]
    again = cohort_or_phantoms(slides=3, size_px=768, seed=11, cases=("3+", "2+", "0-null"), folder=folder)
    assert again.manifest == cohort.manifest
    own = cohort_or_phantoms(str(cohort.manifest), folder=tmp_path)
    assert own.readers is None
    assert own.table.equals(cohort.table)
    assert list(tmp_path.iterdir()) == []


def test_one_slide_is_cut_short_and_the_slide_itself_stays(cohort, tmp_path):
    whole = Path(cohort.table["path"][1])
    before = hashlib.sha256(whole.read_bytes()).hexdigest()
    found = read_manifest(work_manifest(cohort.table, tmp_path, cut_short=cohort.table["slide_id"][1]))
    assert found["path"][1] == str(tmp_path / "cut_short.tif")
    assert Path(found["path"][1]).stat().st_size < whole.stat().st_size
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == before
    assert found["path"][0] == cohort.table["path"][0]
    kept = ["slide_id", "patient_id", "label", "mpp", "tumour_path"]
    assert found[kept].equals(cohort.table[kept])
    with pytest.raises(ValueError, match="cut_short='nobody' is no slide_id"):
        work_manifest(cohort.table, tmp_path, cut_short="nobody")


def test_the_rest_goes_on_and_a_second_call_scores_what_is_missing(scored):
    out, cut, failed, rows, times, again = scored
    assert failed == [cut]
    assert rows.set_index("slide_id")["status"].value_counts().to_dict() == {"scored": 2, "failed": 1}
    assert again == []
    later = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/score.json")}
    assert {name for name in later if later[name] != times.get(name)} == {cut}
    assert list(records_of(out, [*later, "not there"])) == list(later)


def test_a_reader_contests_cells_at_the_border(scored, tmp_path):
    out, *_ = scored
    slide = next(s for s, r in records_of(out, [p.name for p in out.iterdir()]).items() if r["score"] == "2+")
    folder = tmp_path / slide
    shutil.copytree(out / slide, folder)
    record = records_of(tmp_path, [slide])[slide]
    edits = edited_cells(folder, 9, up=True)
    assert set(edits.values()) == {"3+"}
    assert len(edits) == 9
    found = rescore(folder, write_edited(folder, tmp_path / "edited.geojson", edits), by="A. Reader")
    assert found["correction"]["changed"]["class"] == 9
    assert found["counts"]["3+"] == record["counts"]["3+"] + 9
    assert records_of(tmp_path, [slide])[slide] == record  # the first score stays
    down = edited_cells(folder, 4, up=False)
    assert set(down.values()) == {"1+"}
    assert not set(down) & set(edits)


def test_contesting_beyond_the_ends_is_refused(scored):
    out, *_ = scored
    records = records_of(out, [p.name for p in out.iterdir()])
    zero, three = (next(s for s, r in records.items() if r["score"] == x) for x in ("0", "3+"))
    with pytest.raises(ValueError, match="score 0 has no class below it"):
        edited_cells(out / zero, 3, up=False)
    with pytest.raises(ValueError, match="score 3\\+ has no class above it"):
        edited_cells(out / three, 3, up=True)


def test_sections_have_the_share_that_was_planted_in_the_mean():
    found = []
    for patch in (0, 50):
        rng = np.random.default_rng(1)
        some = [patchy_section(rng, share=0.2, cells=400, side_um=500, patch_um=patch)[1] for _ in range(150)]
        shares = np.mean(some, axis=1)
        assert shares.mean() == pytest.approx(0.2, abs=4 * shares.std() / np.sqrt(150))
        found.append(shares.std())
    assert found[0] == pytest.approx(np.sqrt(0.2 * 0.8 / 400), rel=0.25)
    assert found[1] > 2 * found[0]  # patches make sections differ


def test_intervals_that_count_patches_hold_where_the_binomial_does_not():
    found = coverage(sections=40, share=0.1, cells=900, side_um=600, patch_um=40, seed=2)
    holds = found.groupby("way")["holds"].mean()
    assert holds["binomial"] < 0.8
    assert holds["patches"] >= 0.85
    inside = (found["low"] <= 10) & (found["high"] >= 10)
    assert (inside == found["holds"]).all()
    assert found.equals(coverage(sections=40, share=0.1, cells=900, side_um=600, patch_um=40, seed=2))
