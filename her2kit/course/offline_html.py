"""An executed notebook as one HTML file that works offline.

nbconvert's page loads MathJax, require.js and mermaid from the net. Here those blocks are empty, pictures are
embedded, and formulas stay as written. Widgets are shown by their last text. Links lead where they lead from
the notebook itself, or to the page of another notebook that ran, too.
"""

import base64
import mimetypes
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from her2kit.course.notebooks import read_notebook, title_of
from her2kit.exchange.whole import whole_file

TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_css -%}
{{ super() }}
<style>body.jp-Notebook { max-width: 1080px; margin: 0 auto; }</style>
{%- endblock -%}
"""


_LINK = re.compile(r'(<a\b[^>]*?\bhref=")([^"#:/][^":#]*)(?=["#])')
"""A link to another file: relative, up to its anchor."""
_PICTURE = re.compile(r'(<img\b[^>]*?\bsrc=")([^":]+)(?=")')
"""A picture that lies beside the notebook. nbconvert embeds those below the notebook's folder alone."""


def write_page(
    notebook: Path, target: Path, *, home: Path | None = None, pages: Mapping[str, Path] | None = None
) -> None:
    """Write the executed ``notebook`` as the HTML file ``target``.

    Parameters
    ----------
    home
        Folder of the notebook that ran, from which its pictures and links are meant; its own if None.
    pages
        Pages of notebooks that run beside it, by name: links to these notebooks lead there.

    Raises
    ------
    Her2Error
        If it is not a notebook.
    """
    import logging

    from jinja2 import DictLoader
    from nbconvert.exporters import HTMLExporter

    home = home or notebook.parent
    node = read_notebook(notebook)
    exporter = HTMLExporter(extra_loaders=[DictLoader({"offline.html.j2": TEMPLATE})])
    exporter.log.setLevel(logging.ERROR)
    exporter.template_file = "offline.html.j2"
    name = title_of(node) or notebook.stem
    body, _ = exporter.from_notebook_node(node, {"metadata": {"name": name, "path": str(home)}})

    def led(found: re.Match[str]) -> str:
        meant = Path(unquote(found[2]))
        page = (pages or {}).get(meant.stem) if meant.suffix == ".ipynb" and len(meant.parts) == 1 else None
        return found[1] + quote(Path(os.path.relpath(page or home / meant, target.parent)).as_posix())

    def embedded(found: re.Match[str]) -> str:
        picture = home / unquote(found[2])
        kind = mimetypes.guess_type(picture.name)[0] or ""
        if not kind.startswith("image/") or not picture.is_file():
            return found[0]
        return f"{found[1]}data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"

    with whole_file(target) as part:
        part.write_text(_PICTURE.sub(embedded, _LINK.sub(led, body)), encoding="utf-8")
