"""The reader trainer: blind until answered, on disk before it is told, and luck is not called learning."""

import base64
import io
import json

import numpy as np
import pytest
from jupyter_page import Page, chromium, jupyter, kill_kernel
from PIL import Image

from her2kit.course.cohort_lab import cohort_or_phantoms
from her2kit.course.eye import Eye, shares
from her2kit.course.trainer import FIRST_KAPPA, NEAR, Field, Training, open_session, training_fields
from her2kit.course.trainer_summary import LEAST_ANSWERS, learning, let_learn
from her2kit.course.trainer_widget import Trainer, outlined
from her2kit.errors import ReviewError
from her2kit.phantom.plan import PAIRS
from her2kit.statistics import Interval

OF_SCORE = {
    "0": {("none", "none"): 45, ("incomplete", "faint"): 5},
    "1+": {("none", "none"): 30, ("incomplete", "faint"): 20},
    "2+": {("none", "none"): 40, ("complete", "weak"): 10},
    "3+": {("none", "none"): 10, ("complete", "intense"): 40},
}
SCORES = list(OF_SCORE)
EVIL = "<img src=x onerror=\"document.title='broken'\">"


def field(score, shade=0, slide="s1"):
    pairs = dict.fromkeys(PAIRS, 0) | OF_SCORE[score]
    ring = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], np.float32)
    pixels = np.full((60, 60, 3), (230, 230, shade), np.uint8)
    return Field(slide, pixels, [ring], [score], pairs)


def fields_of(n=16):
    return [field(SCORES[i % 4], i, f"s{i % 8}") for i in range(n)]


@pytest.fixture
def session(tmp_path):
    return Training(fields_of(), tmp_path / "a.jsonl", reader="Ann")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    cases = ("3+", "0-null", "2+", "1+")
    return cohort_or_phantoms(
        slides=4, size_px=768, seed=11, cases=cases, folder=tmp_path_factory.mktemp("p")
    ).table


def test_truth_is_the_guideline_on_planted_cells():
    assert [field(s).truth for s in SCORES] == SCORES
    assert "40 of 50 cells have complete and intense" in field("3+").reason("3+")
    said = field("1+").reason("3+")
    assert "any membrane stain" in said  # why it is 1+
    assert "complete and intense membrane stain" in said  # and why it is not 3+
    assert field("1+").reason("0").count("Here it takes") == 1
    assert field("0").near
    assert not field("3+").near


def test_fields_come_balanced_in_an_order_of_their_seed(phantoms):
    first, again, other = (training_fields(phantoms, fields=8, seed=s, side_um=90) for s in (1, 1, 2))
    names = [[(f.slide_id, f.pixels.tobytes()) for f in some] for some in (first, again, other)]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == len(first) == 8
    assert sorted(f.truth for f in first) == sorted(SCORES * 2)
    for half in (first[:4], first[4:]):
        assert sorted(f.truth for f in half) == SCORES  # the first half is as hard as the second
    for one in first:
        n = sum(one.pairs.values())
        assert n == len(one.outlines) == len(one.classes) >= 30
        assert one.pixels.shape == (360, 360, 3)
        assert one.near == any(abs(v - 0.1) <= NEAR for v in shares(one.pairs).values())
        places = np.concatenate(one.outlines)
        assert (places > -60).all()
        assert (places < 420).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fields": 12}, "fields=12, side_um=110; pass a multiple of 8"),
        ({"side_um": 0.3}, "side_um=0.3; pass a multiple of 8, and a side from 10 um"),
        ({"side_um": 12}, "no slide has a field of 12 um with 30 tumour cells"),
    ],
)
def test_fields_that_cannot_be_made(phantoms, options, words):
    with pytest.raises(ValueError, match=words):
        training_fields(phantoms, **options)


def test_slides_without_planted_cells_are_named(phantoms):
    own = phantoms.head(1).assign(tumour_path=None)
    with pytest.raises(
        ValueError, match=f"slide {own['slide_id'][0]} has no planted cells; train on phantoms"
    ):
        training_fields(own)


def test_a_session_goes_on_where_it_ended(session):
    assert session.answer(0, "1+").truth == "0"
    session.answer(3, "3+")
    again = Training(fields_of(), session.path, reader="Ann")
    assert again.answers == session.answers
    assert again.next_place == 1
    assert again.table()[["field", "answer", "truth"]].values.tolist() == [[0, "1+", "0"], [3, "3+", "3+"]]


