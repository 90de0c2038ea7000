"""Public datasets: what each is, where it lies, which files, which licence, what is known of their hashes.

Words and numbers alone; nothing is opened or fetched here. Sizes called ``about`` and licences marked (?)
were read second-hand. Where a publisher's record gives exact sizes and MD5 (Zenodo), ``fetch`` asks for them.
A file of which nobody published a hash is hashed at its first download and checked against that from then on.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """One file of a dataset, as its publisher offers it."""

    name: str
    """Place in the dataset, with ``/``; a ``.zip`` is unpacked."""
    url: str = ""
    """Empty: no address that a program may use."""
    size: int | None = None
    """Bytes, exact."""
    about: int = 0
    """Bytes, roughly, where the exact number is not known."""
    sha256: str = ""
    """Empty: not known here."""
    optional: bool = False
    """Named in the dataset, but not seen at its place: that it is missing is said and is no failure."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A public dataset."""

    key: str
    """Names it on the command line, its loader in ``learning.datasets``, and its folder in ``data``."""
    title: str
    page: str
    """The publisher's page, for people."""
    licence: str
    citation: str
    files: tuple[File, ...] = ()
    """Empty: nobody may name the files for you; whatever ``.zip`` is placed by hand is unpacked."""
    record: str = ""
    """Address of a Zenodo record (JSON), which gives sizes and MD5."""

    @property
    def size(self) -> int | None:
        """Bytes to fetch, roughly; None where nobody knows."""
        return sum(f.size or f.about for f in self.files) or None


def _zenodo(key: str, record: str, names: dict[str, float], **words: str) -> Dataset:
    """Return a dataset of Zenodo; ``names`` gives each file's size in GB, roughly, 0 for one not seen."""
    api = f"https://zenodo.org/api/records/{record}"
    files = tuple(
        File(name, f"{api}/files/{name}/content", about=round(gb * 1e9), optional=not gb)
        for name, gb in names.items()
    )
    return Dataset(key, page=f"https://zenodo.org/records/{record}", files=files, record=api, **words)


_HER2_TMA = (
    "https://raw.githubusercontent.com/bozeklab/HER2-overexpression/2916fc560a9a707ba978d30c79774521762e0a72"
)
"""Of one commit, so that the files behind it stay what they are."""
_HER2_TMA_PICTURES = """
0_9b0f64d1-6785-49d9-b279-004b2deb8478 cdfc9bc23db4febbb213ed224b66a8a00bcfa5c2f479698c5aad80e42450c142
0_a6d0d6a6-4dc6-4368-9d69-8ded066cf60e eb7d79559eb6175e623f5804f1ecd0c323531a935936acb78dbbd21506cff7a0
0_aa1da043-3ec9-4ad1-9ccc-3e25d3b5cfaf
0_ccb66c10-0990-4da2-881e-b14b0a059e2a
1_154ae963-bd2a-4a12-8fa9-815ba13922ae ac5ac8addd5284f1cc6efa16d20e9e994e1a9c2bdf1343c53e9b5c6d0ad01170
1_f8a2cea0-aaed-4995-ae30-d9de475d3821
1_fb95908d-1b06-4e32-b422-134b23154c8a
2_0123a214-85b7-4804-86db-474b05a4ae57 fb4965308c72f8fc8655dfb983c4e7e0060953cdf52293249966c2655e2d9997
2_726fa489-3deb-4d06-ae5c-8f20bd3f3025 93452910e44a7aaec8cab340c30269d3487c0bc14aec781fe3c03a66e2b9f7a8
2_a5593c5e-5c9c-4499-bfab-3aebe3ef4b7f
2_ac717549-389b-4a2b-a4c5-c101220b1e0c
2_aeb277c9-d925-4660-bb22-b8f850603d54
2_da5928b4-e9a0-4922-8f20-81cb304d0d97 b6fd891d918514bd2c72364535528cff43e4300203bb59321c61521cac931ce3
3_99b35026-3833-48c0-9b30-dcd151596f6d
3_a1f1510c-b91e-4995-ba59-596ca7ebb019 148df4360bfffd86408a1c7d89f0001469c1a930d0560bea31614def5ea7f3d1
3_b43f63ad-6303-4022-a1ed-92915a107106 unseen
"""
"""Those that train.csv names: SHA-256 where known; the last was not seen in the repository."""


