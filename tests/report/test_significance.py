"""Which models cannot be told from the best: Holm's adjustment, the floor, and donors too few for a test."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from genept.report.significance import AT_FLOOR, NO_TEST, NOT_COMPARED, Difference, best, holm, significant


@pytest.mark.parametrize("n", [0, 1, 2, 7, 40])
def test_holm_is_that_of_statsmodels(n: int) -> None:
    p = np.random.default_rng(n).random(n) ** 3
    p[: n // 3] = p[:1]  # equal ones
    expected = multipletests(p, method="holm")[1] if n else []
    np.testing.assert_allclose(holm(list(p)), expected, rtol=1e-12)


VALUES = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}
FLOORS = {"majority": 0.5, "random_cells": 0.3}
P = {"b": 0.03, "c": 0.02, "d": 0.001, "majority": 1e-4, "random_cells": 1e-6}  # of the difference from a


@pytest.mark.parametrize(
    ("changes", "values", "models", "problem"),
    [
        ({}, {}, "a", ""),  # Holm: .003, .04, .04
        ({"c": 0.026}, {}, "abc", ""),  # Holm: .003, .052, .052
        ({"majority": 0.06}, {}, "", AT_FLOOR),
        ({"random_cells": 0.9}, {}, "a", ""),  # the higher floor counts
        ({}, {"majority": 0.95}, "", AT_FLOOR),  # a low p, but the floor is the better one
        ({"d": None}, {}, "", NO_TEST),
        ({"majority": None}, {}, "", NO_TEST),
    ],
)
def test_the_best_are_those_that_no_test_tells_from_the_highest(
    changes: dict[str, float | None], values: dict[str, float], models: str, problem: str
) -> None:
    floors = {name: values.get(name, value) for name, value in FLOORS.items()}
    pairs = {("a", other): Difference(0.1, p=p) for other, p in {**P, **changes}.items()}
    found = best(VALUES, floors, pairs)
    assert (found.models, found.problem) == (set(models), problem)


def test_one_score_has_no_best_and_scores_without_comparison_say_so() -> None:
    assert best({"a": 0.9}, FLOORS, {("a", "majority"): Difference(0.4, p=0.0)}) == (frozenset(), "")
    assert best(VALUES, FLOORS, {}) == (frozenset(), NOT_COMPARED)


def test_stars_are_adjusted_over_all_pairs() -> None:
    pairs = {("a", "b"): Difference(0.1, p=0.02), ("a", "c"): Difference(0.2, p=0.01), ("b", "c"): Difference(0.1)}
    assert list(significant("abc", pairs)) == [("a", "b"), ("a", "c")]  # of two tests, not of three
    pairs["b", "c"] = Difference(0.1, p=0.03)
    assert list(significant("abc", pairs)) == [("a", "b"), ("a", "c"), ("b", "c")]  # adjusted .04, .03, .04
    pairs["a", "b"] = Difference(0.1, p=0.026)
    assert list(significant("abc", pairs)) == [("a", "c")]


def test_a_reversed_difference_changes_its_signs() -> None:
    assert Difference(0.1, -0.05, 0.25, 0.2).reversed == Difference(-0.1, -0.25, 0.05, 0.2)
