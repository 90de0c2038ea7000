"""Parameters are read without running anything; unknown names and wrong types are found."""

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.course.parameters import check_parameters, find_parameter, read_parameters
from her2kit.errors import Her2Error


def notebook(source):
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("x = 1"),
        ]
    )


def read(source):
    return read_parameters(notebook(source), where="01_sample")


def test_only_the_tagged_cell_is_read_and_never_run():
    found = read("n = -3  # cells\nname: str = 'a'\nmaybe = None\nsize: tuple[int, int] = (1, 2)")
    assert {n: (p.default, p.kinds) for n, p in found.items()} == {
        "n": (-3, (int,)), "name": ("a", (str,)), "maybe": (None, ()), "size": ((1, 2), ()),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("n = len('ab')", "parameter n = len('ab') is not a literal"),
        ("import os", "holds 'import os'"),
        ("a = b = 1", "holds 'a = b = 1'"),
        ("n: int", "holds 'n: int'"),
        ("n = (", "is not Python"),
    ],
)
def test_a_cell_that_is_no_list_of_literals_is_named(source, words):
    with pytest.raises(Her2Error) as error:
        read(source)
    assert str(error.value).startswith("01_sample: ")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("line", "text", "value"),
    [
        ("n = 1", "7", 7),
        ("x = 1.0", "7", 7.0),
        ("x = 1.0", "1e6", 1e6),
        ("flag = True", "false", False),
        ("name = '2+'", "3", "3"),
        ("name = '2+'", "null", "null"),
        ("name: str | None = 'a'", "null", None),
        ("name: str | None = None", "region.geojson", "region.geojson"),
        ("cuts = [1]", "[0.5, 1]", [0.5, 1]),
        ("any = None", "{a: 1}", {"a": 1}),
        ("any = None", "2026-11-21", "2026-11-21"),
    ],
)
def test_text_from_the_command_line_takes_the_parameters_type(line, text, value):
    (parameter,) = read(line).values()
    got = parameter.parse(text, where="01_sample")
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("line", "text", "wanted"),
    [
        ("n = 1", "1.5", "int, not 1.5 (float)"),
        ("n = 1", "true", "int, not True (bool)"),
        ("n = 1", "null", "int, not None (NoneType)"),
        ("x = 1.0", "true", "float, not True (bool)"),
        ("x = 1.0", "many", "float, not 'many' (str)"),
        ("flag = True", "1", "bool, not 1 (int)"),
        ("cuts = [1]", "1", "list, not 1 (int)"),
        ("n: int | None = None", "a", "int or None, not 'a' (str)"),
    ],
)
def test_a_wrong_type_is_an_error(line, text, wanted):
    (parameter,) = read(line).values()
    with pytest.raises(ValueError, match="takes") as error:
        parameter.parse(text, where="01_sample")
    assert str(error.value) == f"01_sample: parameter {parameter.name} takes {wanted}"


@given(
    st.one_of(
        st.integers(),
        st.booleans(),
        st.lists(st.integers()),
        st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_a_default_is_its_own_value(value):
    (parameter,) = read(f"x = {value!r}").values()
    assert parameter.take(value, where="n") == value


def test_unknown_names_are_listed_with_near_ones():
    known = read("n_cells = 1\nshare = 0.5\nout_dir = 'x'")
    with pytest.raises(ValueError, match=r"01_sample has no parameter 'n_cell'; there is: n_cells$"):
        check_parameters(known, {"n_cell": 3}, where="01_sample")
    with pytest.raises(ValueError, match=r"no parameter 'qqq'; there is: n_cells, share$"):
        find_parameter(known, "qqq", where="01_sample")
    with pytest.raises(ValueError, match="out_dir is set by the run itself; use --out"):
        check_parameters(known, {"out_dir": "y"}, where="01_sample")
