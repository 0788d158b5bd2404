"""``plots/scores.csv``: the main scores with their ranges in long form, for the first picture of `dvc plots`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from genept.report.pairs import BOUNDS, Pair, Run, Score
from genept.report.printing import csv_text, decimals
from genept.report.summary import kinds

COLUMNS = ("dataset", "model", "kind", "metric", "value", "low", "high")


class Bar(NamedTuple):
    """A score of each model; the split None is the default one of the annotation."""

    name: str
    task: str
    annotation: str
    metric: str
    split: str | None


BARS = (  # each has an axis of its own
    Bar("Accuracy", "knn", "cell_type", "accuracy", "random"),
    Bar("Accuracy, new donors", "knn", "cell_type", "accuracy", "donors"),
    Bar("F1, macro", "knn", "cell_type", "f1_macro", "random"),
    Bar("ARI", "kmeans", "cell_type", "ari", ""),
    Bar("AMI", "kmeans", "cell_type", "ami", ""),
    Bar("ASW", "silhouette", "cell_type", "asw", ""),
    Bar("Phenotype accuracy", "logreg", "phenotype", "accuracy", None),
    Bar("Patient ARI: lower is better", "kmeans", "patient", "ari", ""),
)


def as_csv(run: Run) -> str:
    """Write the scores in the order of the tables."""
    return csv_text(COLUMNS, lines_of(run))


def lines_of(run: Run) -> Iterator[tuple[str, ...]]:
    """Yield a line for each dataset, score and model, without numbers where there are none: no panel is missing.

    A kind is that of the summary, ``baseline`` or ``bounds``. A score that no pair has is left out.
    """
    kind_of = {model: kind for kind, models in {**kinds(run), "bounds": BOUNDS}.items() for model in models}
    kind_of[run.params.baseline] = "baseline"
    scores = {bar: [score_of(run, pair, bar) for pair in run.pairs] for bar in BARS}
    used = [bar for bar, of_bar in scores.items() if any(of_bar)]
    for dataset in run.records:
        for bar in used:
            for pair, score in zip(run.pairs, scores[bar], strict=True):
                if pair.dataset == dataset:
                    numbers = map(decimals, (score.value, score.low, score.high) if score else [None] * 3)
                    yield dataset, pair.model, kind_of[pair.model], bar.name, *numbers


def score_of(run: Run, pair: Pair, bar: Bar) -> Score | None:
    """Return a score of a pair, None where it has none."""
    split = run.default_split(pair.dataset, bar.annotation) if bar.split is None else bar.split
    return pair.scores.get((bar.task, bar.annotation, split, bar.metric))
