"""The picture of the course: all notebooks are on it, nothing collides, the README shows what is drawn."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from her2kit.cells.table import CLASS_COLOURS
from her2kit.report.route_plot import STAGES, draw_route, write_route

ROOT = Path(__file__).parents[2]
NUMBERS = [number for stage in STAGES for number, _ in stage.stations]


@pytest.fixture(autouse=True)
def _close():
    import matplotlib

    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_every_notebook_is_a_station_in_the_order_of_reading():
    notebooks = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    assert [int(p.name[:2]) for p in notebooks] == NUMBERS


def test_the_picture_of_the_readme_is_what_is_drawn(tmp_path):
    write_route(tmp_path / "route.png")
    drawn, kept = pixels_of(tmp_path / "route.png"), pixels_of(ROOT / "docs/route.png")
    assert drawn.shape == kept.shape, "python -m her2kit.report.route_plot docs/route.png"
    assert np.abs(drawn - kept).mean() < 0.5, "python -m her2kit.report.route_plot docs/route.png"
    assert (ROOT / "docs/route.png").stat().st_size <= 25_000


@pytest.mark.parametrize("inches", [5.0, 8.4, 12.2])
def test_words_stay_in_the_picture_and_in_their_boxes_and_never_collide(inches):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(inches, 0.76 * inches), layout="constrained")
    draw_route(ax, here=2)
    figure.draw_without_rendering()
    places = {text.get_text(): text.get_window_extent() for text in ax.texts}
    whole = ax.get_window_extent()
    for words, place in places.items():
        assert whole.x0 <= place.x0 < place.x1 <= whole.x1, words
        assert whole.y0 <= place.y0 < place.y1 <= whole.y1, words
    for (one, a), (other, b) in itertools.combinations(places.items(), 2):
        assert not a.overlaps(b), f"{one!r} lies over {other!r}"
    boxes = [p.get_window_extent() for p in ax.patches if type(p).__name__ == "FancyBboxPatch"]
    assert len(boxes) == len(NUMBERS)
    for words, place in places.items():
        touched = [box for box in boxes if box.overlaps(place)]
        inside = [box for box in touched if box.x0 < place.x0 and place.x1 < box.x1]
        assert touched == inside, f"{words!r} crosses the edge of a box"


def test_the_station_where_the_reader_is_stands_out_alone():
    from matplotlib.colors import to_hex

    boxes = [p for p in draw_route(here=7).patches if type(p).__name__ == "FancyBboxPatch"]
    faces = [to_hex(box.get_facecolor()) for box in boxes]
    assert [number for number, face in zip(NUMBERS, faces, strict=True) if faces.count(face) == 1] == [7]


def test_no_colour_of_a_class_is_used():
    figure = draw_route(here=10).get_figure(root=True)
    figure.canvas.draw()
    seen = np.unique(np.asarray(figure.canvas.buffer_rgba())[..., :3].reshape(-1, 3), axis=0).astype(int)
    for name, colour in CLASS_COLOURS.items():
        own = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert np.linalg.norm(seen - own, axis=1).min() > 40, name


def test_a_notebook_that_does_not_exist_is_said():
    with pytest.raises(ValueError, match="here=13 is no notebook of the course; they are 1 to 12"):
        draw_route(here=13)
