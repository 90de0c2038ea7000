"""mpp: from where it is written, never from where it is only a print resolution."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from her2kit.errors import MppError
from her2kit.slides.resolution import mean_mpp, mpp_of_ome
from her2kit.slides.slide import open_slide

PIXELS = np.full((300, 280, 3), 200, np.uint8)


@pytest.fixture
def tiff(tmp_path):
    """Return a function that writes a TIFF and gives its (mpp, source)."""

    def write(name="a.tif", **options):
        tifffile.imwrite(tmp_path / name, PIXELS, photometric="rgb", **options)
        with open_slide(tmp_path / name) as slide:
            return slide.mpp, slide.mpp_source

    return write


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize(
    ("per_unit", "unit", "mpp"),
    [
        (40000, "CENTIMETER", 0.25),
        (101600, "INCH", 0.25),
        (72, "INCH", None),
        (300, "INCH", None),
        (96, "INCH", None),
        (40000, "NONE", None),
    ],
)
def test_tiff_resolution(tiff, tile, per_unit, unit, mpp):
    found, source = tiff(tile=tile, resolution=(per_unit, per_unit), resolutionunit=unit)
    assert found == pytest.approx(mpp)
    assert source == ("file: TIFF resolution tags" if mpp else "none")


def test_implausible_centimetres_of_a_slide_are_kept_for_the_gate(tiff):
    mpp, _ = tiff(tile=(64, 64), resolution=(100, 100), resolutionunit="CENTIMETER")
    assert mpp == pytest.approx(100)


@pytest.mark.parametrize("dpi", [(72, 72), (101600, 101600)])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_dpi_of_pictures_is_never_mpp(tmp_path, dpi, ending):
    Image.fromarray(PIXELS).save(tmp_path / f"a.{ending}", dpi=dpi)
    with open_slide(tmp_path / f"a.{ending}") as slide:
        assert (slide.mpp, slide.mpp_source) == (None, "none")


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize(("size", "unit", "mpp"), [(0.3, "µm", 0.3), (300, "nm", 0.3), (0.0003, "mm", 0.3)])
def test_ome_metadata(tiff, tile, size, unit, mpp):
    axes = {f"PhysicalSize{a}": size for a in "XY"} | {f"PhysicalSize{a}Unit": unit for a in "XY"}
    found = tiff("a.ome.tif", tile=tile, metadata={"axes": "YXS", **axes})
    assert found == (pytest.approx(mpp), "file: OME metadata")


def test_real_ome_files(real):
    for name, mpp in {"OS-1-detail": 0.2271, "OS-2-ndpi": 0.2271, "OS-2-vsi": 0.34605}.items():
        with open_slide(real / f"ki67/{name}.ome.tif") as slide:
            assert slide.mpp == pytest.approx(mpp, abs=1e-5)


def test_broken_or_other_xml_holds_no_mpp():
    assert mpp_of_ome("<OME><Pixels", name="a") is None
    assert mpp_of_ome("<OME></OME>", name="a") is None
    assert mpp_of_ome("<notes>OME</notes>", name="a") is None
    assert mpp_of_ome('<OME><Pixels PhysicalSizeX="0.25" PhysicalSizeXUnit="pixel"/></OME>', name="a") is None
    assert mpp_of_ome('<OME><Pixels PhysicalSizeX="0.25"/></OME>', name="a") == 0.25


def test_imagej_unit(tmp_path):
    metadata = {"axes": "YXS", "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, resolution=(4, 4), metadata=metadata)
    with open_slide(tmp_path / "a.tif") as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "file: ImageJ resolution")


def test_argument_goes_before_the_file(tmp_path):
    resolution = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb", tile=(64, 64), **resolution)
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.5, "argument")


def test_pixels_that_are_not_square(tmp_path):
    assert mean_mpp(0.25, 0.26, name="a") == pytest.approx(0.255)
    assert mean_mpp(0.25, None, name="a") == 0.25
    assert mean_mpp(0.0, float("nan"), name="a") is None
    resolution = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    path = tmp_path / "a.tif"
    for tile in (None, (64, 64)):
        tifffile.imwrite(path, PIXELS, photometric="rgb", tile=tile, **resolution)
        with pytest.raises(MppError, match=r"not square \(mpp 0\.25 across, 0\.5 down\); resample"):
            open_slide(path)
        with open_slide(path, mpp=0.25) as slide:
            assert slide.mpp == 0.25


def test_mpp_of_scanners(real):
    with open_slide(real / "wsi/cmu-1-small-region.svs") as slide:
        assert slide.mpp == 0.499
        assert slide.mpp_source.startswith("file: openslide.mpp-x")
    with open_slide(real / "her2_wsi/core_score0.tif") as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "file: TIFF resolution tags")
