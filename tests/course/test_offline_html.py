"""The page of a notebook works offline: nothing is fetched, pictures are inside, links lead somewhere."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from her2kit.course.notebooks import all_notebooks
from her2kit.course.offline_html import write_page

NOTEBOOKS = all_notebooks(Path(__file__).parents[2] / "notebooks")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


class Addresses(HTMLParser):
    """Collect what a browser would fetch from elsewhere, and where links lead."""

    def __init__(self):
        super().__init__()
        self.fetched, self.links, self._inside = [], [], None

    def handle_starttag(self, tag, attrs):
        self._inside = tag if tag in ("script", "style") else None
        for name, value in attrs:
            if (tag, name) == ("a", "href"):
                self.links.append(value)
            elif name.startswith("xmlns") or (value or "").startswith("data:"):
                continue
            elif name == "style":
                self._css(value)
            elif re.match(r"\s*(\w+:)?//", value or ""):
                self.fetched.append(f"<{tag} {name}={value}>")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "style":
            self._css(data)
        elif self._inside == "script":
            self.fetched += re.findall(r"\w+://[^\s\"']+|\bimport\s*\(", data)

    def _css(self, text):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        self.fetched += re.findall(r"@import[^;]*|url\(\s*[\"']?\s*(?!data:|#)[^)]*\)", text)


def addresses(page):
    found = Addresses()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_a_page_that_fetches_is_found_out(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<link href='//cdn/x.css'><img src=http://a/b.png><style>@import 'x'; a {background: url(http://c)}"
        "</style><script>fetch('https://d')</script><p style='background: url(e.png)'><a href='http://f'>g</a>"
    )
    assert len(addresses(page).fetched) == 6
    assert addresses(page).links == ["http://f"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_only_links_hold_addresses_elsewhere(path, tmp_path):
    target = tmp_path / "runs" / path.stem / f"{path.stem}.html"
    pages = {other.stem: tmp_path / "runs" / other.stem / f"{other.stem}.html" for other in NOTEBOOKS}
    write_page(path, target, pages=pages)
    found = addresses(target)
    assert found.fetched == []
    for link in found.links:
        parts = urlsplit(link)
        place = (target.parent / unquote(parts.path)).resolve()
        assert parts.scheme or not parts.path or place.exists() or place in pages.values(), link


def test_pictures_and_links_are_meant_from_the_notebooks_own_folder(tmp_path):
    home, run = tmp_path / "notebooks", tmp_path / "runs/01_a"
    for folder in (home, run, tmp_path / "docs"):
        folder.mkdir(parents=True)
    (tmp_path / "docs/route.png").write_bytes(PNG)
    text = (
        "# A title\n\n![route](../docs/route.png) [word](../docs/glossary.md#mpp) [next](02_b.ipynb) "
        "[other](03_c.ipynb) [top](#A-title) [web](https://example.org/x)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    nbformat.write(notebook, run / "01_a.ipynb")
    pages = {"02_b": tmp_path / "runs/02_b/02_b.html"}
    write_page(run / "01_a.ipynb", run / "01_a.html", home=home, pages=pages)
    found = addresses(run / "01_a.html")
    assert found.fetched == []
    assert [link for link in found.links if "A-title" not in link] == [
        "../../docs/glossary.md#mpp", "../02_b/02_b.html", "../../notebooks/03_c.ipynb", "https://example.org/x",
    ]  # fmt: skip
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in (run / "01_a.html").read_text()
