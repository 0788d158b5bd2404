"""Cell types by re-analysis where no table of labels is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from genept.core.errors import InputError
from genept.data import cells as shared
from genept.datasets import parse
from tests.datasets.samples.gathered import gather, reanalysed
from tests.datasets.samples.made import LABELLED, RAW, assert_refused, barcodes, run, table_of


def test_without_a_table_of_labels_the_re_analysis_gives_cell_types(project: Path) -> None:
    gather()
    types: list[str | None] = [["SMC", "Tcell", "Unknown"][i % 3] for i in range(2 * LABELLED + 6)]
    types[4] = types[20] = None
    reanalysed(types)
    result = run()
    assert result.exit_code == 0, result.output
    cells = shared.read("aorta")
    assert cells.obs["cell_type"].astype(str).tolist() == [name for name in types if name]
    np.testing.assert_array_equal(cells.X.toarray(), np.delete(np.vstack([table_of(0), table_of(1)]), [4, 20], axis=0))
    assert cells.obs["patient"].tolist()[0] == "p1" and cells.obs["patient"].tolist()[-1] == "p2"
    report = json.loads(Path("metrics/verification/aorta.json").read_text())
    assert (report["label_source"], report["reanalysis"]["method"]) == ("reanalysis", "by hand")
    uns = {"x": "counts", "label_source": "reanalysis", "reanalysis": {"method": "by hand", "method_version": 1}}
    assert cells.uns == uns == shared.read("aorta", "rest").uns
    assert report["annotations"]["cell_type"]["column"] == "reanalysis"
    assert "cell types by re-analysis; 2 cells left out by its quality control" in report["notes"]
    found = {"n_file": 30, "n_empty_dropped": 0, "n_dropped_by_qc": 2, "n_evaluated": 28, "n_scored": 28, "n_rest": 0}
    assert report["cells"] == found and report["said"][0]["match"]  # what the files hold, not what was kept of it
    assert not any(path.endswith("labels.csv") for path in report["files"])


def test_a_table_of_labels_goes_before_the_re_analysis(project: Path) -> None:
    gather(without_labels=False)
    reanalysed(["other"] * (2 * LABELLED + 6))
    assert run().exit_code == 0
    cells = shared.read("aorta")
    assert set(cells.obs["cell_type"]) == {"Tcell", "SMC", "Unknown"} and cells.n_obs == 2 * LABELLED
    report = json.loads(Path("metrics/verification/aorta.json").read_text())
    assert report["label_source"] == "user" and "reanalysis" not in report  # the table is a local file


def test_the_re_analysis_goes_before_a_table_where_the_entry_says_so(project: Path) -> None:
    gather(without_labels=False, label_source="reanalysis", expected=None)
    reanalysed(["SMC", "Tcell"] * (LABELLED + 3))
    assert run().exit_code == 0
    assert set(shared.read("aorta").obs["cell_type"]) == {"SMC", "Tcell"} and shared.read("aorta").n_obs == 30
    assert json.loads(Path("metrics/verification/aorta.json").read_text())["label_source"] == "reanalysis"


def test_clusters_without_a_name_point_to_the_evidence(project: Path) -> None:
    gather()
    reanalysed(["Unknown"] * (2 * LABELLED + 6))
    assert_refused("cell_type has only 'Unknown'", "see data/aorta/reanalysis/clusters.csv", "markers or min_margin")


def test_what_only_the_missing_table_knows_is_named(project: Path) -> None:
    gather(obs={"cell_type": "celltype", "batch": "sample", "phenotype": "stim"})
    reanalysed(["SMC"] * (2 * LABELLED + 6))
    assert_refused("phenotype is column 'stim' of a table of labels that is not there")


def test_no_re_analysis_is_done_where_the_authors_table_is_there(project: Path) -> None:
    from stages import annotate as reanalyse

    gather(without_labels=False)
    params = yaml.safe_load(Path("params.yaml").read_text())
    assert reanalyse.has_table("aorta", params["datasets"]["aorta"])
    (RAW / "labels.csv").unlink()
    assert not reanalyse.has_table("aorta", params["datasets"]["aorta"])


def test_there_is_nothing_to_check_a_re_analysis_with_where_no_table_is_there(project: Path) -> None:
    from genept.annotation import source

    gather()
    content = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["aorta"]
    with pytest.raises(InputError, match="no file has the authors' cell_type, so there is nothing to compare with"):
        source.author_labels(RAW, parse.parse("aorta", content))


def test_a_re_analysis_of_other_cells_or_none_is_refused(project: Path) -> None:
    gather()
    reanalysed(["SMC"] * (2 * LABELLED + 6))
    path = Path("data/aorta/reanalysis/cells.csv")
    path.write_text(path.read_text().replace(barcodes(1)[0], "ACGTACGTACGTACGT"))
    assert_refused("the re-analysis is of other cells than data/aorta/raw", "`dvc repro reanalyse@aorta`")
    Path("data/aorta/reanalysis/summary.json").write_text('{"label_source": "author"}')
    assert_refused("no file has cell types, and no re-analysis is there")
