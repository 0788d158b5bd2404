"""The choices of a re-analysis: overridden per data set, and wrong ones said in one line."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from genept.annotation import options
from genept.core.errors import ParamsError
from tests.annotation import made


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made.write_table(options.FOLDER / "made.tsv", made.markers())


def parse(params: dict[str, Any]) -> options.Options | None:
    return options.parse(params, "mine", params["datasets"]["mine"])


def test_a_data_set_takes_the_shared_choices_and_may_have_its_own() -> None:
    found = parse(made.params(resolution=2, qc={"min_genes": 7}, names={"Blue": "B"}))
    assert found is not None
    assert (found.resolution, found.n_hvgs, found.batch) == (2.0, 60, "patient")
    assert found.qc == options.QC(min_genes=7, max_genes=None, max_mitochondrial=0.2, min_cells_per_gene=3)
    assert found.names == {"Blue": "B"}
    assert found.marker_path.as_posix() == "genept/annotation/markers/made.tsv"


def test_a_data_set_that_asks_for_nothing_needs_no_choices() -> None:
    params = made.params()
    del params["reanalysis"]
    assert options.parse(params, "theirs", params["datasets"]["theirs"]) is None


def test_a_derived_annotation_can_tell_batches_apart() -> None:
    params = made.params(batch="phenotype")
    params["datasets"]["mine"]["derive"] = {"phenotype": {"of": "patient", "map": {}}}
    found = parse(params)
    assert found is not None and found.batch == "phenotype"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"marker": "made"}, "unknown key 'marker'; did you mean 'markers'?"),
        ({"markers": "mode"}, "no table 'mode' in genept/annotation/markers; did you mean 'made'?; it has made"),
        ({"markers": "../made"}, "no table '../made'"),
        ({"batch": "patients"}, "'patients' is no annotation under obs or derive; did you mean 'patient'?"),
        ({"batch": "cell_type"}, "cell types are never read"),
        ({"names": ["B"]}, "reanalysis.names: expected a mapping"),
        ({"qc": {"min_gene": 3}}, "unknown key 'min_gene'; did you mean 'min_genes'?"),
        ({"qc": {"max_genes": 2}}, "qc.max_genes: must be a whole number of at least 5, got 2"),
        ({"qc": {"max_mitochondrial": 20}}, "qc.max_mitochondrial: must be a number from 0 to 1, got 20"),
        ({"resolution": 0}, "resolution: must be a number above 0, got 0"),
        ({"min_margin": -1}, "min_margin: must be a number from 0, got -1"),
        ({"n_neighbors": True}, "n_neighbors: must be a whole number"),
        ({"seed": 0.5}, "seed: must be a whole number"),
    ],
)
def test_a_wrong_choice_is_said_in_one_line(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ParamsError) as error:
        parse(made.params(**change))
    assert text in error.value.message and "params.yaml: datasets.mine.reanalysis" in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("key", ["n_hvgs", "qc"])
def test_a_choice_that_nobody_made_is_said(key: str) -> None:
    params = made.params()
    del params["reanalysis"][key]
    with pytest.raises(ParamsError, match=rf"reanalysis\.{key} is missing"):
        parse(params)


def test_the_batch_must_be_said() -> None:
    params = copy.deepcopy(made.params())
    del params["datasets"]["mine"]["reanalysis"]["batch"]
    with pytest.raises(ParamsError, match="needs batch, an annotation such as patient, or null"):
        parse(params)


def test_an_unknown_shared_choice_is_said() -> None:
    params = made.params()
    params["reanalysis"]["n_hvg"] = 3
    with pytest.raises(ParamsError, match=r"reanalysis: unknown key 'n_hvg'; did you mean 'n_hvgs'"):
        parse(params)
