"""torchvision beside a CPU torch: the import works, and the stand-in for nms follows the definition."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")


def _python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


def plain_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Suppress by the definition: best first, each later box against each kept one."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        for k in kept:
            w = max(0.0, min(boxes[i][2], boxes[k][2]) - max(boxes[i][0], boxes[k][0]))
            h = max(0.0, min(boxes[i][3], boxes[k][3]) - max(boxes[i][1], boxes[k][1]))
            area = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[k])]
            union = area[0] + area[1] - w * h
            if union > 0 and w * h / union > threshold:
                break
        else:
            kept.append(i)
    return kept


box = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(0, 12)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


# Whole-numbered boxes in float64: both sides divide the same integers, so a tie at the threshold is one tie.
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(box, st.integers(0, 5)), max_size=30), st.integers(0, 8).map(lambda n: n / 8))
def test_nms_is_the_plain_definition(rows, threshold):
    from her2kit.learning.torchvision_ops import non_maximum_suppression

    boxes = np.array([b for b, _ in rows], dtype=np.float64).reshape(-1, 4)
    scores = np.array([s for _, s in rows], dtype=np.float64)
    got = non_maximum_suppression(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert got.dtype == torch.int64
    assert got.tolist() == plain_nms(boxes, scores, threshold)


def test_nms_says_what_is_wrong_with_its_input():
    from her2kit.learning.torchvision_ops import non_maximum_suppression

    with pytest.raises(ValueError, match=r"shape \(n, 4\)"):
        non_maximum_suppression(torch.zeros(3, 5), torch.zeros(3), 0.5)


def test_import_works_after_and_only_the_missing_operators_are_defined():
    before = _python("import torchvision")
    after = _python(
        "from her2kit.learning.torchvision_ops import ensure_torchvision as e\n"
        "import sys; assert 'torch' not in sys.modules\n"
        "print(e(), e())\n"
        "import torch, torchvision\n"
        "b = torch.tensor([[0., 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])\n"
        "s = torch.tensor([.5, .9, .1])\n"
        "print(torchvision.ops.nms(b, s, .5).tolist())\n"
        "print(torchvision.ops.batched_nms(b, s, torch.tensor([0, 1, 0]), .5).tolist())\n"
        "pooled = torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), [b[:1] / 2], 2)\n"
        "print(pooled.flatten().tolist())\n"
    )
    assert after.returncode == 0, after.stderr
    missing, nms, batched, pooled = after.stdout.splitlines()
    if before.returncode == 0:
        assert missing == "False False"
    else:
        assert "operator torchvision::nms does not exist" in before.stderr
        assert missing == "True True"
    assert nms == "[1, 2]"
    assert batched == "[1, 0, 2]"
    assert pooled == "[1.0, 1.0, 1.0, 1.0]"


def test_timm_and_segmentation_models_import():
    done = _python(
        "from her2kit.learning.torchvision_ops import ensure_torchvision\n"
        "ensure_torchvision()\n"
        "import timm, segmentation_models_pytorch as smp\n"
        "print(callable(timm.create_model), callable(smp.FPN))\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]


def test_another_failure_is_not_hidden():
    done = _python(
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torchvision':\n"
        "            raise RuntimeError('something else')\n"
        "sys.meta_path.insert(0, No())\n"
        "from her2kit.learning.torchvision_ops import ensure_torchvision\n"
        "ensure_torchvision()\n"
    )
    assert done.returncode == 1
    assert "RuntimeError: something else" in done.stderr
