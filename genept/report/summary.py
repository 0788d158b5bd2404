"""``metrics/summary``: what each model reaches between floor and label, the first screen of the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import NamedTuple

from genept.core.params import ENSEMBLE, Params
from genept.report import captions
from genept.report.pairs import BOUNDS, Pair, Run, Score
from genept.report.table import Column, Group, Row, Table

ALL = "all datasets"
TEST_CELLS = "clusters of test cells only"


class Part(NamedTuple):
    """A column of the summary: the mean of the scaled values of some scores of one task, split and annotation."""

    name: str
    heading: str
    task: str
    metrics: tuple[str, ...]
    split: str = ""  # of a phenotype: its default reading
    is_phenotype: bool = False


PARTS = (
    Part("clustering", "Clustering", "kmeans", ("ari", "ami")),
    Part("random", "New cells", "knn", ("accuracy", "f1_macro"), "random"),
    Part("donors", "New donors", "knn", ("accuracy", "f1_macro"), "donors"),
    Part("phenotype", "Phenotype", "logreg_standardised", ("balanced_accuracy", "auroc"), is_phenotype=True),
)
COLUMNS = tuple(
    Column(name, heading, "", "", best=False)
    for name, heading in (("mean", "Mean"), *((part.name, part.heading) for part in PARTS))
)


def summary(run: Run) -> Table:
    """Summarise all models on each dataset and, if there are several, the means over datasets; controls set apart."""
    datasets = list(run.records)
    rows = {dataset: list(rows_of(run, dataset)) for dataset in datasets}
    if len(datasets) > 1:
        rows = {ALL: over_datasets(rows.values())} | rows
    groups = [
        Group(dataset, title, COLUMNS, [row for row in of_dataset if row.model in members])
        for dataset, of_dataset in rows.items()
        for title, members in kinds(run).items()
    ]
    return Table(
        "summary",
        "Summary: from floor (0) to the label itself (1)",
        explain(run.applied),
        COLUMNS,
        (),
        [group for group in groups if group.rows],
        parts=(),
        heading="Rows",
    )


def explain(params: Params) -> str:
    """Say what the numbers are."""
    donors = after = ""
    if params.evaluate.split.groups:
        held_out = captions.HELD_OUT.get(params.evaluate.split.groups, "groups")
        donors = f"New donors: the same with whole {held_out} held out. "
        after = f", whole {held_out} held out where all their cells share the label"
    return (
        "Each number is a mean of scaled scores: 0 is the floor (the higher of `majority` and `random_cells`), 1 the "
        "label itself; scores below the floor are cut to 0. Clustering: ARI (adjusted Rand index) and AMI (adjusted "
        f"mutual information) of cell types, by {captions.clustering(params)}. New cells: accuracy and macro F1 of "
        f"cell types in random splits, by {captions.neighbours(params)} "
        f"({captions.DISTANCES[params.evaluate.metric]}). {donors}Phenotype: balanced accuracy and AUROC (area under "
        f"the ROC curve) of the logistic regression on standardised coordinates{after}. Mean: of the columns, for "
        "models that have all. Fine-tuned models have learned from the labels of other cells; controls have gene "
        "vectors without meaning."
    )


def kinds(run: Run) -> dict[str, list[str]]:
    """Return the rows that are set apart: models, controls, what is fine-tuned."""
    grid = run.params.grid
    fitted = [*grid.models.finetuned, *grid.heads_on_controls]
    plain = [name for name in grid.models.names if name not in (*grid.models.controls, *fitted)]
    return {"models": [*plain, ENSEMBLE], "controls": grid.models.controls, "fine-tuned": fitted}


def rows_of(run: Run, dataset: str) -> Iterator[Row]:
    """Yield the summary of each model on a dataset; one that lacks a column that another has, has no mean."""
    own = [pair for pair in run.pairs if pair.dataset == dataset and pair.model not in BOUNDS]
    scores = {pair.model: [score_of(run, pair, part) for part in PARTS] for pair in own}
    present = [any(column) for column in zip(*scores.values(), strict=True)]
    for model, of_model in scores.items():
        is_whole = present == [score is not None for score in of_model]
        yield Row(model, (mean(of_model) if is_whole else None, *of_model))


def score_of(run: Run, pair: Pair, part: Part) -> Score | None:
    """Return the mean scaled value of one column; clusters are of test cells where there are no others."""
    annotation, split = "cell_type", part.split
    if part.is_phenotype:
        scored = [
            label for label in run.params.evaluate.logreg.labels if pair.score(part.task, label, "auroc", "random")
        ]
        if not scored:
            return None
        annotation, split = scored[0], run.default_split(pair.dataset, scored[0])
    score = mean(pair.scores.get((part.task, annotation, split, metric)) for metric in part.metrics)
    if score is None and part.task == "kmeans":
        score = mean(pair.scores.get((part.task, annotation, "random", metric)) for metric in part.metrics)
        return score and score._replace(notes=(TEST_CELLS,))
    return score


def mean(scores: Iterable[Score | None]) -> Score | None:
    """Return the mean of scaled values, from 0 to 1; None if no score has one."""
    scaled = [score.scaled for score in scores if score and score.scaled is not None]
    value = fmean(min(1.0, max(0.0, one)) for one in scaled) if scaled else None
    return None if value is None else Score(value, scaled=value)


def over_datasets(rows: Iterable[list[Row]]) -> list[Row]:
    """Return the means over datasets, of each model and column."""
    by_model: dict[str, list[Row]] = {}
    for row in (row for of_dataset in rows for row in of_dataset):
        by_model.setdefault(row.model, []).append(row)
    return [
        Row(model, tuple(mean(scores) for scores in zip(*(row.scores for row in some), strict=True)))
        for model, some in by_model.items()
    ]
