"""The summary is the mean of scaled values, controls and fine-tuned models apart."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.report.made import read_csv, report


def rescale(dataset: str, model: str, scaled: dict[tuple[str, str, str, str], float | str]) -> None:
    """Give some scores of a pair other scaled values."""
    path = Path(f"metrics/full/{dataset}/{model}.csv")
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        key = row["task"], row["annotation"], row["split"], row["metric"]
        row["scaled"] = scaled.get(key, row["scaled"])
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_a_summary_is_the_mean_of_scaled_values_by_hand(project: Path) -> None:
    scaled: dict[tuple[str, str, str, str], float | str] = {
        ("kmeans", "cell_type", "", "ari"): 0.2,
        ("kmeans", "cell_type", "", "ami"): 0.4,
        ("knn", "cell_type", "random", "accuracy"): 1.3,  # cut to 1
        ("knn", "cell_type", "random", "f1_macro"): 0.6,
        ("knn", "cell_type", "donors", "accuracy"): -0.2,  # cut to 0
        ("knn", "cell_type", "donors", "f1_macro"): "",  # undefined
        ("logreg_standardised", "phenotype", "random", "balanced_accuracy"): 0.9,
        ("logreg_standardised", "phenotype", "random", "auroc"): 0.7,
    }
    rescale("blood", "text_w", scaled)
    report()
    rows = {(row["dataset"], row["model"]): row for row in read_csv("metrics/summary.csv")}
    names = ("clustering", "random", "donors", "phenotype", "mean")
    printed = [float(rows["blood", "text_w"][name]) for name in names]
    assert printed == pytest.approx([0.3, 0.8, 0.0, 0.8, (0.3 + 0.8 + 0 + 0.8) / 4], abs=1e-4)
    # The other dataset, where every scaled value is .5, has no phenotype.
    together = [float(rows["all datasets", "text_w"][name]) for name in names]
    assert together == pytest.approx([0.4, 0.65, 0.25, 0.8, (0.475 + 0.5) / 2], abs=1e-4)
    assert rows["tumour", "text_w"]["phenotype"] == rows["blood", "ensemble"]["clustering"] == ""
    groups = {row["model"]: row["annotation"] for row in rows.values()}
    assert (groups["ensemble"], groups["random_w"], groups["random_tuned"]) == ("models", "controls", "fine-tuned")
    assert not {"majority", "random_cells", "supervised"} & set(groups)
    assert rows["blood", "tuned"]["note"] == "clustering: clusters of test cells only"
