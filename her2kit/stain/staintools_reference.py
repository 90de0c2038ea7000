"""Staintools' normalisers with their traps taken care of: what ours are measured against.

Its classes fit each tile anew and learn Vahadane's vectors for about a second whatever the tile, so their
result depends on the machine; here the learning is bounded by iterations. They write to their input, fail on
glass and on arrays that are not contiguous, and take 255 for white.

References
----------
Byfield P. StainTools, version 2.1.2. https://github.com/Peter554/StainTools (MIT).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from her2kit.errors import StainError
from her2kit.stain.basis import StainBasis
from her2kit.stain.normalised import NormalisedTile
from her2kit.stain.optical_density import check_rgb

_DECADIC = float(np.log(10.0))
_BLACK = 25


class StaintoolsNormaliser:
    """Fit to a target, then transform tiles, each with vectors of its own, as R4 did."""

    def __init__(self, method: str = "vahadane", *, iterations: int | None = 5000) -> None:
        """Take ``macenko`` or ``vahadane``; ``iterations=None`` leaves Vahadane bounded by time."""
        if method not in ("macenko", "vahadane"):
            raise ValueError(f"method is {method!r}; use 'macenko' or 'vahadane'")
        staintools, _ = _import()
        self.method = method
        self._normaliser = staintools.StainNormalizer(method)
        if method == "vahadane" and iterations is not None:
            self._normaliser.extractor = _BoundedVahadane(iterations)

    def vectors(self, pixels: np.ndarray) -> np.ndarray:
        """Return the two unit OD vectors of a picture, float64 (2, 3).

        Raises
        ------
        StainError
            If staintools finds no tissue.
        """
        with _tissue_needed():
            return np.asarray(self._normaliser.extractor.get_stain_matrix(_own(pixels)))

    def basis(self, pixels: np.ndarray) -> StainBasis:
        """Return what staintools fits on a picture as a basis for our `normalise`."""
        from staintools.miscellaneous.get_concentrations import get_concentrations

        vectors = self.vectors(pixels)
        amounts = np.percentile(get_concentrations(_own(pixels), vectors), 99, axis=0) / _DECADIC
        first, second = (tuple(float(v) for v in row) for row in vectors)
        return StainBasis(
            self.method,
            (255.0, 255.0, 255.0),
            vectors=(first, second),  # type: ignore[arg-type]
            amounts=(float(amounts[0]), float(amounts[1])),
            sparsity=0.01 / _DECADIC,
        )

    def fit(self, target: np.ndarray) -> None:
        """Fit to a target picture, uint8 (h, w, 3); a StainError where staintools finds no tissue."""
        with _tissue_needed():
            self._normaliser.fit(_own(target))

    def transform(self, pixels: np.ndarray) -> NormalisedTile:
        """Give a picture the target's colours; one without tissue or colour comes back unchanged."""
        from staintools.miscellaneous.exceptions import TissueMaskException

        own = _own(pixels)
        if own.max(initial=0) <= _BLACK:
            return NormalisedTile(own, "black")
        try:
            return NormalisedTile(self._normaliser.transform(own), "normalised")
        except TissueMaskException:
            return NormalisedTile(_own(pixels), "blank")


def standardise(pixels: np.ndarray) -> np.ndarray:
    """Return staintools' luminosity standardisation of a picture, uint8 (h, w, 3)."""
    staintools, _ = _import()
    return staintools.LuminosityStandardizer.standardize(_own(pixels))


class _BoundedVahadane:
    """Staintools' Vahadane extractor (same mask, OD and parameters), stopped by iterations."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations

    def get_stain_matrix(self, pixels: np.ndarray) -> np.ndarray:
        _, spams = _import()
        from staintools.miscellaneous.miscellaneous_functions import normalize_matrix_rows
        from staintools.miscellaneous.optical_density_conversion import convert_RGB_to_OD
        from staintools.tissue_masks.luminosity_threshold_tissue_locator import (
            LuminosityThresholdTissueLocator,
        )

        mask = LuminosityThresholdTissueLocator.get_tissue_mask(pixels).reshape(-1)
        od = convert_RGB_to_OD(pixels).reshape(-1, 3)[mask]
        learning = {"K": 2, "lambda1": 0.1, "mode": 2, "modeD": 0, "posAlpha": True, "posD": True}
        atoms = spams.trainDL(
            X=np.asfortranarray(od.T), iter=self.iterations, numThreads=1, verbose=False, **learning
        ).T
        return normalize_matrix_rows(atoms[np.argsort(-atoms[:, 0])])


@contextmanager
def _tissue_needed() -> Iterator[None]:
    from staintools.miscellaneous.exceptions import TissueMaskException

    try:
        yield
    except TissueMaskException as error:
        raise StainError("pixels hold no tissue (all of L* >= 80 %); take a stained picture") from error


def _own(pixels: np.ndarray) -> np.ndarray:
    """Return a contiguous copy that staintools may write to."""
    check_rgb(pixels)
    if pixels.ndim != 3:
        raise ValueError(f"pixels has shape {pixels.shape}; pass a picture with shape (h, w, 3)")
    return np.array(pixels, order="C")


def _import() -> tuple[Any, Any]:
    try:
        import spams
        import staintools
    except ImportError as error:
        raise ImportError(
            f"staintools or spams is missing ({error}); pip install 'her2kit[train]'"
        ) from error
    return staintools, spams
