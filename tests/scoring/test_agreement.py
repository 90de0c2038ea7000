"""Agreement: the worked examples of the papers, scikit-learn, and properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from her2kit.scoring.agreement import (
    codes,
    compare,
    confusion,
    fleiss_kappa,
    icc,
    kappa,
    krippendorff_alpha,
    limits_of_agreement,
    majority,
    share,
)

NAN = math.nan
readings = st.lists(st.integers(0, 3), min_size=2, max_size=60)


@settings(max_examples=80, deadline=None)
@given(readings, st.randoms(use_true_random=False), st.sampled_from([None, "linear", "quadratic"]))
def test_kappa_is_that_of_scikit_learn(first, random, weights):
    second = [random.choice([x, random.randint(0, 3)]) for x in first]
    found = kappa(confusion(np.array(first, float), np.array(second, float)), weights=weights)
    if len(set(first) | set(second)) == 1:
        assert math.isnan(found)
    else:
        expected = cohen_kappa_score(first, second, labels=range(4), weights=weights)
        assert found == pytest.approx(expected, abs=1e-12)


def test_kappa_gives_the_published_example():
    """Cohen 1968, table 1: 200 cases, kappa 0.492 before weights of his own."""
    matrix = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    assert kappa(matrix) == pytest.approx(0.492, abs=5e-4)


def test_fleiss_gives_the_published_example():
    """Fleiss 1971: the table of 10 subjects, 14 raters and 5 categories, kappa 0.210."""
    counts = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ]
    )  # fmt: skip
    ratings = np.array([np.repeat(np.arange(5), row) for row in counts], float)
    assert fleiss_kappa(ratings, k=5) == pytest.approx(0.210, abs=5e-4)
    more = np.vstack([ratings, np.full((1, 14), NAN)])
    assert fleiss_kappa(more, k=5) == fleiss_kappa(ratings, k=5)


def test_icc_gives_the_published_example():
    """Shrout and Fleiss 1979, table 2: ICC(2,1) 0.29, ICC(3,1) 0.71."""
    values = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
    )
    assert icc(values) == pytest.approx(0.290, abs=5e-4)
    assert icc(values, kind="consistency") == pytest.approx(0.715, abs=5e-4)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_gives_the_published_example(level, alpha):
    """Krippendorff 2004 (and "Computing Krippendorff's alpha", 2011, section C): 4 observers, 12 units."""
    data = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
            [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
        ]
    ).T
    assert krippendorff_alpha(data - 1, level=level, k=5) == pytest.approx(alpha, abs=6e-4)


def test_limits_of_agreement_give_the_published_example():
    """Bland and Altman 1986: peak flow of 17 subjects, large minus mini meter: mean -2.1, sd 38.8."""
    large = np.array([494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427.0])
    mini = np.array([512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451.0])
    found = limits_of_agreement(mini, large)
    assert (round(found.bias, 1), round(found.sd, 1), found.n) == (-2.1, 38.8, 17)
    assert found.low == pytest.approx(-78.1, abs=0.1)  # the paper takes 2 sd: -79.7 and 75.5
    assert found.high == pytest.approx(73.9, abs=0.1)


@settings(max_examples=50, deadline=None)
@given(readings, st.randoms(use_true_random=False))
def test_agreement_knows_no_order_of_slides_or_readers(first, random):
    a = np.array(first, float)
    b = np.array([random.choice([x, random.randint(0, 3)]) for x in first], float)
    both, order = np.c_[a, b], np.array(random.sample(range(len(a)), len(a)))
    for measure in (fleiss_kappa, krippendorff_alpha, icc):
        value = measure(both)
        assert measure(both[order]) == pytest.approx(value, nan_ok=True)
        assert measure(both[:, ::-1]) == pytest.approx(value, nan_ok=True)
        assert math.isnan(value) or value <= 1 + 1e-12
    for weights in (None, "linear", "quadratic"):
        value = kappa(confusion(a, b), weights=weights)
        assert kappa(confusion(b, a), weights=weights) == pytest.approx(value, nan_ok=True)


@given(readings)
def test_who_agrees_with_himself_gets_one(first):
    a = np.array(first, float)
    expected = 1.0 if len(set(first)) > 1 else NAN
    assert kappa(confusion(a, a), weights="quadratic") == pytest.approx(expected, nan_ok=True)
    assert krippendorff_alpha(np.c_[a, a]) == pytest.approx(expected, nan_ok=True)
    assert fleiss_kappa(np.c_[a, a]) == pytest.approx(expected, nan_ok=True)


def test_alpha_of_two_full_readers_is_nearly_their_kappa():
    """With nominal distances alpha and Scott's pi differ by 1/(2n) alone (Krippendorff 2004)."""
    rng = np.random.default_rng(1)
    a = rng.integers(0, 4, 400).astype(float)
    b = np.where(rng.random(400) < 0.7, a, rng.integers(0, 4, 400))
    alpha = krippendorff_alpha(np.c_[a, b], level="nominal")
    assert alpha == pytest.approx(kappa(confusion(a, b)), abs=0.005)


