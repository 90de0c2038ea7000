"""Change a labelled picture and its boxes alike: place, size, colour, stain, focus, noise. For training
alone.

Two ways to change colour. `StainChange` takes the picture apart into its two stains and puts it together with
other amounts, other stain vectors and another white: what another laboratory does. ``hsv`` shifts hue,
saturation and value, as R1's card does: strength of brown is the grade of HER2, so a detector that is to
grade should not be taught to ignore it.

All draws come from one generator that is handed over.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True)
class StainChange:
    """How far another laboratory may lie; standard deviations unless said otherwise."""

    vectors: float = 0.08
    """Of each component of the two unit stain vectors."""
    hematoxylin: float = 0.45
    """Of the logarithm of the amount of hematoxylin."""
    dab: float = 0.45
    """Of the logarithm of the amount of DAB."""
    hematoxylin_gain: float = 1.0
    """Middle of the factor on hematoxylin."""
    clear_od: float = 0.0
    """Most OD of hematoxylin that is taken off first, half of the times: a counterstain of nuclei alone."""
    haze: float = 0.06
    """Most OD of an even veil of one of the stains."""
    white: tuple[float, float] = (205.0, 255.0)
    """Lowest and highest grey level of the new white."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a training picture; all off by default but turning."""

    turn: bool = True
    """Quarter turns and mirror images: tissue has no upright. R1's card mirrors left to right alone."""
    scale: float = 1.0
    """Cells are made larger or smaller by a factor between 1/scale and scale."""
    stain: StainChange | None = None
    hsv: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Most change of hue, saturation and value as shares; R1's card: 0.015, 0.7, 0.4."""
    blur_px: float = 0.0
    """Most standard deviation of a Gaussian blur."""
    sharpen: float = 0.0
    """Most amount of an unsharp mask, half of the times."""
    noise: float = 0.0
    """Most standard deviation of noise in grey levels."""
    jpeg: tuple[int, int] | None = None
    """Lowest and highest quality of a compression, half of the times."""

    def __post_init__(self) -> None:
        if not self.scale >= 1:
            raise ValueError(f"scale={self.scale}; give 1 (none) or more")
        if min(self.hsv) < 0 or max(self.hsv) > 1 or min(self.blur_px, self.sharpen, self.noise) < 0:
            raise ValueError(f"{self}: changes are 0 or more, of hsv at most 1")


NO_CHANGE = Change(turn=False)


def changed(
    pixels: np.ndarray,
    boxes: np.ndarray,
    vectors: np.ndarray | None,
    *,
    side_px: int,
    change: Change,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random square of a picture, changed, and the boxes with their centre in it.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3).
    boxes
        float32 (n, 5), as in `her2kit.learning.point_boxes`.
    vectors
        Two stain vectors as rows, for `StainChange`; None takes the usual ones.
    side_px
        Of the square.

    Returns
    -------
    uint8 (side_px, side_px, 3), float32 (m, 5)
        White where the square reaches beyond the picture.
    """
    factor = float(np.exp(rng.uniform(-1, 1) * np.log(change.scale)))
    need = max(1, round(side_px / factor))
    height, width = pixels.shape[:2]
    left = int(rng.integers(min(0, width - need), max(0, width - need) + 1))
    top = int(rng.integers(min(0, height - need), max(0, height - need) + 1))
    piece, moved = cut(pixels, boxes, left=left, top=top, side_px=need)
    if need != side_px:
        how = cv2.INTER_AREA if need > side_px else cv2.INTER_LINEAR
        piece = cv2.resize(piece, (side_px, side_px), interpolation=how)
        moved[:, 1:] *= side_px / need
    if change.turn:
        piece, moved = _turned(piece, moved, int(rng.integers(4)), bool(rng.integers(2)))
    return _looked_at(piece, vectors, change, rng), moved


def cut(
    pixels: np.ndarray, boxes: np.ndarray, *, left: int, top: int, side_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a square of a picture, white beyond the picture, and the boxes whose centre lies in it."""
    piece = np.full((side_px, side_px, 3), 255, np.uint8)
    inside = pixels[max(top, 0) : max(top + side_px, 0), max(left, 0) : max(left + side_px, 0)]
    y0, x0 = max(-top, 0), max(-left, 0)
    piece[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]] = inside
    moved = boxes.copy()
    moved[:, 1:3] -= [left, top]
    centre = moved[:, 1:3]
    return piece, moved[((centre >= 0) & (centre < side_px)).all(axis=1)]


