"""A phantom cohort: what ``her2kit phantom OUT`` wrote, slides with a known answer."""

import os
from pathlib import Path

from her2kit.errors import DatasetError
from her2kit.learning.datasets.dataset import Dataset, skipped_table
from her2kit.manifest import read_manifest

KEY = "phantom"


def load(folder: str | os.PathLike) -> Dataset:
    """Load a cohort.

    Returns
    -------
    Dataset
        Table: the manifest's columns, and ``truth_path``, the folder of a slide's planted cells, tiles and
        rasters.

    Raises
    ------
    ManifestError
        If the manifest cannot be read.
    DatasetError
        If a slide or its truth is missing.
    """
    folder = Path(folder)
    table = read_manifest(folder / "manifest.csv")
    table["truth_path"] = [str(folder / "truth" / slide_id) for slide_id in table["slide_id"]]
    for row in table.itertuples():
        for name in ("path", "pair_path", "mask_path", "tumour_path", "truth_path"):
            place = getattr(row, name)
            if place and not Path(place).exists():
                raise DatasetError(
                    f"{folder}: slide {row.slide_id} has no {name} at {place}; make the cohort again "
                    "(her2kit phantom)"
                )
    notes = ("synthetic: the answer is what was planted",)
    return Dataset(KEY, folder, table, skipped_table([]), notes)
