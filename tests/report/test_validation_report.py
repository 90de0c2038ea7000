"""The report of a validation: what it must say, offline and the same each time."""

import re

import numpy as np
import pandas as pd
import pytest

from her2kit.report.agreement_plots import bland_altman, cross_table, kappa_forest
from her2kit.report.validation_report import write_validation_report
from her2kit.scoring.published import PUBLISHED
from her2kit.scoring.readings import SCORES
from her2kit.scoring.validation import validate


def simulated(n=40, *, seed=0):
    """Return cases and readings of three readers, four slides refused."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)

    def seen(skill):
        return np.where(rng.random(n) < skill, truth, np.clip(truth + rng.choice([-1, 1], n), 0, 3))

    kit, slides = seen(0.85), [f"case & {i:02d}" for i in range(n)]
    cases = pd.DataFrame(
        {
            "slide_id": slides,
            "status": ["not_evaluable"] * 4 + ["scored"] * (n - 4),
            "score": [None] * 4 + [SCORES[k] for k in kit[4:]],
            "h_score_intensity": kit * 70 + rng.uniform(0, 60, n),
            "flags": ["few_cells"] * n,
        }
    )
    rows = [
        (slide, name, SCORES[code], code * 70.0 + 30 if name == "Kim <b>" else np.nan)
        for name, skill in (("Kim <b>", 0.9), ("Park", 0.8), ("Rossi", 0.7))
        for slide, code in zip(slides, seen(skill), strict=True)
    ]
    return cases, pd.DataFrame(rows, columns=["slide_id", "reader", "score", "h_score"])


@pytest.fixture(scope="module")
def found():
    return validate(*simulated(), draws=80)


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "validation.html"
    return write_validation_report(path, found, {"command": "her2kit validate x"}).read_text("utf-8")


def test_it_says_what_matters(page, found):
    for words in (
        "Research and teaching only. Never for diagnosis.",
        f"{dict(found.flow)['compared']} slides of your own against your own readings",
        "what more than half of 3 readers said",
        "Kappa, quadratic weights",
        "Agreement, refused and failed counted as wrong",
        "Fleiss&#39; kappa",
        "her2kit validate x",
    ):
        assert words in page, words
    agreement = found.table.set_index("measure").loc["agreement", "value"]
    assert f"{100 * agreement:.1f}\u00a0%" in page
    for study in PUBLISHED:
        assert study.source.split(".")[0] in page


def test_every_slide_that_differs_is_linked_furthest_first(page, found):
    rows = re.findall(r'<a href="([^"]+)">(case &amp; \d+)</a>', page)
    cases = found.cases[found.cases["reference"].notna()]
    differ = cases[(cases["apart"].abs() > 0) | cases["kit"].isna()]
    assert {name.replace("&amp;", "&") for _, name in rows} == set(differ["slide_id"])
    assert rows[0][0].startswith("case%20%26%20")
    apart = cases.set_index("slide_id")["apart"].abs()
    order = [apart[name.replace("&amp;", "&")] for _, name in rows]
    assert order[: len(differ) - 4] == sorted(order[: len(differ) - 4], reverse=True)


def test_it_stands_alone_and_escapes_names(page):
    assert "Kim &lt;b&gt;" in page
    assert "Kim <b>" not in page
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert len(page) < 400_000


def test_the_same_input_gives_the_same_bytes(found, tmp_path):
    pages = [write_validation_report(tmp_path / f"{i}.html", found, {}).read_bytes() for i in range(2)]
    assert pages[0] == pages[1]


def test_few_slides_and_none_are_said(tmp_path):
    few = validate(pd.DataFrame({"slide_id": ["a"], "status": ["scored"], "score": ["0"], "label": ["0"]}))
    assert "Few slides" in write_validation_report(tmp_path / "few.html", few, {}).read_text()
    none = validate(pd.DataFrame({"slide_id": ["a"], "status": ["failed"], "score": [None], "label": ["3+"]}))
    page = write_validation_report(tmp_path / "none.html", none, {}).read_text()
    assert "Nothing could be compared" in page
    assert not re.search(r"\bnan\b", re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.S))


def test_the_forest_holds_every_pair_and_every_published_kappa(found):
    ax = kappa_forest(found.pairs)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == len(found.pairs) + sum(p.kappa is not None for p in PUBLISHED)
    assert "her2kit and Park, 36 slides" in names
    dots = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
    assert sorted(dots) == pytest.approx(sorted(found.pairs["kappa quadratic"]))


def test_the_limits_are_drawn_where_they_are(found):
    (h,) = found.h_scores
    ax = bland_altman(h)
    drawn = {round(float(line.get_ydata()[0]), 6) for line in ax.get_lines()}
    assert {round(v, 6) for v in (h.limits.bias, h.limits.low, h.limits.high)} <= drawn
    assert len(ax.collections[0].get_offsets()) == h.limits.n


def test_the_cross_table_shows_every_count(found):
    ax = cross_table(found.matrix)
    assert [int(t.get_text()) for t in ax.texts] == found.matrix.to_numpy().ravel().tolist()
