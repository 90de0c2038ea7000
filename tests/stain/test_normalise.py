"""Normalisation: planted colours come back, glass stays glass, and nobody can score the result."""

import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.cells.detect import cells_of_tile
from her2kit.errors import MppError, StainError
from her2kit.scoring.gates import picture_gates
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import Tissue
from her2kit.stain.basis import METHODS, StainBasis
from her2kit.stain.colour_table import ColourTable
from her2kit.stain.concentrations import concentrations, moments
from her2kit.stain.luminosity import standardise
from her2kit.stain.normalise import fit, fit_slide, normalise
from her2kit.stain.normalised import NormalisedTile
from her2kit.stain.optical_density import optical_density
from her2kit.stain.separation import RUIFROK_JOHNSTON, angle_deg, fit_stain_vectors, separate

WHITE, OTHER_WHITE = (234.0, 233.0, 243.0), (228.0, 231.0, 236.0)


def unit(*rows):
    rows = np.array(rows, float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


HE = unit((0.65, 0.70, 0.29), (0.16, 0.88, 0.45))
OTHER_HE = unit((0.70, 0.60, 0.38), (0.22, 0.90, 0.37))
H_DAB = unit((0.67, 0.63, 0.38), (0.27, 0.53, 0.80))


def planted(vectors, *, white=WHITE, scale=(1.0, 1.0), seed=0, side=200, noise=1.5):
    """A picture of patches of either stain or both, about a fifth of it glass; and the amounts in it."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(2.5, 0.14, (side, side, 2)) * scale
    kind = rng.integers(0, 5, (side // 4, side // 4)).repeat(4, 0).repeat(4, 1)
    amounts[..., 0][(kind == 1) | (kind == 4)] = 0
    amounts[..., 1][(kind == 2) | (kind == 4)] = 0
    grey = np.array(white) * 10 ** -(amounts @ vectors) + rng.normal(0, noise, (side, side, 3))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), amounts


def basis(vectors=HE, *, white=WHITE, amounts=(0.8, 0.6), method="macenko"):
    if method == "reinhard":
        return StainBasis(method, white, lab_mean=(60.0, 25.0, -15.0), lab_sd=(12.0, 9.0, 8.0))
    rows = tuple(tuple(float(v) for v in row) for row in vectors)
    return StainBasis(method, white, vectors=rows, amounts=amounts)


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
@pytest.mark.parametrize("vectors", [HE, OTHER_HE, H_DAB])
def test_planted_vectors_come_back(method, vectors):
    pixels, _ = planted(vectors)
    found = fit(pixels, method=method, white=WHITE)
    for seen, truth in zip(found.vectors, vectors, strict=True):
        assert angle_deg(seen, tuple(truth)) < 3.0
    assert found == fit(pixels, method=method, white=WHITE)
    assert StainBasis.from_json(found.to_json()) == found


@pytest.mark.parametrize("method", METHODS)
def test_a_slide_takes_the_colours_of_another(method):
    source, amounts = planted(HE)
    target, _ = planted(OTHER_HE, white=OTHER_WHITE, scale=(1.4, 0.8), seed=1)
    wanted = np.array(OTHER_WHITE) * 10 ** -(amounts * (1.4, 0.8) @ OTHER_HE)
    found = normalise(
        source, fit(source, method=method, white=WHITE), fit(target, method=method, white=OTHER_WHITE)
    )
    assert found.status == "normalised"
    off = np.abs(found.pixels - wanted).mean()
    assert off < (12 if method == "reinhard" else 4) < np.abs(source - wanted).mean()


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_alone_decides(method):
    pixels, _ = planted(HE, side=400)
    one = fit(pixels, method=method, white=WHITE, seed=3)
    assert one == fit(np.asfortranarray(pixels), method=method, white=WHITE, seed=3)
    assert one != fit(pixels, method=method, white=WHITE, seed=4)


@settings(deadline=None, max_examples=60)
@given(
    h=st.floats(0.0, 0.7),
    e=st.floats(0.0, 0.5),
    wanted=st.tuples(st.floats(0.4, 1.2), st.floats(0.3, 1.0)),
)
def test_amounts_are_kept_up_to_scale(h, e, wanted):
    source, target = basis(HE), basis(OTHER_HE, white=OTHER_WHITE, amounts=wanted)
    pixels = np.full((8, 8, 3), np.rint(np.array(WHITE) * 10 ** -(np.array([h, e]) @ HE)), np.uint8)
    out = normalise(pixels, source, target)
    before = concentrations(optical_density(pixels[0], WHITE).astype(float), HE)
    after = concentrations(optical_density(out.pixels[0], OTHER_WHITE).astype(float), OTHER_HE)
    if out.status == "normalised":
        # half a grey level of rounding at the darkest channel, spread over two stains a third of a turn apart
        tolerance = 0.5 / np.log(10) / max(1.0, out.pixels.min()) * 3 + 1e-6
        np.testing.assert_allclose(after, before * np.divide(wanted, source.amounts), atol=tolerance)
    else:
        assert (h + e) * 2 < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_glass_becomes_the_other_slide_s_glass(method):
    pixels, _ = planted(HE, noise=0)
    pixels[:50] = np.array(WHITE, np.uint8)
    out = normalise(pixels, basis(method=method), basis(white=OTHER_WHITE, method=method, amounts=(0.5, 0.9)))
    assert (out.pixels[:50] == np.array(OTHER_WHITE, np.uint8)).all()


@pytest.mark.parametrize("method", METHODS)
def test_to_itself_changes_nothing_twice(method):
    pixels, _ = planted(HE, noise=0)
    own = fit(pixels, method=method, white=WHITE)
    once = normalise(pixels, own, own).pixels
    twice = normalise(once, own, own).pixels.astype(int)
    assert np.abs(once.astype(int) - pixels).mean() < 2
    # Vahadane's price is paid again: half of it per stain, at most 1.3 grey levels on glass
    assert np.abs(twice - once).mean() < (1.5 if method == "vahadane" else 0.5)
    assert np.abs(twice - once).max() <= 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("grey", "status"),
    [(255, "blank"), (240, "blank"), (228, "blank"), (0, "black"), (12, "black")],
)
def test_nothing_to_normalise_comes_back_unchanged(method, grey, status):
    pixels = np.full((64, 48, 3), grey, np.uint8)
    pixels[3, 4] = 120  # dust
    out = normalise(pixels, basis(method=method), basis(OTHER_HE, method=method))
    assert out.status == status
    assert (out.pixels == pixels).all()
    assert out.pixels is not pixels


def test_tiles_fit_together_and_threads_agree():
    pixels, _ = planted(HE, side=256)
    source, target = basis(HE, amounts=(0.71, 0.52)), basis(OTHER_HE, white=OTHER_WHITE)
    tiles = [pixels[y : y + 64, x : x + 64] for y in range(0, 256, 64) for x in range(0, 256, 64)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda t: normalise(t, source, target).pixels, tiles * 3))
    whole = normalise(pixels, source, target).pixels
    rows = [np.concatenate(done[32 + 4 * i : 36 + 4 * i], axis=1) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(rows), whole)


def test_every_colour_is_worked_out_once():
    seen = []

    def invert(colours):
        seen.append(len(colours))
        return 255 - colours, colours[:, 0] > 100

    table = ColourTable(invert)
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    for picture in (pixels, pixels[::-1, ::2]):
        out, marked = table.apply(picture)
        np.testing.assert_array_equal(out, 255 - picture)
        assert marked == (picture[..., 0] > 100).sum()
    assert seen == [len(np.unique(pixels.reshape(-1, 3), axis=0))]


def test_a_colour_that_failed_is_asked_again():
    answers = [RuntimeError("no memory")]

    def function(colours):
        if answers:
            raise answers.pop()
        return colours, np.ones(len(colours), bool)

    table = ColourTable(function)
    pixels = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    with pytest.raises(RuntimeError, match="no memory"):
        table.apply(pixels)
    out, marked = table.apply(pixels)
    assert (out == pixels).all()
    assert marked == 100


def test_unmixing_is_the_best_there_is():
    rng = np.random.default_rng(5)
    od = rng.normal(0.2, 0.4, (300, 3))
    for sparsity in (0.0, 0.05):
        found = concentrations(od, HE, sparsity=sparsity)
        assert (found >= 0).all()

        def cost(amounts, price=sparsity):
            return ((od - amounts @ HE) ** 2).sum(axis=1) / 2 + price * amounts.sum(axis=1)

        for _ in range(200):
            other = np.maximum(found + rng.normal(0, 0.1, found.shape) * rng.integers(0, 2, found.shape), 0)
            assert (cost(found) <= cost(other) + 1e-12).all()
        among, towards = moments(od, HE, sparsity=sparsity)
        np.testing.assert_allclose(among, found.T @ found)
        np.testing.assert_allclose(towards, found.T @ od)


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
@pytest.mark.parametrize("stain", [0, 1])
@pytest.mark.parametrize("vectors", [HE, H_DAB])
def test_one_stain_only_is_told(method, stain, vectors):
    _, amounts = planted(vectors)
    amounts[..., 1 - stain] = 0
    grey = np.array(WHITE) * 10 ** -(cv2.GaussianBlur(amounts, (0, 0), 2) @ vectors)
    grey += np.random.default_rng(1).normal(0, 2, grey.shape)
    pixels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    pixels = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(pixels, 88, subsampling="420"))
    with pytest.raises(StainError, match="one stain only"):
        fit(pixels, method=method, white=WHITE)


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_a_trace_of_the_second_stain_is_not_blown_up(method):
    rng = np.random.default_rng(0)
    amounts = np.zeros((50_000, 2))
    amounts[:, 0] = np.where(rng.random(50_000) < 0.35, rng.uniform(0.4, 0.6, 50_000), 0.15)
    amounts[np.flatnonzero(amounts[:, 0] > 0.3)[:450]] = 0, 0.6
    pixels = np.rint(np.array(WHITE) * 10 ** -(amounts @ H_DAB)).astype(np.uint8)
    with pytest.raises(StainError, match=r"one stain only \(amounts 0\.[0-9]+ and 0\.0"):
        fit(pixels, method=method, white=WHITE)


@pytest.mark.parametrize("method", METHODS)
def test_too_little_stain_is_told(method):
    pixels = np.full((100, 100, 3), 234, np.uint8)
    pixels[:4] = planted(HE)[0][:4, :100]
    pixels[90:] = 3  # padding
    with pytest.raises(StainError, match=r"pixels hold [1-4].. stained ones, 500 are needed"):
        fit(pixels, method=method, white=WHITE)


BAD = [
    (np.zeros((9, 9), np.uint8), "a grey picture does not show which stain"),
    (np.zeros((9, 9, 4), np.uint8), r"pixels\[..., :3\] drops alpha"),
    (np.zeros((9, 9, 3), np.uint16), r"pixels // 257"),
    (np.full((9, 9, 3), 0.5), r"np.rint\(255 \* pixels\)"),
    (np.full((9, 9, 3), 200.0, np.float32), r"np.rint\(pixels\)"),
]


@pytest.mark.parametrize(("pixels", "words"), BAD)
def test_other_kinds_of_picture_are_refused_with_a_way_out(pixels, words):
    with pytest.raises(ValueError, match=words):
        fit(pixels, white=WHITE)
    with pytest.raises(ValueError, match=words):
        normalise(pixels, basis(), basis())


def test_any_memory_layout_will_do():
    pixels, _ = planted(HE)
    source, target = basis(), basis(OTHER_HE)
    wanted = normalise(pixels, source, target).pixels
    for view in (np.asfortranarray(pixels), pixels[::-1][::-1], pixels[::-1, ::-1]):
        view.flags.writeable = False
        out = normalise(view, source, target).pixels
        assert (out == (wanted if (view == pixels).all() else wanted[::-1, ::-1])).all()
        assert out.flags.c_contiguous


def test_wrong_arguments_are_named():
    pixels, _ = planted(HE)
    with pytest.raises(ValueError, match="method is 'ruifrok'; use one of macenko"):
        fit(pixels, method="ruifrok", white=WHITE)
    with pytest.raises(ValueError, match="white is"):
        fit(pixels, white=(0, 255, 255))
    with pytest.raises(StainError, match="one colour only"):
        fit(np.full((40, 40, 3), 120, np.uint8), method="reinhard", white=WHITE)
    with pytest.raises(TypeError, match="target is a ndarray; pass a StainBasis"):
        normalise(pixels, basis(), pixels)
    with pytest.raises(TypeError, match="pixels is a list"):
        normalise(pixels.tolist(), basis(), basis())
    with pytest.raises(ValueError, match="source is fitted by macenko, target by reinhard"):
        normalise(pixels, basis(), basis(method="reinhard"))
    with pytest.raises(ValueError, match=r"pixels has shape \(40000, 3\); pass a picture"):
        normalise(pixels.reshape(-1, 3), basis(), basis())
    with pytest.raises(ValueError, match=r"pixels has shape \(40000, 3\); pass a picture"):
        standardise(pixels.reshape(-1, 3), WHITE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "own"}, "method is 'own'"),
        ({"white": (0.0, 1.0, 1.0)}, "white is"),
        ({"vectors": ()}, "vectors is"),
        ({"vectors": ((1.0, 1.0, 0.0), (0.0, 1.0, 0.0))}, "of length 1"),
        ({"vectors": ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))}, "a degree apart"),
        ({"amounts": (0.5, 0.0)}, "amounts is"),
        ({"sparsity": -0.1}, "sparsity is"),
        ({"method": "reinhard"}, "lab_sd > 0"),
    ],
)
def test_a_basis_checks_itself(change, words):
    values = json.loads(basis().to_json()) | change
    with pytest.raises(ValueError, match=words):
        StainBasis.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["{", "[1]", '{"method": "macenko"}', '{"colour": 1}'])
def test_what_is_no_basis_is_refused(text):
    with pytest.raises(ValueError, match=r"not a stain basis|Expecting"):
        StainBasis.from_json(text)


def test_normalised_pixels_cannot_be_scored():
    pixels, _ = planted(H_DAB)
    tile = normalise(pixels, basis(H_DAB), basis(H_DAB, amounts=(0.8, 1.6)))
    assert isinstance(tile, NormalisedTile)
    assert not isinstance(tile, np.ndarray)
    doors = [
        lambda: separate(tile, WHITE, RUIFROK_JOHNSTON),
        lambda: optical_density(tile, WHITE),
        lambda: fit_stain_vectors(tile, WHITE),
        lambda: fit(tile, white=WHITE),
        lambda: normalise(tile, basis(), basis()),
        lambda: picture_gates([tile], mpp=0.25, white=WHITE, tissue_area_mm2=1.0),
        lambda: cells_of_tile(tile, None, None, None),
    ]
    for door in doors:
        with pytest.raises(TypeError, match="normalised pixels cannot be scored: normalising rescales"):
            door()
    # Why: the DAB of the same tile, measured, is what the target has and not what the slide has.
    strong = separate(tile.pixels, WHITE, RUIFROK_JOHNSTON).dab.mean()
    assert strong > 1.7 * separate(pixels, WHITE, RUIFROK_JOHNSTON).dab.mean()


def test_a_tile_s_status_is_a_word_we_know():
    with pytest.raises(ValueError, match="status is 'fine'; use one of normalised, blank, black"):
        NormalisedTile(np.zeros((2, 2, 3), np.uint8), "fine")
    with pytest.raises(ValueError, match=r"pixels is float64 \(2, 2, 3\)"):
        NormalisedTile(np.zeros((2, 2, 3)), "normalised")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("normalise") / "he.tif"
    pixels, _ = planted(HE, side=1024)
    tags = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), **tags)
    with open_slide(path) as slide:
        yield slide


@pytest.mark.parametrize("method", METHODS)
def test_a_slide_is_fitted_on_its_tissue(slide, method):
    mask = np.ones((32, 32), bool)
    mask[:, 16:] = False
    found = fit_slide(slide, Tissue(mask, 8.0, 32.0), WHITE, method=method, n_pixels=20_000, seed=2)
    assert found == fit_slide(slide, Tissue(mask, 8.0, 32.0), WHITE, method=method, n_pixels=20_000, seed=2)
    if found.vectors:
        assert max(angle_deg(a, tuple(b)) for a, b in zip(found.vectors, HE, strict=True)) < 3


def test_a_slide_that_cannot_be_fitted_is_told(slide):
    with pytest.raises(StainError, match="0 stained ones"):
        fit_slide(slide, Tissue(np.zeros((32, 32), bool), 8.0, 32.0), WHITE)
    with pytest.raises(ValueError, match="n_pixels=10; use 500 or more"):
        fit_slide(slide, Tissue(np.ones((32, 32), bool), 8.0, 32.0), WHITE, n_pixels=10)
    with pytest.raises(ValueError, match=r"mpp=0\.1 is finer"):
        fit_slide(slide, Tissue(np.ones((32, 32), bool), 8.0, 32.0), WHITE, mpp=0.1)


def test_without_mpp_no_fit(tmp_path):
    tifffile.imwrite(tmp_path / "bare.tif", planted(HE)[0], photometric="rgb", tile=(64, 64))
    with open_slide(tmp_path / "bare.tif") as bare, pytest.raises(MppError, match="no mpp"):
        fit_slide(bare, Tissue(np.ones((7, 7), bool), 8.0, 32.0), WHITE)


def test_luminosity_brings_glass_to_white_and_keeps_the_amounts():
    pixels, _ = planted(HE, noise=0)
    out = standardise(pixels, WHITE)
    assert (out.pixels[(pixels == np.array(WHITE)).all(axis=-1)] == 255).all()
    before, after = optical_density(pixels, WHITE), optical_density(out.pixels, (255.0, 255.0, 255.0))
    dark = out.pixels.min(axis=-1) > 30
    np.testing.assert_allclose(after[dark], before[dark], atol=0.5 / np.log(10) / 30 + 1e-6)
    with pytest.raises(TypeError, match="cannot be scored"):
        separate(out, WHITE, RUIFROK_JOHNSTON)
