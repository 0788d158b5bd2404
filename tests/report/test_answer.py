"""The answer is computed: each sentence follows from the results, and changes with them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from genept.core import params as parameters
from genept.report import answer, pairs, paper, significance, text_effect, tracking, tracking_rows, verdicts
from genept.report.text_effect import Line
from tests.report import comparisons
from tests.report.made import report


def sentences() -> list[str]:
    assert report().exit_code == 0
    first, _, _ = Path("metrics/answer.md").read_text(encoding="utf-8").partition("\n\n")
    return [" ".join(text.split()) for text in re.split(r"^- ", first, flags=re.MULTILINE)[1:]]


def line(versus: str, metric: str, low: float, high: float) -> Line:
    n_draws = None if versus == "expression" else 10
    return Line("blood", "cell_type", metric, "cosine", "text_w", 0.7, versus, 0.6, 0.1, low, high, 0.5, None, n_draws)


def test_the_answer_of_a_small_run_by_hand(project: Path) -> None:
    tested, accurate, text, of_the_paper = sentences()
    assert tested == (
        "3 models, 1 control and 2 fine-tuned heads were scored on `blood` (9,625 cells, 10 donors, 11 cell types) and "
        "`tumour` (9,625 cells, 10 donors, 11 cell types); `blood` and `tumour` are not of the paper."
    )
    # Of blood's models, .1 to .45, only one less than .081 below the highest cannot be told from it; with donors held
    # out nothing was tested on tumour, whose control is not comparable.
    assert accurate == (
        "Highest accuracy of cell types among models and controls: on `blood`, donors held out, `ensemble` 0.450 "
        "[.400, .500]; on `tumour`, random split (no test possible with 6 donors), `text_w` 0.550 [.524, .576] and "
        "`expression` 0.500 [.474, .526], which no test tells apart."
    )
    assert text == (
        "Text helps: `text_w` is better than every control in 16 of 16 scores (than `random_w` better in 16, worse in "
        "0; than `expression` better in 16, worse in 0)."
    )
    n = len(paper.load().numbers)
    assert of_the_paper.startswith(f"None of the paper's {n} numbers was tested")


def test_one_of_a_kind_is_singular(project: Path) -> None:
    run = pairs.read(parameters.load())
    run.records["blood"]["annotations"]["patient"]["n_labels_scored"] = 1
    said = answer.tested(dataclasses.replace(run, pairs=run.pairs[:1]))
    assert said.startswith("1 model was scored on `blood` (9,625 cells, 1 donor, 11 cell types)")


BETTER, WORSE, ALIKE = (0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)


@pytest.mark.parametrize(
    ("by_control", "begin", "counted"),
    [
        ({"random_w": [BETTER, BETTER]}, "Text helps:", "2 of 2 scores (than `random_w` better in 2, worse in 0)"),
        ({"random_w": [BETTER, ALIKE]}, "Text helps in some scores:", "1 of 2 scores (than `random_w` better in 1,"),
        ({"random_w": [BETTER, ALIKE], "shuffled_w": [WORSE, BETTER]}, "Text does not help:", "in 0 of 2 scores"),
        (
            {"random_w": [ALIKE], "expression": [BETTER]},
            "Text does not help:",
            "than `expression` better in 1, worse in 0",
        ),
        ({"random_w": [BETTER], "expression": [WORSE]}, "Text helps:", "than `expression` better in 0, worse in 1"),
        (
            {"expression": [WORSE, BETTER]},
            "Without a control",
            "(than `expression` better in 1, worse in 1 of 2 scores)",
        ),
    ],
)
def test_text_helps_where_it_is_better_than_every_control(
    by_control: dict[str, list[tuple[float, float]]], begin: str, counted: str
) -> None:
    pairs = [(versus, zip(("ari", "accuracy"), ends, strict=False)) for versus, ends in by_control.items()]
    said = answer.effect_of_text([line(versus, metric, *end) for versus, some in pairs for metric, end in some])
    assert said.startswith(begin) and counted in said


def test_without_effects_nothing_is_said_of_text() -> None:
    assert answer.effect_of_text([]) == ""


def test_the_verdicts_of_a_run_of_the_paper_are_counted(project: Path) -> None:
    published = paper.load()
    run = pairs.read(parameters.load())
    named = tracking.counterparts(published, run)
    numbers = tracking.track(published, run, named)
    rows = tracking_rows.judge_rows(numbers, published, run)
    numbers[3] = numbers[3]._replace(ours=0.5)
    given = [verdict for n, verdict in enumerate(verdicts.VERDICTS, start=1) for _ in range(n)]
    rows[: len(given)] = [
        row._replace(verdict=row.verdict._replace(verdict=verdict)) for row, verdict in zip(rows, given, strict=False)
    ]
    said = answer.of_the_paper(published, named, numbers, rows)
    counted = f"1 reproduced, 2 inconclusive, 3 differs, 4 not comparable and {len(rows) - 10} not run."
    assert said.startswith(f"1 of the paper's {len(numbers)} numbers was tested; of its {len(rows)} rows: {counted}")
    assert said.endswith(f"Nothing follows for {answer.joined(published.datasets)}, which were not run.")


def test_a_dataset_without_donors_is_answered_by_its_random_split(project: Path) -> None:
    path = Path("metrics/full")
    for file in path.glob("tumour/*.csv"):
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(text for text in lines if ",donors," not in text))
    _, accurate, *_ = sentences()
    assert "on `tumour`, random split," in accurate and accurate.count("random split") == 1
    table = Path("metrics/answer.md").read_text(encoding="utf-8")
    assert re.search(r"\| Model +\| +blood, donors held out \| +tumour, random split \|", table)


def test_one_dataset_with_nothing_to_choose_has_no_sentence_on_accuracy(project: Path) -> None:
    for dataset in ("blood", "tumour"):
        comparisons.write_csv(Path(f"metrics/comparisons/{dataset}/models.csv"), comparisons.MODELS, [])
    assert not any("accuracy" in text for text in sentences())
    assert significance.read_comparisons("blood") == {} and text_effect.read(["blood"])


def test_of_many_datasets_the_answer_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "SPELLED_OUT", 1)
    tested, accurate, *_ = sentences()
    assert "2 datasets (19,250 cells): `blood` and `tumour`;" in tested
    assert accurate.endswith("of 2 datasets: `ensemble` on 1, `text_w` on 1 and `expression` on 1.")
