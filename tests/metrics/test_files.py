"""What the command writes: headlines, the full table, confusion, notes; the same on any number of threads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from tests import helpers
from tests.metrics.made import N_CELLS, chosen, evaluate, full, obs, outputs, write_embedding

KEYS = [
    "cell_type_ari",
    "cell_type_ami",
    "cell_type_asw",
    "cell_type_knn_accuracy",
    "cell_type_knn_f1",
    "patient_ari",
    "phenotype_ari",
    "phenotype_logreg_accuracy",
]
COLUMNS = "dataset,model,task,annotation,metric,class,value,sd,n_cells,n_classes,note"


def test_all_eight_headlines_come_in_order_rounded_and_equal_the_full_table(project: Path) -> None:
    assert evaluate("model", "blood", "one").exit_code == 0
    headlines = json.loads(outputs("one")[0].read_text())
    assert list(headlines) == KEYS
    assert all(value == round(value, 4) for value in headlines.values())
    rows = full("one")
    assert outputs("one")[1].read_text().splitlines()[0] == COLUMNS
    for key, where in {
        "cell_type_asw": {"task": "silhouette", "annotation": "cell_type", "metric": "asw"},
        "patient_ari": {"task": "kmeans", "annotation": "patient", "metric": "ari"},
        "cell_type_knn_f1": {"task": "knn", "annotation": "cell_type", "metric": "f1_macro", "class": ""},
    }.items():
        assert [float(row["value"]) for row in chosen(rows, **where)] == [headlines[key]]


def test_every_annotation_has_its_tasks(project: Path) -> None:
    evaluate("model", "blood", "one")
    found = {(row["annotation"], row["task"]) for row in full("one")}
    everywhere = {(name, task) for name in obs() for task in ("kmeans", "silhouette", "knn")}
    assert found == everywhere | {("phenotype", "logreg")}


def test_genes_unknown_to_the_model_are_copied_from_the_notes_and_the_ensemble_has_none(project: Path) -> None:
    counted = {"n_genes": 900, "n_genes_missing": 41, "share_of_counts_missing": 0.01234}
    write_embedding("one", np.random.default_rng(5).normal(size=(N_CELLS, 8)), **counted)
    evaluate("model", "blood", "one")
    found = {row["metric"]: row for row in chosen(full("one"), task="embedding", annotation="")}
    assert {name: row["value"] for name, row in found.items()} == {
        "n_genes": "900",
        "n_genes_missing": "41",
        "share_of_counts_missing": "0.0123",
    }
    assert {row["n_cells"] for row in found.values()} == {str(N_CELLS)}
    evaluate("ensemble", "blood", "one", "two", "three")
    assert not chosen(full("ensemble"), task="embedding")


def test_confusion_rows_are_the_test_cells_and_give_the_accuracy(project: Path) -> None:
    evaluate("model", "blood", "one")
    pairs = pd.read_csv(outputs("one")[2])
    known = np.flatnonzero(obs()["cell_type"] != "Unknown")
    test = np.sort(train_test_split(known, test_size=0.2, random_state=0)[1])
    assert pairs["actual"].tolist() == obs()["cell_type"].iloc[test].tolist()
    accuracy = json.loads(outputs("one")[0].read_text())["cell_type_knn_accuracy"]
    assert accuracy == round(float((pairs["actual"] == pairs["predicted"]).mean()), 4)


def test_the_reason_why_an_embedding_is_not_comparable_is_on_every_row(project: Path) -> None:
    write_embedding("two", np.random.default_rng(0).normal(size=(N_CELLS, 4)), comparable=False, reason="no counts")
    evaluate("model", "blood", "two")
    assert all(row["note"].endswith("two is not comparable: no counts") for row in full("two"))
    evaluate("ensemble", "blood", "one", "two", "three")
    assert all("two is not comparable: no counts" in row["note"] for row in full("ensemble"))


def test_more_repeats_change_the_mean_and_one_repeat_has_no_spread(project: Path) -> None:
    def patient_ari(repeats: int) -> dict[str, str]:
        helpers.write_params(project / "params.yaml", {"evaluate": {"kmeans": {"repeats": repeats}}})
        evaluate("model", "blood", "one")
        return chosen(full("one"), task="kmeans", annotation="patient", metric="ari")[0]

    one, many = patient_ari(1), patient_ari(6)
    assert float(one["sd"]) == 0.0 < float(many["sd"])
    assert one["value"] != many["value"]


def test_zero_and_identical_cells_are_scored(project: Path) -> None:
    write_embedding("one", np.zeros((N_CELLS, 3)))
    result = evaluate("model", "blood", "one")
    assert result.exit_code == 0, result.output
    assert json.loads(outputs("one")[0].read_text())["cell_type_asw"] == 0


def test_files_do_not_depend_on_threads_and_scoring_does_not_load_torch(project: Path) -> None:
    rng = np.random.default_rng(0)
    write_embedding("one", rng.normal(size=(N_CELLS, 700)) + 5)  # wide enough for the library to share out
    command = (
        f"import sys; sys.path.insert(0, {str(helpers.ROOT)!r}); from stages.evaluate import main; "
        "main(['model', 'blood', 'one'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    written = []
    for threads in (1, 2):
        helpers.write_params(project / "params.yaml", {"threads": threads})
        helpers.run(sys.executable, "-c", command, cwd=project)
        written.append([path.read_bytes() for path in outputs("one")])
    assert written[0] == written[1]
