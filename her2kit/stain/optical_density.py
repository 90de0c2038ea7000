"""Optical density (OD): how much light a pixel has lost, on the slide's own white point.

By Beer and Lambert OD is proportional to the amount of stain, so densities add up where grey levels do not.
No smoothing and no normalisation happens here: scores come from raw OD.

References
----------
Ruifrok AC, Johnston DA. Quantification of histochemical staining by color deconvolution. Anal Quant Cytol
Histol 2001;23:291-299.
"""

import numpy as np

from her2kit.stain.normalised import refuse_normalised


def od_table(white: tuple[float, float, float]) -> np.ndarray:
    """Tabulate the OD of the 256 grey levels of the three channels.

    Parameters
    ----------
    white
        Grey level of glass in R, G, B, each in 1..255 (a slide's own white point is often bluish).

    Returns
    -------
    float32 (3, 256)
        ``-log10(max(level, 1) / white)``. Negative where a pixel is brighter than the white point: sharpening
        leaves 4-10 % of such pixels in stained crops, and clipping them would bias every mean.

    Raises
    ------
    ValueError
        If `white` does not hold three numbers in 1..255.
    """
    levels = np.asarray(white, dtype=np.float64)
    if levels.shape != (3,) or not np.all((levels >= 1) & (levels <= 255)):
        raise ValueError(f"white is {white!r}; pass three grey levels in 1..255, as (235, 235, 241)")
    grey = np.maximum(np.arange(256, dtype=np.float64), 1.0)
    return (-np.log10(grey[None, :] / levels[:, None])).astype(np.float32)


def optical_density(pixels: np.ndarray, white: tuple[float, float, float]) -> np.ndarray:
    """Return the optical density of each pixel and channel.

    Parameters
    ----------
    pixels
        uint8 (..., 3), RGB.
    white
        Grey level of glass in R, G, B, each in 1..255.

    Returns
    -------
    float32 (..., 3)
        From slightly negative (brighter than white) to about 2.4 (black).

    Raises
    ------
    ValueError
        If `pixels` is not uint8 RGB, or `white` is not three grey levels.
    """
    check_rgb(pixels)
    table = od_table(white)
    return np.stack([table[c][pixels[..., c]] for c in range(3)], axis=-1)


def check_rgb(pixels: np.ndarray) -> None:
    """Raise a ValueError unless `pixels` is a uint8 array whose last axis holds R, G, B.

    A TypeError if it is a `NormalisedTile`: amounts of stain are read from raw pixels alone.
    """
    refuse_normalised(pixels)
    if not isinstance(pixels, np.ndarray):
        raise TypeError(f"pixels is a {type(pixels).__name__}; pass a uint8 RGB array with shape (..., 3)")
    if pixels.dtype != np.uint8 or pixels.ndim < 1 or pixels.shape[-1] != 3:
        raise ValueError(
            f"pixels has dtype {pixels.dtype} and shape {pixels.shape}; "
            f"pass uint8 RGB with shape (..., 3){_advice(pixels)}"
        )


def _advice(pixels: np.ndarray) -> str:
    if pixels.dtype.kind == "f":
        unit = "" if (pixels > 1).any() else "255 * "
        return f": np.rint({unit}pixels).astype(np.uint8)"
    if pixels.dtype == np.uint16:
        return ": (pixels // 257).astype(np.uint8) if it fills 16 bits"
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[-1] == 4:
        return ": pixels[..., :3] drops alpha"
    if pixels.dtype == np.uint8 and pixels.ndim == 2:
        return ": a grey picture does not show which stain is which"
    return ""