def _her2_tma_files() -> Iterator[File]:
    yield File("train.csv", f"{_HER2_TMA}/train.csv", about=1190)
    for line in _HER2_TMA_PICTURES.split("\n")[1:-1]:
        name, _, known = line.partition(" ")
        path, seen = f"data/example_images/{name}.jpg", known != "unseen"
        sha256 = known if seen else ""
        yield File(path, f"{_HER2_TMA}/{path}", about=3_500_000, sha256=sha256, optional=not seen)


_ALL = (
    _zenodo(
        "her2-ihc-40x",
        "15179608",
        {"her2-ihc-40x-patch.zip": 1.7, "her2-ihc-40x-wsi.zip": 1.5},
        title="HER2 IHC tiles of 107 breast slides, 1024 px at 40x, scores 0 to 3+",
        licence="CC BY-SA 4.0 (?)",
        citation="Nabi et al. Data in Brief 2025, 111922",
    ),
    Dataset(
        "bci",
        title="BCI: 4,873 pairs of H&E and HER2 IHC tiles of 51 slide pairs, 1024 px",
        page="https://github.com/bupt-ai-cz/BCI/blob/main/download_dataset.md",
        licence="BCI terms of use: non-commercial, cite the BCI dataset, do not identify persons",
        citation="Liu et al. BCI: Breast Cancer Immunohistochemical Image Generation. CVPR Workshops 2022",
        files=(File("BCI_dataset.zip"),),
    ),
    _zenodo(
        "mihic",
        "10065510",
        {"MIHIC_dataset.zip": 7.6},
        title="MIHIC: 309,698 IHC tiles of lung tissue microarrays, 128 px, 7 tissues, 12 markers",
        licence="as the record says (?)",
        citation="Wang et al. Front Immunol 2024;15:1334348",
    ),
    _zenodo(
        "ignite",
        "15674785",
        {"images.zip": 8.0, "annotations.zip": 0.2, "data_overview.csv": 0},
        title="IGNITE: lung, 408 H&E regions with 16 tissues, PD-L1 cells, nuclei",
        licence="CC BY-NC-SA 4.0",
        citation="Spronck, van Eekelen et al. arXiv 2507.16855 (2025)",
    ),
    Dataset(
        "bozeklab-her2-tma",
        title="HER2 IHC cores of gastro-oesophageal tissue microarrays with scores and HER2 status",
        page="https://github.com/bozeklab/HER2-overexpression",
        licence="Apache-2.0 (of the repository)",
        citation="bozeklab/HER2-overexpression, GitHub, commit 2916fc56",
        files=tuple(_her2_tma_files()),
    ),
    Dataset(
        "cmu-1-small-region",
        title="CMU-1-Small-Region: a small genuine Aperio SVS, H&E, 0.499 um/px",
        page="https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/",
        licence="CC0",
        citation="OpenSlide test data, Carnegie Mellon University",
        files=(
            File(
                "CMU-1-Small-Region.svs",
                "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs",
                1938955,
                sha256="ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7",
            ),
        ),
    ),
    Dataset(
        "acrobat",
        title="ACROBAT: slides of 1,153 breast cancer patients, H&E with ER, PGR, HER2 and KI67",
        page="https://snd.se/en/catalogue/dataset/2022-190-1",
        licence="CC BY 4.0 (?)",
        citation="Weitz et al. Sci Data 2023;10:562; Swedish National Data Service, 2022-190-1",
    ),
)
DATASETS: dict[str, Dataset] = {dataset.key: dataset for dataset in _ALL}
"""By key."""


def find(key: str) -> Dataset:
    """Return the dataset of a key.

    Raises
    ------
    ValueError
        If there is none of that name; the nearest is offered.
    """
    if key in DATASETS:
        return DATASETS[key]
    near = difflib.get_close_matches(key.lower().replace("_", "-"), DATASETS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(DATASETS)}"
    raise ValueError(f"no dataset is called {key!r}; {hint}")
