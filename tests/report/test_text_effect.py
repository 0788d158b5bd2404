"""Sentences on the effect of text follow from the intervals of its differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from genept.report import text_effect
from tests.report import comparisons
from tests.report.made import read_csv, report, texts

CENTRED = {(metric, "centred_cosine", "random_w"): 0.0 for metric in ("accuracy", "f1_macro")}
FULL = {("ari", "full k-means", "random_w"): -0.2}
ACCURACY = {("accuracy", setting, "random_w"): 0.0 for setting in comparisons.SETTINGS["accuracy"]}
ALL = {(metric, setting, "random_w"): 0.0 for metric, some in comparisons.SETTINGS.items() for setting in some}


@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        ({}, "text helps, by all 8 scores."),
        (ALL, "text does not help (no difference in 8 of 8 scores)."),
        (ALL | FULL, "text does not help (hurts in 1, no difference in 7 of 8 scores)."),
        (
            CENTRED,
            "whether text helps depends on the distance (helps: accuracy and F1 by cosine, accuracy and F1 by "
            "euclidean, ARI by mini-batch k-means, ARI by full k-means; no difference: accuracy and F1 by centred "
            "cosine).",
        ),
        (CENTRED | FULL, "whether text helps depends on the distance and on the clustering (helps: accuracy and F1"),
        (FULL, "whether text helps depends on the clustering (helps: "),
        (ACCURACY, "whether text helps depends on the score (helps: F1 by cosine, "),
    ],
)
def test_a_sentence_is_computed_from_the_intervals(
    project: Path, differences: dict[tuple[str, str, str], float], sentence: str
) -> None:
    comparisons.write_text("blood", differences)
    lines = [line for line in text_effect.read(["blood"]) if line.versus == "random_w"]
    (text,) = text_effect.sentences(lines)
    assert text.startswith(f"`blood`, `text_w` less `random_w`: {sentence}")
    assert text.endswith(" With 10 draws no p can be below .091.")


def test_datasets_are_told_apart_and_together(project: Path) -> None:
    comparisons.write_text("tumour", ALL)
    page = texts()["text_effect"]
    assert "- All datasets, `text_w` less `random_w`: whether text helps depends on the dataset (helps in 8, no" in page
    assert "- `tumour`, `text_w` less `random_w`: text does not help (no difference in 8 of 8 scores)." in page
    assert "- `tumour`, `text_w` less `expression`: text helps, by all 8 scores." in page
    assert "| accuracy, cosine | 0.700 | 0.600 | 0.100 [.050, .150] | .091 | helps |" in page
    row = read_csv("metrics/text_effect.csv")[-1]
    numbers = {"difference": "0.1000", "low": "0.0500", "high": "0.1500", "p": "0.0100", "p_min": "", "n_draws": ""}
    assert row.items() >= {"dataset": "tumour", "setting": "full k-means", "result": "helps", **numbers}.items()


def test_a_grid_without_text_says_so_and_no_interval_is_no_test(project: Path) -> None:
    line = text_effect.read(["blood"])[0]
    assert text_effect.sentences([line._replace(low=None)])[0].endswith("no test is possible. With 10 draws no p can"
                                                                        " be below .091.")  # fmt: skip
    for dataset in ("blood", "tumour"):
        comparisons.write_csv(Path(f"metrics/comparisons/{dataset}/text.csv"), comparisons.TEXT, [])
    assert "no GenePT-w model to compare" in texts()["text_effect"]
    assert report("--show").exit_code == 0
