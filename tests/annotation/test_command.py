"""The command: its tables, the comparison with the authors, and when nothing is annotated."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import click.testing
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.annotation import results
from genept.core import files
from genept.core.readers import read_foreign
from genept.datasets import stored
from stages.annotate import main
from tests import helpers
from tests.annotation import made

FOLDER, METRICS = Path("data/mine/annotation"), Path("metrics/annotation/mine")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("annotate") / "raw.h5ad"
    cells = made.cells()
    cells.X[:3] = cells.X[:3].multiply(np.arange(cells.n_vars) < 3)  # three cells that fail quality control
    cells.obs.loc[cells.obs_names[10], "kind"] = "Unknown"
    cells.write_h5ad(path)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data/mine/raw").mkdir(parents=True)
    shutil.copy(raw, "data/mine/raw/raw.h5ad")
    made.write_markers(Path("data/mine/raw/markers.tsv"))
    Path("data/reference").mkdir()
    shutil.copy(helpers.HGNC, "data/reference/hgnc.tsv")
    write_settings()
    return tmp_path


def write_settings(**changes: Any) -> None:
    params = {"threads": 1, "annotate": made.SETTINGS}
    helpers.write_settings(Path.cwd(), params, datasets={"mine": made.dataset(**changes)})


def run(code: int = 0) -> str:
    done = click.testing.CliRunner().invoke(main, ["mine"])
    assert done.exit_code == code, done.output
    return done.output.replace("\n  ", " ")  # a line is broken at 100 columns


def contents(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def read_csv(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / name, keep_default_na=False)


def change_cells(change: Any) -> None:
    cells = anndata.read_h5ad("data/mine/raw/raw.h5ad")
    change(cells)
    cells.write_h5ad("data/mine/raw/raw.h5ad")


def test_a_matrix_that_is_read_some_cells_at_a_time_changes_no_byte(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    whole = contents(FOLDER, METRICS)
    for name, value in {"IN_MEMORY": 0, "BYTES_AT_ONCE": 1, "CELLS_AT_ONCE": 50}.items():
        monkeypatch.setattr(stored, name, value)
    run()
    assert contents(FOLDER, METRICS) == whole


def test_tables_and_agreement(project: Path) -> None:
    output = run()
    expected = "mine: 237 of 240 cells pass quality control; Blue 79, Green 79, Unknown 79, ari 1.0"
    assert output.startswith(expected) and output.count("\n") == 1
    source = anndata.read_h5ad("data/mine/raw/raw.h5ad")
    cells = pd.read_csv(FOLDER / "cells.csv", dtype=str, keep_default_na=False)
    assert list(cells) == ["cell_id", "cluster", "cell_type", "qc"] and list(cells["cell_id"]) == list(source.obs_names)
    assert (cells.loc[:2, ["cluster", "cell_type", "qc"]] == ["", "", "few_genes"]).all(axis=None)
    clusters, umap, markers = read_csv("clusters.csv"), read_csv("umap.csv"), read_csv("markers.csv")
    assert list(clusters["cluster"]) == [1, 2, 3] and clusters["n_cells"].sum() == 237
    np.testing.assert_allclose(clusters["margin"], clusters["score"] - clusters["runner_up_score"], atol=2e-4)
    assert sorted(clusters["cell_type"]) == ["Blue", "Green", "Unknown"]
    assert list(umap["cell_id"]) == list(source.obs_names[3:]) and list(umap["batch"]) == list(source.obs["donor"][3:])
    assert list(markers["gene"]) == 3 * [*made.own("Blue")[:4], *made.own("Green")[:4]]
    blue = clusters.loc[clusters["cell_type"] == "Blue", "cluster"].item()
    assert (markers.loc[markers["z"] > 1, "cell_type"] == "Blue").sum() == 4
    scored = markers[(markers["cluster"] == blue) & (markers["cell_type"] == "Blue")]
    assert scored["z"].mean() == pytest.approx(clusters.loc[clusters["cluster"] == blue, "score"].item(), abs=1e-3)
    summary = read_foreign(FOLDER / "summary.json")
    assert (summary["label_source"], summary["method_version"]) == ("annotation", 2)
    assert summary["marker_table"]["sha256"] == files.sha256(Path("data/mine/raw/markers.tsv"))
    assert summary["settings"] == {"batch": "patient", **made.SETTINGS}

    # of the 236 with a label (one of 240 is called Unknown, three fail quality control) those of Red are wrong
    scores = read_foreign(FOLDER / "agreement.json")
    assert read_foreign(METRICS / "agreement.json") == {name: round(scores[name], 3) for name in results.AGREEMENT}
    kinds = source.obs["kind"].astype(str).to_numpy()[3:]
    kinds = kinds[kinds != "Unknown"]
    assert scores["n_cells"] == len(kinds) == 236
    assert scores["accuracy"] == round(float((kinds != "Red").mean()), 4)
    classes = read_csv("agreement.csv")
    assert list(classes["label"]) == ["Blue", "Green", "Red"]
    assert list(classes["f1"]) == [1, 1, 0] and list(classes["most_frequent"]) == ["Blue", "Green", "Unknown"]
    donors = read_csv("agreement_by_patient.csv")
    assert list(donors["patient"]) == ["D1", "D2"] and donors["n_cells"].sum() == 236
    assert (
        scores["ari_lowest_patient"] == donors["ari"].min() and f"ari_lowest_patient {1.0}; no mitochondrial" in output
    )

    # the method never reads the authors' types
    before = contents(FOLDER)
    change_cells(lambda cells: cells.obs.pop("kind"))
    write_settings(obs={"patient": "donor"})
    run()
    before = {name: content for name, content in before.items() if "agreement" not in name}
    assert contents(FOLDER) == before and not list(METRICS.iterdir())


def test_names_and_settings_of_the_dataset_go_before_the_shared_ones(project: Path) -> None:
    change_cells(lambda cells: cells.obs.update({"kind": cells.obs["kind"].astype(str).replace("Red", "Blue")}))
    write_settings(annotation={"batch": None, "names": {"Green": "Blue"}, "seed": 3, "qc": {"min_genes": 4}})
    assert "ari" in run()
    assert pd.read_csv(FOLDER / "agreement.csv")["label"].tolist() == ["Blue", "Green"]
    assert read_csv("agreement.csv")["f1"].tolist()[1] == 0
    settings = read_foreign(FOLDER / "summary.json")["settings"]
    assert (settings["seed"], settings["qc"]["min_genes"], settings["n_hvgs"]) == (3, 4, 60)
    assert set(read_csv("umap.csv")["batch"]) == {""}


@pytest.mark.parametrize(
    ("donors", "changes", "reason"),
    [
        ("D1", {}, "one patient only"),
        ("n/a", {}, "no patients are known"),
        (
            None,
            {"obs": {"cell_type": "kind", "batch": "donor"}, "annotation": {"batch": "batch"}},
            "no patients are kn",
        ),
    ],
)
def test_without_several_patients_their_agreement_is_left_out_and_the_line_says_why(
    project: Path, donors: str | None, changes: dict[str, Any], reason: str
) -> None:
    if donors:
        change_cells(lambda cells: setattr(cells, "obs", cells.obs.assign(donor=donors)))
    write_settings(**changes)
    assert f"; agreement by patient left out: {reason}" in run()
    assert not (FOLDER / "agreement_by_patient.csv").exists()
    assert "ari_lowest_patient" not in read_foreign(FOLDER / "agreement.json")


def test_the_dataset_s_own_list_of_missing_labels_decides_what_is_compared(project: Path) -> None:
    kinds = anndata.read_h5ad("data/mine/raw/raw.h5ad").obs["kind"].astype(str).replace("Red", "unassigned")
    change_cells(lambda cells: setattr(cells, "obs", cells.obs.assign(kind=kinds)))
    run()
    assert read_csv("agreement.csv")["label"].tolist() == ["Blue", "Green"]
    write_settings(missing_labels=["green"])
    run()
    assert read_csv("agreement.csv")["label"].tolist() == ["Blue", "Unknown", "unassigned"]


def test_detected_logarithms_are_not_logged_again(project: Path) -> None:
    def log(cells: anndata.AnnData) -> None:
        cells.X = sp.csr_matrix(np.log1p(cells.X / cells.X.sum(axis=1) * 1e4).astype(np.float32))

    change_cells(log)
    write_settings(x="lognorm")
    run()
    declared = contents(FOLDER)
    write_settings(x="detect")
    run()
    assert contents(FOLDER) == declared


def test_without_annotation_nothing_is_left_and_nothing_heavy_imported(project: Path) -> None:
    for folder in (FOLDER, METRICS):
        folder.mkdir(parents=True)
        (folder / "of_an_earlier_run").touch()
    write_settings(annotation=None)
    code = (
        "import sys; from stages.annotate import main; main(['mine'], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'pandas', 'scanpy', 'matplotlib')))"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(helpers.ROOT), "PATH": ""}, check=True)
    assert contents(FOLDER, METRICS).keys() == {f"{FOLDER}/summary.json"}
    assert read_foreign(FOLDER / "summary.json") == {"label_source": "author"}
    assert METRICS.is_dir()


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"names": {"Bleu": "B"}}, 2, "data/mine.yaml: annotation.names: no type 'Bleu'; did you mean 'Blue'?"),
        ({"resolutoin": 1.0}, 2, "no setting 'resolutoin'; did you mean 'resolution'?"),
        ({"batch": "disease"}, 2, "annotation.batch: no 'disease'"),
        ({"qc": {"min_genes": 90}}, 1, "mine: only 0 of 240 cells pass quality control, and 30 are needed"),
        ("no markers", 1, "data/mine/raw/markers.tsv: no marker table; name a file markers.tsv under `source`"),
        ("no file", 1, "data/mine/raw/raw.h5ad: no such file; run the stage that makes it first"),
    ],
)
def test_a_refusal_is_one_line_and_changes_nothing(project: Path, change: Any, code: int, text: str) -> None:
    FOLDER.mkdir()
    (FOLDER / "cells.csv").write_text("earlier")
    if change == "no markers":
        Path("data/mine/raw/markers.tsv").unlink()
    elif change == "no file":
        Path("data/mine/raw/raw.h5ad").unlink()
    else:
        write_settings(annotation={"batch": "patient", **change})
    output = run(code)
    assert text in output and output.count("\n") == 1
    assert contents(FOLDER) == {f"{FOLDER}/cells.csv": b"earlier"} and not list(Path("data/mine").glob(".writing-*"))
