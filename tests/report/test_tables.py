"""The tables hold the scores of the grid, each in its place, and say what they are of."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genept.report import pairs, printing
from tests.helpers import write_settings
from tests.report.made import PAIRS, printed_rows, read_csv, report, row, rows_of, texts, write_pair, write_record

TABLES = ("table2", "table_c4", "section_4_4")


def test_tables_2_and_c4_have_one_row_for_every_pair_of_the_grid_each_score_in_its_place(project: Path) -> None:
    names = ["accuracy", "precision_macro", "recall_macro", "f1_macro"]
    more = [
        row("knn", "cell_type", name, 0.61 + 0.1 * i, split="reference", n_cells=300) for i, name in enumerate(names)
    ]
    write_pair("tumour", "text_w", rows_of("cell_type", 0.55) + more)
    markdown = texts()
    assert not any("gone" in text for text in markdown.values())
    for name in ("metrics/table_c4.csv", "plots/scores.csv"):
        assert {(row["dataset"], row["model"]) for row in read_csv(name)} == PAIRS
    row = read_csv("plots/scores.csv")[0]
    assert row == {"dataset": "blood", "model": "expression", "metric": "cell_type_ari", "value": "0.1000"}

    table2 = {(row["dataset"], row["annotation"], row["model"]): row for row in read_csv("metrics/table2.csv")}
    scores = {"ari": "0.3000", "ari_sd": "0.0123", "ami": "0.3100", "ami_sd": "0.0045", "asw": "-0.2000"}
    assert table2["blood", "cell_type", "text_w"].items() >= {**scores, "n_cells": "500", "n_classes": "3"}.items()
    assert ("blood", "cell_type", "ensemble") not in table2 and not any("patient" in key for key in table2)
    for model in ("expression", "random_w", "tuned"):  # a row without scores says why
        row = table2["tumour", "phenotype", model]
        assert row["ari"] == "" and "one class" in row["note"]

    c4 = {(row["dataset"], row["annotation"], row["model"]): row for row in read_csv("metrics/table_c4.csv")}
    columns = ("accuracy", "precision", "recall", "f1")
    assert [c4["blood", "cell_type", "ensemble"][name] for name in columns] == ["0.4500", "0.5500", "0.6500", "0.7500"]
    by_reference = [row for key, row in c4.items() if key[1] == "cell_type, reference to query"]
    assert [(row["model"], row["accuracy"], row["n_cells"]) for row in by_reference] == [("text_w", "0.6100", "300")]
    assert "reference to query: the training cells are the reference" in markdown["table_c4"]


def test_section_4_4_holds_patients_and_phenotypes_with_the_baseline_first(project: Path) -> None:
    write_settings(Path(), {"plot": {"above": "text_w"}})
    report()
    rows = read_csv("metrics/section_4_4.csv")
    assert [row["model"] for row in rows if row["dataset"] == "blood"] == ["text_w", "expression", "random_w", "tuned"]
    assert [rows[0][name] for name in ("patient_ari", "phenotype_ari", "accuracy")] == ["0.2500", "0.3000", "0.6000"]
    assert (rows[0]["n_cells"], rows[0]["n_test_cells"]) == ("500", "100")


def test_markdown_repeats_the_numbers_with_three_decimals(project: Path) -> None:
    report()
    for name in TABLES:
        table, printed = read_csv(f"metrics/{name}.csv"), printed_rows(f"metrics/{name}.md")
        assert len(table) == len(printed)
        columns = [column for column in table[0] if not column.startswith("n_") and not column.endswith("_sd")][3:-2]
        for values, cells in zip(table, printed, strict=True):
            assert cells[0] == values["dataset"] and f"`{values['model']}`" in cells[2]
            for column, cell in zip(columns, cells[3:], strict=False):
                assert values[column] == "" or f"{float(values[column]):.3f}" in cell


def test_the_best_of_a_group_is_bold_but_not_what_is_fine_tuned_or_not_comparable(project: Path) -> None:
    report()
    bold = {(*row[:2], row[2].split("`")[1]) for row in printed_rows("metrics/table2.md") if "**" in row[3]}
    # tuned is higher in blood, and random_w, which is not comparable, in the tumour
    groups = [("blood", "phenotype"), ("blood", "cell_type"), ("tumour", "cell_type")]
    assert bold == {(*group, "text_w") for group in groups}


def test_every_table_says_what_its_datasets_models_and_labels_are(project: Path) -> None:
    written = texts()
    for name in TABLES:
        for words in (
            "Computed in this run with seed 7. `blood`: a stand-in, not a dataset of the paper.",
            "- `blood`: Blood cells; labels by the authors",
            "- `tumour`: Tumour cells; cell types by clusters and markers, version 3, not by the authors",
            "- `text_w`: GenePT-w, MiniLM on names",
            "MiniLM: the text encoder",
            "Controls, whose gene vectors mean nothing: `random_w`.",
            "scored only on other cells: `tuned`.",
        ):
            assert words in written[name]
        assert "GenePT-s" not in written[name] and "Small models" not in written[name]  # only what occurs is explained
        sources = {row["dataset"]: row["label_source"] for row in read_csv(f"metrics/{name}.csv")}
        assert sources == {"blood": "author", "tumour": "annotation"}


def test_labels_are_attributed_to_those_who_made_them() -> None:
    table = {"labels_from": {"path": "l.csv", "sha256": "0123456789abcc"}}
    fallback = {"fallback": {"title": "Of GEO", "note": "drawn here", "because": "it answered 404"}}
    for record, words in (
        ({"label_source": "user"}, "labels by the user"),
        ({"label_source": "user", **table}, "labels from l.csv, put "),
        (table, "labels by the authors, from l.csv, put there by"),
        (fallback, "labels by the authors; fallback: Of GEO, drawn here (it answered 404)"),
    ):
        assert pairs.labels_from({"label_source": "author", **record}).startswith(words)


def test_footnotes_mark_notes_once_at_the_widest_place(project: Path) -> None:
    text = texts()["section_4_4"]
    assert text.count(") on 50 principal components") == 1
    assert re.search(r"`random_w`, not comparable \(\w\)", text)
    letter = re.search(r"- \((\w)\) supervised by phenotype", text)
    assert letter
    (cells, _) = [row for row in printed_rows("metrics/section_4_4.md") if "tuned" in row[2]]
    assert [f"({letter[1]})" in cell for cell in cells[3:8]] == [False, False, True, True, True]
    row = next(row for row in read_csv("metrics/section_4_4.csv") if row["model"] == "tuned")
    assert "accuracy, precision, recall: supervised by phenotype" in row["note"]
    assert "unseen cells only" in row["note"].split("; ")
    assert [printing.letter(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]
    zero = pairs.Score(-0.00004)  # without a sign
    assert (printing.printed(zero), printing.decimals(zero.value)) == ("0.000", "0.0000")


def test_show_prints_the_tables_within_80_columns_and_writes_nothing(project: Path) -> None:
    assert report("--show").exit_code == 1
    long = "a_model_with_a_name_of_forty_characters_"
    write_settings(Path(), {"grid": {"models": {"genept_s": [long]}}}, models={long: {"title": "Long"}})
    for dataset in ("blood", "tumour"):
        write_pair(dataset, long, rows_of("cell_type", 0.111) + rows_of("patient", 0.222))
    report()
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    output = report("--show").output
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    assert max(map(len, output.splitlines())) <= 80
    assert len(re.findall(rf"^{long}\n +0\.111 ± 0\.012 ", output, re.MULTILINE)) == 2  # Table 2, which has the room
    assert re.search(r"^text_w +\*0\.300 \*0\.600 +\*0\.600 +\*0\.600$|^text_w +0\.250", output, re.MULTILINE)
    assert "blood, cell_type: 500 cells, 3 labels\n" in output and "- (a) unseen cells only" in output


def test_a_dataset_with_cell_types_only_is_reported(project: Path) -> None:
    for dataset, model in PAIRS:
        write_pair(dataset, model, rows_of("cell_type", 0.5, coordinates=model != "ensemble"))
    assert "| Patient ARI |" in " ".join(texts()["section_4_4"].split())
    assert report("--show").exit_code == 0 and len(read_csv("metrics/table2.csv")) == 8


def claim_twice() -> None:
    for dataset in ("blood", "tumour"):
        write_record(dataset, paper="aorta")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda: Path("metrics/scores/blood/text_w.json").unlink(), 1, "no such file; `dvc repro evaluate@blood`"),
        (lambda: Path("metrics/full/tumour/tuned.csv").unlink(), 1, "tuned.csv: no such file; `dvc repro evalu"),
        (lambda: Path("metrics/full/blood/tuned.csv").write_text("a,b\n1,2\n"), 1, "--single-item evaluate@blood"),
        (lambda: write_pair("blood", "tuned", [row("knn", "", "a", 0.5) | {"value": "high"}]), 1, "full/blood/tuned"),
        (lambda: Path("metrics/scores/blood/tuned.json").write_text("{"), 1, "--single-item evaluate@blood"),
        (lambda: Path("metrics/verification/blood.json").unlink(), 1, "no such file; `dvc repro label@blood`"),
        (lambda: write_settings(Path(), {"grid": {"datasets": []}}), 2, "grid has no pair of dataset and model"),
        (lambda: Path("models/text_w.yaml").unlink(), 2, "models/text_w.yaml: no such file"),
        (lambda: write_settings(Path(), models={"text_w": {"note": ""}}), 2, "models/text_w.yaml: title is missing"),
        (lambda: write_record("blood", paper="aorte"), 2, "data/blood.yaml: paper: the paper has no 'aorte'; did"),
        (claim_twice, 2, "data/tumour.yaml: paper: blood, in the same grid, is 'aorta' already; only one can be"),
        (lambda: write_settings(Path(), models={"unused": {"title": "", "paper": "gpt"}}), 2, "models/unused.yaml: pa"),
        (lambda: write_settings(Path(), {"report": {"tolerance": -0.1}}), 2, "report.tolerance"),
    ],
)  # fmt: skip
def test_what_is_missing_damaged_or_wrong_is_one_line_and_writes_nothing(
    project: Path, change: Callable[[], Any], code: int, words: str
) -> None:
    change()
    result = report()
    assert (result.exit_code, result.output.count("\n")) == (code, 1), result.output
    assert words in result.output
    assert not list(Path("metrics").glob("*.*")) and not Path("plots").exists()