def test_planted_agreement_comes_back_within_its_interval():
    """A reader of stated skill: 80 % right, else one step off."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, 4000).astype(float)
    off = np.where((rng.random(4000) < 0.5) & (truth < 3) | (truth == 0), truth + 1, truth - 1)
    reader = np.where(rng.random(4000) < 0.8, truth, off)
    found = compare(truth, reader, np.arange(4000), draws=200)
    assert found["agreement"].low < 0.8 < found["agreement"].high
    assert found["within one"].estimate == 1
    assert found["within one"].low > 0.998
    assert found["kappa quadratic"].low < found["kappa quadratic"].estimate < found["kappa quadratic"].high


def test_positive_and_negative_agreement_take_the_first_for_the_truth():
    truth = codes(["3+", "3+", "2+", "1+", "0", "0"])
    test = codes(["3+", "2+", "2+", "0", "0", "2+"])
    found = compare(truth, test, np.arange(6), draws=20)
    assert found["positive 3+"].estimate == 1 / 2
    assert found["negative 3+"].estimate == 1
    assert found["positive 2+/3+"].estimate == 1
    assert found["negative 2+/3+"].estimate == pytest.approx(2 / 3)
    assert found["positive 1+/2+/3+"].estimate == 3 / 4
    assert found["negative 1+/2+/3+"].estimate == 1 / 2


def test_slides_that_one_did_not_read_do_not_count():
    a, b = codes(["0", "1+", None, "3+"]), codes(["0", "2+", "2+", None])
    assert confusion(a, b).sum() == 2
    assert compare(a, b, np.arange(4), draws=10)["agreement"].estimate == 0.5
    nobody = compare(a, codes([None] * 4), np.arange(4))
    assert all(math.isnan(i.estimate) for i in nobody.values())


def test_a_share_of_single_slides_is_wilsons():
    right = np.arange(40) < 33
    found = share(right, np.arange(40))
    theirs = stats.binomtest(33, 40).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_slides_of_one_patient_make_a_wider_interval_that_covers():
    covered = {"by patient": 0, "by slide": 0}
    patients = np.repeat(np.arange(50), 6)
    for run in range(150):
        rng = np.random.default_rng(run)
        right = rng.random(300) < rng.beta(2, 1, 50)[patients]  # 2 of 3 on average, patients differ
        for name, clusters in (("by patient", patients), ("by slide", np.arange(300))):
            found = share(right, clusters)
            covered[name] += found.low <= 2 / 3 <= found.high
    assert covered["by patient"] >= 0.89 * 150
    assert covered["by slide"] <= 0.85 * 150


def test_where_all_agree_nothing_is_certain():
    found = share(np.ones(60, bool), np.repeat(np.arange(10), 6))
    assert found.high == 1
    assert found.low == pytest.approx(1 / (1 + 3.8415 / 10), abs=1e-3)  # Wilson at 10 of 10


def test_majority_needs_more_than_half():
    ratings = np.c_[
        codes(["0", "0", "1+", None]), codes(["0", "1+", "2+", None]), codes(["2+", None, "3+", None])
    ]
    assert majority(ratings) == pytest.approx([0, NAN, NAN, NAN], nan_ok=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: codes(["0", "4+"]), r"score '4\+' is not known; use 0, 1\+, 2\+, 3\+"),
        (lambda: kappa(np.eye(4), weights="cubic"), "weights='cubic'"),
        (lambda: krippendorff_alpha(np.zeros((2, 2)), level="ratio"), "level='ratio'"),
        (lambda: icc(np.zeros((2, 2)), kind="both"), "kind='both'"),
        (lambda: confusion(np.array([5.0]), np.array([0.0])), r"codes reach beyond 0\.\.3"),
        (lambda: limits_of_agreement(np.array([1.0]), np.array([2.0])), "1 pairs"),
    ],
)
def test_messages(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("measure", [fleiss_kappa, krippendorff_alpha, icc])
def test_too_little_to_say_anything(measure):
    for ratings in (np.empty((0, 3)), np.full((4, 2), NAN), np.ones((5, 1))):
        assert math.isnan(measure(ratings))
