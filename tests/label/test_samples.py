"""Counts deposited by sample and a table of labels: joined by the letters of the barcodes, or one clear line."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import mmwrite

from stages import cells as shared
from stages.errors import InputError, ParamsError
from stages.label import parse, samples
from stages.label.__main__ import main

RAW = Path("data/aorta/raw")
SYMBOLS = ["TP53", "CD4", "CD8A", "CD14", "MS4A1", "NKG7", "LYZ", "GAPDH"]
LABELLED = 12  # cells of each sample; three more have no label
FILES = {
    "samples/Con4.txt.gz": {"path": "x"},
    **{f"samples/TAA1/{name}.gz": {"path": "x"} for name in ("matrix.mtx", "barcodes.tsv", "features.tsv")},
    "labels.csv": {"path": "x"},
}


def barcodes(sample: int) -> list[str]:
    rng = np.random.default_rng(sample)
    return ["".join(rng.choice(list("ACGT"), 16)) for _ in range(LABELLED + 3)]


def table_of(sample: int) -> np.ndarray:
    """Counts of a sample, cells x genes."""
    return 1 + np.random.default_rng(10 + sample).poisson(1.0, (LABELLED + 3, len(SYMBOLS)))


def write_dense(path: Path, sample: int, genes: list[str] = SYMBOLS, separator: str = "\t") -> None:
    columns = [f"{barcode}.1" for barcode in barcodes(sample)]
    table = pd.DataFrame(table_of(sample).T[: len(genes)], index=genes, columns=columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as stream:
        table.to_csv(stream, sep=separator)


def write_tenx(folder: Path, sample: int) -> None:
    """As Cell Ranger 3 writes them, with a protein among the features."""
    folder.mkdir(parents=True)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(np.hstack([table_of(sample), np.full((LABELLED + 3, 1), 9)]).T))
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as stream:
        stream.writelines(f"{barcode}-1\n" for barcode in barcodes(sample))
    kinds = [*((f"ENSG{i}", name, "Gene Expression") for i, name in enumerate(SYMBOLS)), ("CD4p", "CD4p", "Antibody")]
    with gzip.open(folder / "features.tsv.gz", "wt") as stream:
        stream.writelines("\t".join(kind) + "\n" for kind in kinds)


def write_labels(rows: list[tuple[str, str, str]] | None = None) -> None:
    """The authors' table: Seurat's names of cells, and the second sample under another name."""
    if rows is None:
        types = ["Tcell", "SMC", "Unknown"]
        rows = [
            (f"{barcode}.1_{sample + 1}", name, types[i % 3])
            for sample, name in enumerate(("Con4", "ATAA1"))
            for i, barcode in enumerate(barcodes(sample)[:LABELLED])
        ]
    lines = [",orig.ident,celltype", *(",".join(row) for row in rows)]
    (RAW / "labels.csv").write_text("\n".join(lines) + "\n")


def write_params(**changes: Any) -> None:
    content = {
        "title": "Aorta",
        "note": "",
        "source": {"kind": "local", "files": FILES},
        "samples": {"Con4": "samples/Con4.txt.gz", "TAA1": "samples/TAA1"},
        "labels": {"file": "labels.csv", "sample": "orig.ident", "names": {"ATAA1": "TAA1"}},
        "obs": {"cell_type": "celltype", "patient": "sample"},
        "derive": {"phenotype": {"of": "patient", "map": {"Con4": "Control", "TAA1": "Ascending only"}}},
        "expected": {"n_cells": 2 * LABELLED, "n_genes": len(SYMBOLS), "cell_type": 3},
        **changes,
    }
    content = {key: value for key, value in content.items() if value is not None}
    params = {"threads": 1, "label": {"min_class_size": 10}, "datasets": {"aorta": content}}
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_dense(RAW / "samples/Con4.txt.gz", 0)
    write_tenx(RAW / "samples/TAA1", 1)
    write_labels()
    Path("data/reference/hgnc").mkdir(parents=True)
    shutil.copy(Path(__file__).parent.parent / "fixtures" / "hgnc_small.tsv", "data/reference/hgnc/hgnc.tsv")
    write_params()
    return tmp_path


def run() -> Result:
    return CliRunner().invoke(main, ["aorta"], catch_exceptions=False)


def assert_refused(*texts: str) -> None:
    result = run()
    assert result.exit_code == 1 and result.output.count("\n") == 1, result.output
    for text in texts:
        assert text in result.output
    assert not Path("data/aorta/cells.h5ad").exists()


def test_samples_of_both_forms_are_joined_with_their_labels(project: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    cells = shared.read("aorta")
    assert cells.shape == (2 * LABELLED, len(SYMBOLS))
    for sample, name in enumerate(("Con4", "TAA1")):
        for i, barcode in enumerate(barcodes(sample)[:LABELLED]):
            cell = cells[f"{name}_{barcode}"]
            np.testing.assert_array_equal(cell.X.toarray()[0], table_of(sample)[i])
            assert cell.obs["cell_type"].item() == ["Tcell", "SMC", "Unknown"][i % 3]
            assert cell.obs["phenotype"].item() == ["Control", "Ascending only"][sample]
    report = json.loads(Path("metrics/verification/aorta.json").read_text())
    assert "Con4: 15 cells counted, 12 of them labelled; 0 labels without a cell" in report["notes"]
    assert len(report["files"]) == len(FILES) + 1


def test_commas_and_genes_that_only_one_sample_has(project: Path) -> None:
    write_dense(RAW / "samples/Con4.txt.gz", 0, genes=SYMBOLS[:5], separator=",")
    write_params(expected={"n_genes": 5})
    assert run().exit_code == 0
    assert list(shared.read("aorta").var["original_symbol"]) == SYMBOLS[:5]


def test_labels_without_a_cell_are_counted(project: Path) -> None:
    rows = [(f"{barcode}-1", "Con4", "SMC") for barcode in barcodes(0)[:4]]
    rows += [("ACGTACGTACGTACGT-1", "Con4", "SMC")] + [(f"{barcode}_2", "TAA1", "Tcell") for barcode in barcodes(1)]
    write_labels(rows)
    write_params(expected={"n_cells": 4 + LABELLED + 3})
    result = run()
    assert result.exit_code == 0, result.output
    assert "Con4: 15 cells counted, 4 of them labelled; 1 labels without a cell" in result.output


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ([("ACGTACGTACGTACGT-1", "Con4", "SMC")], ["none of the 1 barcodes of Con4 (such as ACGTACGTACGTACGT)"]),
        ([("ACGTACGTACGTACGT-1", "Con4", "a"), ("ACGTACGTACGTACGT.1_1", "Con4", "b")], ["1 rows repeat a cell"]),
        ([("ACGTACGTACGTACGT-1", "Con5", "SMC")], ["no cell of sample 'Con4'; it has Con5"]),
        ([("cell 1", "Con4", "SMC")], ["'cell 1' in its first column is no cell barcode"]),
    ],
)
def test_labels_that_do_not_fit_are_refused(project: Path, rows: list[tuple[str, str, str]], texts: list[str]) -> None:
    write_labels(rows)
    assert_refused(*texts)


def test_a_barcode_that_is_twice_in_a_sample_is_refused(project: Path) -> None:
    names = [f"{barcode}-1" for barcode in barcodes(1)]
    names[3] = names[4].replace("-1", "-2")
    with gzip.open(RAW / "samples/TAA1/barcodes.tsv.gz", "wt") as stream:
        stream.writelines(f"{name}\n" for name in names)
    assert_refused("is twice in sample TAA1")


@pytest.mark.parametrize("name", ["samples/Con4.txt.gz", "samples/TAA1/matrix.mtx.gz", "labels.csv"])
def test_damaged_files_are_named(project: Path, name: str) -> None:
    content = (RAW / name).read_bytes()
    (RAW / name).write_bytes(content[: len(content) // 2] if name.endswith(".gz") else b"\xff\xfe\x00")
    assert_refused("data/aorta/raw/" + name.rsplit("/matrix", 1)[0])


def test_other_numbers_of_barcodes_or_a_missing_column_are_said(project: Path) -> None:
    with gzip.open(RAW / "samples/TAA1/barcodes.tsv.gz", "wt") as stream:
        stream.write("ACGTACGTACGTACGT-1\n")
    assert_refused("9 genes and 1 barcodes for a matrix")
    write_params(labels={"file": "labels.csv", "sample": "ident"})
    assert_refused("labels.csv: no column 'ident'; it has orig.ident, celltype")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "samples and labels belong together; labels is missing"),
        ({"samples": {"a": "samples/Con5.txt.gz"}}, "'samples/Con5.txt.gz' is neither a file nor a folder"),
        ({"labels": {"file": "other.csv", "sample": "x"}}, "needs file, one of those under source.files"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(project: Path, changes: dict[str, Any], message: str) -> None:
    write_params(**changes)
    content = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["aorta"]
    with pytest.raises(ParamsError, match=message):
        parse.parse("aorta", content)


def gather(without_labels: bool = True, **changes: Any) -> None:
    """Put both samples into one folder, as `cellranger aggr` does, with the sample's number behind the barcode."""
    shutil.rmtree(RAW)
    folder = RAW / "all"
    folder.mkdir(parents=True)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(np.vstack([table_of(0), table_of(1)]).T))
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as stream:
        stream.writelines(f"{barcode}-{sample + 1}\n" for sample in (0, 1) for barcode in barcodes(sample))
    with gzip.open(folder / "genes.tsv.gz", "wt") as stream:
        stream.writelines(f"ENSG{i}\t{name}\n" for i, name in enumerate(SYMBOLS))
    names = ("matrix.mtx", "barcodes.tsv", "genes.tsv")
    if not without_labels:
        write_labels()
    write_params(
        **{
            "source": {
                "kind": "local",
                "files": {**{f"all/{name}.gz": {"path": "x"} for name in names}, "labels.csv": {"path": "x"}},
            },
            "samples": {"Con4": {"path": "all", "suffix": 1}, "TAA1": {"path": "all", "suffix": 2}},
            "reanalysis": {"markers": "any", "batch": "batch"},
            "obs": {"cell_type": "celltype", "batch": "sample"},
            "derive": {"patient": {"of": "batch", "map": {"Con4": "p1", "TAA1": "p2"}}},
            "expected": {"n_cells": 2 * LABELLED + 6, "n_genes": len(SYMBOLS)} if without_labels else None,
            "said": {"GEO": {"n_cells": 2 * LABELLED + 6}},
            **changes,
        }
    )


