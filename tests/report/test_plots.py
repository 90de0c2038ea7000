import numpy as np
import pytest
from planted_slide import MPP, pictures, planted_cells, read
from shapely.geometry import box

from her2kit.cells.table import CLASS_COLOURS, empty_cells
from her2kit.report import plots
from her2kit.report.cut_offs import cut_offs
from her2kit.report.fields import fields_of


@pytest.fixture(autouse=True)
def matplotlib_without_a_screen():
    import matplotlib

    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def cells():
    return planted_cells(300)


def all_plots(cells, shown):
    counted = np.ones(len(cells), bool)
    return {
        "bars": lambda ax: plots.class_bars({"0": 5, "1+": 3, "2+": 2, "3+": 10}, ax, title="t"),
        "overview": lambda ax: plots.overview(shown, ax, title="t"),
        "class map": lambda ax: plots.class_map(cells, shown, ax, title="t"),
        "field map": lambda ax: plots.field_map(fields_of(cells, counted, mpp=MPP), shown, ax, title="t"),
        "field": lambda ax: plots.field(read(0, 0, 400, 300, MPP), ax, mpp=MPP, title="t"),
        "cells": lambda ax: plots.cells_on_picture(
            read(0, 0, 400, 300, MPP), cells, ax, nuclei=True, title="t"
        ),
        "strip": lambda ax: plots.cell_strip(cells.head(5), shown, ax, title="t"),
        "plane": lambda ax: plots.stain_plane(cells, cut_offs("breast"), ax, title="t"),
    }


@pytest.mark.parametrize("name", list(all_plots(planted_cells(5), pictures())))
@pytest.mark.parametrize("empty", [False, True])
def test_each_plot_draws_on_the_axes_given_and_makes_its_own(cells, name, empty):
    import matplotlib.pyplot as plt

    draw = all_plots(empty_cells() if empty else cells, pictures(tumour=[box(0, 0, 900, 900)]))[name]
    figure, ax = plt.subplots()
    assert draw(ax) is ax
    assert ax.get_title(loc="left") == "t"
    assert ax.has_data() or (empty and name == "strip")
    figure.canvas.draw()
    own = draw(None)
    assert own is not ax
    own.figure.canvas.draw()


@pytest.mark.parametrize("name", list(all_plots(planted_cells(5), pictures())))
def test_no_label_is_clipped(cells, name):
    ax = all_plots(cells, pictures())[name](None)
    ax.figure.canvas.draw()
    box = ax.get_tightbbox()
    width, height = ax.figure.canvas.get_width_height()
    assert box.x0 >= -1
    assert box.y0 >= -1
    assert box.x1 <= width + 1
    assert box.y1 <= height + 1


def test_bars_are_the_percent_in_the_colours_of_the_classes():
    import matplotlib.colors as mcolors

    ax = plots.class_bars({"0": 50, "1+": 30, "2+": 15, "3+": 5})
    assert [p.get_width() for p in ax.patches] == [50, 30, 15, 5]
    assert [mcolors.to_hex(p.get_facecolor()).upper() for p in ax.patches] == list(CLASS_COLOURS.values())


def test_bars_without_cells_are_empty():
    ax = plots.class_bars(dict.fromkeys(CLASS_COLOURS, 0))
    assert [p.get_width() for p in ax.patches] == [0, 0, 0, 0]


def test_only_cells_inside_the_picture_are_outlined(cells):
    ax = plots.cells_on_picture(read(1000, 2000, 200, 100, 1.0), cells, x_px0=1000, y_px0=2000, px0_per_px=4)
    inside = cells["x_px0"].between(1000, 1800, inclusive="left") & cells["y_px0"].between(
        2000, 2400, inclusive="left"
    )
    (lines,) = (c for c in ax.collections if c.get_segments())
    assert len(lines.get_segments()) == inside.sum() > 0


def test_crops_need_a_way_to_read(cells):
    with pytest.raises(ValueError, match="pictures has no read or no mpp"):
        plots.cell_strip(cells.head(2), pictures(sharp=False))
