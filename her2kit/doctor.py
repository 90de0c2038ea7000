"""What this computer has and lacks for her2kit, and the command that brings what is missing.

Looks, never installs. Works where only the core is installed: each library is tried on its own, and whatever
its import raises is a finding, not an end.
"""

import importlib
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from her2kit import __version__

INSTALL = "pip install -c constraints.txt "
CORE = (
    "numpy", "scipy", "pandas", "pyarrow", "scikit-image", "numba", "tifffile", "imagecodecs", "shapely",
    "matplotlib", "onnxruntime", "typer",
)  # fmt: skip
TRAIN = (
    "timm",
    "ultralytics",
    "segmentation-models-pytorch",
    "lightning",
    "grad-cam",
    "staintools",
    "pooch",
)
COURSE = ("jupyterlab", "papermill", "nbconvert")
MIN_MEMORY_GB, MIN_DISK_GB = 3.0, 2.0
"""A 20,000 x 20,000 px slide may peak at 1.5 GB; the demo's slides and what is made of them take 1 GB."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: str
    """``ok``, ``missing`` (not installed), ``broken`` (installed, does not work) or ``low``."""
    words: str
    remedy: str = ""
    """The command that helps, where there is one."""
    core: bool = False
    """Whether ``her2kit score`` needs it."""

    @property
    def stops(self) -> bool:
        """Whether slides cannot be scored because of it."""
        return self.core and self.state in ("missing", "broken")


def examine() -> list[Finding]:
    """Return what was found, the computer first, then core, cluster, training and course."""
    found = [
        Finding(
            "her2kit",
            "ok",
            f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}",
        ),
        *_machine(),
        _try("openslide", "openslide-python", _openslide, f"{INSTALL}.", core=True),
        _try("opencv", "opencv-python-headless", _opencv, _opencv_remedy(), core=True),
        *(_installed(name, f"{INSTALL}.", core=True) for name in CORE),
        _installed("distributed", f"{INSTALL}'.[cluster]'"),
        _try("torch", "torch", _torch, f"{INSTALL}'.[train]'"),
        _try("torchvision", "torchvision", _torchvision, f"{INSTALL}'.[train]'"),
        *(_installed(name, f"{INSTALL}'.[train]'") for name in TRAIN),
        *(_installed(name, f"{INSTALL}'.[course]'") for name in COURSE),
        _try("kernel", "ipykernel", _kernel, "python -m ipykernel install --sys-prefix"),
    ]
    return found


def report(findings: list[Finding]) -> str:
    """Return the findings as text, and a last line that says what works."""
    lines = [
        f"{f.state:8} {f.name:28} {f.words}" + (f"  ->  {f.remedy}" if f.remedy else "") for f in findings
    ]
    lacking = {f.remedy for f in findings if f.state in ("missing", "broken") and not f.core}
    if any(f.stops for f in findings):
        lines.append("Slides cannot be scored yet: see the lines above.")
    elif lacking:
        lines.append("Slides can be scored. Clusters, training and notebooks need what is missing above.")
    else:
        lines.append("All is there.")
    return "\n".join(lines)


def _machine() -> list[Finding]:
    """Return cores, memory and disk."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = [Finding("cores", "ok", str(cores))]
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        words = "" if total >= MIN_MEMORY_GB else f"; a large slide needs {MIN_MEMORY_GB:g}"
        found.append(Finding("memory", "low" if words else "ok", f"{total:.1f} GB{words}"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(Finding("memory", "ok", "unknown on this system"))
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    words = "" if free >= MIN_DISK_GB else f"; the demo needs {MIN_DISK_GB:g}"
    return [*found, Finding("disk", "low" if words else "ok", f"{free:.1f} GB free here{words}")]


def _installed(name: str, remedy: str, *, core: bool = False) -> Finding:
    """Return whether a distribution is installed; it is not imported, which would take seconds each."""
    try:
        return Finding(name, "ok", version(name), core=core)
    except PackageNotFoundError:
        return Finding(name, "missing", "not installed", remedy, core=core)


def _try(
    name: str, distribution: str, look: Callable[[], str], remedy: str, *, core: bool = False
) -> Finding:
    """Return what ``look`` says of an installed library, or what it raised."""
    found = _installed(distribution, remedy, core=core)
    if found.state == "missing":
        return Finding(name, "missing", found.words, remedy, core=core)
    try:
        return Finding(name, "ok", look(), core=core)
    except Exception as error:  # a broken library may raise anything, and that is the finding
        first = (str(error).splitlines() or [""])[0]
        return Finding(name, "broken", f"{type(error).__name__}: {first}", remedy, core=core)


def _openslide() -> str:
    openslide = importlib.import_module("openslide")
    return f"{openslide.__version__}, library {openslide.__library_version__}"


def _opencv() -> str:
    return importlib.import_module("cv2").__version__


def _opencv_remedy() -> str:
    try:
        version("opencv-python")
    except PackageNotFoundError:
        return f"{INSTALL}."
    # Both builds write the same folder cv2/; the one without a display must be written last.
    return f"{INSTALL}--force-reinstall --no-deps opencv-python-headless"


def _torch() -> str:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return f"{torch.__version__}, {torch.cuda.get_device_name(0)}"
    return f"{torch.__version__}, no GPU: fast tier only"


def _torchvision() -> str:
    from her2kit.learning.torchvision_ops import ensure_torchvision

    defined = ensure_torchvision()
    return version("torchvision") + (
        ", its compiled operators are missing; her2kit stands in for them" if defined else ""
    )


def _kernel() -> str:
    manager = importlib.import_module("jupyter_client.kernelspec").KernelSpecManager()
    return f"python3 at {manager.get_kernel_spec('python3').resource_dir}"