def _turned(piece: np.ndarray, boxes: np.ndarray, turns: int, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mirror left to right, then turn by quarters against the clock."""
    side = len(piece)
    if mirror:
        piece, boxes = piece[:, ::-1], boxes.copy()
        boxes[:, 1] = side - boxes[:, 1]
    piece = np.rot90(piece, turns)
    for _ in range(turns):
        boxes = boxes[:, [0, 2, 1, 4, 3]]
        boxes[:, 2] = side - boxes[:, 2]
    return np.ascontiguousarray(piece), boxes


def _looked_at(
    piece: np.ndarray, vectors: np.ndarray | None, change: Change, rng: np.random.Generator
) -> np.ndarray:
    """Return the piece as another laboratory and scanner would show it."""
    if change.stain is not None:
        piece = restained(piece, vectors, change.stain, rng)
    if any(change.hsv):
        piece = _hsv(piece, change.hsv, rng)
    if change.blur_px and (sigma := rng.uniform(-0.3, 1) * change.blur_px) > 0.2:
        piece = cv2.GaussianBlur(piece, (0, 0), sigma)
    if change.sharpen and rng.random() < 0.5:
        amount = rng.uniform(0, change.sharpen)
        piece = cv2.addWeighted(piece, 1 + amount, cv2.GaussianBlur(piece, (0, 0), 1.2), -amount, 0)
    if change.noise:
        grain = rng.standard_normal(piece.shape, np.float32) * np.float32(rng.uniform(0, change.noise))
        piece = np.clip(piece + grain, 0, 255).astype(np.uint8)
    if change.jpeg is not None and rng.random() < 0.5:
        quality = int(rng.integers(change.jpeg[0], change.jpeg[1] + 1))
        coded = cv2.imencode(".jpg", piece[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        piece = np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1])
    return piece


USUAL = np.array([[0.67, 0.63, 0.38], [0.27, 0.53, 0.80]], np.float32)
"""Hematoxylin and DAB of real cores, as the phantom's first laboratory."""


def restained(
    pixels: np.ndarray, vectors: np.ndarray | None, change: StainChange, rng: np.random.Generator
) -> np.ndarray:
    """Return the picture with other amounts and colours of hematoxylin and DAB, and another white.

    What neither stain explains is kept by a random share.
    """
    own = USUAL if vectors is None else np.asarray(vectors, np.float32)
    own = own / np.linalg.norm(own, axis=1, keepdims=True)
    table = -np.log10(np.maximum(np.arange(256, dtype=np.float32), 1) / 240)
    od = table[pixels.reshape(-1, 3)]
    amounts = od @ np.linalg.pinv(own)
    rest = od - amounts @ own
    if change.clear_od and rng.random() < 0.5:
        amounts[:, 0] = np.maximum(amounts[:, 0] - rng.uniform(0, change.clear_od), 0)
    new = np.maximum(own + rng.normal(0, change.vectors, own.shape), 0.02)
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    gain = np.exp(rng.normal(0, 1, 2) * [change.hematoxylin, change.dab])
    gain[0] *= change.hematoxylin_gain
    haze = np.maximum(rng.uniform(-1, 1, 2), 0) * change.haze
    level = rng.uniform(*change.white)
    white = np.clip(level + rng.normal(0, 4, 3), 190, 255)
    put = (np.diag(gain) @ new).astype(np.float32)
    changed_od = amounts @ put + np.float32(rng.uniform(0, 1)) * rest + (haze @ new).astype(np.float32)
    light = np.float32(white) * np.power(np.float32(10), -changed_od, dtype=np.float32)
    return np.clip(light + 0.5, 0, 255).astype(np.uint8).reshape(pixels.shape)


def _hsv(piece: np.ndarray, most: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Scale hue, saturation and value by random factors, as ultralytics' RandomHSV does."""
    factor = 1 + rng.uniform(-1, 1, 3) * most
    x = np.arange(256)
    tables = [(x * factor[0]) % 180, np.clip(x * factor[1], 0, 255), np.clip(x * factor[2], 0, 255)]
    planes = cv2.split(cv2.cvtColor(piece, cv2.COLOR_RGB2HSV))
    shifted = [cv2.LUT(p, t.astype(np.uint8)) for p, t in zip(planes, tables, strict=True)]
    return cv2.cvtColor(cv2.merge(shifted), cv2.COLOR_HSV2RGB)
