"""Which cells are scored, and how they are divided."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from genept.core import params
from genept.core.errors import InputError
from genept.data import splits

PLAIN = params.Split(test_size=0.2, stratified=False, groups=None)
STRATIFIED = params.Split(test_size=0.2, stratified=True, groups=None)


def divide(config: params.Split, columns: dict[str, list[str]], seed: int = 0) -> splits.Split:
    obs = pd.DataFrame(columns)
    return splits.divide(obs, "cell_type", np.arange(len(obs)), config, seed)


@given(n_cells=st.integers(2, 400), test_size=st.floats(0.05, 0.9), seed=st.integers(0, 2**32 - 1))
def test_default_split_has_the_cells_of_train_test_split(n_cells: int, test_size: float, seed: int) -> None:
    cells = np.arange(n_cells) * 3
    config = PLAIN.model_copy(update={"test_size": test_size})
    obs = pd.DataFrame({"cell_type": ["x"] * (3 * n_cells)})
    try:
        train, test = train_test_split(cells, test_size=test_size, random_state=seed)
    except ValueError:
        with pytest.raises(InputError, match="cannot be divided"):
            splits.divide(obs, "cell_type", cells, config, seed)
        return
    split = splits.divide(obs, "cell_type", cells, config, seed)
    assert (split.train.tolist(), split.test.tolist()) == (sorted(train), sorted(test))


@given(
    strata=st.lists(st.sampled_from("abc"), min_size=2, max_size=60),
    test_size=st.floats(0.05, 0.6),
    seed=st.integers(0, 9),
)
def test_donors_are_dealt_evenly_by_stratum_whatever_their_order(
    strata: list[str], test_size: float, seed: int
) -> None:
    donors = np.array([f"D{number}" for number in range(len(strata))])
    fold = splits.folds(donors, np.array(strata), test_size, seed)
    n_folds = max(2, min(round(1 / test_size), len(donors)))
    for members in (fold, *(fold[np.array(strata) == stratum] for stratum in "abc")):
        sizes = np.bincount(members, minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1
    order = np.random.default_rng(1).permutation(len(donors))
    np.testing.assert_array_equal(splits.folds(donors[order], np.array(strata)[order], test_size, seed), fold[order])


def test_stratified_split_keeps_proportions_and_trains_on_classes_of_one_cell() -> None:
    labels = ["a"] * 50 + ["b"] * 100 + ["only"]
    split = divide(STRATIFIED, {"cell_type": labels})
    held_out = [labels[index] for index in split.test]
    assert (held_out.count("a"), held_out.count("b"), held_out.count("only")) == (10, 20, 0)
    assert sorted([*split.train, *split.test]) == list(range(151))


def test_an_impossible_split_names_the_setting() -> None:
    with pytest.raises(InputError, match=r"every label on both sides; set evaluate\.split\.stratified to false"):
        divide(STRATIFIED, {"cell_type": [str(index // 2) for index in range(20)]})


def test_cells_without_a_label_are_left_out_and_the_query_is_scored() -> None:
    labels = ["T cell", "Unknown", "", "B cell"]
    obs = pd.DataFrame({"cell_type": labels, "phenotype": labels})
    assert splits.scored_cells(obs, "cell_type").tolist() == [0, 3]
    assert splits.scored_cells(obs, "phenotype").tolist() == [0, 3]
    assert splits.reference_to_query(obs, "cell_type") is None
    obs["part"] = ["reference", "query", "query", "query"]
    assert splits.scored_cells(obs, "cell_type").tolist() == [3]
    split = splits.reference_to_query(obs, "cell_type")
    assert split is not None and (split.train.tolist(), split.test.tolist()) == ([0], [3])
