"""All runs are planned and checked before the first starts: tiers, sweeps, selection."""

import pytest

from her2kit.course.notebooks import select_notebooks
from her2kit.course.plan import plan_runs, run_parameters
from her2kit.errors import Her2Error


def test_values_come_from_tier_then_sweep_then_command_line(put, workplace):
    path = put()
    (workplace / "notebooks/params/smoke.yaml").write_text("01_sample: {n_cells: 4, share: 1, label: '0'}\n")
    (workplace / "sweep.yaml").write_text("share: [0.5, 0.75]\nlabel: ['1+', '3+']\n")
    runs = plan_runs(
        [path], out=workplace / "out", tier="smoke", given=[("label", "2+")], sweep=workplace / "sweep.yaml"
    )
    assert [(r.variant, dict(r.parameters)) for r in runs] == [
        ("share=0.5,label=1+", {"n_cells": 4, "share": 0.5}),
        ("share=0.5,label=3+", {"n_cells": 4, "share": 0.5}),
        ("share=0.75,label=1+", {"n_cells": 4, "share": 0.75}),
        ("share=0.75,label=3+", {"n_cells": 4, "share": 0.75}),
    ]
    assert runs[0].folder == workplace / "out/01_sample/share=0.5,label=1+"
    assert run_parameters(runs[0])["out_dir"] == str(runs[0].folder)


def test_a_sweep_of_cases_and_a_plain_run(put, workplace):
    path = put()
    (workplace / "cases.yaml").write_text("- {share: 0.5}\n- {share: 0.75, n_cells: 8}\n")
    runs = plan_runs([path], out=workplace, sweep=workplace / "cases.yaml")
    assert [dict(r.parameters) for r in runs] == [{"share": 0.5}, {"share": 0.75, "n_cells": 8}]
    (run,) = plan_runs([path], out=workplace)
    assert (run.variant, dict(run.parameters), run.folder) == ("", {}, workplace / "01_sample")


@pytest.mark.parametrize(
    ("tier", "text", "words"),
    [
        ("smoke", None, "no .*smoke.yaml; write it"),
        ("smoke", "01_sample: {n_cels: 4}", "smoke.yaml has no parameter 'n_cels'; there is: n_cells"),
        ("smoke", "01_sample: {n_cells: many}", "parameter n_cells takes int, not 'many'"),
        ("smoke", "01_sample: 4", "must map parameters to values"),
        ("smoke", "a: [", "is not YAML"),
        ("tiny", None, "unknown tier 'tiny'; use one of smoke, fast, full"),
    ],
)
def test_a_wrong_tier_is_one_line(put, workplace, tier, text, words):
    path = put()
    if text:
        (workplace / "notebooks/params/smoke.yaml").write_text(text)
    with pytest.raises((ValueError, Her2Error), match=words) as error:
        plan_runs([path], out=workplace, tier=tier)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("share: 0.5", "for every combination"),
        ("- 3", "for every combination"),
        ("{}", "for every combination"),
        ("shar: [0.5]", "no parameter 'shar'; there is: share"),
        ("share: [0.5, 0.5]", "two runs would write to"),
    ],
)
def test_a_wrong_sweep_is_one_line(put, workplace, text, words):
    path = put()
    (workplace / "sweep.yaml").write_text(text)
    with pytest.raises((ValueError, Her2Error), match=words):
        plan_runs([path], out=workplace, sweep=workplace / "sweep.yaml")


def test_notebooks_are_named_by_number_name_or_path(put, workplace):
    one, ten = put("01_sample"), put("10_score_a_slide")
    put("draft")
    assert select_notebooks([]) == [one, ten]
    assert select_notebooks(["10", "01_sample", "1", "notebooks/draft.ipynb"]) == [
        ten, one, workplace / "notebooks/draft.ipynb",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no notebook '11'; there is: 01_sample, 10_score_a_slide"):
        select_notebooks(["11"])
    with pytest.raises(ValueError, match="no notebook '10_score_slide'; there is: 10_score_a_slide"):
        select_notebooks(["10_score_slide"])
    with pytest.raises(ValueError, match=r"no notebook other\.ipynb"):
        select_notebooks(["other.ipynb"])


def test_a_file_that_is_no_notebook_is_named(workplace):
    path = workplace / "notebooks/01_text.ipynb"
    for text in ("hello", "[]", "{}", '{"nbformat": 4}'):
        path.write_text(text)
        with pytest.raises(Her2Error, match=r"01_text\.ipynb is not a notebook"):
            plan_runs([path], out=workplace)
