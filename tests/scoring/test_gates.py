"""Gates: synthetic pictures with one planted fault each, and the real pictures, each refused by the right
gate."""

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from her2kit.cells.table import conform_cells
from her2kit.scoring import artefacts, signature
from her2kit.scoring.gate import Gate, blocking
from her2kit.scoring.gates import cell_gates, mpp_gate, picture_gates, tile_gates
from her2kit.scoring.guideline import slide_score

WHITE = (235.0, 234.0, 243.0)
BREAST = "breast-asco-cap-2018"
H, E, DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)


def draw(*, nuclei=H, membranes=DAB, ground=H, amounts=(0.7, 0.8, 0.05), mpp=0.25, size=384, seed=0):
    """Draw cells 12 um apart: solid nuclei, thin rings as membranes, a faint ground; one stain vector
    each."""
    rng = np.random.default_rng(seed)
    layers = np.zeros((3, size, size), np.float32)
    layers[2] = 1
    step = 12 / mpp
    for y in np.arange(step / 2, size, step):
        for x in np.arange(step / 2, size, step):
            at = (round(x + rng.normal(0, 3)), round(y + rng.normal(0, 3)))
            cv2.circle(layers[0], at, round(3.2 / mpp), 1.0, -1)
            cv2.circle(layers[1], at, round(5 / mpp), 1.0, max(1, round(1.2 / mpp)))
    od = sum(
        amount * layer[..., None] * np.array(vector)
        for amount, layer, vector in zip(amounts, layers, (nuclei, membranes, ground), strict=True)
    )
    grain = cv2.GaussianBlur(rng.normal(0, 1, (size, size)), (0, 0), 0.7)[..., None]
    od = cv2.GaussianBlur(od, (0, 0), 0.4) * (1 + 0.25 * grain)
    light = np.array(WHITE) * 10**-od + rng.normal(0, 1.5, od.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


def gates_of(pixels, *, mpp=0.25, **options):
    return picture_gates([pixels] * 3, mpp=mpp, white=WHITE, tissue_area_mm2=1.0, **options)


def blocked_by(gates):
    return [g.name for g in blocking(gates)]


FAULTS = {
    "wrong_stain": draw(membranes=E, ground=E, amounts=(0.5, 0.3, 0.2)),
    "nuclear_stain": draw(nuclei=DAB, membranes=H, amounts=(0.9, 0.05, 0.05)),
    "focus": cv2.GaussianBlur(draw(), (0, 0), 6),
    "noise": np.random.default_rng(1).integers(0, 256, (384, 384, 3), dtype=np.uint8),
    "black": np.full((384, 384, 3), 8, np.uint8),
}
GOOD = {
    "membranes": draw(),
    "strong membranes": draw(amounts=(1.0, 1.3, 0.05)),
    "no DAB": draw(amounts=(0.3, 0.0, 0.05)),
    "pale": draw(amounts=(0.12, 0.0, 0.03)),
    "coarse": draw(mpp=0.5),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_by_its_own_gate(fault):
    gates = gates_of(FAULTS[fault])
    assert blocked_by(gates) == [fault]
    assert all(g.words[0].isupper() or g.words[0].isdigit() for g in gates)


@pytest.mark.parametrize("name", GOOD)
def test_good_pictures_pass(name):
    gates = gates_of(GOOD[name], mpp=0.5 if name == "coarse" else 0.25)
    assert {g.name for g in gates if g.level != "ok"} <= {
        "enlarged",
        "noise",
    }  # a drawing has little fine detail
    assert not blocking(gates)
    assert [g.name for g in gates] == [
        *("tissue", "noise", "focus", "wrong_stain", "foreign_colour", "nuclear_stain", "counterstain"),
        *("faded", "jpeg", "enlarged", "pen", "fold", "bubble", "saturation"),
    ]


INK, GREY = (0.80, 0.28, 0.52), (1.0, 1.0, 1.0)


def with_patch(vector, amount, *, share=0.15, line=False):
    """Return the membranes with a patch, or thin lines, that absorb more light."""
    light = draw().astype(np.float64)
    side = round(len(light) * share**0.5)
    rows = np.arange(len(light)) % 100 < 4 if line else np.arange(len(light)) < side
    columns = np.ones(len(light), bool) if line else rows
    light[np.outer(rows, columns)] *= 10 ** -(amount * np.array(vector))
    return np.clip(light, 0, 255).astype(np.uint8)


def coded(pixels, quality):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


DOUBTS = {
    "counterstain": np.ascontiguousarray(draw(amounts=(0.25, 0.6, 0.02))[..., ::-1]),
    "faded": draw(amounts=(0.05, 0.0, 0.04)),
    "jpeg": coded(draw(), 8),
    "pen": with_patch(INK, 1.2, share=0.03),
    "fold": with_patch(H, 1.2, share=0.06),
    "bubble": with_patch(GREY, 0.9, line=True),
    "saturation": draw(amounts=(0.7, 3.0, 0.1)),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_each_doubt_is_said_and_blocks_nothing(doubt):
    gates = {g.name: g for g in gates_of(DOUBTS[doubt])}
    assert gates[doubt].level == "caution"
    assert not blocking(gates.values())
    assert {g.name: g.level for g in gates_of(draw())}[doubt] == "ok"


TILES = {
    "blank": np.full((384, 384, 3), WHITE, np.uint8),
    "blur": cv2.GaussianBlur(draw(), (0, 0), 6),
    **{name: DOUBTS[name] for name in ("pen", "fold", "bubble", "faded", "saturation")},
}


@pytest.mark.parametrize("fault", TILES)
def test_each_check_of_a_tile_speaks_of_its_own_fault(fault):
    good = tile_gates(draw(), WHITE, mpp=0.25)
    assert [g.name for g in good] == ["blank", "blur", "pen", "fold", "bubble", "faded", "saturation"]
    assert {g.level for g in good} == {"ok"}
    red_od = artefacts.colours(draw(), WHITE, mpp=0.25).red_od
    spoiled = {g.name: g for g in tile_gates(TILES[fault], WHITE, mpp=0.25, red_od=red_od)}
    assert spoiled[fault].level != "ok"
    assert spoiled[fault].words.endswith(".")


def test_a_tile_without_a_resolution_is_an_error():
    with pytest.raises(ValueError, match="mpp=0; pass micrometres per pixel > 0"):
        tile_gates(draw(), WHITE, mpp=0)


def test_one_inked_field_of_four_is_counted():
    gates = picture_gates(
        [draw(), draw(seed=1), draw(seed=2), DOUBTS["pen"]], mpp=0.25, white=WHITE, tissue_area_mm2=1.0
    )
    pen = next(g for g in gates if g.name == "pen")
    assert (pen.level, pen.value) == ("caution", 0.25)
    assert pen.words.startswith("1 of 4 fields show ink")


def test_colours_that_no_stain_has_are_refused():
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 60, (384, 384)), (0, 0), 1.2)[..., None]
    leaves = (90 + grain * (0.6, 1.0, 0.3)) * (0.7, 1.6, 0.4)
    green = np.clip(leaves, 0, 255).astype(np.uint8)
    assert blocked_by(gates_of(green)) == ["foreign_colour"]


def test_a_picture_of_the_other_marker_passes_and_the_gates_say_so():
    """PD-L1 has the colours and the place of HER2."""
    wrong = next(g for g in gates_of(draw()) if g.name == "wrong_stain")
    assert "PD-L1" in wrong.words


def test_hematoxylin_under_dab_is_not_pink():
    """Green exceeds red and blue where both stains lie over each other, as in a blurred picture."""
    mixed = cv2.GaussianBlur(draw(amounts=(0.5, 0.5, 0.1)), (0, 0), 6)
    assert signature.pink_share([mixed], WHITE, mpp=0.25) < 0.01


def test_a_doubtful_white_point_is_said():
    first = gates_of(draw(), white_warning="s1: no glass to measure white on")[1]
    assert (first.name, first.level) == ("white_point", "caution")
    assert "s1: no glass" in first.words


def test_no_tissue_is_told_from_black_and_blank():
    def gates(overview):
        return picture_gates([], mpp=0.25, white=WHITE, tissue_area_mm2=0.0, overview=overview)

    assert blocked_by(gates(None)) == ["no_tissue"]
    assert blocked_by(gates(np.full((50, 50, 3), 240, np.uint8))) == ["blank"]
    assert blocked_by(gates(np.zeros((50, 50, 3), np.uint8))) == ["black"]
    assert blocked_by(gates(np.full((50, 50, 3), 150, np.uint8))) == ["no_tissue"]


@pytest.mark.parametrize("shift", [(-3, 3, -3), (3, -3, 3), (5, 5, 5), (-5, -5, -5)])
def test_a_white_point_that_is_a_little_off_changes_no_verdict(shift):
    white = tuple(float(w + s) for w, s in zip(WHITE, shift, strict=True))
    for name, pixels in (GOOD | FAULTS).items():
        mpp = 0.5 if name == "coarse" else 0.25
        assert blocked_by(picture_gates([pixels], mpp=mpp, white=white, tissue_area_mm2=1.0)) == (
            [name] if name in FAULTS else []
        )


def test_blur_lowers_the_sharpness_and_noise_is_measured():
    pixels = draw()
    levels = [signature.sharpness(cv2.GaussianBlur(pixels, (0, 0), s), mpp=0.25) for s in (0.5, 2, 4, 6)]
    assert levels == sorted(levels, reverse=True)
    rng = np.random.default_rng(0)
    flat = np.full((256, 256, 1), 128.0)
    for sd in (5, 10, 20):
        noisy = np.repeat(np.clip(flat + rng.normal(0, sd, flat.shape), 0, 255).astype(np.uint8), 3, axis=2)
        assert signature.noise_level(noisy) == pytest.approx(sd, rel=0.1)


def test_colours_are_planted_and_come_back():
    assert signature.pink_share([draw(ground=E, membranes=E)], WHITE, mpp=0.25) > 0.4
    brown, blobs = signature.solid_brown([draw()], WHITE, mpp=0.25)
    assert brown > 0.1
    assert blobs < 0.2
    assert signature.solid_brown([FAULTS["nuclear_stain"]], WHITE, mpp=0.25)[1] > 0.8
    assert signature.solid_brown([draw(amounts=(0.3, 0, 0.05))], WHITE, mpp=0.25) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("mpp", "level", "words"),
    [
        (None, "block", r"no mpp: give --mpp \(0.25 is usual"),
        (0.0, "block", "cannot be true"),
        (40.0, "block", "cannot be true"),
        (2.0, "block", "under one pixel"),
        (0.5, "caution", "0 and 1\\+ may be confused"),
        (0.25, "ok", "shows faint membranes"),
    ],
)
def test_resolution(mpp, level, words):
    gate = mpp_gate(mpp)
    assert (gate.name, gate.level) == ("mpp", level)
    assert re.search(words, gate.words)


