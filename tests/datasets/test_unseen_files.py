"""Files that nobody has opened before: what others say of them, values of unknown kind, ids that are not unique."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genept.core.errors import ParamsError
from genept.data import cells as shared
from genept.datasets import parse, record
from tests.datasets.made import N_CELLS, RAW, SYMBOLS, change, make_cells, write_params
from tests.datasets.outcome import assert_refused, invoke, run


def test_what_others_say_is_recorded_and_differences_are_noted(project: Path) -> None:
    said: dict[str, Any] = {
        "the paper": {"n_scored": 13, "n_genes": 12, "patient": 6, "cell_type": ["B", "NK", "Plasma"]},
        "the study": {"n_cells": 60, "cell_type": ["T", "NK", "B"]},
    }
    write_params(said=said)
    result = invoke()
    assert result.exit_code == 0, result.output
    report = json.loads(Path("metrics/verification/mine.json").read_text())
    rows = {(row["by"], row["what"]): row for row in report["said"]}
    assert [rows[who, what] for who in said for what in said[who]] == [
        {"by": "the paper", "what": "n_scored", "says": 13, "found": 60, "match": False},
        {"by": "the paper", "what": "n_genes", "says": 12, "found": 12, "match": True},
        {"by": "the paper", "what": "patient", "says": 6, "found": 6, "match": True},
        {
            "by": "the paper",
            "what": "cell_type",
            "says": ["B", "NK", "Plasma"],
            "found": ["B", "NK", "T"],
            "match": False,
        },
        {"by": "the study", "what": "n_cells", "says": 60, "found": 60, "match": True},
        {"by": "the study", "what": "cell_type", "says": ["B", "NK", "T"], "found": ["B", "NK", "T"], "match": True},
    ]
    assert "mine: n_scored: the paper says 13, here it is 60\n" in result.output
    lacking = "cell_type: of the labels that the paper names lacking: Plasma; more here: T"
    assert lacking in report["notes"] and sum("the paper" in note for note in report["notes"]) == 2


def test_of_two_parts_labels_are_counted_in_the_scored_cells() -> None:
    table = pd.DataFrame({"cell_type": ["a", "b", "c", "Unknown"], "part": ["reference", "query", "query", "query"]})
    scored = record.scored(table)
    rows = record.against({"x": {"cell_type": 2, "n_scored": 3, "reference": 1, "age": 4}}, {"reference": 1}, scored)
    assert [(row.what, row.found, row.match) for row in rows] == [
        ("cell_type", 2, True),
        ("n_scored", 3, True),
        ("reference", 1, True),
        ("age", 0, False),
    ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"x": {"n_cell": 3}}, "unknown key 'n_cell'; did you mean 'n_cells'"),
        ({"x": {"n_cells": [3]}}, r"said.x.n_cells: must be a whole number of at least 1, got \[3\]"),
        ({"x": 3}, "said.x: expected a mapping, got 3"),
    ],
)
def test_statements_that_cannot_be_meant_are_refused(project: Path, said: dict[str, Any], message: str) -> None:
    content = {"source": {"files": {"raw.h5ad": {}}}, "obs": {"cell_type": "celltype"}, "said": said}
    with pytest.raises(ParamsError, match=message):
        parse.parse("mine", content)


@pytest.mark.parametrize("content", ["counts", "lognorm"])
def test_what_the_values_are_is_detected_and_recorded(project: Path, content: str) -> None:
    if content == "lognorm":
        change(lambda data: setattr(data, "X", data.layers["logged"].copy()))
    write_params(x="detect")
    cells, rest, report = run()
    assert cells.uns["x"] == rest.uns["x"] == report["x"] == content


def test_values_that_are_neither_are_still_refused(project: Path) -> None:
    change(lambda data: setattr(data, "X", data.X * 33.3))
    write_params(x="detect")
    assert_refused(
        "X holds neither counts (", "nor logarithms (values up to ", "`layer:` in params.yaml (it has logged)"
    )
    assert "declared" not in invoke().output


def test_ids_that_several_cells_have_are_numbered_on_demand(project: Path) -> None:
    names = ["AAAC", "AAAC", "AAAC-1", "AAAC", *(f"cell{number}" for number in range(4, N_CELLS))]
    change(lambda data: setattr(data, "obs_names", names))
    assert_refused("2 cells have the id of an earlier cell (such as 'AAAC')", "or say `repeated_ids: number`")
    write_params(repeated_ids="number")
    cells, _, report = run()
    assert list(cells.obs_names[:5]) == ["AAAC", "AAAC-2", "AAAC-1", "AAAC-3", "cell4"]
    assert "raw.h5ad: 2 cells have the id of an earlier cell; they are numbered" in report["notes"]


def test_parts_whose_genes_stand_in_a_column_are_joined_by_it(project: Path) -> None:
    data = make_cells()
    RAW.unlink()
    data.var["gene_name"] = SYMBOLS
    data[:40].copy().write_h5ad(RAW.with_name("reference.h5ad"))
    query = data[40:, ::-1].copy()
    query.var_names = [str(number) for number in range(len(SYMBOLS))]
    query.write_h5ad(RAW.with_name("query.h5ad"))
    paths = {f"{part}.h5ad": {"path": f"{part}.h5ad"} for part in ("reference", "query")}
    write_params(source={"kind": "local", "files": paths}, symbol="gene_name")
    cells, _, report = run()
    assert list(cells.var["original_symbol"]) == SYMBOLS
    np.testing.assert_array_equal(cells.X.toarray(), data.X.toarray())
    assert report["annotations"]["cell_type"]["n_labels_scored"] == 3


def test_parts_of_which_one_holds_counts_are_refused(project: Path) -> None:
    data = make_cells()
    RAW.unlink()
    data[:40].copy().write_h5ad(RAW.with_name("reference.h5ad"))
    data.X = data.layers["logged"]
    data[40:].copy().write_h5ad(RAW.with_name("query.h5ad"))
    paths = {f"{part}.h5ad": {"path": f"{part}.h5ad"} for part in ("reference", "query")}
    write_params(source={"kind": "local", "files": paths}, x="detect")
    assert_refused("one of reference.h5ad and query.h5ad holds counts, the other does not")


@pytest.mark.parametrize(("share", "n_cells"), [(0.2, 12), (0.29, 17), (0.001, 1)])
def test_a_share_of_the_cells_is_rounded_down(project: Path, share: float, n_cells: int) -> None:
    write_params(subset={"share": share, "seed": 3}, obs={"patient": "donor", "phenotype": "condition"})
    if n_cells == 1:
        assert_refused("so nothing can be scored")
        return
    cells, rest, report = run()
    assert (cells.n_obs, rest.n_obs) == (n_cells, N_CELLS - n_cells)
    assert report["subset"] == {"share": share, "by": None, "seed": 3}
    assert shared.read_obs("mine").index.tolist() == cells.obs_names.tolist()


@pytest.mark.parametrize("subset", [{"share": 1.5}, {"share": 1}, {"share": 0.2, "n_cells": 3}, {"share": "half"}])
def test_a_share_that_cannot_be_meant_is_refused(project: Path, subset: dict[str, Any]) -> None:
    write_params(subset=subset)
    assert_refused("subset: needs n_cells, or a share of the cells such as 0.2", exit_code=2)


def test_files_of_an_entry_that_took_the_place_are_read_by_that_entry_and_it_is_said(project: Path) -> None:
    other = {
        "title": "Another way",
        "note": "drawn here",
        "source": {"kind": "local", "files": {"raw.h5ad": {"path": "other.h5ad"}}},
        "obs": {"cell_type": "celltype", "patient": "donor", "phenotype": "condition"},
        "subset": {"share": 0.2},
    }
    own = {"kind": "local", "files": {"raw.h5ad": {"path": "mine.h5ad"}}, "otherwise": other}
    write_params(source=own, obs={"cell_type": "a column of the other file"})
    RAW.with_name("otherwise.json").write_text('{"because": "it is not there"}')
    cells, _, report = run()
    assert cells.n_obs == 12 and set(cells.obs["cell_type"]) == {"B", "T", "NK"}
    assert report["in_its_place"] == {"title": "Another way", "note": "drawn here", "because": "it is not there"}
    assert "in its place: Another way (it is not there)" in report["notes"]
    del own["otherwise"]
    write_params(source=own)
    assert_refused("holds files of an `otherwise` that params.yaml no longer has; fetch it again")
