"""Colour and texture features: what each is for, and that they do what a small model needs."""

import cv2
import numpy as np
import pytest

from her2kit.learning.features import colour_texture, feature_table


def flat(colour, side=64) -> np.ndarray:
    return np.full((side, side, 3), colour, np.uint8)


def test_names_are_the_same_for_every_tile_and_values_are_finite():
    rng = np.random.default_rng(0)
    tiles = [flat((255, 255, 255)), flat((0, 0, 0)), rng.integers(0, 256, (33, 70, 3), np.uint8)]
    found = [colour_texture(tile) for tile in tiles]
    assert len({tuple(f) for f in found}) == 1
    assert all(np.isfinite(list(f.values())).all() for f in found)


def test_brown_raises_dab_and_blue_raises_hematoxylin():
    glass, brown, blue = (colour_texture(flat(c)) for c in ((240, 240, 245), (150, 105, 70), (120, 125, 175)))
    assert brown["dab_p50"] > blue["dab_p50"] + 0.02
    assert blue["hematoxylin_p50"] > brown["hematoxylin_p50"] + 0.02
    assert max(glass["dab_p50"], glass["hematoxylin_p50"]) < 0.02


def test_texture_features_see_grain_that_colour_does_not():
    rng = np.random.default_rng(1)
    noise = rng.normal(150, 30, (128, 128))
    coarse = cv2.GaussianBlur(noise, (0, 0), 4)
    coarse = 150 + (coarse - coarse.mean()) * noise.std() / coarse.std()
    fine, smooth = (
        colour_texture(np.clip(a[..., None] * [1, 1, 1], 0, 255).astype(np.uint8)) for a in (noise, coarse)
    )
    assert fine["red_sd"] == pytest.approx(smooth["red_sd"], rel=0.1)
    assert fine["contrast_1px"] > 3 * smooth["contrast_1px"]
    assert fine["correlation_1px"] < 0.2 < 0.8 < smooth["correlation_1px"]


def test_red_on_either_side_of_the_hue_circle_is_one_red():
    one, other = (colour_texture(flat(c)) for c in ((200, 60, 64), (200, 64, 60)))
    assert one["hue_x"] == pytest.approx(other["hue_x"], abs=0.05)
    assert one["hue_y"] == pytest.approx(other["hue_y"], abs=0.08)


def test_a_small_model_tells_two_textures_apart():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(2)
    tiles = rng.normal(150, 25, (60, 64, 64)).astype(np.float32)
    tiles[::2] = [cv2.GaussianBlur(t, (0, 0), 1) * 2 - 150 for t in tiles[::2]]
    tiles = np.clip(tiles[..., None] * np.ones(3), 0, 255).astype(np.uint8)
    table, label = feature_table(tiles), np.arange(60) % 2
    assert table.shape[0] == 60
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table[:40], label[:40])
    assert model.score(table[40:], label[40:]) == 1


def test_no_tiles_are_an_empty_table_with_its_columns():
    empty = feature_table(np.empty((0, 64, 64, 3), np.uint8))
    assert len(empty) == 0
    assert list(empty.columns) == list(colour_texture(flat((9, 9, 9))))


@pytest.mark.parametrize(
    "pixels", [np.zeros((64, 64)), np.zeros((64, 64, 3)), np.zeros((4, 64, 3), np.uint8)]
)
def test_what_is_no_tile_is_refused(pixels):
    with pytest.raises(ValueError, match=r"give uint8 \(h, w, 3\)"):
        colour_texture(pixels)
