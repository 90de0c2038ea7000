"""Notebooks as files: where they are, which one is meant, their tagged cells, the stamp of their code.

Runs nothing and changes nothing. A notebook is named by its number (``10``), its name (``10_score_a_slide``)
or its path.
"""

import difflib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from her2kit.errors import Her2Error


def notebooks_folder() -> Path:
    """Return the folder ``notebooks``: the one below the current folder, else the one beside the package.

    Raises
    ------
    ValueError
        If neither exists: the notebooks come with the repository, not with the installed package.
    """
    for folder in (Path("notebooks"), Path(__file__).parents[2] / "notebooks"):
        if folder.is_dir():
            return folder.resolve()
    raise ValueError(
        "no folder 'notebooks' here; call this from the her2kit repository, or name notebook files"
    )


def all_notebooks(folder: Path) -> list[Path]:
    """Return the numbered notebooks of ``folder``, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def select_notebooks(names: Sequence[str]) -> list[Path]:
    """Return the notebooks that ``names`` mean, each once; all numbered ones where ``names`` is empty.

    Raises
    ------
    ValueError
        If a name fits no notebook; the message lists what there is.
    """
    if not names:
        found = all_notebooks(notebooks_folder())
        if not found:
            raise ValueError(f"no numbered notebook in {notebooks_folder()}; name a notebook file")
        return found
    chosen = [Path(name).resolve() if name.endswith(".ipynb") else _by_name(name) for name in names]
    for name, path in zip(names, chosen, strict=True):
        if not path.is_file():
            raise ValueError(f"no notebook {name}; check the path, or name it by its number")
    return list(dict.fromkeys(chosen))


def _by_name(name: str) -> Path:
    known = all_notebooks(notebooks_folder())
    fits = [p for p in known if p.stem == name or p.stem.split("_")[0] == name.zfill(2)]
    if len(fits) != 1:
        near = difflib.get_close_matches(name, [p.stem for p in known], cutoff=0.4)
        have = ", ".join(near or [p.stem for p in known]) or "none yet"
        raise ValueError(f"no notebook {name!r}; there is: {have}")
    return fits[0]


def read_notebook(path: Path) -> Any:
    """Return the notebook as nbformat's node (version 4).

    Raises
    ------
    Her2Error
        If the file is not a notebook.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
        raise Her2Error(f"{path} is not a notebook; open it in JupyterLab and save it again") from error


def tags_of(cell: Any) -> list[str]:
    """Return the cell's tags."""
    return list(cell.get("metadata", {}).get("tags", []))


def tagged(notebook: Any, tag: str) -> list[int]:
    """Return the positions of the cells that carry ``tag``."""
    return [i for i, cell in enumerate(notebook.cells) if tag in tags_of(cell)]


def code_stamp(notebook: Any) -> str:
    """Return the sha256 of the code cells in order: it changes when code, its order or its tags change."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update("\0".join([*sorted(tags_of(cell)), cell.source, "\n"]).encode())
    return digest.hexdigest()


def title_of(notebook: Any) -> str:
    """Return the first heading without its marks, or an empty string."""
    for cell in notebook.cells:
        found = (
            re.search(r"^#+\s+(.+?)\s*$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        )
        if found:
            return found[1]
    return ""


def cell_name(notebook: Any, index: int) -> str:
    """Return words that find the cell again: its number among all cells, its tag, the heading above it."""
    tags = tags_of(notebook.cells[index])
    words = f"cell {index + 1}" + (f" (tag {tags[0]})" if tags else "")
    for cell in reversed(notebook.cells[:index]):
        headings = (
            re.findall(r"^#+\s+(.+?)\s*$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else []
        )
        if headings:
            return f'{words} under "{headings[-1]}"'
    return words
