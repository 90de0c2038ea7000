import numpy as np
import pytest
from planted_slide import MPP, planted_cells, record, refused_record

from her2kit.report import sections
from her2kit.report.fields import fields_of
from her2kit.scoring.counts import Counts
from her2kit.scoring.guideline import slide_score


def scored(*numbers, **more):
    return slide_score(Counts.four_classes(*numbers), "breast-asco-cap-2018", **more).record() | {
        "slide_id": "s"
    }


def test_the_verdict_gives_score_reason_and_what_would_change_it():
    found = sections.verdict(scored(100, 0, 0, 100))
    assert (found["score"], found["category"]) == ("3+", "Positive")
    assert "100 of 200 cells have complete and intense membrane stain" in found["summary"]
    assert (
        "80 fewer such cells (40.0 % of all counted) would lower the score" in found["summary"]
    )  # 21 are needed


@pytest.mark.parametrize("numbers", [(100, 0, 0, 100), (150, 0, 50, 0), (150, 50, 0, 0), (100, 12, 0, 0)])
def test_as_many_fewer_cells_as_it_says_do_lower_the_score(numbers):
    before = scored(*numbers)
    fewer = int(sections.flip_words(before["trace"]).split()[0].replace(",", ""))
    at = max(i for i in range(4) if numbers[i])
    changed = list(numbers)
    changed[at] -= fewer
    changed[0] += fewer
    assert scored(*changed)["score"] < before["score"]
    changed[at] += 1
    changed[0] -= 1
    assert scored(*changed)["score"] == before["score"]


def test_as_many_more_cells_as_it_says_fire_the_rule():
    words = sections.flip_words(scored(181, 0, 19, 0)["trace"])
    assert words == "2 more cells (1.0 %) would fire the rule “any stain > 10 %”."
    assert scored(181, 0, 19, 0)["score"] == "0"
    assert scored(179, 2, 19, 0)["score"] == "1+"


def test_a_refused_slide_names_its_gate_and_no_score():
    found = sections.verdict(refused_record())
    assert found["score"] is None
    assert found["stops"][0]["name"] == "wrong stain"
    assert found["refused_head"] == "Refused by: wrong stain"
    assert found["summary"] == ""
    assert sections.bars(refused_record()) == []


def test_too_few_cells_are_a_reason_without_a_gate():
    found = sections.verdict(scored(3, 0, 0, 0))
    assert found["score"] is None
    assert "3 evaluable tumour cells" in found["stops"][0]["words"]


def test_gates_that_block_come_first_then_cautions():
    gates = [
        {"name": n, "level": level, "value": None, "words": "w"}
        for n, level in zip("abc", ("ok", "block", "caution"), strict=True)
    ]
    assert [g["name"] for g in sections.gate_rows({"gates": gates})] == ["b", "c", "a"]


def test_flags_are_sentences():
    found = sections.verdict(scored(10_000, 0, 0, 5))
    assert any("floor" in words for words in found["flags"])
    assert all(words.endswith(".") for words in found["flags"])


def test_both_denominators_stand_side_by_side():
    cells = planted_cells(500)
    planted = record(cells)
    rows, words = sections.denominators(planted)
    assert [r["n"] for r in rows] == [f"{planted['n_cells']}", f"{planted['all_cells']['n_cells']}"]
    assert "No tumour region" in words
    assert rows[0]["h"] == f"{planted['h_score_membrane_class']:.0f}"


def test_the_spread_orders_hot_middle_and_least():
    cells = planted_cells(3000)
    cells["cell_class"] = np.where(cells["x_px0"] < 1000, "3+", np.where(cells["x_px0"] < 3000, "1+", "0"))
    counted = np.ones(len(cells), bool)
    rows, words = sections.spread(
        record(planted_cells(3000)), cells, counted, fields_of(cells, counted, mpp=MPP)
    )
    assert [r["name"].split(":")[0] for r in rows] == [
        "Whole",
        "Hot spot",
        "The middle field",
        "The least stained field",
    ]
    hot, middle, least = (float(r["h"]) for r in rows[1:])
    assert 300 >= hot > middle > least >= 0
    assert "half of them" in words


def test_the_provenance_replays():
    rows, command, parameters = sections.provenance_rows(record(planted_cells(100)))
    assert command == "her2kit score s.tif --mpp 0.25"
    assert dict(rows)["SHA-256"] == "0" * 64
    assert '"mpp": 0.25' in parameters


def test_policies_say_what_another_choice_would_give():
    notes = sections.policy_notes(scored(10_000, 0, 0, 5))
    assert "With one complete, intense cell enough for 2+ (ASCO/CAP taken literally): 2+." in notes
