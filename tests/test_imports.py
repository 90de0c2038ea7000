"""Which room may import which (design.md, Direction), and what importing the package may not load.

The imports are read by ``ast``, those inside functions too; blocks under ``TYPE_CHECKING`` do not run
and do not count.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ORDER = (
    ("errors", "kernels"),
    ("manifest", "statistics", "exchange"),
    ("slides",),
    ("stain",),
    ("regions",),
    ("cells",),
    ("scoring",),
    ("settings", "provenance", "negatives"),
    ("report",),
    ("measure", "assess", "corrected"),
    ("pipeline",),
    ("pdl1",),
    ("cohort", "rescore"),
    ("cluster",),
    ("validation",),
    ("doctor",),
    ("course",),
    ("cli",),
)
"""A room imports rooms of earlier rows. ``cells.table`` (words and columns) is open to all but the leaves."""
LEAVES = ORDER[1]
VOCABULARY = "cells.table"
BESIDE = {
    "labels": ("errors", "exchange", "statistics", "slides", "stain", "cells", "scoring.agreement"),
    "learning": (
        "errors",
        "exchange",
        "manifest",
        "statistics",
        "slides",
        "stain",
        "regions.map_features",
        "regions.tumour_map",
        "cells.table",
        "cells.matching",
        "cells.boxes",
    ),
    "phantom": ("errors", "exchange", "slides.pyramid", "cells.table"),
}
"""Rooms beside the row, with all that they may import. Learning's datasets may use phantom."""
OPENS_BESIDE = ("cli", "doctor", "course")
"""Those that show all there is; notebooks get their phantoms through ``course.data``."""
HEAVY = {
    "torch", "torchvision", "ultralytics", "timm", "staintools", "dask", "distributed", "matplotlib",
    "seaborn", "lightning", "segmentation_models_pytorch", "onnxruntime", "papermill",
    "nbconvert", "IPython",
}  # fmt: skip
"""Loaded in the function that needs them, never at the top of a module."""


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(node: ast.AST, *, top_only: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of what runs: only at module level, or in functions too."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            if child.level:
                yield child.lineno, "relative import"
            elif child.module == "her2kit":
                yield from ((child.lineno, f"her2kit.{alias.name}") for alias in child.names)
            else:
                yield child.lineno, str(child.module)
        elif not (top_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield from imports(child, top_only=top_only)


def covers(allowed: tuple[str, ...], module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in allowed)


def allowed_for(room: str) -> tuple[str, ...]:
    if room in BESIDE:
        return (room, *BESIDE[room])
    row = next((i for i, rooms in enumerate(ORDER) if room in rooms), None)
    if row is None:
        return ()
    if room in LEAVES:
        return (room, "errors")
    earlier = tuple(name for rooms in ORDER[: row + 1] for name in rooms)
    return (*earlier, *([VOCABULARY] if row else []), *(BESIDE if room in OPENS_BESIDE else []))


def violations(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        room = name.split(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = set(imports(tree, top_only=True))
        if path.name == "__init__.py" and top:
            found.append(f"{name}: line {min(top)[0]}: a room's __init__ imports nothing")
        if path.name != "__init__.py" and not allowed_for(room):
            found.append(f"{name}: has no place in the order of rooms; give it one in {Path(__file__).name}")
            continue
        for line, module in sorted(set(imports(tree, top_only=False))):
            ours = module.startswith("her2kit.")
            own = module.removeprefix("her2kit.")
            ok = not ours or own == "__version__" or covers(allowed_for(room), own)
            if name.startswith("learning.datasets") and covers(("phantom",), own):
                ok = True
            if not ok or module == "relative import":
                found.append(f"{name}: line {line}: must not import {module}")
            if module.split(".")[0] in HEAVY and (line, module) in top:
                found.append(f"{name}: line {line}: import {module} in the function that needs it")
    return found


def test_the_package_keeps_the_direction():
    assert violations(ROOT / "her2kit") == []


@pytest.mark.parametrize(
    ("path", "source", "words"),
    [
        (
            "cells/x.py",
            "from her2kit.scoring.gates import Gate",
            "cells.x: line 1: must not import her2kit.scoring.gates",
        ),
        (
            "scoring/x.py",
            "def f():\n    from her2kit.report import plots",
            "line 2: must not import her2kit.report",
        ),
        ("exchange/x.py", "from her2kit.cells.table import CLASSES", "must not import her2kit.cells.table"),
        ("phantom/x.py", "import her2kit.cells.membrane", "must not import her2kit.cells.membrane"),
        ("pipeline.py", "from her2kit.learning import export", "must not import her2kit.learning"),
        ("pipeline.py", "from her2kit import cli", "must not import her2kit.cli"),
        ("slides/x.py", "from . import slide", "must not import relative import"),
        (
            "slides/x.py",
            "try:\n    import torch\nexcept ImportError:\n    pass",
            "line 2: import torch in the function",
        ),
        ("slides/__init__.py", "import numpy", "a room's __init__ imports nothing"),
        ("newroom/x.py", "", "has no place"),
    ],
)
def test_a_planted_import_is_found(tmp_path, path, source, words):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(source)
    (found,) = violations(tmp_path)
    assert words in found


def test_what_is_allowed_is_not_found(tmp_path):
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions/x.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from her2kit import __version__\nfrom her2kit.cells.table import CLASSES\n"
        "if TYPE_CHECKING:\n    from her2kit.report.plots import bars\ndef f():\n    import torch\n"
    )
    assert violations(tmp_path) == []


@pytest.mark.parametrize("module", ["her2kit", "her2kit.cli"])
def test_importing_loads_nothing_heavy_and_touches_nothing(module):
    heavy = HEAVY | {"numpy", "pandas", "cv2", "scipy", "skimage", "numba"}
    code = (
        "import sys, logging, random, warnings\n"
        "def state():\n"
        "    root = logging.root\n"
        "    return list(root.handlers), root.level, random.getstate(), list(warnings.filters)\n"
        "before = state()\n"
        f"import {module}\n"
        f"print(before == state(), sorted({heavy!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True []"
