"""What the report says about certainty: from the record, in the page, and in the figures."""

import re

import numpy as np
import pytest
from planted_slide import MPP, pictures, planted_cells, record, refused_record

from her2kit.cells.table import empty_cells
from her2kit.report import certainty
from her2kit.report.certainty_plots import chances, distances, region_map
from her2kit.report.slide_report import write_slide_report
from her2kit.scoring.heterogeneity import heterogeneity
from her2kit.scoring.uncertainty import uncertainty


@pytest.fixture(scope="module")
def slide():
    """Return a record with uncertainty and heterogeneity, its cells and its regions."""
    cells = planted_cells(3000, seed=4)
    found = record(cells)
    same = {"mpp": MPP, "tumour_known": False}
    spread = heterogeneity(cells, found["guideline"], **same)
    found["uncertainty"] = uncertainty(cells, found["guideline"], score=found["score"], **same)
    found["heterogeneity"] = spread.record
    return found, cells, spread.regions


def test_the_page_says_how_sure_and_how_even(slide, tmp_path):
    found, cells, regions = slide
    page = write_slide_report(tmp_path / "r.html", found, cells, pictures(), regions=regions).read_text()
    assert "How sure is it?" in page
    assert found["uncertainty"]["words"][-1].split(" would")[0] in page.replace("\u00a0", " ")
    squares = (regions["kind"] == "square").sum()
    assert squares >= 4
    assert len(re.findall(r"<title>square \d+", page)) == squares
    assert "Moran" in page


def test_a_page_without_them_is_as_before(tmp_path):
    cells = planted_cells(300)
    page = write_slide_report(tmp_path / "r.html", record(cells), cells, pictures()).read_text()
    assert "How sure is it?" not in page
    refused = write_slide_report(tmp_path / "s.html", refused_record(), empty_cells(), pictures()).read_text()
    assert "How sure is it?" not in refused


def test_borderline_stands_beside_the_score(slide, tmp_path):
    found, cells, regions = slide
    word = {**found["uncertainty"], "borderline": True}
    word["p_score"] = {"0": 0.0, "1+": 0.0, "2+": 0.3, "3+": 0.7}
    near = {**found, "score": "3+", "uncertainty": word}
    assert certainty.borderline_words(near) == "Borderline: P(3+) 70 %"
    assert certainty.borderline_words({**near, "uncertainty": {**word, "borderline": False}}) == ""
    page = write_slide_report(tmp_path / "r.html", near, cells, pictures(), regions=regions).read_text()
    assert "Borderline: P(3+) 70\u00a0%" in page


def test_rows_are_those_of_the_record(slide):
    found, _, _ = slide
    shown = certainty.how_sure(found)
    assert [r["name"] for r in shown["percent"]][:4] == ["0", "1+", "2+", "3+"]
    low, high = found["uncertainty"]["percent"]["2+"]["slide"]
    assert shown["percent"][2]["slide"] == f"{low:.1f} to {high:.1f} %"
    assert sum(bar["slide"] for bar in shown["bars"]) == pytest.approx(100)
    assert sum(line["decides"] for line in shown["lines"]) == 1
    assert shown["corrected"] is False
    assert certainty.how_sure({"uncertainty": None}) is None


def test_components_are_listed_where_there_are_several(slide):
    _, _, regions = slide
    one = regions[regions["kind"] == "component"].head(1)
    assert certainty.component_rows(one) == []
    two = certainty.component_rows(one.loc[np.repeat(one.index, 2)])
    assert [r["n"] for r in two] == [f"{int(one['n_cells'].iat[0]):,}"] * 2


def test_figures_draw_the_record(slide):
    found, _, regions = slide
    ax = chances(found["uncertainty"])
    widths = [p.get_width() for p in ax.patches]
    assert sum(widths[:4]) == pytest.approx(100)
    ax = distances(found["uncertainty"])
    assert len(ax.get_yticklabels()) == len(found["uncertainty"]["lines"])
    ax = region_map(regions, pictures())
    assert len(ax.patches) == (regions["kind"] == "square").sum()
    with pytest.raises(ValueError, match="biopsy"):
        chances({"p_score": None, "p_score_tumour": None})
