"""Why a row cannot be compared with others, or one of the paper with ours: other cells, labels, settings or genes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from genept.core.params import AUTHORS, ENSEMBLE, Evaluate
from genept.report.captions import flat
from genept.report.pairs import NOT_COMPARABLE, Pair, Run, Score
from genept.report.paper import Paper, Published
from genept.report.text_effect import Line

CONSTANT = "predicts one class"  # begins the note of a classifier that gives all test cells one label
MISSING_GENES = 0.01  # largest difference of the share of genes without a vector or token
MOST = 0.5  # of the counts, or of the cells: a model that misses more is not compared
SOURCES = {"annotation": "by clusters and markers", "user": "by the user"}


def mark(run: Run) -> Run:
    """Note on each score of a row whose model misses most of the counts that it is not comparable with others.

    Its cells are told apart by what few genes are left: those of a head on a control are the control's, those of an
    ensemble its members'.
    """
    pairs = [
        dataclasses.replace(
            pair,
            scores={key: noted_on(score, note) for key, score in pair.scores.items()},
            by_authors={key: noted_on(score, note) for key, score in pair.by_authors.items()},
        )
        if (note := misses_most(run, pair.dataset, pair.model))
        else pair
        for pair in run.pairs
    ]
    return dataclasses.replace(run, pairs=pairs)


def noted_on(score: Score, note: str) -> Score:
    """Return a score with a further note."""
    return score._replace(notes=(*score.notes, note))


def misses_most(run: Run, dataset: str, model: str) -> str:
    """Say that a row rests on a model that misses most of the counts of a dataset; empty if it does not."""
    grid = run.params.grid
    _, control = grid.heads_on_controls.get(model, ("", model))
    for name in grid.ensemble if model == ENSEMBLE else (control,):
        if (pair := run.pair(dataset, name)) is None:
            continue
        share = pair.noted("share_of_counts_missing") or 0.0
        without = pair.scores.get(("embedding", "", "", "n_cells_without_gene"))
        n_without, n_cells = (without.value or 0, without.n_cells or 0) if without else (0, 0)
        who = f"`{name}`" if name != model else "the model"
        if share > MOST:
            return f"{NOT_COMPARABLE}: {who} knows no gene of {share:.0%} of the counts"
        if n_without > MOST * n_cells:
            return f"{NOT_COMPARABLE}: {who} knows no gene of {n_without:,.0f} of {n_cells:,} cells"
    return ""


def of_comparable(run: Run, lines: Iterable[Line]) -> list[Line]:
    """Keep the comparisons of text on datasets whose counts it does not mostly miss."""
    return [line for line in lines if not misses_most(run, line.dataset, line.text)]


def reasons(
    numbers: Sequence[Published], scores: Sequence[Score], paper: Paper, run: Run, pair: Pair
) -> tuple[str, ...]:
    """Return every reason against comparing printed numbers of one row with the scores of a pair.

    Whether dataset and model are the paper's, so the checkpoint too, is what their files declare as ``paper:``. The
    averages need no check: precision by macro average and weighted precision are different metrics.
    """
    record = run.records[pair.dataset]
    found = [
        *dict.fromkeys(number.not_comparable for number in numbers if number.not_comparable),
        *noted(scores),
        *cells_and_labels(numbers[0], paper, record),
        *settings(numbers, paper, run.params.protocols[AUTHORS]),
        *missing_genes(numbers[0], paper, pair),
    ]
    return tuple(dict.fromkeys(found))


def noted(scores: Iterable[Score]) -> Iterator[str]:
    """Find what the scores' own notes say: an embedding that is not the model's, or a constant classifier."""
    for note in (note for score in scores for note in score.notes):
        if NOT_COMPARABLE in note or note.startswith(CONSTANT):
            yield note


def cells_and_labels(number: Published, paper: Paper, record: dict[str, Any]) -> Iterator[str]:
    """Compare who labelled the cells and how many cells and labels are scored, as far as the paper says it."""
    if record["label_source"] != "author":
        yield f"labels {SOURCES.get(record['label_source'], record['label_source'])}, not by the authors"
    n_cells, theirs = record["cells"]["n_scored"], paper.n_cells(number.dataset)
    if theirs is not None and n_cells != theirs:
        yield f"{n_cells:,} cells, the paper has {theirs:,}"
    annotation = record["annotations"].get(number.annotation)
    for n_labels in paper.counts(number.dataset, number.annotation, "n_labels"):
        if annotation and annotation["n_labels_scored"] != n_labels:
            yield f"{annotation['n_labels_scored']} labels, the paper has {n_labels}"


def settings(numbers: Iterable[Published], paper: Paper, evaluate: Evaluate) -> Iterator[str]:
    """Find settings of our run of the authors' protocol that are not theirs: k-means, split, neighbours, regression."""
    ours = flat(evaluate.model_dump())
    for number in numbers:
        for key, theirs in paper.protocol.get(number.task, {}).items():
            theirs = "null" if theirs is None else theirs
            matters = number.annotation == "patient" or key != "kmeans.pca_for_patient"
            if matters and ours[key] != theirs:
                yield f"{key} {ours[key]}, the authors have {theirs}"


def missing_genes(number: Published, paper: Paper, pair: Pair) -> Iterator[str]:
    """Compare the share of genes that the model does not know with what others count; by exact name if we have it."""
    n_genes, harmonised = pair.noted("n_genes"), pair.noted("n_genes_missing")
    exact = pair.noted("n_genes_missing_exact")
    missing = harmonised if exact is None else exact
    if not n_genes or missing is None:
        return
    for count in paper.gene_counts:
        theirs = count.n_genes_missing / count.n_genes
        same = (count.dataset, count.model) == (number.dataset, number.model)
        if same and abs(missing / n_genes - theirs) > MISSING_GENES:
            yield f"{missing / n_genes:.1%} of the genes unknown to the model, {theirs:.1%} by {count.by}"
