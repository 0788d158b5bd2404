"""The tables hold the scores of the grid, each in its place, and say what they are of."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genept.report import pairs, printing
from tests.helpers import write_settings
from tests.report import comparisons
from tests.report.made import (
    BOUNDS,
    CLASSES,
    PAIRS,
    SCORED,
    printed_rows,
    read_csv,
    report,
    row,
    rows_of,
    texts,
    write_pair,
    write_record,
)

TABLES = ("table2", "table_c4", "section_4_4")


def by_row(name: str) -> dict[tuple[str, str, str], dict[str, str]]:
    return {(row["dataset"], row["annotation"], row["model"]): row for row in read_csv(f"metrics/{name}.csv")}


def test_tables_2_and_c4_have_one_row_for_every_pair_of_the_grid_each_score_in_its_place(project: Path) -> None:
    names = ["accuracy", "precision_macro", "recall_macro", "f1_macro"]
    more = [
        row("knn", "cell_type", name, 0.61 + 0.1 * i, split="reference", n_cells=300) for i, name in enumerate(names)
    ]
    write_pair("tumour", "text_w", rows_of("cell_type", 0.55) + more)
    markdown = texts()
    assert not any("gone" in text for text in markdown.values())
    assert {(row["dataset"], row["model"]) for row in read_csv("metrics/table_c4.csv")} == PAIRS

    table2 = by_row("table2")
    scores = {"ari": "0.3000", "ari_low": "0.2736", "ari_high": "0.3264", "ari_scaled": "0.5000", "ami": "0.3100"}
    sizes = {"n_cells": "500", "n_donors": "6", "n_classes": "3"}
    assert (
        table2["blood", "cell_type", "text_w"].items() >= {**scores, "asw": "-0.2000", "asw_low": "", **sizes}.items()
    )
    assert table2["blood", "cell_type, test cells only", "tuned"]["n_cells"] == "100"
    assert ("blood", "cell_type", "tuned") not in table2 and not any("patient" in key for key in table2)
    assert not any(key[2] == "ensemble" for key in table2)
    for model in ("expression", "random_w", "tuned"):  # a row without scores says why, once
        assert "one class" in table2["tumour", "phenotype", model]["note"]
        assert table2["tumour", "phenotype", model]["ari"] == ""
        assert ("tumour", "phenotype, test cells only", model) not in table2

    c4 = by_row("table_c4")
    columns = ("accuracy", "precision", "recall", "f1", "f1_frequent")
    for title, cells in (("cell_type", "100"), ("cell_type, donors held out", "500")):
        found = [c4["blood", title, "ensemble"][name] for name in (*columns, "n_cells")]
        assert found == ["0.4500", "0.5500", "0.6500", "0.7500", "0.7000", cells]
    by_reference = [row for key, row in c4.items() if key[1] == "cell_type, reference to query"]
    assert [(row["model"], row["accuracy"], row["n_cells"]) for row in by_reference] == [("text_w", "0.6100", "300")]
    assert "reference to query: the training cells are the reference" in markdown["table_c4"]


def test_section_4_4_begins_with_held_out_donors_where_a_label_is_constant_within_them(project: Path) -> None:
    report()
    titles = list(dict.fromkeys(key[1] for key in by_row("section_4_4") if key[0] == "blood"))
    ways = ["as the authors", "standardised"]
    donors = [f"phenotype, donors held out, {way}" for way in ways]
    assert titles == [f"phenotype, {way}" for way in ways] + donors
    row = by_row("section_4_4")["blood", donors[1], "text_w"]
    names = ("patient_ari", "phenotype_ari", "accuracy", "balanced_accuracy", "auroc", "precision")
    assert [row[name] for name in names] == ["0.2500", "0.3000", *["0.6000"] * 4]
    assert (row["n_cells"], row["n_test_cells"], row["n_donors"]) == ("500", "500", "6") and "recall" not in row
    path = Path("metrics/full/blood/text_w.csv")
    text = path.read_text()
    path.write_text(re.sub(r"^(.*,phenotype,random,accuracy,.*),$", rf"\1,{pairs.ONE_LABEL}: theirs", text, flags=re.M))
    report()
    titles = list(dict.fromkeys(key[1] for key in by_row("section_4_4") if key[0] == "blood"))
    assert titles == donors + [f"phenotype, {way}" for way in ways]


def test_markdown_repeats_the_numbers_with_three_decimals_and_their_ranges(project: Path) -> None:
    report()
    for name in (*TABLES, "summary"):
        table, printed = read_csv(f"metrics/{name}.csv"), printed_rows(f"metrics/{name}.md")
        assert len(table) == len(printed)
        parts = ("_low", "_high", "_scaled")
        columns = [column for column in table[0] if not column.startswith("n_") and not column.endswith(parts)][3:-2]
        for values, cells in zip(table, printed, strict=True):
            assert cells[0] == values["dataset"] and f"`{values['model']}`" in cells[2]
            for column, cell in zip(columns, cells[3:], strict=False):
                if values[column] and (low := values.get(f"{column}_low")):
                    ends = [f"{float(end):.3f}".replace("0.", ".") for end in (low, values[f"{column}_high"])]
                    assert f" [{', '.join(ends)}]" in cell
                assert values[column] == "" or f"{float(values[column]):.3f}" in cell
    score = pairs.Score(0.705, 0.6512, 1.0)
    assert printing.printed(score, bold=True) == "**0.705** [.651, 1.000]"
    assert printing.printed(score._replace(low=-0.05, high=-0.00001)) == "0.705 [-.050, .000]"
    assert printing.printed(score._replace(high=None)) == "0.705" and printing.printed(None) == printing.NONE


def test_what_cannot_be_told_from_the_best_is_bold_but_not_what_is_fine_tuned_or_not_comparable(project: Path) -> None:
    report()
    rows = [row for row in printed_rows("metrics/table2.md") if "**" in row[3]]
    bold = {(row[0], row[1], row[2].split("`")[1]) for row in rows}
    # tuned is higher in blood, and random_w, which is not comparable, in the tumour, where .50 cannot be told from .55
    annotations = [("blood", "phenotype"), ("blood", "cell_type"), ("tumour", "cell_type")]
    groups = [(dataset, title + which) for dataset, title in annotations for which in ("", ", test cells only")]
    expected = {(*group, "text_w") for group in groups}
    expected |= {(*group, "expression") for group in groups if group[0] == "tumour"}
    assert bold == expected


def test_nothing_is_bold_without_a_test_or_above_the_floor(project: Path) -> None:
    written = texts()["table_c4"]
    assert "no bold, no test possible with 6 donors" in written
    rows = printed_rows("metrics/table_c4.md")
    held_out = [row for row in rows if row[0] == "tumour" and "donors held out" in row[1]]
    assert held_out and not any("**" in cell for row in held_out for cell in row)
    models = [*SCORED, *BOUNDS]
    write_pair("blood", "majority", rows_of("cell_type", 0.42))  # .45, the best, is not told from it
    comparisons.write_differences("blood", models)
    assert "no bold, the best cannot be told from the floor" in texts()["table_c4"]
    assert not any("**" in cell for row in printed_rows("metrics/table_c4.md") for cell in row if row[0] == "blood")


def test_every_table_says_what_its_datasets_models_and_labels_are(project: Path) -> None:
    written = texts()
    for name in (*TABLES, "summary"):
        for words in (
            "Computed in this run with seed 7. `blood`: a stand-in, not a dataset of the paper.",
            "- `blood`: Blood cells; labels by the authors",
            "- `tumour`: Tumour cells; cell types by clusters and markers, version 3, not by the authors",
            "- `text_w`: GenePT-w, MiniLM on names",
            "- `random_tuned`: The head of `tuned` fitted on `random_w`",
            "MiniLM: the text encoder",
            "Controls, whose gene vectors mean nothing: `random_w`.",
            "scored only on other cells: `tuned`, `random_tuned`.",
        ):
            assert words in written[name], (name, words)
        assert "GenePT-s" not in written[name] and "Small models" not in written[name]  # only what occurs is explained
        sources = {row["dataset"]: row["label_source"] for row in read_csv(f"metrics/{name}.csv")}
        assert sources.items() >= {"blood": "author", "tumour": "annotation"}.items()


def test_scores_of_samples_say_of_how_many_cells_they_are_and_their_errors(project: Path) -> None:
    for path in Path("metrics/full").rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as stream:
            heading, *lines = csv.reader(stream)
        sizes = {"knn": ("1234567", "0.0123"), "silhouette": ("1234765", "0.0456")}
        lines = [[*line, *sizes.get(line[heading.index("task")], ("", ""))] for line in lines]
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([[*heading, "n_all", "se"], *lines])
    written = texts()
    for name in (*TABLES, "summary", "answer"):
        assert "of 1,234,567 cells" in written[name] and re.search(
            r"silhouettes \(ASW\) of at most \d+ of 1,234,765 cells, each against all", written[name]
        )
    assert "of 1,234,765 cells, the same for all rows" in written["text_effect"], "of all that are scored"
    (first, *_) = [line for line in printed_rows("metrics/table_c4.md") if "\u00b1" in line[3]]
    assert re.fullmatch(r"(\*\*)?[01]\.\d{3}(\*\*)? \u00b1 \.012( \[.*\])?", first[3]) and "of 1,234,567" in " ".join(
        first
    )
    assert {cell for line in printed_rows("metrics/table2.md") for cell in line if "\u00b1" in cell}
    row = read_csv("metrics/table2.csv")[0]
    assert (row["asw_se"], row["n_cells_drawn_from"], row["n_cells_asw_drawn_from"]) == ("0.0456", "", "1234765")
    assert row["n_cells"] == row["n_cells_asw"]
    row = read_csv("metrics/table_c4.csv")[0]
    assert (row["accuracy_se"], row["n_cells_drawn_from"]) == ("0.0123", "1234567")
    assert "1,234,567" in Path("plots/report.html").read_text(encoding="utf-8")


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
    assert text.count(") Patient ARI: on 50 principal components") == 1  # of all rows of a group: at its title
    title = re.search(r"phenotype, as the authors \((\w)\)", text)
    assert title and f"({title[1]}) Patient ARI: on 50" in text
    assert re.search(r"`random_w`, not comparable \(\w\)", text)
    letter = re.search(r"- \((\w)\) supervised by phenotype", text)
    assert letter
    tuned = next(row for row in printed_rows("metrics/section_4_4.md") if "`tuned`" in row[2])
    assert re.search(rf"\(\w, {letter[1]}\)", tuned[2]) and not any("(" in cell for cell in tuned[3:9])
    expression = by_row("section_4_4")["blood", "phenotype, as the authors", "expression"]
    assert expression["note"] == "patient_ari: on 50 principal components"
    assert [printing.letter(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]
    zero = pairs.Score(-0.00004)  # without a sign
    assert (printing.printed(zero), printing.decimals(zero.value)) == ("0.000", "0.0000")


def test_a_run_ends_with_the_main_scores_within_80_columns_and_writes_nothing(project: Path) -> None:
    assert "Accuracy" in report("--show").output  # before any table is written
    long = "a_model_with_a_name_of_forty_characters_"
    write_settings(Path(), {"grid": {"models": {"genept_s": [long]}}}, models={long: {"title": "Long"}})
    for dataset in ("blood", "tumour"):
        write_pair(dataset, long, rows_of("cell_type", 0.111) + rows_of("patient", 0.222))
        comparisons.write_confusion(dataset, [long], CLASSES)
    report()
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    output = report("--show").output
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    lines = output.splitlines()
    assert max(map(len, lines)) <= 80 and "\x1b" not in output and "|" not in output
    assert any(line.startswith("blood, ") and line.endswith("500 cells, 6 donors, 3 cell types") for line in lines)
    head = next(line for line in lines if "Accuracy" in line)
    scores = dict(zip(head.split(), lines[lines.index(long) + 1].split(), strict=True))  # its name has its own line
    assert scores["Accuracy"] == f"{by_row('table_c4')['blood', 'cell_type', long]['accuracy'][:5]}"
    assert scores["ARI"] == f"{by_row('table2')['blood', 'cell_type', long]['ari'][:5]}"
    assert all(line[len(head) :] == "" for line in lines[lines.index(head) : lines.index("")])  # columns end together
    assert "plots/report.html, which `make show` opens" in lines[-1] and Path("plots/report.html").is_file()


def test_on_a_terminal_what_is_bold_in_table_c4_is_bright(project: Path) -> None:
    report()
    blood = report("--show", color=True).output.split("\ntumour, ")[0]
    bright = set(re.findall(r"^(\S+) *\x1b\[1m", blood, re.MULTILINE))  # its first number, the accuracy
    rows = [row for row in printed_rows("metrics/table_c4.md") if row[0] == "blood" and row[1].startswith("cell_type")]
    random = [row for row in rows if "donors" not in row[1] and "reference" not in row[1]]
    bold = {row[2].split("`")[1] for row in random if "**" in row[3]}
    assert bright == bold and 0 < len(bold) < len(random)


def test_a_dataset_with_cell_types_only_is_reported(project: Path) -> None:
    for dataset, model in PAIRS:
        write_pair(dataset, model, rows_of("cell_type", 0.5, coordinates=model != "ensemble"))
    assert "| Patient ARI |" in " ".join(texts()["section_4_4"].split())
    assert report("--show").exit_code == 0 and len(read_csv("metrics/table2.csv")) == 2 * 2 * 8


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
        (lambda: write_settings(Path(), {"grid": {"datasets": []}}), 2, "grid.datasets: list should have at least"),
        (lambda: Path("models/text_w.yaml").unlink(), 2, "models/text_w.yaml: no such file"),
        (lambda: write_settings(Path(), models={"text_w": {"note": ""}}), 2, "models/text_w.yaml: title is missing"),
        (lambda: write_record("blood", paper="aorte"), 2, "data/blood.yaml: paper: the paper has no 'aorte'; did"),
        (claim_twice, 2, "data/tumour.yaml: paper: blood, in the same grid, is 'aorta' already; only one can be"),
        (lambda: write_settings(Path(), models={"unused": {"title": "", "paper": "gpt"}}), 2, "models/unused.yaml: pa"),
        (lambda: Path("metrics/comparisons/blood/models.csv").unlink(), 1, "no such file; `dvc repro evaluate@blood`"),
        (lambda: Path("metrics/comparisons/blood/text.csv").unlink(), 1, "no such file; `dvc repro evaluate@blood`"),
        (lambda: Path("metrics/comparisons/blood/text.csv").write_text("a\n1\n"), 1, "--single-item evaluate@blood"),
    ],
)  # fmt: skip
def test_what_is_missing_damaged_or_wrong_is_one_line_and_writes_nothing(
    project: Path, change: Callable[[], Any], code: int, words: str
) -> None:
    change()
    result = report()
    assert (result.exit_code, result.output.count("\n")) == (code, 1), result.output
    assert words in result.output
    assert not [*Path("metrics").glob("*.*"), *Path("plots").glob("*.*")]


def test_rows_of_a_model_that_misses_most_of_the_counts_are_not_comparable(project: Path) -> None:
    """So are the heads and the ensemble that rest on it; nothing is then said of text on this dataset."""
    share = [row("embedding", "", "share_of_counts_missing", 0.71, n_classes=0)]
    for model in ("text_w", "random_w"):
        write_pair("blood", model, [*rows_of("cell_type", 0.9), *share])
    written = texts()
    for dataset, _, model, *_ in printed_rows("metrics/table_c4.md"):
        is_marked = dataset == "blood" and model.startswith(("`text_w`", "`random_w`", "`random_tuned`", "`ensemble`"))
        assert is_marked == model.partition(" (")[0].endswith(", not comparable") or dataset == "tumour"
    assert "not comparable: the model knows no gene of 71% of the counts" in written["table_c4"]
    assert "not comparable: `text_w` knows no gene of 71% of the counts" in written["table_c4"]
    assert {line["dataset"] for line in read_csv("metrics/text_effect.csv")} == {"tumour"}
    assert "`text_w`, not comparable" in " ".join(written["answer"].split())
    assert "on `blood`, " not in written["answer"], "one model is left, so that none is the highest"


def test_titles_and_labels_break_no_table_and_no_page(project: Path) -> None:
    """Those of a user may hold everything that Markdown, HTML and scripts have a meaning for."""
    write_record("blood", title="<img onerror=x> | `a`", note="b | </script><script>")
    note = "</script><!-- | `x`: of one donor only, never right"
    rows = [line | {"note": note} if line["split"] == "donors" else line for line in rows_of("cell_type", 0.3)]
    write_pair("blood", "text_w", rows)
    comparisons.write_confusion("blood", [*SCORED, *BOUNDS], ["</script><script>alert(1)", *CLASSES[1:]])
    written = texts()
    for name, text in written.items():
        outside = re.sub(r"`[^`]*`", "", text.replace("\\`", "").replace("\\<", ""))
        assert "<img" not in outside and "<script" not in outside and "<!--" not in outside, name
    assert len({len(line) for line in map(tuple, printed_rows("metrics/table_c4.md"))}) == 1
    page, table = (
        Path(name).read_text(encoding="utf-8") for name in ("plots/report.html", "plots/confusion_matrices/blood.csv")
    )
    assert "<script>alert" not in page and "<img onerror" not in page
    assert "</" not in table and "<\u2060/script><\u2060script>alert(1)" in table


def test_without_donors_nothing_is_said_of_donors_held_out(project: Path) -> None:
    for dataset in ("blood", "tumour"):
        for path in Path(f"metrics/full/{dataset}").glob("*.csv"):
            lines = path.read_text().splitlines()
            kept = [line for line in lines if ",donors," not in line and ",patient," not in line]
            path.write_text("\n".join(kept) + "\n")
    written = texts()
    assert "Patients are clustered" not in written["section_4_4"] and "patient, and" not in written["section_4_4"]
    assert not [
        name for name, text in written.items() if re.search("donors (are )?held out", text) and "tracking" not in name
    ]
    assert "New donors:" not in Path("plots/report.html").read_text(encoding="utf-8")
