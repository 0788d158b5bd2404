"""Ranges and tests against scipy, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics

from genept.metrics import counts, ranges
from genept.metrics.counts import Counts
from genept.metrics.scores import METRICS


def test_nineteen_of_twenty_further_runs_fall_into_the_range() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(4000):
        runs, further = rng.normal(0.5, 0.03, size=20), rng.normal(0.5, 0.03)
        low, high = ranges.single_runs(runs, (0, 1)) or (0, 0)
        inside.append(low <= further <= high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)


def test_ranges_keep_the_scores_bounds_and_widen_by_trainings() -> None:
    runs = np.array([0.98, 1.0, 0.99])
    low, high = ranges.single_runs(runs, (0, 1)) or (0, 0)
    assert high == 1 and low == pytest.approx(0.99 - stats.t.ppf(0.975, 2) * 0.01 * (4 / 3) ** 0.5)
    wide = ranges.single_runs(runs, (-9, 9), margin=0.1) or (0, 0)
    assert wide[0] < low and wide[0] == pytest.approx(0.99 - ((0.99 - low) ** 2 + 0.01) ** 0.5)
    assert ranges.single_runs(np.array([0.3]), (0, 1)) is None
    assert ranges.single_runs(np.array([0.3]), (0, 1), 0.1) == pytest.approx((0.2, 0.4))


@given(hnp.arrays(float, st.integers(3, 30), elements=st.floats(-1, 1, width=16)))
def test_without_overlap_the_corrected_test_is_the_paired_one(differences: np.ndarray) -> None:
    low, high, p = ranges.corrected_t(differences, 0)
    if not differences.std():
        assert p == (2.0 ** (1 - len(differences)) if differences.any() else 1) and low == high == pytest.approx(
            differences.mean()
        )
        return
    theirs = stats.ttest_1samp(differences, 0)
    interval = theirs.confidence_interval()
    assert (low, high, p) == pytest.approx((interval.low, interval.high, theirs.pvalue), abs=1e-9)
    wider = ranges.corrected_t(differences, 0.25)
    assert wider[1] - wider[0] == pytest.approx((high - low) * (1 + len(differences) / 4) ** 0.5)
    assert wider[2] >= p


@pytest.mark.filterwarnings("error")
def test_one_split_gives_no_interval_and_no_test() -> None:
    assert np.isnan(ranges.corrected_t(np.array([0.1]), 0.25)).all()


def test_swaps_of_accuracy_are_sign_flips_of_the_donors_differences() -> None:
    differences = np.array([3.0, 1.0, 2.0, -1.0])
    swap = ranges.swaps(4, 0)
    assert len(np.unique(swap, axis=0)) == 16
    swapped = ((1 - 2 * swap) * differences).sum(axis=1)
    exact = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert ranges.p_of_swaps(differences.sum(), swapped, is_complete=True) == pytest.approx(exact.pvalue)
    assert len(ranges.swaps(40, 0)) == ranges.SWAPS
    assert ranges.p_of_swaps(1.0, np.zeros(99), is_complete=False) == 0.01


def test_a_permutation_p_value_is_the_rank_among_the_draws() -> None:
    draws = np.array([0.1, 0.2, 0.3, 0.4])
    low, high, p, p_min = ranges.among_draws(0.35, draws)
    assert (p, p_min) == (2 / 5, 1 / 5)
    half = stats.t.ppf(0.975, 3) * draws.std(ddof=1) * (5 / 4) ** 0.5
    assert (low, high) == pytest.approx((0.1 - half, 0.1 + half))
    assert ranges.among_draws(0.35, draws[:1]) == (None, None, 1 / 2, 1 / 2)


def test_the_tail_of_resamples_is_doubled() -> None:
    assert ranges.p_of_resamples(np.array([-1.0, 1, 2, 3, 4, 5, 6, 7, 8])) == 0.4
    assert ranges.p_of_resamples(np.array([-1.0, 1, np.nan])) == 1


def test_resamples_have_as_many_donors_and_undefined_scores_give_no_interval() -> None:
    weights = ranges.resample(12, 0)
    assert weights.shape == (ranges.RESAMPLES, 12) and (weights.sum(axis=1) == 12).all()
    assert ranges.over_donors(np.array([np.nan, np.nan, 1.0])) is None
    assert ranges.over_donors(np.linspace(0, 1, 1001)) == pytest.approx((0.025, 0.975))


@given(
    actual=hnp.arrays(int, 25, elements=st.integers(0, 4)),
    predicted=hnp.arrays(int, 25, elements=st.integers(0, 4)),
    donors=hnp.arrays(int, 25, elements=st.integers(0, 2)),
)
def test_scores_of_counts_are_scikit_learns(actual: np.ndarray, predicted: np.ndarray, donors: np.ndarray) -> None:
    total = counts.count(actual, predicted, 6)
    by_donor = counts.count(actual, predicted, 6, donors)
    for one, other in zip(total, by_donor.over(np.ones((1, len(by_donor.actual)))), strict=True):
        np.testing.assert_array_equal(one, other[0])
    present = np.unique(actual)
    expected = {"accuracy": metrics.accuracy_score(actual, predicted)}
    expected["balanced_accuracy"] = metrics.recall_score(
        actual, predicted, labels=present, average="macro", zero_division=0
    )
    for average in ("macro", "weighted"):
        scores = metrics.precision_recall_fscore_support(actual, predicted, average=average, zero_division=0)
        expected |= {f"{of}_{average}": score for of, score in zip(counts.OF_CLASS, scores[:3], strict=True)}
    frequent = [code for code in present if (actual == code).sum() >= 6]
    if frequent:
        scores = metrics.precision_recall_fscore_support(
            actual, predicted, labels=frequent, average="macro", zero_division=0
        )
        expected |= {f"{of}_frequent": score for of, score in zip(counts.OF_CLASS, scores[:3], strict=True)}
    for metric in (one for one in METRICS if "knn" in one.tasks or "logreg" in one.tasks):
        if not metric.of_probabilities:
            value = metric.function(total, 6)
            assert np.isnan(value) if metric.name not in expected else value == pytest.approx(expected[metric.name])


def test_no_cell_has_no_score_but_does_not_fail() -> None:
    empty = Counts(*np.zeros((3, 2, 4)))
    assert np.isnan(counts.average(empty, 1, of="f1", over="macro")).all()


def test_resamples_of_donors_keep_the_classes_or_are_none() -> None:
    actual = np.array([[3.0, 0, 2], [3, 4, 0], [3, 4, 0]])  # the third class has one donor
    by_donor = Counts(actual, np.zeros((3, 3)), np.array([[3.0, 0, 0], [3, 2, 0], [3, 2, 0]]))
    sums, lacks = counts.resample(by_donor, np.array([[1.0, 1, 1], [3, 0, 0], [0, 1, 2]]))
    assert lacks.tolist() == [False, True, False]
    recall = counts.average(sums, 1, of="recall", over="balanced")
    assert recall[[0, 2]] == pytest.approx([(1 + 0.5 + 0) / 3] * 2)
