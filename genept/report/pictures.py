"""What the pictures of scores show: matrices of paired differences, and curves of predicted probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from genept.core.params import MAJORITY
from genept.core.readers import number, optional, read_table
from genept.core.text import shorten
from genept.plots.scores import Curve, Curves, Matrix
from genept.report import captions, main_scores, significance
from genept.report.pairs import BOUNDS, Key, Run
from genept.report.records import METRICS
from genept.report.significance import Differences

PROBABILITIES = METRICS / "probabilities"
HOW = {"logreg": "coordinates as they are, as the authors", "logreg_standardised": "standardised coordinates"}
SPLITS = {"random": "random split", "donors": "donors held out"}
GRID = np.linspace(0, 1, 201)  # false positive rates and recalls at which curves of several classes are averaged


def matrices(run: Run, dataset: str, comparisons: Mapping[Key, Differences]) -> list[Matrix]:
    """Return the matrices of a dataset: accuracy by both splits, F1 and ARI of cell types, accuracy of phenotypes."""
    k = captions.neighbours(run.params)
    shown: list[tuple[Key, str, str]] = [
        (("knn", "cell_type", "random", "accuracy"), "Accuracy, random split", f"cell type by {k}"),
        (("knn", "cell_type", "donors", "accuracy"), "Accuracy, donors held out", f"cell type by {k}"),
        (("knn", "cell_type", "random", "f1_macro"), "Macro F1, random split", f"cell type by {k}"),
        (("kmeans", "cell_type", "", "ari"), "ARI (adjusted Rand index)", "clusters of all cells against cell types"),
    ]
    for label in run.params.evaluate.logreg.labels:
        split = run.default_split(dataset, label)
        key = "logreg_standardised", label, split, "accuracy"
        shown.append((key, f"Accuracy of {label}, {SPLITS[split]}", "logistic regression, standardised coordinates"))
    return [matrix_of(run, comparisons[key], title, note) for key, title, note in shown if key in comparisons]


def matrix_of(run: Run, differences: Differences, title: str, note: str) -> Matrix:
    """Arrange the differences of one score in the order of the rows; NaN where no test is possible."""
    models = [name for name in run.params.grid.scored if any(name in pair for pair in differences)]
    values = np.full((len(models), len(models)), np.nan)
    stars = np.zeros(values.shape, dtype=bool)
    for i, model in enumerate(models):
        for j, other in enumerate(models):
            difference = differences.get((model, other))
            if difference and difference.p is not None:
                values[i, j] = difference.value
    for model, other in significance.significant(models, differences):
        i, j = models.index(model), models.index(other)
        stars[i, j] = stars[j, i] = True
    if np.isnan(values).all():
        reasons = dict.fromkeys(difference.note for difference in differences.values() if difference.note)
        note = "; ".join([note, *reasons])
    between = np.ix_(*[[i for i, model in enumerate(models) if model not in BOUNDS]] * 2)
    limit = np.nanmax(np.abs(values[between]), initial=0.01)
    return Matrix(title, note, models, values, stars, float(limit))


def difference_caption(run: Run, dataset: str) -> str:
    """Explain the matrices."""
    return (
        f"{about(run, dataset)} A cell is the score of the row's model less that of the column's, paired: over "
        f"{captions.count(run.params.evaluate.repeats, 'random split')} (Nadeau and Bengio's corrected variance), over "
        "donors (their predictions exchanged at random), or over the seeds of k-means. Red: the row's model is better. "
        f"Star: p below {significance.LEVEL:g}, adjusted by Holm over all pairs of the panel. Grey: no test possible. "
        "The scale is that of the models; what they lie between may be beyond it."
    )


def curves(run: Run, dataset: str) -> list[Curves]:
    """Return the curves of a dataset, for each annotation that is predicted and each way of predicting it."""
    looks = main_scores.looks(run)
    found = []
    for label in run.params.evaluate.logreg.labels:
        split = run.default_split(dataset, label)
        for task, how in HOW.items():
            tables = list(probabilities(run, dataset, label, task, split))
            if not tables:
                continue
            classes = positives(tables[0][1])
            roc, precision_recall = [], []
            for model, table in tables:
                points = [points_of((table["actual"] == name).to_numpy(), table[name].to_numpy()) for name in classes]
                roc.append(Curve(model, looks[model], *average([(x, y) for x, y, *_ in points])))
                precision_recall.append(Curve(model, looks[model], *average([(x, y) for *_, x, y in points])))
            share = float(np.mean([(tables[0][1]["actual"] == name).mean() for name in classes]))
            of = (
                f"positive: {shorten(classes[0])}"
                if len(classes) == 1
                else f"mean of {len(classes)} classes against the rest"
            )
            found.append(Curves(f"{label}, {SPLITS[split]}; {how} ({of})", roc, precision_recall, share))
    return found


def curve_caption(run: Run, dataset: str) -> str:
    """Explain the curves."""
    logreg = run.params.evaluate.logreg
    return (
        f"{about(run, dataset)} Probabilities of cells that the logistic regression (C = {logreg.C:g}, at most "
        f"{captions.count(logreg.max_iter, 'iteration')}) was not fitted to. Left: ROC curves; the broken line is a "
        "constant answer. Right: precision and recall; a constant answer has the precision of the broken line, the "
        "share of the positive class. A random split is the first of the run. With donors held out, "
        "all folds are one curve; where folds differ in their share of the class, a classifier that has learned "
        "nothing lies below the broken line. The AUROC of the tables compares cells within folds only."
    )


def about(run: Run, dataset: str) -> str:
    """Name the dataset, with its note."""
    note, sizes = run.records[dataset]["note"], run.sampled(dataset)
    drawn = f" Predictions are of at most {sizes[0]:,} of {sizes[1]:,} cells, drawn by seed." if sizes else ""
    return f"Dataset {dataset}{f' ({note})' if note else ''}.{drawn}"


def probabilities(run: Run, dataset: str, label: str, task: str, split: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the predicted probabilities of each model that has a score, but of the constant answer."""
    for pair in run.pairs:
        score = pair.scores.get((task, label, split, "accuracy"))
        if pair.dataset == dataset and pair.model != MAJORITY and score and score.value is not None:
            table = read_probabilities(PROBABILITIES / dataset / label / f"{pair.model}.csv", dataset)
            table = table[(table["task"] == task) & (table["split"] == split)]
            if len(table) or pair.model not in BOUNDS:
                yield pair.model, table


