"""What was published about how well people and programs agree on HER2, to print beside one's own figures.

Cohorts, antibodies, categories and weights differ, so these are a range to have in mind, no bound to pass.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One study."""

    who: str
    """Readers or program, and cases."""
    found: str
    """Its figures in words."""
    source: str
    kind: str
    """``people`` or ``programs``."""
    kappa: tuple[float, float] | None = None
    """Lowest and highest kappa between readers, or of a program; None where another measure was given."""
    kappa_words: str = ""
    """Which kappa."""


PUBLISHED = (
    Published(
        "18 breast pathologists of 15 institutions, 170 biopsies",
        "all agreed on 28.8 % of biopsies in four categories, 46.5 % in three; Fleiss' kappa 0.49",
        "Robbins et al. Mod Pathol 2023;36:100032",
        "people",
        (0.49, 0.49),
        "Fleiss",
    ),
    Published(
        "3 experienced breast pathologists, 247 carcinomas (many of score 0), glass and screen",
        "kappa 0.82 to 0.87 between readers; 10.1 % of readings differed between glass and screen",
        "Comparative study of intra and inter-observer variability in manual scoring of HER2 stains on glass "
        "slides versus paired digital images (preprint)",
        "people",
        (0.82, 0.87),
        "pairs",
    ),
    Published(
        "77 pathologists of 14 countries, before and after a course of 4 hours, against experts",
        "negative agreement on HER2-low 80.6, then 91.1 %; positive agreement on HER2-0 74.6, then 89.2 %",
        "Arch Pathol Lab Med 2025;149:431",
        "people",
    ),
    Published(
        "6 breast pathologists, 114 cases rich in HER2-low",
        "mean agreement 74.3 % (HercepTest) and 65.1 % (4B5); all six agreed on 45 %",
        "Karakas et al. Am J Clin Pathol 2023;159:484",
        "people",
    ),
    Published(
        "HER2-CONNECT, 86 cores, against 5 assessors",
        "agreement 92.3 %, kappa 0.864",
        "Brügmann et al. Breast Cancer Res Treat 2012;132:41",
        "programs",
        (0.864, 0.864),
        "Cohen",
    ),
    Published(
        "MembraneQuant, 309 regions, against 2 pathologists",
        "kappa 0.872, quadratic kappa 0.967",
        "Pathol Oncol Res 2015;21:1005",
        "programs",
        (0.872, 0.967),
        "Cohen, quadratic",
    ),
    Published(
        "Pathologists without and with a program, 112 slides",
        "accuracy 71.0 % without, 90.2 % with",
        "BMC Cancer 2024;24:1204",
        "programs",
    ),
)
"""Kappas are comparable only in kind: weights and the mix of scores move them."""
