"""Derived annotations: phenotypes by a table, age bins by hand-computed quantiles."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError, ParamsError
from genept.datasets import derive, parse
from genept.datasets.derive import Binned, Mapped

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
    found, report = derive.add(labels("aaaaaaabcd"), {"age_bin": Binned("age", quantiles=4, over="patient")}, "x")
    assert found["age_bin"].tolist() == ["<=37.5"] * 7 + ["37.5 to 45", "45 to 52.5", ">52.5"]
    assert report["age_bin"]["edges"] == [37.5, 45.0, 52.5]
    assert report["age_bin"]["edges_are"] == "quantiles over patient"
    assert report["age_bin"]["range"] == [30.0, 60.0]


def test_without_over_every_cell_counts() -> None:
    found, _ = derive.add(labels("aaaaaaabcd"), {"age_bin": Binned("age", quantiles=2)}, "x")
    assert found["age_bin"].tolist() == ["<=30"] * 7 + [">30"] * 3


def test_a_number_equal_to_an_edge_is_in_the_lower_bin() -> None:
    found, report = derive.add(labels("abcd"), {"age_bin": Binned("age", edges=(40.0, 55.0))}, "x")
    assert found["age_bin"].tolist() == ["<=40", "<=40", "40 to 55", ">55"]
    assert report["age_bin"]["edges_are"] == "given"


def test_a_missing_age_stays_missing_and_does_not_move_the_edges() -> None:
    ages = {**DONOR_AGES, "x": None, "y": "not available"}
    found, report = derive.add(labels("abcdxy", ages), {"age_bin": Binned("age", quantiles=2, over="patient")}, "x")
    assert found["age_bin"].tolist() == ["<=45", "<=45", ">45", ">45", None, None]
    assert report["age_bin"]["edges"] == [45.0]


@pytest.mark.parametrize(
    ("text", "years"),
    [("52", 52), ("52.5", 52.5), (" 52 year", 52), ("52 years old", 52), ("6 months", 0.5), ("73 days", 73 / 365.25)],
)
def test_ages_are_numbers_or_texts_with_units(text: str, years: float) -> None:
    assert derive.years(pd.Series([text], name="age"), "x").tolist() == [pytest.approx(years)]


@pytest.mark.parametrize("text", ["adult", "52-60", "-3", "fifty", "52 60", "m"])
def test_other_texts_are_no_ages(text: str) -> None:
    with pytest.raises(InputError, match=r"raw\.h5ad: age has .*, which is no age"):
        derive.years(pd.Series(["52", text], name="age"), "raw.h5ad")


def test_no_age_at_all_and_a_donor_with_two_are_errors() -> None:
    with pytest.raises(InputError, match="no age at all"):
        derive.years(pd.Series([None, "unknown"], name="age", dtype=object), "x")
    cells = labels("ab")
    cells.loc["cell2"] = ["a", "31"]
    with pytest.raises(InputError, match="patient 'a' has several values of age"):
        derive.add(cells, {"age_bin": Binned("age", quantiles=2, over="patient")}, "x")


@given(ages=st.lists(st.integers(0, 100), min_size=1, max_size=30), quantiles=st.integers(2, 6))
def test_bins_ascend_with_age_and_depend_on_no_order(ages: list[int], quantiles: int) -> None:
    cells = pd.DataFrame({"age": [str(age) for age in ages]}, index=[f"cell{i}" for i in range(len(ages))])
    how: dict[str, derive.Derivation] = {"age_bin": Binned("age", quantiles=quantiles)}
    found, report = derive.add(cells, how, "x")
    edges = report["age_bin"]["edges"]
    for age, name in zip(ages, found["age_bin"], strict=True):
        assert bin_number(name, edges) == sum(age > edge for edge in edges)
    shuffled = cells.sample(frac=1, random_state=1)
    again, _ = derive.add(shuffled, how, "x")
    pd.testing.assert_frame_equal(again.loc[cells.index], found)


def bin_number(name: str, edges: list[float]) -> int:
    """Place of a bin among all, from its text."""
    if name.startswith("<="):
        return 0
    return len(edges) if name.startswith(">") else edges.index(float(name.split(" to ")[0])) + 1


def test_a_table_gives_phenotypes_and_leaves_missing_patients_missing() -> None:
    cells = pd.DataFrame({"patient": ["p1", "p2", None]}, index=["x", "y", "z"])
    found, report = derive.add(cells, {"phenotype": Mapped("patient", {"p1": "sick", "p2": "well", "p9": "well"})}, "f")
    assert found["phenotype"].tolist() == ["sick", "well", None]
    assert report["phenotype"]["of"] == "patient"
    with pytest.raises(InputError, match=r"f: patient has 'p2', which the table in params\.yaml under derive lacks"):
        derive.add(cells, {"phenotype": Mapped("patient", {"p1": "sick"})}, "f")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"age_bin": {"of": "age", "quantiles": 1}}, "quantiles: must be a whole number of at least 2"),
        ({"age_bin": {"of": "age", "edges": [60, 40]}}, "expected a list of ascending numbers"),
        ({"age_bin": {"of": "age", "edges": [40], "quantiles": 4}}, "needs one of map, edges and quantiles"),
        ({"age_bin": {"of": "years", "quantiles": 4}}, "'years' is not an annotation under obs"),
        ({"age_bin": {"of": "age", "quantiles": 4, "over": "donor"}}, "'donor' is not an annotation under obs"),
        ({"patient": {"of": "age", "quantiles": 4}}, "unknown key 'patient'"),
        ({"age_bin": {"of": "age", "quantile": 4}}, "unknown key 'quantile'"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(how: dict[str, object], message: str) -> None:
    content = {
        "source": {"kind": "local", "files": {"raw.h5ad": {"path": "x"}}},
        "obs": {"cell_type": "c", "patient": "p", "age": "a"},
        "derive": how,
    }
    with pytest.raises(ParamsError, match=message):
        parse.parse("mine", content)
