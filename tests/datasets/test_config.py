"""A dataset's file: what it may say, and the one line for what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genept.core import params
from genept.core.errors import ParamsError
from genept.datasets import config
from tests import helpers
from tests.datasets.made import FOLDER, LABELS, assert_refused, configure, content, local, parse, run, sample_keys

AGES = {"obs": {"cell_type": "c", "patient": "p", "age": "a"}}
MARKERS = local("raw.h5ad", "markers.tsv")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"note": None}, "note is missing"),
        ({"obs": {}}, "obs needs the column of an annotation, such as cell_type: celltype"),
        ({"obs": {"celltype": "celltype"}}, "obs.celltype.[key]: should be 'cell_type', 'patient', 'phen"),
        ({"subste": {"n_cells": 3}}, "no setting 'subste'; did you mean 'subset'?"),
        ({"subset": {"n_cells": 0}}, "subset.n_cells: should be greater than 0, got 0"),
        ({"subset": {"n_cells": 9, "by": "batch"}}, "subset.by: no 'batch' here. Known: cell_type, patient, phenotype"),
        ({"subset": {}}, "subset: needs n_cells, or a share of the cells such as 0.2"),
        ({"subset": {"share": 0.2, "n_cells": 3}}, "subset: needs n_cells, or a share of the cells such as 0.2"),
        ({"subset": {"share": 1.5}}, "subset.share: should be less than 1, got 1.5"),
        ({"expected": {"cells": 60}}, "expected: no 'cells' here; did you mean 'n_cells'?"),
        ({"finetune": "disease"}, "finetune: no 'disease' here. Known: cell_type, patient, phenotype"),
        ({"x": "log"}, "x: should be 'counts', 'lognorm' or 'detect', got 'log'"),
        ({"source": local("mine.h5ad")}, "source.files needs one raw.h5ad, or reference.h5ad and query.h5ad"),
        ({"reported": {"x": {"n_cell": 3}}}, "reported.x: no 'n_cell' here; did you mean 'n_cells'?"),
        ({"reported": {"x": {"n_cells": [3]}}}, "should be a valid integer, got [3]"),
        ({"fallback": content(finetune="age")}, "fallback: finetune: no 'age' here"),
        ({"fallback": content(fallback=content())}, "fallback must have no fallback of its own"),
        ({"fallback": content(subste=1)}, "fallback: no setting 'subste'; did you mean 'subset'?"),
        ({"finetune": "phenotype", "fallback": content(obs={"cell_type": "c"})}, "finetune, of the fallback: no 'phe"),
        ({"missing_labels": [-1]}, "missing_labels.0: put quotes around -1: YAML reads it as a number"),
        # derive
        ({"derive": {"age_bin": {"of": "age", "quantiles": 1}}, **AGES}, "derive.age_bin.quantiles: should be greater"),
        ({"derive": {"age_bin": {"of": "age", "edges": [60, 40]}}, **AGES}, "derive.age_bin: edges must ascend"),
        ({"derive": {"age_bin": {"of": "age", "edges": [40], "quantiles": 4}}, **AGES}, "one of map, edges and quanti"),
        ({"derive": {"age_bin": {"of": "batch", "quantiles": 4}}, **AGES}, "derive.age_bin: no 'batch' here."),
        ({"derive": {"age_bin": {"of": "age", "quantiles": 4, "over": "disease"}}, **AGES}, "age_bin: no 'disease'"),
        ({"derive": {"patient": {"of": "age", "quantiles": 4}}, **AGES}, "'patient' is a column under obs already"),
        # annotation
        ({"annotation": {"batch": None}}, "annotation needs a table of marker genes, markers.tsv, under source.files"),
        ({"annotation": {"batch": "cell_type"}, "source": MARKERS}, "annotation.batch: no 'cell_type' here. Known: p"),
        ({"annotation": {"batch": None, "n_hgv": 9}, "source": MARKERS}, "no setting 'n_hgv'; did you mean 'n_hvgs'?"),
        ({"source": local("raw.h5ad", "raw.h5")}, "source.files needs one raw.h5ad, or reference.h5ad and"),
        ({"source": local("raw.loom")}, "source.files: raw.loom is a loom file, which is not read; `anndata"),
        ({"source": local("raw.h5ad.gz")}, "source.files: raw.h5ad.gz is compressed; unpack it or, in a source on the"),
        ({"source": local("raw.Rds")}, "source.files: raw.Rds is an R object, which is not read; in R, `anndataR::"),
        ({"source": local("query.csv")}, "source.files: query.csv is a table of text; with genes in rows"),
        # samples
        (sample_keys(labels=None), "samples needs labels, a table of the cells' labels, or annotation"),
        ({"labels": LABELS}, "labels.sample is for `samples`; leave it out"),
        (sample_keys(samples={"a": "samples/Con5.txt.gz"}), "'samples/Con5.txt.gz' is neither a file nor a folder"),
        (sample_keys(samples={"Con4": {"path": "samples/TAA1", "ending": 1}}), "samples.Con4: no setting 'ending'"),
        (sample_keys(labels={**LABELS, "file": "label.csv"}), "labels.file: no 'label.csv' here; did you mean"),
        (sample_keys(labels={**LABELS, "least_share": 2}), "labels.least_share: should be less than or equal"),
        (sample_keys(reference=["Con4"]), "reference and query need every sample once: Con4, TAA1"),
        (sample_keys(reference=["Con4"], query=["Con4", "TAA1"]), "reference and query need every sample once"),
        ({"query": ["a"], "reference": ["b"]}, "reference and query need every sample once: there are no samples"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse(**changes)
    assert caught.value.message.startswith("data/mine.yaml: ") and "\n" not in caught.value.message
    assert text in caught.value.message


def test_the_stage_refuses_a_bad_file(project: Path) -> None:
    configure(subste={})
    assert_refused(2, "data/mine.yaml: no setting 'subste'; did you mean 'subset'?")


def test_settings_of_an_annotation_replace_those_of_params() -> None:
    shared = params.load(helpers.ROOT / "params.yaml").annotate
    own = parse(
        source=MARKERS, annotation={"batch": None, "resolution": 2, "qc": {"min_genes": 7, "max_mitochondrial": None}}
    )
    assert own.annotation is not None
    found = own.annotation.settings(shared)
    assert (found.resolution, found.qc.min_genes, found.qc.max_mitochondrial) == (2, 7, None)
    assert found.n_hvgs == shared.n_hvgs and found.qc.min_cells_per_gene == shared.qc.min_cells_per_gene
    wrong = parse(source=MARKERS, annotation={"batch": None, "qc": {"min_genes": 7, "max_genes": 3}})
    assert wrong.annotation is not None
    with pytest.raises(ParamsError, match="max_genes must be at least min_genes, 7"):
        wrong.annotation.settings(shared)


def test_the_files_of_a_fallback_are_read_by_the_fallback(project: Path) -> None:
    fallback = content(title="Drawn here", note="another subset", subset={"share": 0.2}, paper=None)
    own: dict[str, Any] = {"paper": "aorta", "finetune": "phenotype", "subset": {"n_cells": 9}}
    configure(**own, fallback=fallback)
    assert config.fetched("mine") == (config.read("mine"), None)
    (FOLDER / "fallback.json").write_text('{"because": "it is not there"}')
    _, record = run()
    assert (record["title"], record["paper"], record["finetune"]) == ("Mine", "aorta", "phenotype")
    assert record["cells"]["n_evaluated"] == 12
    assert record["fallback"] == {"title": "Drawn here", "note": "another subset", "because": "it is not there"}
    assert "fallback: Drawn here (it is not there)" in record["notes"]
    configure(**own)
    assert_refused(1, "holds files of a fallback that data/mine.yaml no longer has; fetch it again")


def test_every_dataset_of_the_paper_expects_numbers_and_estimates_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(helpers.ROOT)
    papers = {name: config.read(name) for name in params.load().grids["paper"].datasets}
    assert all(one.expected for one in papers.values())
    assert all(one.fallback.expected for one in papers.values() if one.fallback)
    # the authors' tenth of the heart: of the whole study, by the fallback; Bones: as its study reports
    likely = {name: one.n_cells_likely for name, one in papers.items()}
    assert (likely["aorta"], likely["cardiomyocyte"], likely["bones"]) == (9625, 59268, 26192)
    assert likely["myeloid"] == 9748 + 3430
    assert parse().n_cells_likely is None