def read_probabilities(path: Path, dataset: str) -> pd.DataFrame:
    """Read the predicted probabilities of one model; labels stay text, a class that a row does not have is NaN."""
    texts = dict.fromkeys(("cell_id", "task", "split", "actual"), str)
    return pd.DataFrame(read_table(path, texts, f"evaluate@{dataset}", others=lambda name: optional(number)))


def positives(table: pd.DataFrame) -> list[str]:
    """Return the classes whose curves are drawn: of two the rarer one, of more all, if cells have and have not it."""
    counts = table["actual"].value_counts().sort_index()
    names = [name for name in table.columns[4:] if 0 < counts.get(name, 0) < len(table)]
    return [min(names, key=lambda name: counts[name])] if len(names) == 2 else names


def points_of(actual: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return false and true positive rates, then recalls and precisions, of one class against the rest.

    One point for each threshold, cells of equal probability together; recall ends where all positives are found.
    """
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)  # of each threshold
    true = np.cumsum(actual[order])[last]
    called = last + 1.0
    recall, precision = true / true[-1], true / called
    false = (called - true) / (len(order) - true[-1])
    n_needed = int(np.argmax(recall == 1)) + 1
    origin = np.zeros(1)
    curves = np.concatenate([origin, false]), np.concatenate([origin, recall])
    return *curves, recall[:n_needed], precision[:n_needed]


def average(lines: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of lines over a grid of x; a single line stays as it is."""
    if len(lines) == 1:
        return lines[0]
    return GRID, np.mean([np.interp(GRID, x, y) for x, y in lines], axis=0)
