"""Give a slide the colours of another: fitted once a slide, applied at memory speed.

For display and H&E models. Scores never come from what leaves here (`NormalisedTile`). What a pixel becomes
depends on its colour alone, so a slide normalised tile by tile has no seams.
"""

import math
from functools import lru_cache

import numpy as np

from her2kit.errors import StainError
from her2kit.slides.sample import sample_fields
from her2kit.slides.slide import Slide
from her2kit.slides.tissue import Tissue
from her2kit.stain.basis import METHODS, StainBasis, Triple
from her2kit.stain.colour_table import ColourTable
from her2kit.stain.concentrations import concentrations
from her2kit.stain.extraction import LEAST_PIXELS, STAINED_OD_SUM, check_enough, stain_vectors
from her2kit.stain.normalised import NormalisedTile
from her2kit.stain.optical_density import check_rgb, optical_density
from her2kit.stain.reinhard import from_lab, to_lab

_PIXELS = 100_000
"""Sampled for a fit. Vectors of a real 3+ core then differ by up to 0.7 degrees from seed to seed."""
_LEAST_AMOUNT = 0.02
"""OD. Of a second stain with less in 99 % of the stained pixels, normalising would show the noise."""
_LEAST_STAINED = 0.005
"""Share of a tile's pixels below which it is left as it is: dust and JPEG ringing on glass."""
_SPARSITY = round(0.01 / math.log(10), 6)
"""Price of an amount while a picture is unmixed by Vahadane's method: staintools' 0.01, in decadic OD."""
_BLACK = 25
"""A pixel with no channel above it is padding or ink, not stain; in a real 3+ core one in 100,000."""
_PERCENTILE = 99.0
_FADE_OD_SUM = 0.15
"""Reinhard's transfer would tint glass; it fades out from here to OD 0."""
_TABLES = 4
"""Pairs of slides whose tables are kept: each takes up to 64 MB."""