def test_a_gate_has_a_level_that_is_known():
    with pytest.raises(ValueError, match="level='bad'; use one of ok, caution, block"):
        Gate("mpp", "bad", None, "words")


def make_cells(n=200, *, stained=100, membrane=0.6, nucleus=0.05, ratio=3.0, missing=0) -> pd.DataFrame:
    """Return graded tumour cells; the first of them complete and intense, the last missing."""
    on = np.arange(n) < stained
    table = pd.DataFrame(
        {
            "x_px0": np.arange(n) * 30.0,
            "y_px0": 0.0,
            "cell_type": "tumour",
            "dab_od": np.where(on, membrane, 0.02),
            "completeness": np.where(on, 0.9, 0.0),
            "membrane_ratio": np.where(on, ratio, 1.0),
            "nuclear_dab_od": np.where(on, nucleus, 0.02),
            "intensity": np.where(on, "intense", "none"),
            "cell_class": np.where(on, "3+", "0"),
            "evaluable": np.arange(n) < n - missing,
        }
    )
    return conform_cells(table)


def levels_of(cells, **options):
    return {g.name: g.level for g in cell_gates(cells, BREAST, **options)}


def test_good_cells_pass():
    assert set(levels_of(make_cells(), control="valid").values()) == {"ok"}


def test_cytoplasmic_stain_that_makes_no_class_is_said_too():
    cells = make_cells(ratio=1.2).assign(cell_class="0", intensity="none")
    assert levels_of(cells)["cytoplasmic_pattern"] == "caution"


