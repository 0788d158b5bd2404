"""Samples and labels are joined by the letters of the barcodes; without labels ``annotate`` gives cell types."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.data import expression
from genept.datasets import config as datasets
from genept.datasets import samples as samples_of
from genept.datasets import stored, tables
from genept.datasets.samples import barcode_letters
from tests.datasets.made import (
    CORPUS,
    DENSE,
    FOLDER,
    GENES,
    LABELLED,
    LABELS,
    OUTPUTS,
    TENX,
    annotate,
    assert_refused,
    barcodes,
    configure,
    counts_of,
    gather,
    in_turn,
    local,
    run,
    sample_keys,
    write_dense,
    write_labels,
    write_text,
)

N_CELLS = 2 * LABELLED + 6
UNLABELLED = {"labels": None, "obs": {"batch": "sample"}, "derive": None, "expected": None}
TWO = [(0, "Con4", "SMC"), (1, "ATAA1", "Tcell")]
CELL = "ACGTACGTACGTACGT"  # in no sample
CELL_IDS = [f"{name}_{barcode}" for sample, name in enumerate(("Con4", "TAA1")) for barcode in barcodes(sample)]
OWN = {"kind": "local", "path": "data/manual/mine/labels.csv"}
PUBLISHED = {"kind": "http", "url": "https://example.org/labels.csv"}


def keys(**changes: Any) -> None:
    configure(**sample_keys(**changes))


def test_samples_of_both_forms_are_joined_with_their_labels(samples: Path) -> None:
    cells, report = run()
    assert cells.shape == (2 * LABELLED, len(GENES))
    for sample, name in enumerate(("Con4", "TAA1")):
        for i, barcode in enumerate(barcodes(sample)[:LABELLED]):
            cell = cells[f"{name}_{barcode}"]
            np.testing.assert_array_equal(cell.X.toarray()[0], counts_of(sample)[i])
            assert cell.obs["cell_type"].item() == ["Tcell", "SMC", "Unknown"][i % 3]
            assert cell.obs["phenotype"].item() == ["Control", "Ascending only"][sample]
    assert "Con4: 15 cells counted, 12 of them labelled; 0 labels without a cell" in report["notes"]
    assert len(report["files"]) == 6 and report["n_samples"] == 2


def test_genes_of_one_sample_are_left_out_and_labels_without_a_cell_counted(samples: Path) -> None:
    write_dense(GENES[:5], separator=",")
    rows = [(f"{barcode}-1", "Con4", "SMC") for barcode in [*barcodes(0)[:4], CELL]]
    write_labels(rows + [(f"{barcode}_2", "TAA1", "Tcell") for barcode in barcodes(1)])
    keys(expected={"n_cells": 4 + LABELLED + 3, "n_genes": 5})
    cells, report = run()
    assert list(cells.var["original_symbol"]) == GENES[:5]
    assert "Con4: 15 cells counted, 4 of them labelled; 1 labels without a cell" in report["notes"]


def test_the_samples_may_be_a_reference_and_a_query(samples: Path) -> None:
    keys(reference=["TAA1"], query=["Con4"])
    cells, report = run()
    assert cells.obs["part"].tolist() == ["query"] * LABELLED + ["reference"] * LABELLED
    assert report["cells"]["n_scored"] == report["checked"]["query"]["found"] == LABELLED


def test_cells_without_a_label_may_be_read(samples: Path) -> None:
    keys(labels={**LABELS, "unlabelled": "keep"}, expected=None)
    cells, _ = run()
    assert cells.obs_names.tolist() == CELL_IDS
    assert cells.obs["cell_type"].tolist()[:15] == ["Tcell", "SMC", "Unknown"] * 4 + ["Unknown"] * 3
    np.testing.assert_array_equal(cells.X.toarray(), np.vstack([counts_of(0), counts_of(1)]))


def first_only() -> None:
    """Leave the labels of some cells of each sample, in another order than that of the file."""
    write_labels([(f"{cell}.1", name, kind) for sample, name, kind in TWO for cell in barcodes(sample)[8:2:-1]])
    keys(expected=None, subset={"n_cells": 5})


def fewer_genes() -> None:
    """Leave five genes in the first sample."""
    write_dense(GENES[:5])
    keys(expected=None)


def together() -> None:
    """Put both samples into one folder, without labels."""
    gather(subset={"n_cells": 25})
    annotate(["SMC", "Tcell"] * (N_CELLS // 2))


@pytest.mark.parametrize("scenario", [keys, first_only, fewer_genes, together])
def test_samples_that_are_read_again_whenever_they_are_needed_give_the_same_bytes(
    samples: Path, scenario: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario()
    run()
    whole = {path: path.read_bytes() for path in OUTPUTS if path.exists()}
    monkeypatch.setattr(stored, "IN_MEMORY", 0)
    monkeypatch.setattr(expression, "CELLS_AT_ONCE", 4)
    run()
    assert {path: path.read_bytes() for path in OUTPUTS if path.exists()} == whole


def test_a_file_of_several_samples_is_parsed_once_for_a_reading(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gather()
    config, read_counts = datasets.read("mine").without_cell_types(), Mock(wraps=tables.read_counts)
    monkeypatch.setattr(stored, "IN_MEMORY", 0)
    monkeypatch.setattr(samples_of, "read_counts", read_counts)
    raw = samples_of.read(FOLDER, config)
    assert read_counts.call_count == 2  # the second for the survey
    rows = np.array([3, 17])
    assert sum(block.shape[0] for block in raw.x.blocks(rows)) == 2 and read_counts.call_count == 3


def test_the_memory_of_many_samples_is_that_of_one(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "IN_MEMORY", 0)
    rng, peaks = np.random.default_rng(0), dict[int, int]()
    for number in range(4):
        names = ["".join(letters) for letters in rng.choice(list("ACGT"), (40, 16))]
        table = pd.DataFrame(rng.poisson(3.0, (1000, 40)), index=[f"G{i}" for i in range(1000)], columns=names)
        write_text(tmp_path / f"s{number}.txt.gz", table.to_csv(sep="\t"))
    for n in (1, 1, 4):  # imports are no part of the measurement
        paths = {f"s{i}": f"s{i}.txt.gz" for i in range(n)}
        keys(source=local(*paths.values(), "markers.tsv"), samples=paths, annotation={"batch": "batch"}, **UNLABELLED)
        config = datasets.read("mine").without_cell_types()
        tracemalloc.start()
        x = samples_of.read(tmp_path, config).x
        n_values = sum(block.nnz for block in x.read())
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert n_values > 4 * 40 * 900 and peaks[4] < 2 * peaks[1], peaks


@given(letters=st.text("ACGTN", min_size=8, max_size=20), number=st.integers(1, 99), sample=st.integers(1, 99))
def test_a_barcode_is_its_letters_whatever_programs_put_around(letters: str, number: int, sample: int) -> None:
    for name in (letters, f"{letters}-{number}", f"{letters}.{number}_{sample}", f"s{sample}_{letters}-{number}"):
        assert barcode_letters([name], DENSE) == [letters]
    with pytest.raises(InputError, match="is no cell barcode"):
        barcode_letters([f"{letters}-{letters}"], DENSE)


# Cell types by annotation.


def test_without_a_table_of_labels_the_annotation_gives_cell_types(samples: Path) -> None:
    gather(reported={"GEO": {"n_cells": N_CELLS}}, expected={"n_cells": N_CELLS}, subset={"n_cells": 25})
    types: list[str | None] = [["SMC", "Tcell", "Unknown"][i % 3] for i in range(N_CELLS)]
    types[4] = types[20] = None
    annotate(types)
    cells, report = run()
    corpus = anndata.read_h5ad(CORPUS)
    everything = anndata.concat([cells, corpus])
    labelled = {name: kind for name, kind in zip(CELL_IDS, types, strict=True) if kind}
    assert everything.obs["cell_type"].astype(str).to_dict() == labelled
    counts = dict(zip(CELL_IDS, np.vstack([counts_of(0), counts_of(1)]), strict=True))
    np.testing.assert_array_equal(everything.X.toarray(), [counts[name] for name in everything.obs_names])
    assert everything.obs["patient"].to_dict() == {name: "p1" if "Con4" in name else "p2" for name in labelled}
    assert (report["label_source"], report["annotation"]["method"]) == ("annotation", "by hand")
    method = {"method": "by hand", "method_version": 1}
    uns = {"x": "counts", "x_dtype": "float32", "label_source": "annotation", "annotation": method}
    assert cells.uns == corpus.uns == uns
    assert report["annotations"]["cell_type"]["column"] == "annotation"
    assert "cell types by annotation of clusters; its quality control left out 2 cells" in report["notes"]
    numbers = {"n_file": 30, "n_dropped_by_qc": 2, "n_evaluated": 25, "n_not_evaluated": 3}
    assert numbers.items() <= report["cells"].items()
    assert report["reported"][0]["match"]  # what the files hold, not what remains of it
    assert not any(path.endswith("labels.csv") for path in report["files"])


@pytest.mark.parametrize(("source", "kinds"), [(None, {"Tcell", "SMC", "Unknown"}), ("annotation", {"other", "more"})])
def test_a_table_of_labels_goes_before_the_annotation_unless_the_file_says_so(
    samples: Path, source: str | None, kinds: set[str]
) -> None:
    gather(label_source=source)
    write_labels()
    annotate(["other", "more"] * (N_CELLS // 2))
    cells, report = run()
    assert set(cells.obs["cell_type"]) == kinds
    assert report["label_source"] == source or "user"  # the table is a local file
    assert ("annotation" in report) == (source is not None)


# Whose labels they are.


def labels_from(*places: dict[str, Any], **changes: Any) -> None:
    """Let the table of labels come from the first of several places that has it."""
    files = sample_keys()["source"]["files"] | {"labels.csv": {**places[0], "fallback": [*places[1:]]}}
    keys(source={"kind": "local", "files": files}, **changes)


def note_attempts(*places: dict[str, Any]) -> None:
    """What ``fetch`` notes of the places of the table that it tried."""
    attempts = [{"kind": p["kind"], "where": f"{p['kind']} {p.get('path')}", "outcome": "any"} for p in places]
    (FOLDER / "attempts.json").write_text(json.dumps({"labels.csv": attempts}))


@pytest.mark.parametrize(
    ("places", "n_tried", "label_source", "source", "path"),
    [
        ([PUBLISHED, OWN], 2, None, "user", OWN["path"]),
        ([PUBLISHED, OWN], 1, None, "author", None),
        ([OWN], 0, "author", "author", OWN["path"]),
        ([{**OWN, "path": "/home/me/labels.csv"}], 0, None, "user", ".../labels.csv"),
    ],
    ids=["from this machine", "published", "the authors' own by hand", "folders are not told"],
)
def test_the_record_says_whose_labels_they_are(
    samples: Path, places: Any, n_tried: int, label_source: str | None, source: str, path: str | None
) -> None:
    labels_from(*places, label_source=label_source)
    note_attempts(*places[:n_tried])
    cells, report = run()
    assert report["label_source"] == cells.uns["label_source"] == source
    assert len(report["attempts"]["labels.csv"]) == n_tried
    digest = hashlib.sha256((FOLDER / "labels.csv").read_bytes()).hexdigest()
    assert report.get("labels_from") == cells.uns.get("labels_from") == (path and {"path": path, "sha256": digest})


# What is refused.


def table(*rows: tuple[str, str, str]) -> Callable[[], Any]:
    return lambda: write_labels(list(rows))


def few_labels() -> None:
    """Of Con4 one row of ten; of TAA1 all."""
    others = ["A" * number + "C" * (16 - number) for number in range(9)]
    rows = [(f"{barcode}-1", "Con4", "SMC") for barcode in [barcodes(0)[0], *others]]
    write_labels(rows + [(f"{barcode}-1", "TAA1", "Tcell") for barcode in barcodes(1)])


def missing_count(value: str) -> Callable[[], Any]:
    return lambda: write_text(DENSE, f"\t{barcodes(0)[0]}\t{barcodes(0)[1]}\nCD4\t1\t2\nLYZ\t{value}\t3\n")


def halve(path: Path) -> Callable[[], Any]:
    return lambda: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def repeat_barcode() -> None:
    names = [f"{barcode}-1" for barcode in barcodes(1)]
    names[3] = names[4].replace("-1", "-2")
    write_text(TENX / "barcodes.tsv.gz", "".join(f"{name}\n" for name in names))


def gathered(types: list[str], **changes: Any) -> Callable[[], Any]:
    return in_turn(lambda: gather(**changes), lambda: annotate(list(types)))


def annotated(text: str, name: str = "summary.json") -> Callable[[], Any]:
    """An annotation with another content of one file."""
    return in_turn(gathered(["SMC"] * N_CELLS), lambda: Path("data/mine/annotation", name).write_text(text))


UNKNOWN = ["Unknown"] * N_CELLS
SUFFIXES = {"Con4": {"path": "all", "suffix": 1}, "TAA1": {"path": "all", "suffix": 7}}
STIM = {"cell_type": "celltype", "batch": "sample", "phenotype": "stim"}
CLUSTERS = (
    "see data/mine/annotation/clusters.csv and plots/annotation/mine, then correct the marker table or annotation.mi"
)
TITLES = "cell_id,cluster,cell_type,qc\n"
OF_OTHERS = "".join(f"{row},1,B,ok\n" for row in range(N_CELLS))
REFUSALS: list[tuple[Callable[[], Any], str]] = [
    # labels that do not fit
    (table((f"{CELL}-1", "Con4", "a")), f"labels.csv: none of the 1 barcodes of Con4 (not {CELL}) found among"),
    (table((f"{CELL}-1", "Con4", "a"), (f"{CELL}.1_1", "Con4", "b")), f"1 rows repeat a cell, such as {CELL} of Con4"),
    (table((f"{CELL}-1", "Con5", "SMC")), "labels.csv: no cell of sample 'Con4'; it has Con5"),
    (table(("cell 1", "Con4", "SMC")), "labels.csv: 'cell 1' is no cell barcode"),
    (few_labels, f"1 of the 10 barcodes of Con4 (not {'A' * 8 + 'C' * 8}) found among the 15 of {DENSE} (such"),
    (few_labels, f"(such as {barcodes(0)[1]}), but labels.least_share is 0.5; is it the table of these samples?"),
    (lambda: keys(labels={**LABELS, "sample": "ident"}), "labels.csv: no column 'ident'; it has orig.ident, celltype"),
    (lambda: (FOLDER / "labels.csv").write_text("a b\n"), "one column only, no comma was found"),
    # damaged files
    (halve(DENSE), f"{DENSE}: damaged, or not a table of counts"),
    (halve(TENX / "matrix.mtx.gz"), f"{TENX}: damaged, or not a table of counts"),
    (lambda: (FOLDER / "labels.csv").write_bytes(b"\xff\xfe\x00"), "labels.csv: damaged, or not a readable table"),
    (lambda: write_dense(separator=" "), f"{DENSE}: no tab or comma was found in its first line"),
    (missing_count("NA"), f"{DENSE}: damaged, or not a table of counts (could not convert string to float"),
    (repeat_barcode, "is twice in sample TAA1"),
    (lambda: write_text(TENX / "barcodes.tsv.gz", f"{CELL}-1\n"), "9 genes and 1 barcodes for a matrix"),
    ((TENX / "features.tsv.gz").unlink, "features.tsv.gz: no such file"),
    (lambda: keys(x="lognorm"), "data/mine/raw: X is declared lognorm but has whole numbers only"),
    (gathered(UNKNOWN, samples=SUFFIXES), "no barcode ends in -7; the endings are 1, 2"),
    # where they are from
    (lambda: labels_from(PUBLISHED, OWN), "attempts.json: no such file; `dvc repro fetch@mine` makes it"),
    # annotation
    (gathered(UNKNOWN), f"cell_type has only 'Unknown' in the evaluated cells, so nothing can be scored; {CLUSTERS}"),
    (gathered(UNKNOWN, obs=STIM), "phenotype is column 'stim' of a table of labels that is not there"),
    (annotated(f"{TITLES}{OF_OTHERS}", "cells.csv"), "annotation is of other cells"),
    (annotated(f"{TITLES}{OF_OTHERS}0,1,B,ok\n", "cells.csv"), "writes (two rows have the same cell_id)"),
    (annotated('{"label_source": "author"}'), "no file has cell types, and there is no annotation; `dvc"),
    (annotated("[]"), "summary.json: not what annotate writes (should be an object"),
    (annotated("cell_id,qc\n", "cells.csv"), "cells.csv: not what annotate writes (no column cluster, cell_type)"),
    (annotated(TITLES, "cells.csv"), "summary.json: not what annotate writes (it is not of the 0 cells in cells.csv)"),
    (gather, "data/mine/annotation/summary.json: no such file; `dvc repro annotate@mine` makes it"),
]  # fmt: skip


@pytest.mark.parametrize(("how", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_cannot_be_joined_is_refused(samples: Path, how: Callable[[], Any], text: str) -> None:
    how()
    assert_refused(1, text)


def test_a_lower_least_share_accepts_the_table(samples: Path) -> None:
    few_labels()
    keys(labels={**LABELS, "least_share": 0.1}, expected=None)
    assert run()[0].n_obs == LABELLED + 4