def test_other_fields_are_another_session(tmp_path):
    first = open_session(fields_of(), tmp_path / "new", reader="Ann B.")
    first.answer(0, "0")
    assert len(open_session(fields_of(), tmp_path / "new", reader="Ann B.").answers) == 1
    assert open_session(fields_of(8), tmp_path / "new", reader="Ann B.").answers == []
    assert open_session(fields_of(), tmp_path / "new", reader="Ben").answers == []


def test_a_line_cut_off_by_a_kill_was_never_told(session):
    session.answer(0, "0")
    with session.path.open("ab") as file:
        file.write(b'{"field": 1, "answer": "2')
    again = Training(fields_of(), session.path, reader="Ann")
    assert [a.place for a in again.answers] == [0]
    again.answer(1, "1+")
    assert len(Training(fields_of(), session.path, reader="Ann").answers) == 2


def test_files_that_are_not_this_session_are_refused_and_kept(session, tmp_path):
    with pytest.raises(ReviewError, match="answers to other fields; give another path"):
        Training(fields_of(8), session.path, reader="Ann")
    with pytest.raises(ReviewError, match="the session of 'Ann', not of 'Ben'"):
        Training(fields_of(), session.path, reader="Ben")
    header = session.path.read_text()
    for answers, words in (
        (['{"field": 99, "answer": "0", "truth": "0", "when": ""}'], "a field that is not there"),
        (['{"field": 1, "answer": "5", "truth": "0", "when": ""}'], "an answer is no score"),
        (['{"field": 1, "answer": "0", "truth": "0", "when": ""}'] * 2, "a field has two"),
    ):
        session.path.write_text(header + "\n".join(answers) + "\n")
        with pytest.raises(ReviewError, match=words):
            Training(fields_of(), session.path, reader="Ann")
    (tmp_path / "x.jsonl").write_text("slide,score\n1,2\n")
    with pytest.raises(ReviewError, match="no file of a training"):
        Training(fields_of(), tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text() == "slide,score\n1,2\n"
    with pytest.raises(ReviewError, match="cannot be read or made \\(Is a directory\\); give another path"):
        Training(fields_of(), tmp_path)
    with pytest.raises(ValueError, match="fields is empty"):
        Training([], tmp_path / "y.jsonl")


def test_answers_that_cannot_be(session):
    session.answer(0, "0")
    for place, score, words in (
        (0, "1+", "field 1 was answered before"),
        (16, "0", "field 17 is not there; there are 16"),
        (-1, "0", "field 0 is not there"),
        (1, "4+", "'4\\+' is no score; use 0, 1\\+"),
    ):
        with pytest.raises(ReviewError, match=words):
            session.answer(place, score)
    assert len(session.answers) == 1


def test_two_windows_do_not_mix(session):
    other = Training(fields_of(), session.path, reader="Ann")
    session.answer(0, "0")
    with pytest.raises(ReviewError, match="another window answers"):
        other.answer(0, "3+")


def test_kappa_grows_with_the_answers(session):
    for place in range(16):
        session.answer(place, session.fields[place].truth)
    kappas = session.kappas()
    assert kappas[: FIRST_KAPPA - 1] == [None] * (FIRST_KAPPA - 1)
    assert kappas[FIRST_KAPPA - 1 :] == [1.0] * (17 - FIRST_KAPPA)


def test_learning_is_found_where_it_is(tmp_path):
    session = Training(fields_of(64), tmp_path / "l.jsonl")
    for place, one in enumerate(session.fields):
        wrong = place < 32 and place % 2
        session.answer(place, SCORES[(SCORES.index(one.truth) + 2) % 4] if wrong else one.truth)
    found = learning(session, draws=300)
    assert found.learned
    assert found.kappa["second half"].estimate == 1
    assert found.agreement["change"].estimate == 0.5
    assert "More than chance explains" in found.words


def test_luck_is_not_called_learning(tmp_path):
    """One eye, the same from the first field to the last: it learns nothing, and is told so as a rule."""
    fields, found = fields_of(48), []
    for seed in range(60):
        session = Training(fields, tmp_path / f"{seed}.jsonl")
        same = Eye("e", 0.0, 1.2)
        let_learn(session, same, same, seed=seed)
        found.append(learning(session, draws=200).learned)
    assert np.mean(found) <= 0.12  # 2.5 % is meant; few slides make the interval a little narrow


def test_few_answers_are_not_judged(session):
    for place in range(LEAST_ANSWERS - 1):
        session.answer(place, "0")
    with pytest.raises(ValueError, match="11 answers; before and after need 12"):
        learning(session)


def test_a_worse_half_is_called_so(tmp_path):
    from her2kit.course.trainer_summary import Learning

    values = {k: Interval(v, v - 0.1, v + 0.1) for k, v in
              {"first half": 0.8, "second half": 0.5, "change": -0.3}.items()}  # fmt: skip
    assert "Worse by more than chance" in Learning(32, values, values).words


def test_eyes_err_near_the_line_and_in_their_direction():
    rng = np.random.default_rng(0)
    sure, near = OF_SCORE["3+"], {("none", "none"): 89, ("complete", "weak"): 11}
    steady = Eye("steady")
    assert steady.read(sure, rng)[0] == "3+"
    assert steady.read(near, rng)[0] == "2+"
    assert steady.read({("none", "none"): 10, ("complete", "intense"): 90}, rng)[1] == pytest.approx(270)
    mixed = {("none", "none"): 40, ("incomplete", "faint"): 30, ("complete", "weak"): 30}
    assert steady.read(mixed, rng)[1] == pytest.approx(30 + 2 * 30)  # as the kit weighs them
    low = Eye("low", bias=-0.5)
    assert low.read(near, rng)[0] == "0"
    assert low.read(sure, rng) < steady.read(sure, rng)
    wavering = Eye("wavering", noise=0.4)
    said = [wavering.read(near, rng)[0] for _ in range(200)]
    assert 0.3 < np.mean([s == "2+" for s in said]) < 0.9
    assert [wavering.read(sure, rng)[0] for _ in range(50)] == ["3+"] * 50
    with pytest.raises(ValueError, match="holds no cell"):
        steady.read({}, rng)
    with pytest.raises(ValueError, match="noise=-1"):
        Eye("e", noise=-1)


# The widget, without a browser


def answers(trainer, *messages):
    """Hand messages of a front end to the widget; return what it sends back."""
    sent = []
    trainer.send = lambda content, buffers=None: sent.append((content, buffers))
    for message in messages:
        trainer._heard(trainer, message, [])
    return sent


def test_nothing_that_the_page_holds_tells_an_answer(session):
    trainer = Trainer(session)
    found = answers(trainer, {"kind": "ready"}, *({"kind": "picture", "place": i} for i in range(16)))
    assert [c["kind"] for c, _ in found] == ["all"] + ["picture"] * 16
    for content, _ in found[1:]:
        assert set(content) == {"kind", "place"}
    assert found[0][0]["answers"] == [None] * 16
    state = {k: v for k, v in trainer.get_state().items() if k not in ("_esm", "_css")}
    assert all(f"s{i}" not in json.dumps(state["about"]) for i in range(8))  # no slide either
    assert state["about"]["fields"] == 16
    log = session.path.read_text()
    assert "truth" not in log
    assert "3+" not in log


def test_the_truth_is_told_after_the_file_has_the_answer(session):
    trainer, seen = Trainer(session), []
    trainer.send = lambda content, buffers=None: seen.append((content, session.path.read_text()))
    trainer._heard(trainer, {"kind": "answer", "id": "1", "place": 2, "score": "1+"}, [])
    ((content, log),) = seen
    assert json.loads(log.splitlines()[-1])["answer"] == "1+"
    assert (content["kind"], content["id"], content["answer"], content["truth"]) == ("truth", "1", "1+", "2+")
    assert content["shares"][1] == ["complete, weak or more", 20.0]
    assert content["cells"] == 50
    again = answers(trainer, {"kind": "picture", "place": 2})
    assert [c["kind"] for c, _ in again] == ["picture", "truth"]  # and told again, when the page is reloaded


def test_what_cannot_be_done_is_refused_in_words(session):
    trainer = Trainer(session)
    bad = [
        {"kind": "answer", "id": "1", "place": 99, "score": "0"},
        {"kind": "answer", "id": "2", "place": 0, "score": "4"},
        {"kind": "answer", "id": "3"},
        {"kind": "picture", "place": 99},
        {"kind": "picture", "place": "x"},
    ]
    found = answers(trainer, *bad)
    assert [c["kind"] for c, _ in found] == ["refused"] * 5
    assert session.answers == []


def test_marks_lie_inside_the_cells():
    pixels = outlined(field("3+"), side_px=240)
    red = np.abs(pixels.astype(int) - [0xC2, 0x18, 0x2B]).max(axis=2) < 40
    y, x = np.nonzero(red)
    assert len(x) > 100
    assert min(x.min(), y.min()) > 44  # the cell reaches from 40 to 120
    assert max(x.max(), y.max()) < 116


def test_a_picture_stands_in_where_nobody_can_press_keys(session, monkeypatch):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    session.answer(0, "1+")
    bundle, _ = Trainer(session)._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == "Ann: 1 of 16 fields read"
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).width > 500
    monkeypatch.setenv("JPY_SESSION_NAME", "n.ipynb")
    assert "application/vnd.jupyter.widget-view+json" in Trainer(session)._repr_mimebundle_()[0]


