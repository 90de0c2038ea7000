"""A tumour map and its file: kept whole, read without pickle, shown in the report of its own slide."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from her2kit.cohort import jobs_of, score_cohort
from her2kit.errors import SlideError
from her2kit.regions.tumour_map import TumourMap, load_map, map_for


def a_map(**options) -> TumourMap:
    """Return a map of a slide of 800 x 600 px at 0.5 um per px: a bar of 200 um, 20 pixels of 10 um."""
    probability = np.zeros((30, 40), np.uint8)
    probability[14, 10:30] = 255
    plain = {
        "slide_id": "s",
        "probability": probability,
        "tissue": probability < 1,
        "mpp": 10.0,
        "scale": 20.0,
    }
    return TumourMap(**plain | options)


def test_a_map_is_kept_and_read_without_pickle(tmp_path):
    a_map(status="normalised", model_sha256="abc").save(tmp_path / "m.npz")
    again = load_map(tmp_path / "m.npz")
    for name in TumourMap.__slots__:
        assert np.array_equal(
            getattr(again, name), getattr(a_map(status="normalised", model_sha256="abc"), name)
        )
    assert again.axis().length_um == pytest.approx(190, abs=11)
    (tmp_path / "bad.npz").write_bytes(b"PK" + b"x" * 50)
    np.savez(tmp_path / "pickled.npz", slide_id=np.array([{}], dtype=object))
    np.savez(tmp_path / "float.npz", **{n: getattr(a_map(), n) for n in TumourMap.__slots__} | {"mpp": -1.0})
    with pytest.raises(SlideError, match=r"missing\.npz: no such tumour map; draw it first"):
        load_map(tmp_path / "missing.npz")
    for name in ("bad", "pickled", "float"):
        with pytest.raises(SlideError, match=f"{name}.npz: is no tumour map"):
            load_map(tmp_path / f"{name}.npz")


def test_a_map_must_be_of_this_slide(tmp_path):
    a_map().save(tmp_path / "s.npz")
    assert map_for(tmp_path, "s", (800, 600)).mpp == map_for(tmp_path / "s.npz", "s", (795, 610)).mpp == 10
    with pytest.raises(SlideError, match=r"s.npz is the tumour map of s, not of t; pass its own"):
        map_for(tmp_path / "s.npz", "t", (800, 600))
    with pytest.raises(SlideError, match="covers 800 x 600 px of a slide of 1600 x 600 px"):
        map_for(tmp_path, "s", (1600, 600))
    with pytest.raises(SlideError, match=r"t\.npz: no such tumour map"):
        map_for(tmp_path, "t", (800, 600))


@pytest.fixture
def slide(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (600, 800, 3), np.uint8)).save(tmp_path / "s.png")
    return tmp_path / "s.png"


def test_the_report_shows_the_map_and_the_score_does_not_know_it(slide, tmp_path):
    a_map().save(tmp_path / "maps.npz")
    records = {}
    for name, more in {"without": {}, "with": {"tumour_map": str(tmp_path / "maps.npz")}}.items():
        (tmp_path / name).mkdir()
        score_cohort(jobs_of([slide], None, {"mpp": 0.5} | more), tmp_path / name)
        records[name] = json.loads((tmp_path / name / "s/score.json").read_text())
        text = (tmp_path / name / "s/report.html").read_text("utf-8")
        assert ("Where the tumour map sees tumour" in text) == (name == "with")
    assert "--tumour-map" in records["with"]["provenance"]["command"]
    for record in records.values():
        del record["provenance"]
    assert records["with"] == records["without"]


def test_resume_sees_a_younger_map(slide, tmp_path):
    place = tmp_path / "maps"
    place.mkdir()
    a_map().save(place / "s.npz")
    (out := tmp_path / "out").mkdir()
    jobs = jobs_of([slide], None, {"mpp": 0.5, "tumour_map": str(place)})
    score_cohort(jobs, out)
    first = (out / "s/score.json").stat().st_mtime_ns
    score_cohort(jobs, out, resume=True)
    assert (out / "s/score.json").stat().st_mtime_ns == first
    replace(a_map(), status="drawn again").save(place / "s.npz")
    score_cohort(jobs, out, resume=True)
    assert (out / "s/score.json").stat().st_mtime_ns > first


def test_a_wrong_place_is_refused_before_anything_is_scored(slide):
    with pytest.raises(
        ValueError, match=r"tumour_map='nowhere' does not exist; pass a map \(.npz\), or a folder"
    ):
        jobs_of([slide], None, {"tumour_map": "nowhere"})
