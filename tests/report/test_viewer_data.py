import base64

import numpy as np
import pytest
from planted_slide import MPP, pictures, planted_cells
from shapely.geometry import Polygon

from her2kit.cells.table import CLASSES
from her2kit.report.fields import choose_fields, fields_of
from her2kit.report.viewer_data import pack


def unpack(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


@pytest.fixture(scope="module")
def case():
    cells = planted_cells(400)
    counted = (cells["cell_type"] == "tumour").to_numpy(bool)
    fields = fields_of(cells, counted, mpp=MPP)
    chosen = choose_fields(fields, np.arange(10), max_cells=150)
    return cells, counted, fields, chosen, pack(cells, counted, fields, chosen, pictures())


def test_the_chosen_cells_come_back_field_by_field(case):
    cells, counted, fields, chosen, shown = case
    packed = shown.data["cells"]
    order = np.concatenate([np.flatnonzero(fields.field_of == f) for f in sorted(chosen)])
    assert shown.cells == packed["n"] == len(order)
    np.testing.assert_allclose(unpack(packed["x"], "<f4"), cells["x_px0"].iloc[order], rtol=1e-6)
    assert unpack(packed["counted"], "u1").astype(bool).tolist() == counted[order].tolist()
    wanted = [
        CLASSES.index(c) if e else 4 for c, e in cells[["cell_class", "evaluable"]].iloc[order].to_numpy()
    ]
    assert unpack(packed["cellClass"], "u1").tolist() == wanted
    for detail in shown.data["detail"]:
        assert (fields.field_of[order[detail["start"] : detail["end"]]] == detail["field"]).all()
    assert shown.data["detail"][-1]["end"] == len(order)


def test_measurements_come_back_within_a_step_and_missing_ones_stay_missing(case):
    cells, _, fields, chosen, _ = case
    holed = cells.copy()
    holed.loc[::3, "width_um"] = np.nan
    shown = pack(holed, np.ones(len(cells), bool), fields, chosen, pictures(sharp=False))
    order = np.concatenate([np.flatnonzero(fields.field_of == f) for f in sorted(chosen)])
    by_label = {m["label"]: m for m in shown.data["cells"]["measurements"]}
    for label, column, factor in (
        ("membrane DAB", "dab_od", 1),
        ("completeness", "completeness", 100),
        ("stain width", "width_um", 1),
    ):
        m = by_label[label]
        steps = unpack(m["values"], "<u2")
        planted = holed[column].to_numpy(np.float64)[order] * factor
        assert ((steps == 65535) == np.isnan(planted)).all()
        found = m["low"] + steps * m["step"]
        np.testing.assert_allclose(found[steps < 65535], planted[~np.isnan(planted)], atol=m["step"])
    assert "confidence" not in by_label  # no cell has one


def test_outlines_come_back_to_a_fraction_of_a_pixel(case):
    cells, _, fields, chosen, shown = case
    order = np.concatenate([np.flatnonzero(fields.field_of == f) for f in sorted(chosen)])
    for name, column in (("outline", "outline"), ("nucleus", "nucleus_outline")):
        packed = shown.data["cells"][name]
        lengths, steps = unpack(packed["lengths"], "<u2"), unpack(packed["steps"], "<f4")
        points = unpack(packed["points"], "i1").reshape(-1, 2).astype(float)
        assert lengths.sum() == len(points)
        for i, part in enumerate(np.split(points, np.cumsum(lengths)[:-1])):
            centre = cells[["x_px0", "y_px0"]].to_numpy()[order[i]]
            planted, found = Polygon(cells[column].iloc[order[i]]), Polygon(part * steps[i] + centre)
            assert found.hausdorff_distance(planted) < 0.8
            assert found.area == pytest.approx(planted.area, rel=0.03)


def test_a_cell_without_outline_has_no_points(case):
    cells, _, fields, chosen, _ = case
    bare = cells.assign(outline=None)
    shown = pack(bare, np.ones(len(cells), bool), fields, chosen, pictures(sharp=False))
    assert unpack(shown.data["cells"]["outline"]["lengths"], "<u2").sum() == 0


def test_the_counts_of_all_fields_are_there(case):
    _, _, fields, _, shown = case
    assert [f[2:] for f in shown.data["fields"]] == fields.table[list(CLASSES)].to_numpy().tolist()


def test_sharp_pictures_get_coarser_until_they_fit(case):
    cells, counted, fields, chosen, shown = case
    sizes = [len(d["picture"]) for d in shown.data["detail"]]
    small = pack(cells, counted, fields, chosen, pictures(), picture_bytes=sum(sizes) // 8)
    assert small.mpp > shown.mpp == 0.25
    assert small.pictures == shown.pictures == len(chosen)
    assert sum(len(d["picture"]) for d in small.data["detail"]) * 3 / 4 <= sum(sizes) // 8 + 100


def test_a_slide_without_cells_still_has_its_outlines():
    shown = pack(planted_cells(1).iloc[:0], np.empty(0, bool), None, {}, pictures())
    assert (shown.cells, shown.pictures, shown.mpp) == (0, 0, None)
    assert len(shown.data["tissue"]) == 1