def fit(pixels: np.ndarray, *, method: str = "macenko", white: Triple, seed: int = 0) -> StainBasis:
    """Fit the colours of a slide or target picture.

    Parameters
    ----------
    pixels
        uint8 (n, 3) or (h, w, 3), RGB, raw; best a sample of a slide's tissue (`fit_slide`).
    method
        ``macenko``, ``vahadane`` or ``reinhard``.
    white
        Grey level of glass in R, G, B, each in 1..255.
    seed
        For the sample that is taken of more than 100,000 pixels.

    Raises
    ------
    StainError
        If there is too little stain, or one stain only (not Reinhard).
    ValueError
        If an argument is not as described.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; use one of {', '.join(METHODS)}")
    check_rgb(pixels)
    sample = pixels.reshape(-1, 3)
    if len(sample) > _PIXELS:
        chosen = np.random.default_rng(seed).choice(len(sample), size=_PIXELS, replace=False)
        sample = sample[chosen]
    od = optical_density(sample, white).astype(np.float64)
    stained = _is_stained(sample, od)
    od = od[stained]
    red, green, blue = (float(v) for v in white)
    if method == "reinhard":
        check_enough(len(od))
        lab = to_lab(sample[stained], white).astype(np.float64)
        if not lab.std(axis=0).min() > 0:
            raise StainError("pixels show one colour only; take a picture of stained tissue")
        return StainBasis(
            method, (red, green, blue), lab_mean=_triple(lab.mean(axis=0)), lab_sd=_triple(lab.std(axis=0))
        )
    vectors = stain_vectors(od, method)
    sparsity = _SPARSITY if method == "vahadane" else 0.0
    amounts = np.percentile(concentrations(od, vectors, sparsity=sparsity), _PERCENTILE, axis=0)
    if min(amounts) < _LEAST_AMOUNT:
        raise StainError(
            f"pixels show one stain only (amounts {amounts[0]:.3f} and {amounts[1]:.3f}); "
            "take a picture with both stains, or method='reinhard'"
        )
    return StainBasis(
        method,
        (red, green, blue),
        vectors=(_triple(vectors[0]), _triple(vectors[1])),
        amounts=(round(float(amounts[0]), 6), round(float(amounts[1]), 6)),
        sparsity=sparsity,
    )


def fit_slide(
    slide: Slide,
    tissue: Tissue,
    white: Triple,
    *,
    method: str = "macenko",
    mpp: float | None = None,
    n_pixels: int = _PIXELS,
    seed: int = 0,
) -> StainBasis:
    """Fit the colours of a whole slide on a sample of its tissue; some tenths of a second.

    Parameters
    ----------
    white
        The slide's own, as ``find_white_point(slide).rgb``.
    mpp
        Micrometres per pixel of the sample; None takes the slide's own.
    n_pixels
        How many pixels are drawn, by ``seed``, from fields spread evenly over the tissue.

    Raises
    ------
    MppError
        If the slide has no mpp.
    StainError
        If the tissue is too little, or shows one stain only (not Reinhard).
    """
    if n_pixels < LEAST_PIXELS:
        raise ValueError(f"n_pixels={n_pixels}; use {LEAST_PIXELS} or more ({_PIXELS} is usual)")
    slide.scale_at(mpp)
    fields = sample_fields(slide, tissue, mpp=mpp or float(slide.mpp or 0), n=32, field_px=128)
    pixels = np.concatenate([np.empty((0, 3), np.uint8), *(f.pixels.reshape(-1, 3) for f in fields)])
    if len(pixels) > n_pixels:
        pixels = pixels[np.random.default_rng(seed).choice(len(pixels), size=n_pixels, replace=False)]
    return fit(pixels, method=method, white=white, seed=seed)


def normalise(pixels: np.ndarray, source: StainBasis, target: StainBasis) -> NormalisedTile:
    """Give a picture the colours of another slide.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB, raw.
    source, target
        The picture's slide and the one to look like, fitted by the same method.

    Returns
    -------
    NormalisedTile
        Its status says where there was nothing to normalise and the pixels are unchanged.

    Raises
    ------
    ValueError
        If `pixels` is no uint8 RGB picture, or the two were fitted by different methods.
    """
    check_rgb(pixels)
    if pixels.ndim != 3:
        raise ValueError(f"pixels has shape {pixels.shape}; pass a picture with shape (h, w, 3)")
    for name, basis in (("source", source), ("target", target)):
        if not isinstance(basis, StainBasis):
            raise TypeError(f"{name} is a {type(basis).__name__}; pass a StainBasis, as fit_slide gives it")
    out, stained = _table(source, target).apply(pixels)
    if stained < max(1.0, _LEAST_STAINED * out[..., 0].size):
        status = "black" if pixels.size and pixels.mean() < 128 else "blank"
        return NormalisedTile(pixels.copy(), status)
    return NormalisedTile(out, "normalised")


@lru_cache(maxsize=_TABLES)
def _table(source: StainBasis, target: StainBasis) -> ColourTable:
    if source.method != target.method:
        raise ValueError(
            f"source is fitted by {source.method}, target by {target.method}; fit both by the same method"
        )
    return ColourTable(lambda colours: _new_colours(colours, source, target))


def _new_colours(
    colours: np.ndarray, source: StainBasis, target: StainBasis
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each colour becomes, uint8 (n, 3), and whether it is stain, bool (n,)."""
    od = optical_density(colours, source.white)
    if source.method == "reinhard":
        grey = _reinhard(colours, od, source, target)
    else:
        grey = _remix(od, source, target)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), _is_stained(colours, od)


def _is_stained(colours: np.ndarray, od: np.ndarray) -> np.ndarray:
    return (od.sum(axis=1) >= STAINED_OD_SUM) & (colours.max(axis=1, initial=0) > _BLACK)


def _remix(od: np.ndarray, source: StainBasis, target: StainBasis) -> np.ndarray:
    """Unmix with the source's vectors, mix with the target's; what neither stain explains is lost."""
    amounts = concentrations(od, np.array(source.vectors), sparsity=source.sparsity)
    amounts *= np.divide(target.amounts, source.amounts)
    return np.array(target.white) * 10.0 ** -(amounts @ np.array(target.vectors))


def _reinhard(colours: np.ndarray, od: np.ndarray, source: StainBasis, target: StainBasis) -> np.ndarray:
    lab = to_lab(colours, source.white)
    moved = (lab - source.lab_mean) * np.divide(target.lab_sd, source.lab_sd) + target.lab_mean
    weight = np.clip(od.sum(axis=1) / _FADE_OD_SUM, 0, 1)[:, None]
    return from_lab(weight * moved + (1 - weight) * lab, target.white)


def _triple(values: np.ndarray) -> Triple:
    red, green, blue = (round(float(v), 6) for v in values)
    return red, green, blue
