"""Pages for people: links lead somewhere, commands exist, each word of the glossary has its Korean term."""

import ast
import importlib
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from her2kit.cli import app
from her2kit.course.minutes import WORDS_PER_MINUTE, prose_words

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("[0-9]*.ipynb"))
GLOSSARY = ROOT / "docs/glossary.md"
LINK = re.compile(r"(?:\]\(\s*<?|\b(?:src|href)=\")([^)>\s\"]+)")
COMMAND = re.compile(r"(?:^|\s|/)(her2kit [a-z][^\n]*)")


def read(path: Path) -> str:
    """Return the text of a page, or the prose of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def without_code(text: str) -> str:
    """Return a page without what stands in code: a bracket there is no link, a hash no heading."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(
        r"^#+ +(.*?)\s*$", re.sub(r"^ *```.*?^ *```", "", read(path), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken_links(path: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    broken = []
    for target in LINK.findall(without_code(read(path))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        found = place.exists() and (
            not anchor or place.suffix not in (".md", ".ipynb") or anchor in anchors(place)
        )
        broken += [] if found else [target]
    return broken


def commands(text: str) -> list[list[str]]:
    """Return the arguments of each ``her2kit ...`` in a page's code; a bare fence holds answers."""
    text = re.sub(r"\\\n\s*", " ", text)
    code = re.findall(r"^ *```bash\n(.*?)^ *```", text, flags=re.M | re.S)
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    code += re.findall(r"^(?: {4}|\t)(.*)$", text, flags=re.M)
    code += re.findall(r"`([^`\n]+)`", text)
    found = []
    for piece in code:
        for call in COMMAND.findall(piece):
            lexer = shlex.shlex(call, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words = list(lexer)
            end = next((i for i, w in enumerate(words) if set(w) <= set("|&;<>")), len(words))
            found.append(words[1:end])
    return found


@pytest.fixture(scope="module")
def parse() -> Callable[[list[str]], None]:
    """Return what parses arguments as the command line does, and runs nothing."""
    root: Any = typer.main.get_command(app)
    rooms = [root]
    for room in rooms:
        rooms += [c for c in room.commands.values() if hasattr(c, "commands")]
        for command in room.commands.values():
            command.callback = lambda **_: None
    return lambda args: root.main(list(args), prog_name="her2kit")


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(path: Path) -> None:
    assert broken_links(path) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_the_command_line_takes(
    path: Path, parse: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for args in commands(read(path)):
        with pytest.raises(SystemExit) as end:
            parse(args if args[1:] else [*args, "--help"])  # alone it is a name, no call
        assert end.value.code == 0, f"her2kit {' '.join(args)}: {capsys.readouterr().err}"


def test_a_wrong_command_and_a_broken_link_are_found(
    tmp_path: Path, parse: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# A, b & c\n[here](#a-b--c) [there](#d) [gone](no.md) [web](https://x.org/no) <img src="no.png">\n\n'
        "    .venv/bin/her2kit score a.svs --mmp 0.25 | tee log  # a comment\n\n"
        "Type `her2kit data fetch KEY`, or:\n```bash\nher2kit run 10 \\\n  -p mpp 0.25\n```\n"
        "```\nher2kit says no\n```\n"
    )
    assert broken_links(page) == ["#d", "no.md", "no.png"]
    found = commands(read(page))
    assert sorted(found) == [
        ["data", "fetch", "KEY"],
        ["run", "10", "-p", "mpp", "0.25"],
        ["score", "a.svs", "--mmp", "0.25"],
    ]
    with pytest.raises(SystemExit) as end:
        parse(["score", "a.svs", "--mmp", "0.25"])
    assert end.value.code == 2
    assert "No such option: --mmp" in capsys.readouterr().err


def test_each_word_of_the_glossary_is_explained_has_a_korean_term_and_a_notebook() -> None:
    entries = re.split(r"^### ", re.split(r"^## ", read(GLOSSARY), maxsplit=1, flags=re.M)[1], flags=re.M)[1:]
    assert len(entries) >= 49
    for entry in entries:
        word, meaning, korean, *_ = entry.split("\n\n")
        assert 1 <= len(re.findall(r"[.:](?:\s|$)", meaning)) <= 5, word
        assert re.match(r"\*\*Korean:\*\* [^·]*[가-힣]{2}[^·]* · notebook \[\d\d\]\(", korean), word


def test_no_two_headings_of_the_glossary_share_an_anchor() -> None:
    headings = re.findall(r"^#+ .*$", read(GLOSSARY), flags=re.M)
    assert len(anchors(GLOSSARY)) == len(headings)


def test_the_readme_is_read_in_three_minutes() -> None:
    prose = re.sub(r"^```.*?^```", "", read(ROOT / "README.md"), flags=re.M | re.S)
    assert prose_words(prose) <= 3 * WORDS_PER_MINUTE


def test_the_readme_asks_what_the_notebooks_ask() -> None:
    rows = re.findall(r"^\| (\d\d) \| \[(.*?)\]\((\S+)\)", read(ROOT / "README.md"), re.M)
    titles = {
        str(p.relative_to(ROOT)): read(p).splitlines()[0] for p in NOTEBOOKS if p.parent.name == "notebooks"
    }
    assert {path: f"# {number} · {question}" for number, question, path in rows} == titles


@pytest.mark.parametrize("name", ["start.md", "instructor.md"])
def test_sections_that_are_named_beside_a_notebook_are_in_it(name: str) -> None:
    named = 0
    for row in re.findall(r"^\|.*\|$", read(ROOT / "docs" / name), re.M):
        links = re.findall(r"\(\.\./(notebooks/\S+?\.ipynb)\)", row)
        headings = {h for link in links for h in re.findall(r"^#+ (.*)$", read(ROOT / link), re.M)}
        quoted = re.findall(r'"([^"]+)"', row) if links else []
        assert set(quoted) <= headings, row
        named += len(quoted)
    assert named or name != "start.md"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_of_a_page_imports_what_is_there(path: Path) -> None:
    for code in re.findall(r"^```python\n(.*?)^```", read(path), flags=re.M | re.S):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("her2kit"):
                module = importlib.import_module(node.module or "")
                assert [a.name for a in node.names if not hasattr(module, a.name)] == [], node.module
