"""Near-duplicates: planted copies come back with what was done to them, strangers do not."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.errors import SlideError
from her2kit.learning.near_duplicates import MOST_BITS, TURNS, find_pairs, hash_files, hash_pictures
from her2kit.learning.pictures import write_picture


def tissue(n: int, *, side: int = 128, seed: int = 0) -> np.ndarray:
    """Return n pictures of dark blobs on white, uint8 (n, side, side, 3)."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, side, side)).astype(np.float32)
    field = np.array(
        [cv2.GaussianBlur(a, (0, 0), 3) * 25 + cv2.GaussianBlur(a, (0, 0), 9) * 60 for a in noise]
    )
    grey = np.clip(200 + 25 * field, 20, 245)
    return np.stack([grey, grey * 0.9, grey * 0.95], axis=-1).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


CHANGES = {
    "saved again": lambda p: jpeg(p, 50),
    "half the size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "twice the size": lambda p: cv2.resize(p, None, fx=2, fy=2),
    "darker": lambda p: (p * 0.8).astype(np.uint8),
    "recoloured": lambda p: np.clip(p * [1.05, 0.95, 0.85], 0, 255).astype(np.uint8),
    "contrast": lambda p: (255 * (p / 255) ** 1.4).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_no_stranger(change):
    pictures = tissue(60)
    both = [*pictures, *(CHANGES[change](p) for p in pictures)]
    found = find_pairs(hash_pictures(both), turned=False)
    assert list(zip(found["first"], found["second"], strict=True)) == [(i, i + 60) for i in range(60)]
    assert (found["bits"] <= MOST_BITS).all()


@pytest.mark.parametrize("turn", range(8))
def test_turned_copies_are_found_with_their_turn(turn):
    pictures = tissue(20, seed=turn)
    copies = pictures.swapaxes(1, 2) if turn & 4 else pictures
    copies = copies[:, :, ::-1] if turn & 1 else copies
    copies = copies[:, ::-1] if turn & 2 else copies
    hashes = hash_pictures(np.ascontiguousarray(p) for p in [*pictures, *copies])
    found = find_pairs(hashes)
    assert list(zip(found["first"], found["second"], strict=True)) == [(i, i + 20) for i in range(20)]
    assert (found["turn"] == TURNS[turn]).all()
    assert (found["bits"] == 0).all()
    assert len(find_pairs(hashes, turned=False)) == (20 if turn == 0 else 0)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999), changed=st.integers(0, 30), most=st.integers(0, 40), groups=st.integers(0, 3)
)
def test_the_search_finds_what_comparing_all_pairs_finds(seed, changed, most, groups):
    """Gold standard: every pair is compared; candidates are within 7 bits of the first word."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 1 << 63, (12, 4)).astype(np.uint64)
    hashes = base[rng.integers(0, 12, 60)]
    for row in hashes:
        for bit in rng.choice(256, changed, replace=False):
            row[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    apart = rng.integers(0, groups, 60) if groups else None
    bits = np.array(
        [[[int(a ^ b).bit_count() for a, b in zip(x, y, strict=True)] for x in hashes] for y in hashes]
    )
    near = (bits.sum(axis=2) <= most) & (bits[..., 0] <= 7)
    first = {}  # of equal hashes (in one part), the first stands for all
    for i, row in enumerate(hashes):
        first.setdefault((tuple(row), apart[i] if groups else 0), i)
    heads = sorted(first.values())
    expected = {(i, j) for i in heads for j in heads if i < j and near[i, j]}
    if groups:
        expected = {(i, j) for i, j in expected if apart[i] != apart[j]}
    else:
        expected |= {(first[tuple(row), 0], j) for j, row in enumerate(hashes) if first[tuple(row), 0] != j}
    found = find_pairs(hashes, apart=apart, most=most, turned=False)
    assert set(zip(found["first"], found["second"], strict=True)) == expected
    assert not found.duplicated(["first", "second"]).any()
    assert (found["bits"] == bits.sum(axis=2)[found["first"], found["second"]]).all()


def test_blank_pictures_have_no_hash_and_are_nobodys_copies():
    rng = np.random.default_rng(0)
    blank = [np.clip(rng.normal(240, 3, (64, 64, 3)), 0, 255).astype(np.uint8) for _ in range(30)]
    hashes = hash_pictures([*blank, np.zeros((40, 50, 3), np.uint8)])
    assert not hashes.any()
    assert len(find_pairs(hashes)) == 0


def test_many_equal_pictures_do_not_make_many_pairs():
    hashes = np.repeat(hash_pictures(tissue(1)), 20_000, axis=0)
    assert len(find_pairs(hashes)) == 19_999
    found = find_pairs(hashes, apart=np.arange(20_000) % 2)
    assert found[["first", "second"]].to_numpy().tolist() == [[0, 1]]


def test_files_hash_as_their_pixels(tmp_path):
    pictures = tissue(5)
    paths = [write_picture(tmp_path / f"{i}.png", p) for i, p in enumerate(pictures)]
    np.testing.assert_array_equal(hash_files(paths), hash_pictures(pictures))
    with pytest.raises(SlideError, match=r"gone\.png"):
        hash_files([paths[0], tmp_path / "gone.png"])


def test_nothing_is_an_empty_table():
    found = find_pairs(hash_pictures([]))
    assert list(found.columns) == ["first", "second", "bits", "turn"]
    assert len(found) == 0


def test_wrong_arguments():
    hashes = hash_pictures(tissue(3))
    with pytest.raises(ValueError, match="float64"):
        find_pairs(hashes.astype(float))
    with pytest.raises(ValueError, match="most=65"):
        find_pairs(hashes, most=65)
    with pytest.raises(ValueError, match="2 parts for 3 hashes"):
        find_pairs(hashes, apart=np.array(["a", "b"]))
    with pytest.raises(ValueError, match="a picture is float64"):
        hash_pictures([np.zeros((8, 8, 3))])


def test_real_tiles_next_to_each_other_are_not_called_copies(real):
    from her2kit.slides.slide import open_slide

    cores = sorted((real / "her2_tma").glob("*.jpg"))[:2]
    tiles = []
    for path in cores:
        with open_slide(path, mpp=0.25) as slide:
            side = 2048
            middle = (slide.width_px0 - side) / 2, (slide.height_px0 - side) / 2
            field = slide.read(*middle, side // 2, side // 2, mpp=0.5).pixels
        tiles += [field[y : y + 128, x : x + 128] for y in range(0, 1024, 128) for x in range(0, 1024, 128)]
    hashes = hash_pictures(tiles)
    assert hashes.any(axis=1).mean() > 0.6
    assert len(find_pairs(hashes)) == 0
    again = hash_pictures([jpeg(np.ascontiguousarray(t), 70) for t in tiles])
    apart = np.repeat([0, 1], len(tiles))
    found = find_pairs(np.concatenate([hashes, again]), apart=apart)
    assert (found["second"] - found["first"] == len(tiles)).all()
    assert len(found) >= 0.97 * hashes.any(axis=1).sum()
