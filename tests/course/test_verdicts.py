"""The table of a comparison: red last and in full, what nothing is expected of is counted."""

from her2kit.course.regression import GOOD, NOT_JUDGED, NOTHING, RED, Verdict
from her2kit.course.verdicts import all_good, summary_of, table_of

LONG = "slide has no mpp and was therefore refused, as it should be"
VERDICTS = [
    Verdict("01_a", "macro_f1", "0.8 .. 1", "0.31", RED, "mean of 5 seeds"),
    Verdict("01_a", "n", "3", "3", GOOD),
    Verdict("01_a", "extra", NOTHING, "1", NOT_JUDGED),
    Verdict("01_a", "more", NOTHING, "2", NOT_JUDGED),
    Verdict("02_b", "refused", "[]", LONG, RED),
    Verdict("03_c", "parameters", "defaults", "seed=4", NOT_JUDGED),
]


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_red_is_last_with_its_reason_and_the_rest_is_counted():
    lines = table_of(VERDICTS).splitlines()
    assert rows("\n".join(lines)) == [
        ["notebook", "metric", "expected", "got", "verdict"],
        ["01_a", "n", "3", "3", "ok"],
        ["01_a", "2", "more", "nothing", "not", "judged"],
        ["03_c", "parameters", "defaults", "seed=4", "not", "judged"],
        [],
        ["01_a", "macro_f1", "0.8", "..", "1", "0.31", "RED"],
        ["why:", "mean", "of", "5", "seeds"],
        ["02_b", "refused", "[]", *LONG[:41].split()[:-1], "refuse...", "RED"],
        ["got:", *LONG.split()],
    ]
    columns = {line.index(word) for line, word in ((lines[0], "expected"), (lines[5], "0.8 .."))}
    assert len(columns) == 1


def test_every_metric_is_shown_where_that_is_asked():
    assert ["01_a", "extra", "nothing", "1", "not", "judged"] in rows(table_of(VERDICTS, every=True))


def test_colours_are_put_around_verdicts_alone():
    painted = table_of(VERDICTS, paint=lambda text, colour: f"<{colour}>{text}</>")
    assert painted.count("<red>RED</>") == 2
    assert painted.count("<green>ok</>") == 1
    assert painted.replace("<red>", "").replace("<green>", "").replace("<yellow>", "").replace(
        "</>", ""
    ) == table_of(VERDICTS)


def test_the_summary_names_the_notebooks_and_nothing_judged_is_not_good():
    assert summary_of(VERDICTS) == "1 metric is as expected, 2 lines are red: 01_a, 02_b"
    assert not all_good(VERDICTS)
    assert summary_of(VERDICTS[1:2]) == "1 metric is as expected, none is red"
    assert all_good(VERDICTS[1:4])
    assert not all_good(VERDICTS[5:])
    assert summary_of(VERDICTS[5:]).startswith("nothing was judged: expected.yaml holds for notebooks at")
    assert not all_good([])
