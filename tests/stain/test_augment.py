"""Stain jitter: the amounts change as drawn, along the slide's own stains, and nothing else does."""

import numpy as np
import pytest

from her2kit.stain.augment import jitter
from her2kit.stain.basis import StainBasis
from her2kit.stain.optical_density import optical_density

WHITE = (234.0, 233.0, 243.0)
VECTORS = np.array([[0.651, 0.701, 0.290], [0.160, 0.880, 0.447]])
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
BASIS = StainBasis("macenko", WHITE, vectors=tuple(map(tuple, VECTORS.tolist())), amounts=(0.8, 0.6))


def picture(seed=0):
    amounts = np.random.default_rng(seed).uniform(0.1, 0.5, (40, 50, 2))
    return np.rint(np.array(WHITE) * 10 ** -(amounts @ VECTORS)).astype(np.uint8), amounts


def amounts_of(pixels):
    return optical_density(pixels, WHITE) @ np.linalg.pinv(VECTORS)


@pytest.mark.parametrize("seed", range(5))
def test_amounts_are_scaled_and_shifted_as_drawn(seed):
    pixels, _ = picture()
    out = jitter(pixels, basis=BASIS, rng=np.random.default_rng(seed), scale=0.3, shift=0.05)
    rng = np.random.default_rng(seed)
    factor, offset = 1 + rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.05, 0.05, 2)
    wanted = amounts_of(pixels) * factor + offset
    np.testing.assert_allclose(amounts_of(out), wanted, atol=0.02)
    # what neither stain explains stays
    across = np.cross(*VECTORS)
    residue = [optical_density(p, WHITE) @ across for p in (pixels, out)]
    np.testing.assert_allclose(*residue, atol=0.02)


def test_glass_and_black_stay():
    pixels = np.empty((3, 5, 3), np.uint8)
    pixels[0], pixels[1], pixels[2] = np.array(WHITE, np.uint8), 255, 0
    for seed in range(5):
        out = jitter(pixels, basis=BASIS, rng=np.random.default_rng(seed), scale=1, shift=1)
        np.testing.assert_array_equal(out, pixels)


def test_nothing_drawn_nothing_changed():
    pixels, _ = picture()
    out = jitter(pixels, basis=BASIS, rng=np.random.default_rng(0), scale=0, shift=0)
    np.testing.assert_array_equal(out, pixels)
    assert not np.shares_memory(out, pixels)


def test_the_generator_decides_and_the_layout_does_not():
    pixels, _ = picture()
    one, two = np.random.default_rng(1), np.random.default_rng(1)
    first = jitter(pixels, basis=BASIS, rng=one)
    np.testing.assert_array_equal(first, jitter(np.asfortranarray(pixels), basis=BASIS, rng=two))
    assert (jitter(pixels, basis=BASIS, rng=one) != first).any()


def test_wrong_arguments_are_named():
    pixels, _ = picture()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"scale=1\.5; use 0 to 1"):
        jitter(pixels, basis=BASIS, rng=rng, scale=1.5)
    with pytest.raises(ValueError, match=r"shift=-0\.1; use 0 to 1"):
        jitter(pixels, basis=BASIS, rng=rng, shift=-0.1)
    lab = StainBasis("reinhard", WHITE, lab_mean=(60.0, 20.0, -10.0), lab_sd=(10.0, 5.0, 5.0))
    with pytest.raises(ValueError, match="basis is fitted by reinhard"):
        jitter(pixels, basis=lab, rng=rng)
    with pytest.raises(ValueError, match="pixels has dtype float64"):
        jitter(pixels / 255, basis=BASIS, rng=rng)
