import re

import numpy as np
import pytest

from her2kit.report.index import Entry, write_index


def test_failures_come_first_and_links_are_relative_and_escaped(tmp_path):
    picture = np.full((900, 1600, 3), 180, np.uint8)
    entries = [
        Entry("notebook", "10 Score a slide", "notebooks/10 score.html", "3+", "HER2", picture=picture),
        Entry("slide", "b", "scores/b/report.html", "0", status="done", colour="#3B6FB6"),
        Entry("slide", "a <script>", "scores/a#1/report.html", "", "H&E, not DAB", status="refused"),
        Entry("slide", "c", None, "", "c.tif: truncated", status="failed", lines=("line 1", "x < y")),
        Entry("notebook", "09 Detect", "n.html", "0.31", status="unexpected", judged="not as expected: f1"),
    ]
    facts, links = {"On": "2 cores <here>"}, {"All slides": "scores/co hort.html"}
    index = write_index(tmp_path / "index.html", entries, facts=facts, links=links)
    text = index.read_text("utf-8")
    assert "<script" not in text
    assert re.findall(r'<a href="([^"]*)"', text) == [
        "scores/co%20hort.html",
        "scores/a%231/report.html",
        "scores/b/report.html",
        "n.html",
        "notebooks/10%20score.html",
    ]
    places = [
        text.index(words)
        for words in (
            *("2 cores &lt;here&gt;", "1 of 5 failed", "c.tif: truncated", "x &lt; y", "H&amp;E, not DAB"),
            *(">b<", "not as expected: f1", "10 Score"),
        )
    ]
    assert places == sorted(places)
    assert text.count("c.tif: truncated") == 1
    for heading in ("<dd>1 done, 1 refused, 1 failed</dd>", "<dd>1 done, 1 not as expected</dd>"):
        assert heading in text
    assert "<title>her2kit: 5 results, 1 failed</title>" in text
    assert text.count("data:image/jpeg") == 1
    assert len(text) < 60_000


def test_the_same_entries_in_any_order_give_the_same_bytes(tmp_path):
    entries = [Entry("slide", name, f"{name}.html", "1+") for name in "abc"]
    one = write_index(tmp_path / "1.html", entries).read_bytes()
    assert one == write_index(tmp_path / "2.html", entries[::-1]).read_bytes()


def test_an_empty_run_says_what_to_do(tmp_path):
    assert "make demo" in write_index(tmp_path / "index.html", []).read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "film"}, "kind='film'; use one of slide, notebook"),
        ({"status": "odd"}, "status='odd'"),
        ({"href": "https://example.org"}, "pass a path relative"),
        ({"href": "javascript:alert(1)"}, "pass a path relative"),
        ({"href": "/etc/passwd"}, "pass a path relative"),
    ],
)
def test_wrong_entries_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Entry(**({"kind": "slide", "title": "t", "href": "t.html", "key": "0"} | change))
