"""The set-up: pins, ranges and environment.yml agree; make reuses what is there; the core alone scores."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
INSTALLED_BY_MAKE = ("cluster", "train", "course", "dev")
MAX_CORE_BYTES = 1.3e9


def pins() -> dict[str, str]:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    pairs = [re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)", line) for line in lines]
    assert all(pairs), "constraints.txt holds a line that is not name==version"
    found = {canonicalize_name(pair[1]): pair[2] for pair in pairs}
    assert len(found) == len(lines), "constraints.txt names a package twice"
    return found


def direct() -> list[Requirement]:
    return [
        Requirement(r) for r in [*PROJECT["dependencies"], *(r for e in INSTALLED_BY_MAKE for r in EXTRAS[e])]
    ]


def test_every_direct_dependency_is_pinned_within_its_range():
    for requirement in direct():
        pin = pins().get(canonicalize_name(requirement.name))
        assert pin, f"{requirement.name} has no pin in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} does not allow the pin {pin}"
        assert requirement.specifier, f"{requirement.name} has no range in pyproject.toml"


def test_make_installs_every_extra():
    assert set(EXTRAS) == set(INSTALLED_BY_MAKE)
    assert f"'.[{','.join(INSTALLED_BY_MAKE)}]'" in (ROOT / "Makefile").read_text()


def test_what_is_installed_is_what_is_pinned():
    """A pin that was changed without ``make setup``, or an environment of other versions, is named."""
    other = {}
    for name, pin in pins().items():
        try:
            found = Version(version(name)).public
        except PackageNotFoundError:  # a pin for another system
            continue
        if found != pin:
            other[name] = f"{found}, pinned {pin}"
    assert other == {}


def test_conda_installs_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    exact = [line for line in pip if not line.startswith("-")]
    wanted = sorted(f"{canonicalize_name(r.name)}=={pins()[canonicalize_name(r.name)]}" for r in direct())
    assert exact == wanted, "write into environment.yml:\n" + "\n".join(f"      - {line}" for line in wanted)
    assert [line for line in pip if line.startswith("-")] == ["--constraint constraints.txt", "--editable ."]
    (python,) = [d for d in environment["dependencies"] if isinstance(d, str) and d.startswith("python")]
    assert python.removeprefix("python").startswith(PROJECT["requires-python"])


def test_licences_are_in_place():
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("GNU AFFERO GENERAL PUBLIC LICENSE")
    assert PROJECT["license"] == "AGPL-3.0-or-later"
    assert "CC BY 4.0" in (ROOT / "notebooks/LICENSE.md").read_text()


def make(*words, cwd=ROOT):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    return subprocess.run(["make", *words], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy(tmp_path):
    """Return a folder with what the set-up reads, and no environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_make_alone_lists_what_there_is():
    shown = make().stdout
    for target in ("demo", "test", "setup", "lab", "render", "bench", "check"):
        assert f"make {target} " in shown


def fake_python(path: Path, version_words: str, status: int) -> Path:
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{version_words}"; exit 0; fi\nexit {status}\n'
    )
    path.chmod(0o755)
    return path


def test_an_old_python_is_refused_in_one_line(copy):
    old = fake_python(copy / "python3.9", "Python 3.9.1", 1)
    done = make("setup", f"PYTHON={old}", cwd=copy)
    assert done.returncode != 0
    assert (
        f"her2kit needs Python 3.11 or newer; {old} is Python 3.9.1. Try: make PYTHON=python3.12"
        in done.stderr
    )
    assert not (copy / ".venv").exists()


def test_a_python_without_venv_leaves_nothing_half_made(copy):
    (copy / "x").mkdir()
    lame = copy / "x/python3"
    lame.write_text(
        "#!/bin/sh\n"
        '[ "$1" = -m ] && mkdir -p .venv/bin && exit 1\n'
        '[ "$1" = --version ] && echo Python 3.13.0\nexit 0\n'
    )
    lame.chmod(0o755)
    done = make("setup", f"PYTHON={lame}", cwd=copy)
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr
    assert not (copy / ".venv").exists()


def test_a_second_call_reuses_the_environment(copy):
    (copy / ".venv/bin").mkdir(parents=True)
    (copy / ".venv/.installed").touch()
    assert make("--question", "setup", cwd=copy).returncode == 0
    os.utime(copy / "constraints.txt", (4e9, 4e9))
    assert make("--question", "setup", cwd=copy).returncode == 1


@pytest.fixture(scope="module")
def core(tmp_path_factory) -> Path:
    """Return a virtual environment with the core alone, or skip where nothing can be installed from."""
    folder = tmp_path_factory.mktemp("core")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    probe = subprocess.run(
        [*pip, "--retries", "0", "download", "--no-deps", "--dest", str(folder), f"typer=={pins()['typer']}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip("no package index within reach, so no second environment can be made")
    # Not from the checkout itself: setuptools would leave its build folder there.
    source = folder / "source"
    shutil.copytree(ROOT / "her2kit", source / "her2kit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=120)
    python = str(environment / "bin/python")
    install = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    done = subprocess.run(
        [*install, "--constraint", str(ROOT / "constraints.txt"), str(source)],
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return environment


def in_core(core: Path, *words, cwd) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(core / "bin" / words[0]), *map(str, words[1:])],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=500,
        env=clean,
    )


@pytest.mark.slow
def test_the_core_is_small_and_without_torch(core, tmp_path):
    size = sum(f.stat().st_size for f in core.rglob("*") if f.is_file() and not f.is_symlink())
    assert size < MAX_CORE_BYTES, f"{size / 1e9:.2f} GB"
    listed = in_core(core, "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path).stdout.lower()
    assert "her2kit==" in listed
    for name in ("torch", "dask", "jupyterlab", "ultralytics", "papermill", "opencv-python=="):
        assert f"\n{name}" not in listed
    checked = in_core(core, "python", "-m", "pip", "check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_the_core_answers(core, tmp_path):
    shown = in_core(core, "her2kit", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "score" in shown.stdout
    seen = in_core(core, "her2kit", "doctor", cwd=tmp_path)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "Slides can be scored. Clusters, training and notebooks need what is missing above." in seen.stdout
    told = in_core(core, "her2kit", "run", "10", cwd=tmp_path)
    assert told.returncode == 2
    assert told.stderr == "her2kit: nbformat is not installed; pip install -c constraints.txt '.[course]'\n"


@pytest.mark.slow
def test_the_core_scores_a_slide(core, tmp_path):
    made = in_core(core, "her2kit", "phantom", "cohort", "--slides", "1", "--size-px", "1024", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    done = in_core(
        core, "her2kit", "score", "--manifest", "cohort/manifest.csv", "--out", "scores", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "scores").glob("*/score.json")
    assert {p.name for p in record.parent.iterdir()} >= {
        "score.json",
        "cells.parquet",
        "cells.geojson",
        "report.html",
    }
