"""What of a run is compared with the paper: a run in which one dataset and two models are the paper's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.report import paper, tracking, tracking_page
from genept.report.pairs import Pair, Score
from tests.helpers import ROOT, write_settings
from tests.report.made import GRID, NO_MODELS, printed_rows, read_csv, report, write_pair, write_record

PAPER = paper.load()
CSV, PAGE = Path("metrics/paper_tracking.csv"), Path("metrics/paper_tracking.md")
KEY = ("section", "dataset", "annotation", "model", "metric")
MODELS = {
    "text_w": {"title": "Text", "paper": "genept_w"},
    "released": {"title": "scGPT as released", "paper": "scgpt"},
    "pca": {"title": "Expression"},
    "sentences": {"title": "Sentences", "paper": "genept_s"},
}
SCORES = {  # of text_w; the paper's GenePT-w on the aorta is in the comments
    ("kmeans", "ari"): 0.55,  # 0.54
    ("kmeans", "ami"): 0.65,  # 0.60
    ("silhouette", "asw"): 0.05,  # 0.03: off by the tolerance, no more
    ("knn", "accuracy"): 0.9001,  # 0.88
    ("knn", "precision_macro"): 0.91,  # 0.91
    ("knn", "recall_macro"): 0.66,  # 0.68
    ("knn", "f1_macro"): 0.5,  # 0.72
}
GENES: list[list[Any]] = [  # as `evaluate` copies them from the notes beside the embedding
    ["embedding", "", "n_genes", "", 23331, "", 500, 0, ""],
    ["embedding", "", "n_genes_missing", "", 5501, "", 500, 0, ""],  # harmonised
    ["embedding", "", "n_genes_missing_exact", "", 5665, "", 500, 0, ""],
    ["embedding", "", "share_of_counts_missing", "", 0.0432, "", 500, 0, ""],
]


def rows_of(annotation: str, note: str = "") -> list[list[Any]]:
    return [[task, annotation, metric, "", value, "", 100, 3, note] for (task, metric), value in SCORES.items()]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    models = {**NO_MODELS, "custom": ["pca"], "genept_w": ["text_w"], "scgpt": ["released"]}
    grid = {**GRID, "datasets": ["vessel", "blood"], "models": models, "ensemble": []}
    write_settings(tmp_path, {"threads": 1, "grid": grid, "report": {"tolerance": 0.02}}, models=MODELS)
    for dataset in ("vessel", "blood"):
        write_pair(dataset, "text_w", [*rows_of("cell_type"), *GENES])
        write_pair(dataset, "released", rows_of("cell_type", "on 9 cells; released is not comparable: no counts"))
        write_pair(dataset, "pca", rows_of("cell_type") + rows_of("patient"))
    write_record("vessel", paper="aorta")
    write_record("blood", note="a stand-in")
    return tmp_path


def tracked() -> dict[tuple[str, ...], dict[str, str]]:
    """Run the stage and return the lines of the CSV file by section, dataset, annotation, model and metric."""
    result = report()
    assert result.exit_code == 0, result.output
    rows = read_csv(str(CSV))
    found = {tuple(row[name] for name in KEY): row for row in rows}
    assert len(found) == len(rows)
    return found


def page() -> str:
    return " ".join(PAGE.read_text(encoding="utf-8").split())


def test_statuses_follow_from_hand_computed_differences() -> None:
    rows = tracked()
    for key, *expected in (
        ("table2 cell_type genept_w ari", "0.54", "0.5500", "+0.0100", "reproduced"),
        ("table2 cell_type genept_w ami", "0.60", "0.6500", "+0.0500", "differs"),
        ("table2 cell_type genept_w asw", "0.03", "0.0500", "+0.0200", "reproduced"),
        ("table_c4 cell_type genept_w accuracy", "0.88", "0.9001", "+0.0201", "differs"),
        ("table_c4 cell_type genept_w precision_macro", "0.91", "0.9100", "+0.0000", "reproduced"),
        ("table_c4 cell_type genept_w recall_macro", "0.68", "0.6600", "-0.0200", "reproduced"),
        ("table_c4 cell_type genept_w f1_macro", "0.72", "0.5000", "-0.2200", "differs"),
        ("datasets - - n_cells", "9625", "9625", "+0", "reproduced"),
        ("datasets - - n_cells_full", "48082", "48000", "-82", "differs"),
        ("datasets cell_type - n_labels", "11", "11", "+0", "reproduced"),  # Unknown is no label
        ("datasets patient - n_labels", "11", "10", "-1", "differs"),
        ("author_notebook - genept_w n_genes_missing_exact", "5665", "5665", "+0", "reproduced"),
    ):
        section, *rest = ("" if part == "-" else part for part in key.split())
        row = rows[(section, "aorta", *rest)]
        assert [row[name] for name in ("paper", "ours", "difference", "status")] == expected
        if row["model"]:
            basis = [row[name] for name in ("n_cells", "n_cells_paper", "missing_gene_rate", "label_source")]
            assert basis == ["9625", "9625", "0.2358", "author"]
    write_settings(Path(), {"report": {"tolerance": 0.3}})  # reproduces more scores but no more counts
    rows = tracked()
    assert rows["table_c4", "aorta", "cell_type", "genept_w", "f1_macro"]["status"] == "reproduced"
    assert rows["datasets", "aorta", "patient", "", "n_labels"]["status"] == "differs"


def test_what_was_not_run_says_why_and_has_no_value_of_ours() -> None:
    rows = tracked()
    reasons = {
        ("table2", "aorta", "cell_type", "scgpt", "ari"): "released is not comparable: no counts",
        ("table2", "aorta", "phenotype", "genept_w", "ari"): "no annotation phenotype in vessel",
        ("table2", "aorta", "cell_type", "geneformer", "ari"): "geneformer is not in the grid",
        ("table_c4", "aorta", "cell_type", "ensemble", "accuracy"): "ensemble is not in the grid",
        ("section_4_4", "aorta", "patient", "expression", "ari"): "expression is not in the grid",
        ("table2", "bones", "cell_type", "genept_w", "ari"): "bones is not in the grid",
        ("datasets", "aorta", "phenotype", "", "n_labels"): "no annotation phenotype in vessel",
    }
    for key, reason in reasons.items():
        assert [rows[key][name] for name in ("status", "reason", "ours", "difference")] == ["not run", reason, "", ""]
    mislabelled = rows["author_notebook", "aorta", "cell_type", "genept_s", "accuracy"]
    assert "on the GenePT-w matrix" in mislabelled["reason"]


def test_nothing_of_a_dataset_with_other_files_than_expected_is_called_the_papers() -> None:
    write_record("vessel", paper="aorta", unexpected=["n_cells is 9624, not 9625"])
    rows = [row for key, row in tracked().items() if key[1] == "aorta"]
    assert {(row["status"], row["ours"]) for row in rows} == {("not run", "")}
    assert {row["reason"] for row in rows} == {"vessel is not the paper's: n_cells is 9624, not 9625"}
    assert "Of the paper's 7 datasets, in this run: none. Instead run: `vessel`, `blood`." in page()


def test_every_number_of_the_paper_is_one_line_with_ours_or_a_reason() -> None:
    rows = tracked()
    assert {key: float(row["paper"]) for key, row in rows.items()} == {(*n[:4], n[5]): n.value for n in PAPER.numbers}
    for row in rows.values():
        assert (row["ours"] == "") == (row["difference"] == "") == (row["status"] == "not run")
        assert row["ours"] or row["reason"]


def test_the_page_shows_what_ran_and_counts_what_did_not() -> None:
    rows = tracked()
    text = page()
    assert "Of the paper's 7 datasets, in this run: aorta (`vessel`). Also run: `blood`. " in text
    assert "in this run: genept_w (`text_w`), scgpt (`released`). Also run: `pca`." in text
    assert "`blood`: a stand-in." in text and "sentences.yaml is genept_s" in text
    c4 = ["0.88 / **0.9001** (+0.0201) / 0.9001", "0.91 / 0.9100 / 0.9100", "0.68 / 0.6600 / 0.6600"]
    c4.append("0.72 / **0.5000** (-0.2200) / 0.5000")
    assert ["aorta", "cell_type", "genept_w", *c4, "author", "9,625 / 9,625", "23.6%", ""] in printed_rows(str(PAGE))
    for name, section in PAPER.sections.items():
        counts = Counter(row["status"] for key, row in rows.items() if key[0] == name)
        expected = [section.title, *map(str, (counts.total(), *(counts[name] for name in tracking_page.STATUSES)))]
        assert expected in printed_rows(str(PAGE))
        assert f"Not run: {counts['not run']} of {counts.total()} numbers (" in text.split(f"## {section.title} ")[1]
    assert "released is not comparable: no counts (4)" in text  # of Table C4
    assert all(" ".join(oddity.evidence.split()) in text for oddity in PAPER.oddities)
    genes = [row[:6] for row in printed_rows(str(PAGE)) if row[2] == "23,331"]  # the other models noted nothing
    assert genes == [
        [
            "vessel",
            "text_w",
            "23,331",
            "5,501 (23.6%); 5,665 by exact name",
            "4.3%",
            "5,665 of 23,331 (the authors' notebook)",
        ],
        ["blood", "text_w", "23,331", "5,501 (23.6%); 5,665 by exact name", "4.3%", "\u2013"],
    ]


def test_the_page_follows_a_dataset_with_reference_and_query_without_counts_of_genes_or_cells() -> None:
    by_settings = rows_of("cell_type")
    by_reference = [["knn_reference", *row[1:4], row[4] - 0.2, *row[5:]] for row in by_settings if row[0] == "knn"]
    write_pair("vessel", "text_w", by_settings, [*by_settings, *by_reference])
    cells = {"n_file": 5000, "n_evaluated": 5000, "n_scored": 5000}
    write_record("vessel", paper="aorta", label_source="user", cells=cells, subset=None)
    rows = tracked()
    accuracy = rows["table_c4", "aorta", "cell_type", "genept_w", "accuracy"]
    decides = [accuracy[name] for name in ("ours", "status", "ours_repeated", "reason")]
    assert decides == ["0.7001", "differs", "", "from reference to query"]
    second = [accuracy[name] for name in ("second_reading", "second", "second_status")]
    assert second == ["random split of the query", "0.9001", "differs"]
    precision = rows["table_c4", "aorta", "cell_type", "genept_w", "precision_macro"]
    assert (precision["status"], precision["second_status"]) == ("differs", "reproduced")
    lines = [row[3:7] for row in printed_rows(str(PAGE)) if row[1] == "cell_type, random split of the query"]
    assert ["0.88 / **0.9001**", "0.91 / 0.9100", "0.68 / 0.6600", "0.72 / **0.5000**"] in lines
    assert "| user | 9,625 / 5,000 | \u2013 |" in page()
    assert accuracy["missing_gene_rate"] == ""
    assert rows["author_notebook", "aorta", "", "genept_w", "n_genes_missing_exact"]["status"] == "not run"
    assert rows["datasets", "aorta", "", "", "n_cells_full"]["status"] == "not run"  # the file may be a subset already
    assert rows["datasets", "aorta", "", "", "n_cells"]["difference"] == "-4625"


def test_the_authors_protocol_decides_and_the_run_of_the_settings_stands_beside_it() -> None:
    better = [[*row[:4], row[4] + 0.1, *row[5:]] for row in rows_of("cell_type")]
    write_pair("vessel", "text_w", better, rows_of("cell_type"))
    row = tracked()["table2", "aorta", "cell_type", "genept_w", "ari"]
    assert [row[name] for name in ("ours", "ours_repeated", "status")] == ["0.5500", "0.6500", "reproduced"]
    write_pair("vessel", "text_w", better, [])
    assert "has no scores by the authors' protocol" in report().output and report().exit_code == 1


def test_the_ensemble_is_the_papers_only_with_the_papers_members() -> None:
    for model in ("ensemble", "sentences"):
        for dataset in ("vessel", "blood"):
            write_pair(dataset, model, rows_of("cell_type"))
    key = ("table_c4", "aorta", "cell_type", "ensemble", "precision_macro")
    write_settings(Path(), {"grid": {"ensemble": ["released", "text_w", "pca"], "models": {"genept_s": ["sentences"]}}})
    assert tracked()[key]["status"] == "not run"
    write_settings(Path(), {"grid": {"ensemble": ["released", "text_w", "sentences"]}})
    row = tracked()[key]
    assert (row["status"], row["ours"], row["difference"]) == ("differs", "0.9100", "-0.0400")


def test_without_a_dataset_that_declares_the_paper_nothing_is_compared() -> None:
    write_record("vessel")
    rows = tracked()
    assert {row["reason"] for row in rows.values()} == {f"{row['dataset']} is not in the grid" for row in rows.values()}
    assert "Of the paper's 7 datasets, in this run: none. Instead run: `vessel`, `blood`." in page()
    assert "Not run: 108 of 108 numbers (not in the grid: aorta (24), myeloid (24)," in page()


def test_every_declaration_in_this_repository_names_the_papers_and_no_default_dataset_has_one() -> None:
    for folder, known in (("data", PAPER.datasets), ("models", PAPER.models)):
        for path in (ROOT / folder).glob("*.yaml"):
            claim = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("paper")
            assert claim is None or (claim in known and path.stem not in ("covid", "ovarian")), path


def outcome(annotation: str, task: str, scores: dict[tuple[str, str, str], Score]) -> tuple[Any, str]:
    metric = "ari" if task == "kmeans" else "accuracy"
    number = paper.Published("s", "d", annotation, "m", task, metric, 0.04)
    row = tracking.score(tracking.Tracked(number), Pair("ours", "m", {}, {}, scores), tolerance=0.02)
    return row.ours, row.reason


def test_ages_in_bins_stand_for_ages_and_what_could_not_be_scored_is_not_run() -> None:
    bins, ages = ({("kmeans", name, "ari"): Score(value)} for name, value in (("age_bin", 0.2), ("age", 0.1)))
    assert outcome("age", "kmeans", bins) == (0.2, "ages in bins")
    assert outcome("age", "kmeans", {**bins, **ages}) == (0.1, "ages as they are")
    one_class = {("labels", "phenotype", "n_classes"): Score(1.0, notes=("one class",))}
    assert outcome("phenotype", "logreg", one_class) == (None, "one class")
    clusters = {("kmeans", "phenotype", "ari"): Score(0.1)}
    assert outcome("phenotype", "logreg", clusters) == (None, "no logreg of phenotype in this run")
