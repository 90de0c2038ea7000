"""The plan of one phantom slide: what is to be drawn, before a single cell has its place.

A case is stated as a pathologist would state it: how many per cent of the invasive cells have which
(completeness, intensity) pair, how the tumour grows, what else lies on the slide. Ready-made plans are in
``ready``. Nothing here draws.
"""

from dataclasses import dataclass, field

from her2kit.errors import PlanError
from her2kit.phantom.site import SITES, Site

COMPLETENESS = ("none", "incomplete", "complete")
INTENSITY = ("none", "faint", "weak", "moderate", "intense")
PAIRS: tuple[tuple[str, str], ...] = (
    ("none", "none"),
    ("incomplete", "faint"),
    ("complete", "faint"),
    ("incomplete", "weak"),
    ("complete", "weak"),
    ("incomplete", "moderate"),
    ("complete", "moderate"),
    ("incomplete", "intense"),
    ("complete", "intense"),
)
"""Every pair that a cell can have, from the least to the most stained."""
PATTERNS = ("nests", "solid", "cords", "ducts", "glands", "papillary")
SPECIMENS = ("resection", "biopsy", "core")
STAINS = ("her2", "pdl1", "ki67", "he")
GUIDELINES = ("breast-asco-cap-2018", "gastric-resection", "gastric-biopsy")

Fractions = dict[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Mix:
    """Share of the tissue area that each kind of tissue takes; stroma takes what is left."""

    invasive: float = 0.55
    """Zone of invasive carcinoma, its own stroma included."""
    in_situ: float = 0.03
    normal: float = 0.03
    immune: float = 0.03
    necrosis: float = 0.01
    fat: float = 0.05
    vessels: float = 0.006

    def __post_init__(self):
        """Check that shares are shares."""
        shares = [getattr(self, name) for name in self.__slots__]
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise PlanError(
                f"tissue mix {self} holds a negative share or sums to more than 1; lower the shares"
            )


@dataclass(frozen=True, slots=True)
class Plan:
    """One slide: the case, the tissue, the site. All lengths in micrometres."""

    name: str
    """Name of the case, e.g. ``2+``."""
    fractions: Fractions
    """Share of invasive cells per (completeness, intensity) pair; sums to 1."""
    slide_id: str = "phantom"
    patient_id: str = "patient"
    size_px: tuple[int, int] = (4096, 4096)
    """Width and height of the full level."""
    mpp: float | None = None
    """``None``: the site's own."""
    site: Site = field(default_factory=lambda: SITES["alder"])
    seed: int = 0
    stain: str = "her2"
    guideline: str = "breast-asco-cap-2018"
    specimen: str = "resection"
    patterns: tuple[str, ...] = ("nests", "ducts")
    """How the tumour grows; several share the invasive zone."""
    mix: Mix = field(default_factory=Mix)
    clustering: float = 0.75
    """0: stained cells lie anywhere; 1: cells of a like stain lie together."""
    heterogeneity_um: float = 160.0
    """Size of the regions of a like stain."""
    hot_spot: bool = False
    """All the strongest cells lie in one spot."""
    basolateral: bool = False
    """Incomplete membranes are U-shaped, open to the lumen, instead of open at random."""
    cytoplasm_dab: float | None = None
    """Optical density of DAB in the cytoplasm of every tumour cell; ``None``: about 0.4 of its membrane's."""
    dab_gain: float = 1.0
    """Factor on all DAB, for overstained and faded slides; the planted optical densities include it."""
    hematoxylin_gain: float = 1.0
    cell_spacing_um: float = 8.8
    """Least distance between the centres of tumour cells in solid growth, 5 to 25."""
    nucleus_um2: float = 48.0
    """Median area of a tumour nucleus, 12 to 200."""
    in_situ_fractions: Fractions = field(
        default_factory=lambda: {("complete", "intense"): 0.6, ("complete", "moderate"): 0.4}
    )
    normal_fractions: Fractions = field(
        default_factory=lambda: {
            ("none", "none"): 0.5,
            ("incomplete", "faint"): 0.35,
            ("incomplete", "weak"): 0.15,
        }
    )
    degrade: tuple[tuple[str, float], ...] = ()
    """Degradations with their strength, 0 to 1, in the order in which they are applied."""
    positive: tuple[float, float] = (0.3, 0.3)
    """PD-L1: share of positive tumour cells and immune cells. Ki67: the first one."""

    def __post_init__(self):
        """Check every choice; what cannot be drawn is refused here."""
        for name in ("fractions", "in_situ_fractions", "normal_fractions"):
            _check_fractions(name, getattr(self, name))
        _one_of("stain", self.stain, STAINS)
        _one_of("guideline", self.guideline, GUIDELINES)
        _one_of("specimen", self.specimen, SPECIMENS)
        if not self.patterns:
            raise PlanError(f"patterns is empty; give one or more of {', '.join(PATTERNS)}")
        for pattern in self.patterns:
            _one_of("pattern", pattern, PATTERNS)
        for name, low, high in (
            ("clustering", 0, 1),
            ("heterogeneity_um", 10, 1e5),
            ("dab_gain", 0, 10),
            ("hematoxylin_gain", 0, 10),
            ("nucleus_um2", 12, 200),
            ("cell_spacing_um", 5, 25),
        ):
            if not low <= getattr(self, name) <= high:
                raise PlanError(f"{name}={getattr(self, name)}; give a number between {low} and {high}")
        least = 1.05 * self.nucleus_um2**0.5
        if self.cell_spacing_um < least:
            raise PlanError(
                f"cell_spacing_um={self.cell_spacing_um} is too dense for nuclei of {self.nucleus_um2} um2; "
                f"give at least {least:.1f} or smaller nuclei"
            )
        if self.mpp is not None and not 0.1 <= self.mpp <= 4:
            raise PlanError(
                f"mpp={self.mpp}; give micrometres per pixel between 0.1 and 4 (0.25 is usual at 40x)"
            )
        width, height = self.size_px
        if min(width, height) < 256:
            raise PlanError(f"size_px={self.size_px}; give at least 256 pixels a side")
        if max(width, height) * self.pixel_um > 40_000 or width * height > 1.1e10:
            raise PlanError(
                f"size_px={self.size_px} at {self.pixel_um} um/px is more than memory holds "
                "(40 mm a side, 1e10 px); give a smaller size"
            )

    @property
    def pixel_um(self) -> float:
        """Micrometres per pixel that the slide is drawn at."""
        return self.site.mpp if self.mpp is None else self.mpp

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height in micrometres."""
        return self.size_px[0] * self.pixel_um, self.size_px[1] * self.pixel_um


def _check_fractions(name: str, fractions: Fractions) -> None:
    for pair, share in fractions.items():
        if pair not in PAIRS:
            raise PlanError(
                f"{name} holds {pair!r}; use pairs such as ('complete', 'intense') or ('none', 'none')"
            )
        if not 0 <= share <= 1:
            raise PlanError(f"{name} gives {share} to {pair}; give shares between 0 and 1")
    total = sum(fractions.values())
    if abs(total - 1) > 1e-6:
        raise PlanError(f"{name} sums to {total:.4g}, not 1; make the shares add up to 1")


def _one_of(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise PlanError(f"{name}={value!r}; use one of {', '.join(words)}")
