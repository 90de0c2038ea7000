"""Hematoxylin and DAB as two maps of optical density, by colour deconvolution with two stain vectors.

Two stains in three channels: the least-squares amounts, which equal the three-stain inverse whose third
vector is the cross product of the two. Amounts are neither clipped nor normalised. No third stain is fitted
for grey things (blood, pigment, ink, dust): that is ill-conditioned. OD_B / OD_R tells them from DAB, see
`StainMaps.brown_ratio`. Each pixel's result depends on that pixel alone, bitwise, so not on tiles.

References
----------
Ruifrok AC, Johnston DA. Quantification of histochemical staining by color deconvolution. Anal Quant Cytol
Histol 2001;23:291-299.
"""

from dataclasses import dataclass

import numba
import numpy as np

from her2kit.stain.optical_density import check_rgb, od_table, optical_density

BROWN_RATIO = 1.3
"""OD_B / OD_R from which a pixel may be DAB. Measured: red blood cells 1.02, dust 1.06, ink 1.19, brown-black
pigment 1.21, DAB membranes 1.75-2.0; hematoxylin about 0.6."""

_EVIDENCE_OD_SUM = 0.6  # OD sum over R, G, B of a pixel that may tell the direction of DAB
_EVIDENCE_SHARE = 0.01  # of the pixels given; cores with less DAB gave vectors 12-21 degrees off (Macenko)
_EVIDENCE_PIXELS = 500
_BLUE_OD_SUM = 0.4
_TOP_BROWN = (
    90.0,
    99.0,
)  # percentiles of OD_B / OD_R among brown pixels: DAB with least hematoxylin below it
_TOP_BLUE = (80.0, 99.0)  # percentiles of OD_R / OD_B among blue pixels: hematoxylin with least DAB
_MAX_TURN_DEG = 15.0  # own vectors were 7-10 degrees from Ruifrok-Johnston's; further off it is another stain
_MAX_PIXELS = 500_000


@dataclass(frozen=True, slots=True)
class StainVectors:
    """Directions of the two stains in OD space."""

    hematoxylin: tuple[float, float, float]
    """Unit vector, OD in R, G, B."""
    dab: tuple[float, float, float]
    """Unit vector, OD in R, G, B."""
    source: str
    """``ruifrok-johnston`` or ``slide``."""

    def __post_init__(self) -> None:
        for name, vector in (("hematoxylin", self.hematoxylin), ("dab", self.dab)):
            if len(vector) != 3 or abs(float(np.linalg.norm(vector)) - 1.0) > 1e-3:
                raise ValueError(f"{name} is {vector!r}; pass three numbers of length 1 (vector / its norm)")
        if self.source not in ("ruifrok-johnston", "slide"):
            raise ValueError(f"source is {self.source!r}; use 'ruifrok-johnston' or 'slide'")
        if angle_deg(self.hematoxylin, self.dab) < 10.0:
            raise ValueError(
                "hematoxylin and dab are less than 10 degrees apart; two stains cannot be told apart"
            )


def _unit(vector: np.ndarray | tuple[float, float, float]) -> tuple[float, float, float]:
    v = np.asarray(vector, dtype=np.float64)
    r, g, b = (float(x) for x in v / np.linalg.norm(v))
    return r, g, b


