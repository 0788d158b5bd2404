"""Nearest neighbours and votes against exact arithmetic and counting."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genept.core.params import Distance
from genept.data.splits import Split
from genept.metrics import neighbours

small = st.integers(-2, 2)
METRICS: list[Distance] = ["cosine", "centred_cosine", "euclidean"]


def order(matrix: np.ndarray, metric: str, a: int, b: int) -> Fraction:
    """A number that ranks as the distance of two rows does, exactly."""
    rows = [[Fraction(int(value)) for value in row] for row in matrix]
    if metric == "centred_cosine":
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        rows = [[value - mean for value, mean in zip(row, means, strict=True)] for row in rows]
    x, y = rows[a], rows[b]
    if metric == "euclidean":
        return sum(((u - v) ** 2 for u, v in zip(x, y, strict=True)), Fraction(0))
    dot = sum((u * v for u, v in zip(x, y, strict=True)), Fraction(0))
    lengths = sum((u * u for u in x), Fraction(0)) * sum((v * v for v in y), Fraction(0))
    return -dot * abs(dot) / lengths if lengths else Fraction(0)


def exact(matrix: np.ndarray, metric: str, queries: list[int], among: list[int], k: int) -> list[list[int]]:
    return [
        sorted((row for row in among if row != q), key=lambda row: (order(matrix, metric, q, row), row))[:k]
        for q in queries
    ]


@settings(max_examples=60)
@given(
    matrix=hnp.arrays(int, st.tuples(st.integers(3, 20), st.just(3)), elements=small),
    k=st.integers(1, 12),
    n_test=st.integers(1, 6),
    metric=st.sampled_from(METRICS),
)
def test_neighbours_are_the_exact_ones_with_ties_to_the_lower_row_by_one_search_or_two(
    matrix: np.ndarray, k: int, n_test: int, metric: Distance
) -> None:
    points = matrix.astype(float)
    test = np.arange(min(n_test, len(points) - 1))
    split = Split(np.arange(len(test), len(points)), test)
    expected = exact(matrix, metric, test.tolist(), split.train.tolist(), k)
    assert neighbours.search(points, test, split.train, k, metric).tolist() == expected
    for spare in (1, 6):  # with few spare neighbours, most test cells are searched again
        ranked = neighbours.search(points, np.arange(len(points)), np.arange(len(points)), spare * k, metric)
        assert neighbours.select(ranked, points, split, k, metric).tolist() == expected


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_do_not_depend_on_the_block(metric: Distance, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrix = np.repeat(rng.normal(size=(70, 384)), 3, axis=0)  # each cell three times: ties everywhere
    whole = neighbours.rank(matrix, 5, metric)
    monkeypatch.setattr(neighbours, "BLOCK", 7 * len(matrix))
    np.testing.assert_array_equal(neighbours.rank(matrix, 5, metric), whole)


@given(codes=hnp.arrays(int, (3, 7), elements=st.integers(0, 3)), names=st.permutations(range(4)))
def test_a_vote_goes_to_the_most_frequent_class_of_equals_to_the_nearest_whatever_it_is_called(
    codes: np.ndarray, names: list[int]
) -> None:
    renamed = np.array(names)[codes]
    for row, nearest, smallest in zip(
        codes.tolist(), neighbours.vote(codes), neighbours.vote(codes, "smallest"), strict=True
    ):
        most = [code for code, n in Counter(row).items() if n == max(Counter(row).values())]
        assert nearest == next(code for code in row if code in most)
        assert smallest == min(most)
    np.testing.assert_array_equal(neighbours.vote(renamed), np.array(names)[neighbours.vote(codes)])


@given(members=st.lists(hnp.arrays(int, (3, 4), elements=st.integers(0, 4)), min_size=1, max_size=4))
def test_neighbours_of_all_members_are_counted(members: list[np.ndarray]) -> None:
    for cell, (nearest, smallest) in enumerate(
        zip(neighbours.pool(members), neighbours.pool(members, "smallest"), strict=True)
    ):
        counts = Counter(code for codes in members for code in codes[cell].tolist())
        most = [code for code, count in counts.items() if count == max(counts.values())]
        by_rank = [codes[cell, rank] for rank in range(4) for codes in members]
        assert (nearest, smallest) == (next(code for code in by_rank if code in most), min(most))
    np.testing.assert_array_equal(neighbours.pool(members[:1]), neighbours.vote(members[0]))


@given(
    votes=hnp.arrays(int, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 3)),
    tie=st.sampled_from(["first", "smallest"]),
)
def test_the_ensemble_gives_a_class_with_the_most_votes(votes: np.ndarray, tie: str) -> None:
    for cell, code in enumerate(neighbours.majority(votes, tie)):
        column = votes[:, cell].tolist()
        most = [name for name in column if column.count(name) == max(map(column.count, column))]
        assert code == (most[0] if tie == "first" else min(most))
