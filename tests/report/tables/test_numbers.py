"""The tables hold the scores of the grid, each in its place."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.report.tables.made import read_csv, report, rows_of, write


def test_tables_have_one_row_for_every_pair_of_the_grid_and_no_other(project):
    result = report()
    assert result.exit_code == 0, result.output
    pairs = {(row["dataset"], row["model"]) for row in read_csv("metrics/table_c4.csv")}
    expected = {(dataset, model) for dataset in ("blood", "tumour") for model in ("expression", "random_w", "text_w")}
    assert pairs == expected | {("blood", "tuned"), ("blood", "ensemble")}
    assert {(row["dataset"], row["model"]) for row in read_csv("plots/scores.csv")} == pairs
    for path in Path("metrics").glob("*.*"):
        assert "gone" not in path.read_text(encoding="utf-8")


def test_table_2_holds_the_clustering_scores(project):
    report()
    found = {(row["dataset"], row["annotation"], row["model"]): row for row in read_csv("metrics/table2.csv")}
    row = found["blood", "cell_type", "text_w"]
    assert (row["ari"], row["ari_sd"], row["ami"], row["ami_sd"], row["asw"]) == (
        "0.3000",
        "0.0123",
        "0.3100",
        "0.0045",
        "-0.2000",
    )
    assert (row["n_cells"], row["n_classes"]) == ("500", "3")
    assert ("blood", "cell_type", "ensemble") not in found
    assert not any(annotation == "patient" for _, annotation, _ in found)


def test_table_c4_holds_the_macro_scores_and_the_number_of_neighbours(project):
    report()
    (row,) = [row for row in read_csv("metrics/table_c4.csv") if row["model"] == "ensemble"]
    assert [row[name] for name in ("accuracy", "precision", "recall", "f1")] == ["0.4500", "0.5500", "0.6500", "0.7500"]
    assert "9 nearest" in Path("metrics/table_c4.md").read_text(encoding="utf-8")


def test_table_c4_has_a_group_of_its_own_for_predictions_from_the_reference(project):
    names = ["accuracy", "precision_macro", "recall_macro", "f1_macro"]
    more = [["knn_reference", "cell_type", name, "", 0.61 + 0.1 * i, "", 300, 3, ""] for i, name in enumerate(names)]
    write("tumour", "text_w", rows_of("cell_type", 0.55) + more)
    assert report().exit_code == 0
    rows = [row for row in read_csv("metrics/table_c4.csv") if row["annotation"] == "cell_type, reference to query"]
    assert [(row["dataset"], row["model"], row["accuracy"], row["n_cells"]) for row in rows] == [
        ("tumour", "text_w", "0.6100", "300")
    ]
    assert "reference to query: the training cells are the" in " ".join(Path("metrics/table_c4.md").read_text().split())


def test_section_4_4_holds_patients_and_phenotypes_with_the_baseline_first(project):
    project["grid"]["models"] = ["text_w", "expression"]
    Path("params.yaml").write_text(yaml.safe_dump(project))
    report()
    rows = read_csv("metrics/section_4_4.csv")
    assert [row["model"] for row in rows if row["dataset"] == "blood"] == ["expression", "text_w", "tuned"]
    assert [rows[0][name] for name in ("patient_ari", "phenotype_ari", "accuracy")] == ["0.0500", "0.1000", "0.4000"]
    assert (rows[0]["n_cells"], rows[0]["n_test_cells"]) == ("500", "100")


def test_what_could_not_be_scored_is_a_row_with_its_reason(project):
    report()
    rows = [row for row in read_csv("metrics/table2.csv") if row["dataset"] == "tumour"]
    phenotype = [row for row in rows if row["annotation"] == "phenotype"]
    assert [row["model"] for row in phenotype] == ["expression", "random_w", "text_w"]
    assert all(row["ari"] == "" and "one class" in row["note"] for row in phenotype)


def test_equal_runs_write_equal_files(project):
    def contents():
        report()
        return {path: path.read_bytes() for path in [*Path("metrics").glob("*.*"), Path("plots/scores.csv")]}

    assert contents() == contents()