# In a browser


CELL = """
import numpy as np
from her2kit.course.trainer import Field, Training
from her2kit.course.trainer_widget import Trainer
from her2kit.phantom.plan import PAIRS
of = {of}
ring = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], np.float32)
fields = [
    Field(f"s{{i % 8}}", np.full((60, 60, 3), (230, 220, 4 * i), np.uint8), [ring], [s],
          dict.fromkeys(PAIRS, 0) | of[s])
    for i, s in enumerate({scores} * 3)
]
Trainer(Training(fields, {path!r}, reader={reader!r}))
"""


def test_a_reader_at_work(tmp_path):
    from selenium.webdriver.common.keys import Keys

    path = tmp_path / "answers.jsonl"
    source = CELL.format(of=OF_SCORE, scores=SCORES, path=str(path), reader=EVIL)

    def said():
        return [json.loads(line)["answer"] for line in path.read_text().splitlines()[1:]]

    with jupyter(tmp_path, source) as (address, server), chromium(tmp_path) as browser:
        page = Page(browser, address)

        def trainer(state=""):
            page.wait(
                f"the trainer {state}",
                lambda: page.all(f".her2kit-trainer[data-ready='yes']{state} figure img[src]"),
            )
            return page.all(".her2kit-trainer")[0]

        page.open()
        page.run_first_cell()
        root = trainer()
        page.shot("opened")
        assert EVIL in root.text  # a name is text, whatever it holds
        assert browser.title != "broken"
        assert not page.all(".her2kit-trainer .told")[0].is_displayed()

        # A key answers, and the reason is there at once; the next key does nothing before the next field.
        page.all(".her2kit-trainer h3")[0].click()
        page.press("0")
        trainer("[data-done='1'][data-told='yes']")
        page.press("3", "0", "0")
        assert said() == ["0"]
        assert "Right: 0" in page.all(".her2kit-trainer .verdict")[0].text.replace("\n", " ")
        page.shot("right")
        page.press(" ")
        trainer("[data-place='1'][data-told='no']")
        page.all(".her2kit-trainer .answer[data-score='3+']")[0].click()
        trainer("[data-done='2'][data-told='yes']")
        assert "You said 3+; planted: 1+" in page.all(".her2kit-trainer .verdict")[0].text
        assert "20 of 50 cells have any membrane stain" in page.all(".her2kit-trainer .reason")[0].text
        page.shot("wrong")

        # No field is shown before those ahead of it are answered; answered ones can be looked at.
        page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        trainer("[data-place='2']")
        page.press(Keys.ARROW_LEFT)
        trainer("[data-place='1'][data-told='yes']")
        page.press("b", "d", "d", Keys.ENTER)  # JupyterLab's b and d d would make and delete cells
        assert len(page.all(".jp-Notebook .jp-CodeCell")) == 2
        for done in range(3, 10):
            trainer(f"[data-place='{done - 1}'][data-told='no']")
            page.press(str((done - 1) % 4))
            trainer(f"[data-done='{done}'][data-told='yes']")
            page.press(" ")
        page.wait("kappa", lambda: float(page.all(".her2kit-trainer")[0].get_attribute("data-kappa")) > 0.5)
        page.shot("kappa")

        # The kernel dies: what was saved is there, and no key is taken any more.
        kill_kernel(server)
        page.wait("JupyterLab to say so", lambda: page.all(".jp-Dialog .jp-mod-accept"))[0].click()
        page.all(".her2kit-trainer h3")[0].click()
        page.press("2")
        page.wait("the warning", lambda: page.all(".her2kit-trainer[data-alarm='yes']"))
        assert "kernel does not answer" in page.all(".her2kit-trainer .alarm")[0].text
        page.shot("dead")
        assert len(said()) == 9

        # The page is opened anew, the cell run again: it goes on from the last saved answer.
        page.open()
        page.run_first_cell()
        trainer("[data-done='9'][data-place='9']")
        page.all(".her2kit-trainer h3")[0].click()
        for done in range(10, 13):
            trainer(f"[data-place='{done - 1}'][data-told='no']")
            page.press(str((done - 1) % 4))
            trainer(f"[data-done='{done}'][data-told='yes']")
            page.press(" ")
        assert said() == ["0", "3+", *(SCORES[i % 4] for i in range(2, 12))]
        assert "All fields are read" in page.all(".her2kit-trainer .saved")[0].text
        page.shot("done")