def reanalysed(cell_types: list[str | None]) -> None:
    """What `stages.reanalyse` leaves for these cells; `None`: dropped by quality control."""
    ids = [f"{name}_{barcode}" for sample, name in enumerate(("Con4", "TAA1")) for barcode in barcodes(sample)]
    folder = Path("data/aorta/reanalysis")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["cell_id,cluster,cell_type,qc"]
    lines += [f"{i},1,{t},ok" if t else f"{i},,,few_genes" for i, t in zip(ids, cell_types, strict=True)]
    (folder / "cells.csv").write_text("\n".join(lines) + "\n")
    n_dropped = cell_types.count(None)
    counts = {"ok": len(ids) - n_dropped, "few_genes": n_dropped}
    content = {"label_source": "reanalysis", "method": "by hand", "method_version": 1, "cells": counts}
    (folder / "summary.json").write_text(json.dumps(content))


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
    assert report["label_source"] == "author" and "reanalysis" not in report


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
    from stages.reanalyse import __main__ as reanalyse

    gather(without_labels=False)
    params = yaml.safe_load(Path("params.yaml").read_text())
    assert reanalyse.has_table("aorta", params["datasets"]["aorta"])
    (RAW / "labels.csv").unlink()
    assert not reanalyse.has_table("aorta", params["datasets"]["aorta"])