@pytest.mark.parametrize(
    ("cells", "gate", "level"),
    [
        (make_cells(29, stained=10), "cells", "block"),
        (make_cells(0, stained=0), "cells", "block"),
        (make_cells(60), "cells", "caution"),
        (make_cells(200, stained=0, missing=30), "missing_cells", "block"),
        (make_cells(200, stained=150, missing=30), "missing_cells", "caution"),
        (make_cells(nucleus=0.9), "nuclear_pattern", "block"),
        (make_cells(ratio=1.7), "cytoplasmic_pattern", "caution"),
        (make_cells(stained=20, nucleus=0.9, ratio=1.0), "nuclear_pattern", "ok"),
    ],
)
def test_each_cell_gate(cells, gate, level):
    found = levels_of(cells, control="valid")
    assert found[gate] == level
    others = {v for k, v in found.items() if k != gate}
    assert others <= {"ok"} or gate in ("missing_cells", "cells")


def test_control_gate():
    assert levels_of(make_cells(), control="failed")["control"] == "block"
    assert levels_of(make_cells())["control"] == "caution"
    with pytest.raises(ValueError, match="control='fine' is not known"):
        cell_gates(make_cells(), BREAST, control="fine")


@pytest.mark.parametrize("options", [{"n": 29, "stained": 10}, {"stained": 0, "missing": 30}, {"n": 60}, {}])
def test_gates_and_score_agree(options):
    cells = make_cells(**options)
    gates = cell_gates(cells, BREAST)
    with_gates, without = slide_score(cells, BREAST, gates=gates), slide_score(cells, BREAST)
    assert (with_gates.status, with_gates.score) == (without.status, without.score)
    assert (with_gates.status == "not_evaluable") == bool(blocking(gates))
    assert len(with_gates.reasons) == len(without.reasons)


