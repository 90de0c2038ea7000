"""Augmentation: what may change does, what must not does not, and pairs stay pairs."""

import pytest

from her2kit.learning.augment import NONE, Augmentation, TileChange, mixed, size_at

torch = pytest.importorskip("torch", reason="the train extra is not installed")


@pytest.fixture
def tile():
    torch.manual_seed(0)
    return torch.randint(0, 256, (3, 24, 24), dtype=torch.uint8)


def test_none_changes_nothing(tile):
    assert torch.equal(TileChange(NONE)(tile), tile)


def test_turning_gives_all_eight_and_moves_pixels_only(tile):
    change = TileChange(Augmentation(jitter=0))
    seen = {change(tile).numpy().tobytes() for _ in range(200)}
    assert len(seen) == 8
    assert tile.numpy().tobytes() in seen
    for data in seen:
        assert sorted(data) == sorted(tile.numpy().tobytes())


def test_pairs_are_changed_alike(tile):
    change = TileChange(Augmentation(randaugment=2))
    for seed in range(20):
        torch.manual_seed(seed)
        both = change(torch.cat([tile, tile]))
        assert torch.equal(both[:3], both[3:])
    assert not torch.equal(both[:3], tile)


def test_what_is_drawn_depends_on_the_seed_alone(tile):
    change, seen = TileChange(Augmentation(randaugment=2)), []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        seen.append(change(tile))
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    assert seen[0].dtype == torch.uint8


def test_progressive_learning_grows_to_the_full_size():
    growing = Augmentation(small=0.5)
    sizes = [size_at(growing, 128, i / 30) for i in range(30)]
    assert sizes[0] == 64
    assert sizes == sorted(sizes)
    assert set(sizes[20:]) == {128}
    assert all(size % 16 == 0 for size in sizes)
    assert size_at(Augmentation(), 100, 0.0) == 100
    assert size_at(Augmentation(small=0.25), 12, 0.0) == 12


def test_weak_at_first(tile):
    weak = TileChange(Augmentation(turn=False, weak=0.0), progress=0.0)
    assert torch.equal(weak(tile), tile)
    strong = TileChange(Augmentation(turn=False, weak=0.0), progress=1.0)
    assert not torch.equal(strong(tile), tile)


def test_mixup_blends_pictures_as_it_blends_labels():
    """A picture that holds its own label as brightness still holds it after mixing."""
    labels = torch.arange(6) % 2
    pictures = labels.float()[:, None, None, None].expand(6, 3, 16, 16)
    for kind, pure in (("mixup", False), ("cutmix", True)):
        for seed in range(10):
            torch.manual_seed(seed)
            got, share = mixed(pictures, labels, 2, Augmentation(mix=kind))
            torch.testing.assert_close(share.sum(1), torch.ones(6))
            torch.testing.assert_close(got.mean((1, 2, 3)), share[:, 1])
            assert pure == (set(got.unique().tolist()) <= {0.0, 1.0})
    same, untouched = mixed(pictures, labels, 2, NONE)
    assert same is pictures
    assert untouched is labels


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mix": "all"}, "mix='all'; use one of none, mixup"),
        ({"jitter": 2}, "jitter=2; use 0 to 1"),
        ({"small": 0}, "small=0; use 0.25 to 1"),
        ({"mix_alpha": 0}, "mix_alpha=0; use a positive"),
    ],
)
def test_choices_are_checked(change, words):
    with pytest.raises(ValueError, match=words):
        Augmentation(**change)