def test_there_is_nothing_to_check_a_re_analysis_with_where_no_table_is_there(project: Path) -> None:
    from stages.reanalyse import source

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


def test_the_samples_may_be_a_reference_and_a_query(project: Path) -> None:
    write_params(parts={"reference": ["TAA1"], "query": ["Con4"]})
    assert run().exit_code == 0
    cells = shared.read("aorta")
    assert cells.obs["part"].tolist() == ["query"] * LABELLED + ["reference"] * LABELLED
    report = json.loads(Path("metrics/verification/aorta.json").read_text())
    assert report["cells"]["n_scored"] == report["checked"]["query"]["found"] == LABELLED


def test_cells_without_a_label_may_be_kept(project: Path) -> None:
    labels = {"file": "labels.csv", "sample": "orig.ident", "names": {"ATAA1": "TAA1"}, "unlabelled": "keep"}
    write_params(labels=labels, expected=None)
    assert run().exit_code == 0
    cells = shared.read("aorta")
    assert cells.obs_names.tolist() == [
        f"{name}_{barcode}" for sample, name in enumerate(("Con4", "TAA1")) for barcode in barcodes(sample)
    ]
    assert (cells.obs["cell_type"][LABELLED : LABELLED + 3] == "Unknown").all()
    assert cells.obs["cell_type"].tolist()[1] == "SMC"
    np.testing.assert_array_equal(cells.X.toarray(), np.vstack([table_of(0), table_of(1)]))


def test_an_ending_that_no_barcode_has_is_said(project: Path) -> None:
    gather(samples={"Con4": {"path": "all", "suffix": 1}, "TAA1": {"path": "all", "suffix": 7}})
    assert_refused("no barcode ends in -7; the endings are 1, 2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": {"reference": ["Con4"]}}, "parts: needs every sample once, under reference or query: Con4, TAA1"),
        ({"parts": {"reference": ["Con4"], "query": ["Con4", "TAA1"]}}, "needs every sample once"),
        ({"samples": {"Con4": {"suffix": 1}}}, "samples.Con4: needs the path of a file or folder"),
        ({"samples": {"Con4": {"path": "samples/TAA1", "ending": 1}}}, "unknown key 'ending'"),
        (
            {"labels": {"file": "labels.csv", "sample": "orig.ident", "unlabelled": "no"}},
            "'no' is neither of drop and keep",
        ),
    ],
)
def test_samples_that_cannot_be_meant_are_refused(project: Path, changes: dict[str, Any], message: str) -> None:
    write_params(**changes)
    content = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["aorta"]
    with pytest.raises(ParamsError, match=message):
        parse.parse("aorta", content)


@given(letters=st.text("ACGTN", min_size=8, max_size=20), number=st.integers(1, 99), sample=st.integers(1, 99))
def test_a_barcode_is_its_letters_whatever_programs_put_around(letters: str, number: int, sample: int) -> None:
    for name in (letters, f"{letters}-{number}", f"{letters}.{number}_{sample}", f"s{sample}_{letters}-{number}"):
        assert samples.letters_of(name) == letters
    assert samples.letters_of(f"{letters}-{letters}") is None