def angle_deg(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Return the angle between two OD directions in degrees."""
    cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


RUIFROK_JOHNSTON = StainVectors(
    _unit((0.650, 0.704, 0.286)), _unit((0.268, 0.570, 0.776)), "ruifrok-johnston"
)
"""Hematoxylin and DAB of Ruifrok and Johnston 2001, table 1, as ImageJ and QuPath have them."""


@dataclass(frozen=True, slots=True)
class StainMaps:
    """What one picture holds of each stain, and what is needed to tell brown from grey."""

    hematoxylin: np.ndarray
    """float32 (h, w), OD along the hematoxylin vector; slightly negative is noise or sharpening."""
    dab: np.ndarray
    """float32 (h, w), OD along the DAB vector."""
    red: np.ndarray
    """float32 (h, w), OD of the red channel: every nucleus darkens it, DAB-stained or not."""
    blue: np.ndarray
    """float32 (h, w), OD of the blue channel."""

    def __post_init__(self) -> None:
        for name in ("hematoxylin", "dab", "red", "blue"):
            plane = getattr(self, name)
            if plane.dtype != np.float32 or plane.ndim != 2 or plane.shape != self.hematoxylin.shape:
                raise ValueError(
                    f"{name} has dtype {plane.dtype} and shape {plane.shape}; pass float32 (h, w)"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.hematoxylin.shape
        return height, width

    @property
    def brown_ratio(self) -> np.ndarray:
        """float32 (h, w), OD_B / OD_R in 0..10, red OD taken as at least .02; computed at each call."""
        ratio = np.maximum(self.blue, 0.0) / np.maximum(self.red, np.float32(0.02))
        return np.minimum(ratio, np.float32(10.0))

    @property
    def brown(self) -> np.ndarray:
        """bool (h, w), whether it may be DAB: OD_B >= 1.3 OD_R and OD_B > 0; computed at each call."""
        return (self.blue >= np.float32(BROWN_RATIO) * self.red) & (self.blue > 0)

    def crop(self, rows: slice, columns: slice) -> "StainMaps":
        """Return views of one rectangle."""
        return StainMaps(
            self.hematoxylin[rows, columns],
            self.dab[rows, columns],
            self.red[rows, columns],
            self.blue[rows, columns],
        )


def separate(pixels: np.ndarray, white: tuple[float, float, float], vectors: StainVectors) -> StainMaps:
    """Unmix a picture into hematoxylin and DAB.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB, raw.
    white
        Grey level of glass in R, G, B, each in 1..255.
    vectors
        The slide's, fitted once (`fit_stain_vectors`), or `RUIFROK_JOHNSTON`.

    Returns
    -------
    StainMaps
        float32 planes of the picture's size.

    Raises
    ------
    ValueError
        If `pixels` is not a uint8 RGB picture, or `white` is not three grey levels.
    """
    check_rgb(pixels)
    if pixels.ndim != 3:
        raise ValueError(f"pixels has shape {pixels.shape}; pass a picture with shape (h, w, 3)")
    od = od_table(white)
    basis = np.array([vectors.hematoxylin, vectors.dab], dtype=np.float64)
    inverse = np.linalg.pinv(basis.T)  # (2, 3): amounts = inverse @ OD
    to_h = (inverse[0][:, None] * od).astype(np.float32)
    to_d = (inverse[1][:, None] * od).astype(np.float32)
    shape = pixels.shape[:2]
    planes = [np.empty(shape, dtype=np.float32) for _ in range(4)]
    _unmix(np.ascontiguousarray(pixels), od, to_h, to_d, *planes)
    return StainMaps(*planes)


@numba.njit(cache=True, nogil=True)
def _unmix(pixels, od, to_h, to_d, hematoxylin, dab, red, blue):  # pragma: no cover - compiled
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            r = pixels[y, x, 0]
            g = pixels[y, x, 1]
            b = pixels[y, x, 2]
            hematoxylin[y, x] = (to_h[0, r] + to_h[1, g]) + to_h[2, b]
            dab[y, x] = (to_d[0, r] + to_d[1, g]) + to_d[2, b]
            red[y, x] = od[0, r]
            blue[y, x] = od[2, b]


def fit_stain_vectors(
    pixels: np.ndarray, white: tuple[float, float, float], *, seed: int = 0
) -> StainVectors:
    """Find the slide's own stain vectors where it shows enough of both stains, else give the fixed ones.

    Brown pixels (OD_B > 1.3 OD_R, OD sum > 0.6) with the highest OD_B / OD_R tell DAB, blue ones (OD_R
    above OD_B) with the highest OD_R / OD_B tell hematoxylin; extremes as in Macenko's method, but only among
    pixels that are evidence for that stain. Where brown pixels are under 1 % or 500, blue ones under 500, or
    a vector lies more than 15 degrees from Ruifrok and Johnston's, both fixed vectors are returned.

    Parameters
    ----------
    pixels
        uint8 (n, 3) or (h, w, 3), RGB; best a sample of the slide's tissue.
    white
        Grey level of glass in R, G, B, each in 1..255.
    seed
        For the subsample that is taken of more than 500,000 pixels.

    Returns
    -------
    StainVectors
        `source` says whose they are.

    Raises
    ------
    ValueError
        If `pixels` is not uint8 RGB, or `white` is not three grey levels.

    References
    ----------
    Macenko M et al. A method for normalizing histology slides for quantitative analysis. ISBI 2009:1107-1110.
    """
    check_rgb(pixels)
    sample = pixels.reshape(-1, 3)
    if len(sample) > _MAX_PIXELS:
        chosen = np.random.default_rng(seed).choice(len(sample), size=_MAX_PIXELS, replace=False)
        sample = sample[np.sort(chosen)]
    od = optical_density(sample, white).astype(np.float64)
    total = od.sum(axis=1)
    red, blue = od[:, 0], od[:, 2]
    positive = od.min(axis=1) > 0
    is_brown = positive & (total > _EVIDENCE_OD_SUM) & (blue > BROWN_RATIO * red)
    is_blue = positive & (total > _BLUE_OD_SUM) & (red > blue)
    needed = max(_EVIDENCE_PIXELS, _EVIDENCE_SHARE * len(sample))
    if is_brown.sum() < needed or is_blue.sum() < _EVIDENCE_PIXELS:
        return RUIFROK_JOHNSTON
    dab = _direction(od[is_brown], (blue / np.maximum(red, 1e-6))[is_brown], _TOP_BROWN)
    hematoxylin = _direction(od[is_blue], (red / np.maximum(blue, 1e-6))[is_blue], _TOP_BLUE)
    turns = angle_deg(dab, RUIFROK_JOHNSTON.dab), angle_deg(hematoxylin, RUIFROK_JOHNSTON.hematoxylin)
    if max(turns) > _MAX_TURN_DEG:
        return RUIFROK_JOHNSTON
    return StainVectors(hematoxylin, dab, "slide")


def _direction(
    od: np.ndarray, purity: np.ndarray, percentiles: tuple[float, float]
) -> tuple[float, float, float]:
    """Median direction of the pixels whose purity lies between two percentiles."""
    low, high = np.percentile(purity, percentiles)
    top = od[(purity >= low) & (purity <= high)]
    return _unit(np.median(top / np.linalg.norm(top, axis=1, keepdims=True), axis=0))
