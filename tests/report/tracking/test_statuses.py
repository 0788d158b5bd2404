"""Statuses and differences of the lines, as computed by hand and as they follow from the numbers."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from tests.report.scored import write_pair
from tests.report.tracking.made import report, rows_of, save
from tests.report.tracking.source import SOURCE, leaves

UNSTATED = ("n_cells", "n_cells_paper", "missing_gene_rate", "label_source")


def test_statuses_follow_from_hand_computed_differences(project):
    rows = report()

    def of(section: str, metric: str) -> tuple[str, ...]:
        row = rows[section, "aorta", "cell_type", "genept_w", metric]
        return row["paper"], row["ours"], row["difference"], row["status"]

    assert of("table2", "ari") == ("0.54", "0.5500", "+0.0100", "reproduced")
    assert of("table2", "ami") == ("0.60", "0.6500", "+0.0500", "differs")
    assert of("table2", "asw") == ("0.03", "0.0500", "+0.0200", "reproduced")
    assert of("table_c4", "accuracy") == ("0.88", "0.9001", "+0.0201", "differs")
    assert of("table_c4", "precision_macro") == ("0.91", "0.9100", "+0.0000", "reproduced")
    assert of("table_c4", "recall_macro") == ("0.68", "0.6600", "-0.0200", "reproduced")
    assert of("table_c4", "f1_macro") == ("0.72", "0.5000", "-0.2200", "differs")
    row = rows["table2", "aorta", "cell_type", "genept_w", "ari"]
    assert [row[name] for name in UNSTATED] == ["9625", "9625", "0.2428", "author"]


def test_what_was_not_run_says_why_and_has_no_value_of_ours(project):
    rows = report()
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
        row = rows[key]
        assert (row["status"], row["reason"], row["ours"], row["difference"]) == ("not run", reason, "", ""), key
    mislabelled = rows["author_notebook", "aorta", "cell_type", "genept_s", "accuracy"]
    assert "on the GenePT-w matrix" in mislabelled["reason"]


def test_counts_must_be_equal(project):
    rows = report()

    def of(annotation: str, metric: str, section: str = "datasets", model: str = "") -> tuple[str, ...]:
        row = rows[section, "aorta", annotation, model, metric]
        return row["paper"], row["ours"], row["difference"], row["status"]

    assert of("", "n_cells") == ("9625", "9625", "+0", "reproduced")
    assert of("", "n_cells_full") == ("48082", "48000", "-82", "differs")
    assert of("cell_type", "n_labels") == ("11", "11", "+0", "reproduced")  # Unknown is no label
    assert of("patient", "n_labels") == ("11", "10", "-1", "differs")
    assert of("", "n_genes_missing", "author_notebook", "genept_w") == ("5665", "5665", "+0", "reproduced")


def test_every_number_of_the_data_file_is_one_line(project):
    rows = report()
    expected = [leaf for section in SOURCE["sections"] for leaf in leaves(section)]
    assert Counter(key for key, _ in expected) == Counter(rows.keys())
    for key, value in expected:
        assert float(rows[key]["paper"]) == value, key


def test_statuses_and_differences_follow_from_the_line(project):
    for key, row in report().items():
        assert row["status"] in ("reproduced", "differs", "not run")
        assert (row["ours"] == "") == (row["difference"] == "") == (row["status"] == "not run"), key
        if row["status"] == "not run":
            assert row["reason"], key
            continue
        difference = Decimal(row["ours"]) - Decimal(row["paper"])
        assert difference == Decimal(row["difference"])
        limit = 0 if row["metric"].startswith("n_") else Decimal("0.02")
        assert (row["status"] == "reproduced") == (abs(difference) <= limit), key


def test_a_wider_tolerance_reproduces_more(project):
    project["report"]["tracking"]["tolerance"] = 0.3
    save(project)
    rows = report()
    assert rows["table_c4", "aorta", "cell_type", "genept_w", "f1_macro"]["status"] == "reproduced"
    assert rows["datasets", "aorta", "patient", "", "n_labels"]["status"] == "differs"


def test_scores_without_numbers_of_genes_leave_the_rate_open(project):
    write_pair("vessel", "text_w", rows_of("cell_type"))
    rows = report()
    row = rows["table2", "aorta", "cell_type", "genept_w", "ari"]
    assert (row["status"], row["missing_gene_rate"]) == ("reproduced", "")
    assert rows["author_notebook", "aorta", "", "genept_w", "n_genes_missing"]["status"] == "not run"
