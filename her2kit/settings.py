"""What a user may choose for one slide, checked before anything is opened."""

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from her2kit.scoring.category import ISH
from her2kit.scoring.guideline import CONTROL, GUIDELINES, Policies

DETECTORS = ("auto", "classical", "network")
"""Or the path of an .onnx file with its card."""
AUTO_DETECTOR = "classical"
"""What ``auto`` means: the one with the better pooled F1 on labelled real pictures, if the real cores keep
their scores with it; ``benchmarks/detect.py`` prints both."""
MPP_RANGE = (0.05, 5.0)
"""Micrometres per pixel that a scanned slide can have; outside it the number means something else, such as a
magnification."""


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """The choices for one slide; ``score.json`` keeps all that can change a result."""

    mpp: float | None = None
    """Micrometres per pixel at level 0; None takes the file's own."""
    guideline: str = "breast-asco-cap-2018"
    tumour: str = "none"
    """``none``; ``auto``, where the shipped model maps the tissue; or the path of a GeoJSON with the regions
    that hold invasive tumour."""
    tumour_map: str | None = None
    """A tumour map (``.npz``), or a folder of ``<slide_id>.npz``: shown in the report, never part of the
    score."""
    ish: str = "unknown"
    """Result of in situ hybridisation; changes the category, never the score."""
    control: str = "unknown"
    """Control tissue: valid, failed or unknown."""
    stain: str = "her2"
    """What the slide is stained for, as its manifest says; anything but HER2 is refused."""
    detector: str = "auto"
    """What locates the nuclei: ``classical``, ``network`` (the detector that ships), the path of an .onnx
    file, or ``auto``, the better of the first two. Membranes are measured alike."""
    policies: Policies = field(default_factory=Policies)
    tile_px: int = 2048
    """Side of a tile in pixels; changes speed and memory, never a result."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Tiles worked on at a time, at most one a core; changes speed and memory, never a result."""

    def __post_init__(self) -> None:
        for name, words in (
            ("guideline", tuple(GUIDELINES)),
            ("ish", ISH),
            ("control", CONTROL),
        ):
            value = getattr(self, name)
            if value not in words:
                raise ValueError(f"{name}={value!r} is not known; use one of {', '.join(words)}")
        if self.detector not in DETECTORS and not self.detector.endswith(".onnx"):
            raise ValueError(
                f"detector={self.detector!r} is not known; use one of {', '.join(DETECTORS)}, or an .onnx "
                f"file"
            )
        if self.mpp is not None and not MPP_RANGE[0] <= self.mpp <= MPP_RANGE[1]:
            raise ValueError(
                f"mpp={self.mpp:g} cannot be micrometres per pixel of a slide that shows membranes; "
                "pass about 0.25 for 40x, 0.5 for 20x"
            )
        if self.tile_px < 64:
            raise ValueError(f"tile_px={self.tile_px}; pass 64 or more")
        if self.workers < 1:
            raise ValueError(f"workers={self.workers}; pass 1 or more")

    @property
    def weights(self) -> str | None:
        """The detector's weights: a path, "" for those that ship, None for the classical detector."""
        name = AUTO_DETECTOR if self.detector == "auto" else self.detector
        return None if name == "classical" else "" if name == "network" else name

    def record(self) -> dict[str, Any]:
        """Return the settings that can change a result, as plain values."""
        plain = asdict(self)
        del plain["workers"], plain["tile_px"]
        return plain
