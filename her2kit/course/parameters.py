"""A notebook's parameters: read from its tagged cell, and checked before anything runs.

papermill only warns of a name that the notebook does not have, and the run then quietly uses the default.
Here an unknown name or a wrong type stops the call. The cell is read by ``ast``, never run: each line is
``name = literal``, with or without an annotation such as ``int | None``.
"""

import ast
import contextlib
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from her2kit.course.notebooks import tagged
from her2kit.errors import Her2Error

OUT_DIR = "out_dir"
"""The parameter that the runner sets itself: the folder of one run."""

_KINDS: dict[str, type] = {
    "str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "None": type(None)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of the parameters cell."""

    name: str
    default: Any
    kinds: tuple[type, ...]
    """Types that a value may have; empty where the notebook does not say (default None, no annotation)."""

    def take(self, value: Any, *, where: str) -> Any:
        """Return ``value`` in this parameter's type.

        Raises
        ------
        ValueError
            If the type is another; ``where`` names the notebook in the message.
        """
        if not self.kinds or (type(value) in self.kinds):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and float in self.kinds:
            return float(value)
        if isinstance(value, tuple) and list in self.kinds:
            return list(value)
        wanted = " or ".join("None" if k is type(None) else k.__name__ for k in self.kinds)
        raise ValueError(
            f"{where}: parameter {self.name} takes {wanted}, not {value!r} ({type(value).__name__})"
        )

    def parse(self, text: str, *, where: str) -> Any:
        """Return the value that ``text`` from the command line means: a YAML literal, or itself where text is
        wanted.

        Raises
        ------
        ValueError
            If it means nothing of this parameter's type.
        """
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if not isinstance(value, str | int | float | list | dict | None):
            value = text  # YAML knows dates, a notebook's parameters do not
        if (
            str in self.kinds
            and not isinstance(value, str)
            and not (value is None and type(None) in self.kinds)
        ):
            return text
        if isinstance(value, str) and float in self.kinds:
            with contextlib.suppress(ValueError):
                value = float(value)  # YAML reads 1e6 as text
        return self.take(value, where=where)


def read_parameters(notebook: Any, *, where: str) -> dict[str, Parameter]:
    """Return the parameters of the cell tagged ``parameters``, by name; none where there is no such cell.

    Raises
    ------
    Her2Error
        If the cell holds something else than ``name = literal``.
    """
    found: dict[str, Parameter] = {}
    for index in tagged(notebook, "parameters"):
        try:
            body = ast.parse(notebook.cells[index].source).body
        except SyntaxError as error:
            raise Her2Error(
                f"{where}: the parameters cell is not Python: {error.msg}, line {error.lineno}"
            ) from error
        for line in body:
            parameter = _read_line(line, where)
            found[parameter.name] = parameter
    return found


def _read_line(line: ast.stmt, where: str) -> Parameter:
    target = line.targets[0] if isinstance(line, ast.Assign) and len(line.targets) == 1 else None
    target = line.target if isinstance(line, ast.AnnAssign) else target
    if (
        not isinstance(line, ast.Assign | ast.AnnAssign)
        or not isinstance(target, ast.Name)
        or line.value is None
    ):
        raise Her2Error(
            f"{where}: the parameters cell holds {ast.unparse(line)!r}; write name = literal there"
        )
    try:
        default = ast.literal_eval(line.value)
    except ValueError as error:
        raise Her2Error(
            f"{where}: parameter {target.id} = {ast.unparse(line.value)} is not a literal; "
            "derive it in the next cell, so that it follows the parameters"
        ) from error
    if isinstance(line, ast.AnnAssign):
        words = {w.strip().split("[")[0] for w in ast.unparse(line.annotation).split("|")}
        kinds = tuple(_KINDS[w] for w in _KINDS if w in words) if words <= set(_KINDS) else ()
    else:
        kinds = () if default is None else (list if isinstance(default, tuple) else type(default),)
    return Parameter(target.id, default, kinds)


def check_parameters(
    parameters: Mapping[str, Parameter], values: Mapping[str, Any], *, where: str
) -> dict[str, Any]:
    """Return ``values`` in the notebook's types.

    Raises
    ------
    ValueError
        If a name is unknown (near names are listed), is the runner's own, or a value has the wrong type.
    """
    for name in values:
        find_parameter(parameters, name, where=where)
    return {name: parameters[name].take(value, where=where) for name, value in values.items()}


def find_parameter(parameters: Mapping[str, Parameter], name: str, *, where: str) -> Parameter:
    """Return the parameter called ``name``.

    Raises
    ------
    ValueError
        If there is none; near names are listed, or all where none is near.
    """
    if name == OUT_DIR:
        raise ValueError(f"{where}: {OUT_DIR} is set by the run itself; use --out to say where runs go")
    if name not in parameters:
        known = [n for n in parameters if n != OUT_DIR]
        near = difflib.get_close_matches(name, known) or known
        raise ValueError(f"{where} has no parameter {name!r}; there is: {', '.join(near) or 'none'}")
    return parameters[name]