def real_gates(path: Path, mpp: float | None = None):
    """Run the gates on a real picture as the pipeline does."""
    from her2kit.slides.sample import sample_fields
    from her2kit.slides.slide import open_slide
    from her2kit.slides.tissue import find_tissue
    from her2kit.slides.white_point import find_white_point

    with open_slide(path, mpp=mpp) as slide:
        first = mpp_gate(slide.mpp)
        if first.level == "block":
            return [first]
        white, tissue = find_white_point(slide), find_tissue(slide, find_white_point(slide))
        fields = [t.pixels for t in sample_fields(slide, tissue, mpp=slide.mpp, n=8)]
        area = tissue.area_mm2
        return [first, *picture_gates(fields, mpp=slide.mpp, white=white.rgb, tissue_area_mm2=area)]


@pytest.mark.parametrize(
    ("file", "mpp", "gate"),
    [
        ("wsi/cmu-1-small-region.svs", None, "wrong_stain"),
        ("ki67/OS-1-detail.ome.tif", None, "wrong_stain"),
        ("wsi/tcga-cr-7395-no-mpp.svs", None, "mpp"),
        ("wsi/tcga-cr-7395-no-mpp.svs", 0.25, "wrong_stain"),
        ("stain/he_source.png", 0.25, "wrong_stain"),
        ("stain/he_target.png", 0.25, "wrong_stain"),
        ("ki67/OS-2-ndpi.ome.tif", None, "nuclear_stain"),
        ("ki67/OS-2-vsi.ome.tif", None, "nuclear_stain"),
        ("nuclei/22_2.png", 0.25, "nuclear_stain"),
        ("nuclei/34_3.png", 0.25, "nuclear_stain"),
    ],
)
def test_real_pictures_of_other_stains_are_refused(real, file, mpp, gate):
    assert blocked_by(real_gates(real / file, mpp)) == [gate]


@pytest.mark.parametrize("name", ["Bladder1", "Lung1"])
def test_real_panels_are_refused(real, tmp_path, name):
    from PIL import Image

    panel = tmp_path / f"{name}.png"
    Image.open(real / f"nuclei/{name}.png").convert("RGB").crop((0, 0, 512, 512)).save(panel)
    assert blocked_by(real_gates(panel, 0.25)) == ["nuclear_stain"]


def test_real_her2_cores_pass(real):
    """Also the unstained ones, which are not H&E, and the strong one, which is no nuclear stain."""
    cores = [(p, None) for p in sorted(real.glob("her2_wsi/*.tif"))]  # pyramids of three of the seven
    others = ("0_a6d0d6a6*", "1_154ae963*", "2_726fa489*", "2_da5928b4*")
    cores += [(p, 0.25) for name in others for p in real.glob(f"her2_tma/{name}")]
    assert len(cores) == 7
    assert {p.name: blocked_by(real_gates(p, mpp)) for p, mpp in cores} == {p.name: [] for p, _ in cores}


def test_regions_that_hold_no_cell_are_named():
    cells = make_cells().assign(compartment="stroma")
    gates = cell_gates(cells, BREAST, tumour_known=True)
    assert [g.name for g in blocking(gates)] == ["tumour_region"]
    cells.loc[:4, "compartment"] = "invasive"
    gates = cell_gates(cells, BREAST, tumour_known=True)
    assert [(g.name, "larger tumour region" in g.words) for g in blocking(gates)] == [("cells", True)]


def test_a_grey_picture_is_refused():
    grey = np.repeat(draw().mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
    assert [g.name for g in blocking(gates_of(grey))] == ["grey"]
