"""The doctor names what is missing or broken, and the command that brings it."""

import importlib
import importlib.metadata

import pytest

from her2kit import doctor


@pytest.fixture
def without(monkeypatch):
    """Return a function that makes distributions look as if they were not installed."""

    def hide(*names):
        real = importlib.metadata.version

        def version(name):
            if name in names:
                raise importlib.metadata.PackageNotFoundError(name)
            return real(name)

        monkeypatch.setattr(doctor, "version", version)
        monkeypatch.setattr(doctor, "_torch", lambda: "here")
        monkeypatch.setattr(doctor, "_torchvision", lambda: "here")

    return hide


def by_name(findings):
    return {f.name: f for f in findings}


def test_all_is_there(without):
    without()
    found = by_name(doctor.examine())
    assert found["numpy"].state == found["openslide"].state == found["kernel"].state == "ok"
    assert int(found["cores"].words) >= 1
    assert "library" in found["openslide"].words


def test_without_training_slides_can_be_scored(without):
    without("torch", "torchvision", "papermill")
    findings = doctor.examine()
    found = by_name(findings)
    assert (found["torch"].state, found["torch"].remedy) == (
        "missing",
        "pip install -c constraints.txt '.[train]'",
    )
    assert found["papermill"].remedy == "pip install -c constraints.txt '.[course]'"
    assert not any(f.stops for f in findings)
    assert doctor.report(findings).endswith(
        "Slides can be scored. Clusters, training and notebooks need what is missing above."
    )


def test_a_core_library_that_breaks_stops_the_scoring(without, monkeypatch):
    without()
    real = importlib.import_module

    def broken(name):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return real(name)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    findings = doctor.examine()
    opencv = by_name(findings)["opencv"]
    assert opencv.stops
    assert opencv.words == "ImportError: libGL.so.1: cannot open shared object file"
    assert "opencv-python-headless" in opencv.remedy
    assert doctor.report(findings).endswith("Slides cannot be scored yet: see the lines above.")
