"""Derived annotations: phenotypes by a table, age bins by hand-computed quantiles."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.core.text import shorten
from genept.datasets.derive import add_derived, to_years
from genept.datasets.nested_config import Derive

RAW = Path("raw.h5ad")
AGES = {"a": "30 year", "b": "40", "c": "50 years", "d": "60.0", "x": None, "y": "not available"}
# quartiles of a, b, c and d: 37.5, 45, 52.5


def labels(cells: str) -> pd.DataFrame:
    """One cell for each letter, of the donor it names."""
    return pd.DataFrame({"patient": list(cells), "age": [AGES[donor] for donor in cells]}, dtype=object)


@pytest.mark.parametrize(
    ("cells", "how", "bins", "edges", "edges_are"),
    [
        ("aaaaabcd", {"quantiles": 4, "over": "patient"}, ["<=37.5"] * 5 + ["37.5 to 45", "45 to 52.5", ">52.5"],
         [37.5, 45.0, 52.5], "quantiles over patient"),
        ("aaaaabcd", {"quantiles": 2}, ["<=30"] * 5 + [">30"] * 3, [30.0], "quantiles over cells"),
        ("abcd", {"edges": [40, 55.0]}, ["<=40", "<=40", "40 to 55", ">55"], [40.0, 55.0], "given"),
        ("abcdxy", {"quantiles": 2, "over": "patient"}, ["<=45", "<=45", ">45", ">45", None, None],
         [45.0], "quantiles over patient"),
    ],
    ids=["donors count once", "cells count", "an edge is in the lower bin", "missing ages stay missing"],
)  # fmt: skip
def test_bins_by_hand(cells: str, how: Any, bins: list[str | None], edges: list[float], edges_are: str) -> None:
    found, report = add_derived(labels(cells), {"age_bin": Derive(of="age", **how)}, RAW)
    assert found["age_bin"].tolist() == bins
    assert (report["age_bin"]["edges"], report["age_bin"]["edges_are"]) == (edges, edges_are)
    assert report["age_bin"]["range"] == [30.0, 60.0]


def test_of_reference_and_query_the_query_s_donors_decide() -> None:
    """Donors a and b are the reference's; the median of c and d is 55, of all four 45."""
    cells = labels("aabccd").assign(part=["reference"] * 3 + ["query"] * 3)
    found, report = add_derived(cells, {"age_bin": Derive(of="age", quantiles=2, over="patient")}, RAW)
    assert (
        report["age_bin"]["edges"] == [55.0] and report["age_bin"]["edges_are"] == "quantiles over patient of the query"
    )
    assert found["age_bin"].tolist() == ["<=55"] * 5 + [">55"]
    with pytest.raises(InputError, match="age has no age in the query"):
        add_derived(
            cells.assign(age=pd.Series(["30", "30", "40", None, None, None])),
            {"age_bin": Derive(of="age", quantiles=2)},
            RAW,
        )


@pytest.mark.parametrize(
    ("text", "years"),
    [("52", 52), ("52.5", 52.5), (" 52 year", 52), ("52 years old", 52), ("6 months", 0.5), ("73 days", 73 / 365.25)],
)
def test_ages_are_numbers_or_texts_with_units(text: str, years: float) -> None:
    assert to_years(pd.Series([text], name="age"), RAW).tolist() == [pytest.approx(years)]


@pytest.mark.parametrize("text", ["adult", "60-70", "-3", "fifty", "52 60", "m", "9" * 400])
def test_other_texts_are_no_ages(text: str) -> None:
    with pytest.raises(InputError, match=f"^raw.h5ad: age has '{shorten(text)}', 'old', which is no age .* by a `map`"):
        to_years(pd.Series(["52", text, "old"], name="age"), RAW)


def test_no_age_at_all_a_donor_with_two_and_a_missing_annotation_are_errors() -> None:
    with pytest.raises(InputError, match="has no phenotype to derive age_bin from"):
        add_derived(labels("ab"), {"age_bin": Derive(of="phenotype", quantiles=2)}, RAW)
    with pytest.raises(InputError, match="no age at all"):
        to_years(pd.Series([None, "unknown"], name="age", dtype=object), RAW)
    cells = labels("ab")
    with pytest.raises(InputError, match="no cell with age has patient"):
        quarters = {"age_bin": Derive(of="age", quantiles=2, over="patient")}
        add_derived(cells.assign(patient=None), quarters, RAW)
    cells.loc[2] = ["a", "31"]
    with pytest.raises(InputError, match="patient 'a' has several values of age"):
        add_derived(cells, {"age_bin": Derive(of="age", quantiles=2, over="patient")}, RAW)


@settings(max_examples=30)
@given(ages=st.lists(st.integers(0, 100), min_size=1, max_size=30), quantiles=st.integers(2, 6))
def test_bins_ascend_with_age_and_depend_on_no_order(ages: list[int], quantiles: int) -> None:
    cells, how = pd.DataFrame({"age": [str(age) for age in ages]}), {"age_bin": Derive(of="age", quantiles=quantiles)}
    found, report = add_derived(cells, how, RAW)
    texts = [f"{edge:.10g}" for edge in report["age_bin"]["edges"]]
    names = [f"<={texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts)), f">{texts[-1]}"]
    assert found["age_bin"].tolist() == [names[sum(age > edge for edge in report["age_bin"]["edges"])] for age in ages]
    again, _ = add_derived(cells[::-1], how, RAW)
    pd.testing.assert_frame_equal(again[::-1], found)


def test_what_is_derived_from_missing_labels_is_missing_unless_the_map_names_them() -> None:
    cells = pd.DataFrame({"patient": ["p1", "N/A", "-", "p2"], "age": ["30", "-", "50", "Null"]})
    how = {
        "phenotype": Derive(of="patient", map={"p1": "sick", "p2": "none", "-": "well"}),
        "age_bin": Derive(of="age", quantiles=2, over="patient"),
    }
    found, report = add_derived(cells, how, RAW, frozenset({"n/a", "-", "null", "none"}))
    assert found.to_dict("list") == {
        "patient": ["p1", None, None, "p2"],
        "age": ["30", None, "50", None],
        "phenotype": ["sick", None, "well", None],
        "age_bin": ["<=30", None, ">30", None],
    }
    assert report["age_bin"]["edges"] == [30.0]  # the age of a cell whose donor is not known decides nothing


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
