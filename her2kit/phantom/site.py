"""What one laboratory and scanner do to every slide: stain colours, white, blur, sharpening, noise, JPEG,
drift.

The numbers are the phantom's own: measured on real gastro-oesophageal HER2 cores and breast fields
(hematoxylin, DAB, white, noise, drift), shared with no measurement code. Eosin is from Ruifrok and Johnston
(2001).
"""

from dataclasses import dataclass, fields

import numpy as np

from her2kit.errors import PlanError


@dataclass(frozen=True, slots=True)
class Site:
    """One laboratory with its scanner."""

    name: str
    """Goes into the manifest's ``site``."""
    mpp: float = 0.25
    """Micrometres per pixel of the full level, 0.1 to 4."""
    hematoxylin: tuple[float, float, float] = (0.67, 0.63, 0.38)
    """OD of red, green, blue per unit of stain; scaled to length 1."""
    dab: tuple[float, float, float] = (0.27, 0.53, 0.80)
    eosin: tuple[float, float, float] = (0.16, 0.88, 0.45)
    hematoxylin_he: tuple[float, float, float] = (0.65, 0.70, 0.29)
    """Of the H&E laboratory: more purple than the counterstain of IHC."""
    white: tuple[float, float, float] = (233.0, 233.0, 242.0)
    """Grey level of empty glass, bluish."""
    hematoxylin_gain: float = 1.0
    """How deep the counterstain is against the usual one."""
    blur_um: float = 0.26
    """Standard deviation of the optical blur."""
    sharpen: float = 1.8
    """Amount of the scanner's unsharp mask; its halo exceeds white beside dark edges."""
    sharpen_um: float = 0.5
    """Standard deviation of the unsharp mask."""
    noise: float = 0.7
    """Standard deviation of the pixel noise in grey levels on glass, before JPEG; tissue has more."""
    blotch: float = 2.9
    """Standard deviation of coarse noise (8 px) of blue, grey levels, before JPEG makes blocks of it."""
    drift: float = 2.0
    """Standard deviation of the slow drift of the background, grey levels."""
    quality: int = 75
    """JPEG quality, 1 to 100."""
    subsampling: str = "420"

    def __post_init__(self):
        """Check the ranges."""
        bounds = {
            "mpp": (0.1, 4),
            "hematoxylin_gain": (0.05, 5),
            "blur_um": (0, 20),
            "sharpen": (0, 3),
            "sharpen_um": (0.05, 5),
            "noise": (0, 30),
            "blotch": (0, 30),
            "drift": (0, 20),
            "quality": (1, 100),
        }
        for item in fields(self):
            value = getattr(self, item.name)
            low, high = bounds.get(item.name, (None, None))
            if low is not None and not low <= value <= high:
                raise PlanError(
                    f"site {self.name}: {item.name}={value}; give a number between {low} and {high}"
                )
        if min(self.white) < 100 or max(self.white) > 255:
            raise PlanError(
                f"site {self.name}: white={self.white}; give three grey levels between 100 and 255"
            )

    def vectors(self, stain: str = "her2") -> np.ndarray:
        """Return unit OD vectors as rows, float32 (3, 3): hematoxylin (of H&E, if so), DAB, eosin."""
        first = self.hematoxylin_he if stain == "he" else self.hematoxylin
        rows = np.array([first, self.dab, self.eosin], np.float64)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


SITES: dict[str, Site] = {
    "alder": Site("alder"),
    "birch": Site(
        "birch",
        mpp=0.389,
        hematoxylin=(0.70, 0.60, 0.38),
        dab=(0.30, 0.55, 0.78),
        white=(235.0, 231.0, 237.0),
        hematoxylin_gain=1.25,
        blur_um=0.36,
        sharpen=1.5,
        sharpen_um=0.7,
        noise=0.7,
        drift=3.0,
        quality=85,
    ),
    "cedar": Site(
        "cedar",
        hematoxylin=(0.64, 0.66, 0.39),
        dab=(0.30, 0.50, 0.81),
        white=(232.0, 235.0, 244.0),
        hematoxylin_gain=0.85,
        blur_um=0.30,
        sharpen=1.5,
        noise=0.5,
        drift=1.4,
        quality=90,
    ),
    "dogwood": Site(
        "dogwood",
        mpp=0.46,
        hematoxylin=(0.68, 0.63, 0.36),
        dab=(0.28, 0.55, 0.79),
        white=(234.0, 233.0, 238.0),
        hematoxylin_gain=1.1,
        blur_um=0.42,
        sharpen=1.6,
        sharpen_um=0.8,
        noise=0.8,
        drift=4.4,
        quality=82,
    ),
}
"""Ready-made sites; a cohort of n sites takes the first n."""
