"""ACROBAT: slides of 1,153 breast cancer patients, H&E with ER, PGR, HER2 and KI67 IHC, as pyramids.

``<patient>_<STAIN>_<train|val|test>.tif``. There are no HER2 scores: the slides serve looking, tissue, stain
and registration. ``pair_path`` of an IHC slide is the patient's H&E, which is not registered to it.

References
----------
Weitz et al. Sci Data 2023;10:562; https://snd.se/en/catalogue/dataset/2022-190-1 (CC BY 4.0 (?)).
"""

import os
import re

from her2kit.errors import DatasetError, Her2Error
from her2kit.learning.datasets.dataset import Dataset, Published, manifest_table, skipped_table
from her2kit.learning.datasets.scan import look_and_unpack
from her2kit.slides.slide import open_slide

KEY = "acrobat"
STAINS = ("he", "er", "pgr", "her2", "ki67")
PUBLISHED = (
    Published("Weitz et al. 2023 (?)", {("train", "all"): 3406, ("val", "all"): 200, ("test", "all"): 606}),
)
_NAME = re.compile(r"(.+)_(HE|ER|PGR|HER2|KI67)_(train|val|test)\.tiff?", re.IGNORECASE)


def load(folder: str | os.PathLike) -> Dataset:
    """Load the slides.

    Returns
    -------
    Dataset
        Table: the manifest's columns; ``mpp`` is nan, since each file states its own.

    Raises
    ------
    DatasetError
        If no file is called as ACROBAT's are, one slide stands there twice, or the first does not open.
    """
    found, unpacked = look_and_unpack(
        folder, enough=lambda seen: any(_NAME.fullmatch(p[-1]) for p in seen.pictures)
    )
    skipped = list(found.left)
    slides: dict[str, dict] = {}
    for parts in found.pictures:
        path, match = found.path(parts), _NAME.fullmatch(parts[-1])
        if match is None:
            skipped.append((path, "not called as ACROBAT's slides are"))
            continue
        patient, stain, split = match[1], match[2].lower(), match[3].lower()
        slide_id = f"{patient}_{match[2].upper()}"
        if slide_id in slides:
            raise DatasetError(f"{path}: {slides[slide_id]['path']} is the same slide; remove one")
        slides[slide_id] = {
            **{"path": path, "patient_id": patient, "slide_id": slide_id, "split": split, "stain": stain}
        }
    if not slides:
        raise DatasetError(
            f"{found.folder} holds no slide such as 0_HE_train.tif; give the folder of ACROBAT"
        )
    for row in slides.values():
        he = slides.get(f"{row['patient_id']}_HE")
        row["pair_path"] = he["path"] if he and row["stain"] != "he" else None
    try:
        with open_slide(next(iter(slides.values()))["path"]) as slide:
            slide.thumbnail(max_px=256)
    except Her2Error as error:
        raise DatasetError(str(error)) from error
    notes = [
        "there are no HER2 scores",
        "the H&E in pair_path is of the same patient, not registered to the IHC",
        *(f"{path} was unpacked beside itself" for path in unpacked),
    ]
    table = manifest_table(list(slides.values()), dataset=KEY)
    return Dataset(
        KEY,
        found.folder,
        table,
        skipped_table(skipped),
        tuple(notes),
        PUBLISHED,
        count_by=("split", "stain"),
    )
