"""Which cells are scored, and how they are divided."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from genept.core.errors import InputError, ParamsError
from genept.data import splits
from genept.metrics.choices import SplitChoices

PLAIN = SplitChoices(test_size=0.2, stratified=False, groups=None)
STRATIFIED = SplitChoices(test_size=0.2, stratified=True, groups=None)
BY_PATIENT = SplitChoices(test_size=0.3, stratified=False, groups="patient")


def obs_of(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns)


@settings(deadline=None)
@given(n_cells=st.integers(2, 400), test_size=st.floats(0.05, 0.9), seed=st.integers(0, 2**32 - 1), gaps=st.booleans())
def test_default_split_has_the_cells_of_train_test_split(n_cells: int, test_size: float, seed: int, gaps: bool) -> None:
    cells = np.arange(n_cells) * (3 if gaps else 1)
    choices = SplitChoices(test_size, stratified=False, groups=None)
    obs = obs_of(cell_type=["x"] * (3 * n_cells))
    try:
        train, test = train_test_split(cells, test_size=test_size, random_state=seed)
    except ValueError:
        with pytest.raises(InputError, match="cannot be divided"):
            splits.divide(obs, "cell_type", cells, choices, seed)
        return
    split = splits.divide(obs, "cell_type", cells, choices, seed)
    assert split.train.tolist() == sorted(train)
    assert split.test.tolist() == sorted(test)


def test_another_seed_gives_other_test_cells() -> None:
    obs, cells = obs_of(cell_type=["x"] * 100), np.arange(100)
    first, second = (splits.divide(obs, "cell_type", cells, PLAIN, seed) for seed in (0, 1))
    assert first.key != second.key


def test_groups_are_held_out_whole_and_as_scikit_learn_draws_them() -> None:
    patients = [f"p{index % 10}" for index in range(200)]
    obs = obs_of(cell_type=["x"] * 200, patient=patients)
    split = splits.divide(obs, "cell_type", np.arange(200), BY_PATIENT, 7)
    train, test = next(GroupShuffleSplit(1, test_size=0.3, random_state=7).split(patients, groups=patients))
    assert split.train.tolist() == train.tolist()
    assert split.test.tolist() == test.tolist()
    assert not {patients[index] for index in split.train} & {patients[index] for index in split.test}


def test_a_single_group_cannot_be_held_out() -> None:
    obs = obs_of(cell_type=["x"] * 20, patient=["p"] * 20)
    with pytest.raises(InputError, match=r"evaluate\.split\.groups to null"):
        splits.divide(obs, "cell_type", np.arange(20), BY_PATIENT, 0)


def test_grouping_by_a_column_that_is_not_there_names_the_parameter() -> None:
    with pytest.raises(ParamsError, match=r"evaluate\.split\.groups names 'patient'"):
        splits.divide(obs_of(cell_type=["x"] * 20), "cell_type", np.arange(20), BY_PATIENT, 0)


def test_stratified_split_keeps_proportions_and_trains_on_classes_of_one_cell() -> None:
    labels = ["a"] * 50 + ["b"] * 100 + ["only"]
    split = splits.divide(obs_of(cell_type=labels), "cell_type", np.arange(151), STRATIFIED, 0)
    held_out = [labels[index] for index in split.test]
    assert (held_out.count("a"), held_out.count("b"), held_out.count("only")) == (10, 20, 0)
    assert sorted([*split.train, *split.test]) == list(range(151))


def test_stratifying_more_classes_than_test_cells_is_one_clear_line() -> None:
    labels = [str(index // 2) for index in range(20)]
    with pytest.raises(InputError, match=r"every label on both sides; set evaluate\.split\.stratified to false"):
        splits.divide(obs_of(cell_type=labels), "cell_type", np.arange(20), STRATIFIED, 0)


def test_unknown_and_empty_labels_are_dropped_for_cell_types_and_only_empty_ones_elsewhere() -> None:
    labels = ["T cell", "Unknown", "", "B cell"]
    obs = obs_of(cell_type=labels, phenotype=labels)
    assert splits.cells_with(obs, "cell_type", ("Unknown",)).tolist() == [0, 3]
    assert splits.cells_with(obs, "phenotype", ("Unknown",)).tolist() == [0, 1, 3]
