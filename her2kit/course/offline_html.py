"""An executed notebook as one HTML file that works offline.

nbconvert's page loads MathJax, require.js and mermaid from the net. Here those blocks are empty, pictures are
embedded, and formulas stay as written. Widgets are shown by their last text.
"""

from pathlib import Path

from her2kit.course.notebooks import read_notebook, title_of
from her2kit.exchange.whole import whole_file

TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
"""


def write_page(notebook: Path, target: Path) -> None:
    """Write the executed ``notebook`` as the HTML file ``target``.

    Raises
    ------
    Her2Error
        If it is not a notebook.
    """
    import logging

    from jinja2 import DictLoader
    from nbconvert.exporters import HTMLExporter

    node = read_notebook(notebook)
    exporter = HTMLExporter(extra_loaders=[DictLoader({"offline.html.j2": TEMPLATE})], embed_images=True)
    exporter.log.setLevel(logging.ERROR)
    exporter.template_file = "offline.html.j2"
    name = title_of(node) or notebook.stem
    body, _ = exporter.from_notebook_node(node, {"metadata": {"name": name, "path": str(notebook.parent)}})
    with whole_file(target) as part:
        part.write_text(body, encoding="utf-8")
