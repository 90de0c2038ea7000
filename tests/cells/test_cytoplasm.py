"""Stain of the cytoplasm: tight cells are held against the others', and membrane stain is left alone."""

import numpy as np
import pandas as pd
import pytest

from her2kit.cells.cytoplasm import held_against_cytoplasm
from her2kit.cells.grade import grade_cells


def cells_of(od, cytoplasm, *, completeness=0.9):
    od, cytoplasm = np.broadcast_arrays(np.float32(od), np.float32(cytoplasm))
    return pd.DataFrame(
        {
            "dab_od": od,
            "cytoplasm_dab_od": cytoplasm,
            "completeness": np.float32(completeness),
            "membrane_ratio": od / np.maximum(cytoplasm, np.float32(0.02)),
            "evaluable": True,
        }
    )


def cytoplasmic(n=200, tight=0.6, seed=0):
    """Return cells of cytoplasmic stain, some too tight for their cytoplasm to be read as dark as it is."""
    rng = np.random.default_rng(seed)
    dark = 0.16 * rng.uniform(0.7, 1.3, n)
    return cells_of(1.35 * dark, np.where(np.arange(n) < tight * n, 0.6 * dark, dark))


def classes(cells):
    return grade_cells(held_against_cytoplasm(cells))["cell_class"]


def test_tight_cells_of_cytoplasmic_stain_are_not_stained():
    cells = cytoplasmic()
    assert (grade_cells(cells)["cell_class"] != "0").mean() == pytest.approx(0.6)
    assert (classes(cells) != "0").mean() < 0.02


def test_cells_without_room_for_cytoplasm_are_held_against_it_too():
    cells = cytoplasmic()
    cells.loc[:59, ["cytoplasm_dab_od", "membrane_ratio"]] = np.float32(np.nan)
    assert (classes(cells) != "0").mean() < 0.02


def test_a_membrane_darker_than_the_cytoplasm_still_counts():
    cells = pd.concat([cytoplasmic(), cells_of([0.45] * 50 + [0.8] * 50, 0.15)], ignore_index=True)
    found = classes(cells)
    assert (found[:200] != "0").mean() < 0.02
    assert (found[200:250] == "2+").all()
    assert (found[250:] == "3+").all()


@pytest.mark.parametrize("plain", [0.0, 0.04, 0.09])
def test_membrane_stain_is_left_alone(plain):
    """Real cores have at most .014 of cells whose cytoplasm is as dark, phantoms .04."""
    n = round(300 * plain)
    cells = pd.concat([cytoplasmic(n, tight=0), cells_of(np.full(300 - n, 0.3), 0.1)], ignore_index=True)
    assert held_against_cytoplasm(cells) is cells


def test_few_cells_and_none_are_left_alone():
    for n in (0, 1, 29):
        cells = cytoplasmic(n)
        assert held_against_cytoplasm(cells) is cells


def test_a_second_call_changes_nothing_and_the_order_does_not_matter():
    cells = cytoplasmic()
    once = held_against_cytoplasm(cells)
    pd.testing.assert_frame_equal(held_against_cytoplasm(once), once)
    turned = held_against_cytoplasm(cells.iloc[::-1]).iloc[::-1]
    pd.testing.assert_frame_equal(turned, once)


def test_cells_that_are_not_evaluable_tell_nothing():
    cells = cytoplasmic().assign(evaluable=False)
    assert held_against_cytoplasm(cells) is cells
