"""Nearest neighbours and votes against exact arithmetic and counting."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genept.metrics import classifiers

small = st.integers(-2, 2)


def cosine_order(a: np.ndarray, b: np.ndarray) -> Fraction:
    """Minus the sign times the square of the cosine, exactly: ordered as cosine distances are."""
    dot, lengths = int(a @ b), int(a @ a) * int(b @ b)
    return -Fraction(dot * abs(dot), lengths) if lengths else Fraction(0)


def euclidean_order(a: np.ndarray, b: np.ndarray) -> int:
    return int((a - b) @ (a - b))


@settings(deadline=None)
@given(
    train=hnp.arrays(int, st.tuples(st.integers(1, 25), st.just(3)), elements=small),
    test=hnp.arrays(int, st.tuples(st.integers(1, 6), st.just(3)), elements=small),
    k=st.integers(1, 12),
    metric=st.sampled_from(["cosine", "euclidean"]),
)
def test_neighbours_are_the_exact_ones_with_ties_to_the_lower_row(
    train: np.ndarray, test: np.ndarray, k: int, metric: str
) -> None:
    order = cosine_order if metric == "cosine" else euclidean_order
    expected = [
        [row for _, row in sorted((order(cell, other), row) for row, other in enumerate(train))[:k]] for cell in test
    ]
    assert classifiers.nearest(train.astype(float), test.astype(float), k, metric).tolist() == expected


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_do_not_depend_on_the_block(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    train = np.repeat(rng.normal(size=(60, 384)), 3, axis=0)  # each cell three times: ties everywhere
    test = rng.normal(size=(50, 384))
    whole = classifiers.nearest(train, test, 10, metric)
    monkeypatch.setattr(classifiers, "BLOCK", 7 * len(train))
    np.testing.assert_array_equal(classifiers.nearest(train, test, 10, metric), whole)


@settings(deadline=None)
@given(
    members=st.lists(
        hnp.arrays("U6", (3, 4), elements=st.sampled_from(["T cell", "B cell", "10", "9", "mono"])),
        min_size=1,
        max_size=4,
    )
)
def test_neighbours_of_all_members_are_counted_and_ties_go_to_the_smallest_label(members: list[np.ndarray]) -> None:
    for cell, label in enumerate(classifiers.pool(members)):
        counts = Counter(name for labels in members for name in labels[cell].tolist())
        assert label == min(name for name, count in counts.items() if count == max(counts.values()))
    np.testing.assert_array_equal(classifiers.pool(members[:1]), classifiers.vote(members[0]))


@given(
    votes=hnp.arrays("U1", st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from("abcd")),
    tie=st.sampled_from(["first", "smallest"]),
)
def test_the_ensemble_gives_a_label_with_the_most_votes(votes: np.ndarray, tie: str) -> None:
    for cell, label in enumerate(classifiers.majority(votes, tie)):
        column = votes[:, cell].tolist()
        most = [name for name in column if column.count(name) == max(map(column.count, column))]
        assert label == (most[0] if tie == "first" else min(most))
