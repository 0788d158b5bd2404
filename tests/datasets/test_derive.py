"""Derived annotations: phenotypes by a table, age bins by hand-computed quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.datasets.derive import add_derived, to_years
from genept.datasets.nested_config import Derive

RAW = Path("raw.h5ad")
DONOR_AGES = {"a": "30 year", "b": "40", "c": "50 years", "d": "60.0"}  # quartiles: 37.5, 45, 52.5


def labels(cells: str, ages: Mapping[str, str | None] = DONOR_AGES) -> pd.DataFrame:
    """One cell for each letter, of the donor it names."""
    donors = list(cells)
    return pd.DataFrame(
        {"patient": donors, "age": [ages[donor] for donor in donors]},
        index=[f"cell{i}" for i in range(len(donors))],
        dtype=object,
    )


def test_quartiles_are_of_the_donors_however_many_cells_each_has() -> None:
    found, report = add_derived(labels("aaaaaaabcd"), {"age_bin": Derive(of="age", quantiles=4, over="patient")}, RAW)
    assert found["age_bin"].tolist() == ["<=37.5"] * 7 + ["37.5 to 45", "45 to 52.5", ">52.5"]
    assert report["age_bin"]["edges"] == [37.5, 45.0, 52.5]
    assert report["age_bin"]["edges_are"] == "quantiles over patient"
    assert report["age_bin"]["range"] == [30.0, 60.0]


def test_without_over_every_cell_counts() -> None:
    found, _ = add_derived(labels("aaaaaaabcd"), {"age_bin": Derive(of="age", quantiles=2)}, RAW)
    assert found["age_bin"].tolist() == ["<=30"] * 7 + [">30"] * 3


def test_a_number_equal_to_an_edge_is_in_the_lower_bin() -> None:
    found, report = add_derived(labels("abcd"), {"age_bin": Derive(of="age", edges=[40, 55.0])}, RAW)
    assert found["age_bin"].tolist() == ["<=40", "<=40", "40 to 55", ">55"]
    assert report["age_bin"]["edges_are"] == "given"


def test_a_missing_age_stays_missing_and_does_not_move_the_edges() -> None:
    ages = {**DONOR_AGES, "x": None, "y": "not available"}
    found, report = add_derived(labels("abcdxy", ages), {"age_bin": Derive(of="age", quantiles=2, over="patient")}, RAW)
    assert found["age_bin"].tolist() == ["<=45", "<=45", ">45", ">45", None, None]
    assert report["age_bin"]["edges"] == [45.0]


@pytest.mark.parametrize(
    ("text", "years"),
    [("52", 52), ("52.5", 52.5), (" 52 year", 52), ("52 years old", 52), ("6 months", 0.5), ("73 days", 73 / 365.25)],
)
def test_ages_are_numbers_or_texts_with_units(text: str, years: float) -> None:
    assert to_years(pd.Series([text], name="age"), RAW).tolist() == [pytest.approx(years)]


@pytest.mark.parametrize("text", ["adult", "52-60", "-3", "fifty", "52 60", "m"])
def test_other_texts_are_no_ages(text: str) -> None:
    with pytest.raises(InputError, match=r"raw\.h5ad: age has .*, which is no age"):
        to_years(pd.Series(["52", text], name="age"), RAW)


def test_no_age_at_all_a_donor_with_two_and_a_missing_annotation_are_errors() -> None:
    with pytest.raises(InputError, match="has no phenotype to derive age_bin from"):
        add_derived(labels("ab"), {"age_bin": Derive(of="phenotype", quantiles=2)}, RAW)
    with pytest.raises(InputError, match="no age at all"):
        to_years(pd.Series([None, "unknown"], name="age", dtype=object), RAW)
    cells = labels("ab")
    cells.loc["cell2"] = ["a", "31"]
    with pytest.raises(InputError, match="patient 'a' has several values of age"):
        add_derived(cells, {"age_bin": Derive(of="age", quantiles=2, over="patient")}, RAW)


@given(ages=st.lists(st.integers(0, 100), min_size=1, max_size=30), quantiles=st.integers(2, 6))
def test_bins_ascend_with_age_and_depend_on_no_order(ages: list[int], quantiles: int) -> None:
    cells = pd.DataFrame({"age": [str(age) for age in ages]}, index=[f"cell{i}" for i in range(len(ages))])
    how = {"age_bin": Derive(of="age", quantiles=quantiles)}
    found, report = add_derived(cells, how, RAW)
    edges = report["age_bin"]["edges"]
    for age, name in zip(ages, found["age_bin"], strict=True):
        assert bin_number(name, edges) == sum(age > edge for edge in edges)
    shuffled = cells.sample(frac=1, random_state=1)
    again, _ = add_derived(shuffled, how, RAW)
    pd.testing.assert_frame_equal(again.loc[cells.index], found)


def bin_number(name: str, edges: list[float]) -> int:
    """Place of a bin among all, from its text."""
    if name.startswith("<="):
        return 0
    return len(edges) if name.startswith(">") else edges.index(float(name.split(" to ")[0])) + 1


def test_a_table_gives_phenotypes_and_leaves_missing_patients_missing() -> None:
    cells = pd.DataFrame({"patient": ["p1", "p2", None]}, index=["x", "y", "z"])
    found, report = add_derived(
        cells, {"phenotype": Derive(of="patient", map={"p1": "sick", "p2": "well", "p9": "well"})}, RAW
    )
    assert found["phenotype"].tolist() == ["sick", "well", None]
    assert report["phenotype"]["of"] == "patient"
    with pytest.raises(
        InputError, match=r"raw\.h5ad: patient has 'p2', which the map under `derive` in the dataset's file lacks"
    ):
        add_derived(cells, {"phenotype": Derive(of="patient", map={"p1": "sick"})}, RAW)
