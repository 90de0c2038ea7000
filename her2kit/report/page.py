"""Write a page from its template: one HTML file with the kit's style inside it, everything else escaped."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from her2kit import __version__
from her2kit.exchange.whole import whole_file


def write_page(
    path: Path, template: str, *, finalize: Callable[[Any], Any] | None = None, **values: Any
) -> Path:
    """Fill a template, write it and return its path; the file appears whole or not at all.

    Parameters
    ----------
    template
        Name of a file in ``templates``, without ``.html.j2``.
    finalize
        Changes every value before it is written down; None leaves them.
    values
        What the template names, beside ``css`` and ``version``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("her2kit.report", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    css = (files("her2kit.report") / "templates" / "report.css").read_text("utf-8")
    text = environment.get_template(f"{template}.html.j2").render(
        css=Markup(css), version=__version__, **values
    )
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
