"""Score the embeddings of a dataset: clustering, nearest neighbours and logistic regression against annotations."""

from __future__ import annotations

import os

import click

from genept.core.cli import say, stage
from genept.core.params import AUTHORS, Params
from genept.datasets import config as datasets
from genept.repository import lock, tracked


@click.command()
@click.argument("dataset", required=False)
@click.option("--check", is_flag=True, help="Only compare with the scores of the last commit; no DATASET: the grid's.")
@stage
def main(params: Params, dataset: str | None, check: bool) -> None:
    """Score how well embeddings of DATASET keep the cells' annotations: cell type, patient, phenotype and others.

    All models of the grid in params.yaml are scored; fine-tuned ones by heads that are fitted anew to the training
    cells of each split, so that every number is of cells that the head has not seen; grid.ensemble together; and what
    scores lie between (majority, random_cells, supervised). The protocol is `evaluate` in params.yaml; a dataset of the
    paper is also scored by `protocols.authors`.

    \b
    Writes, and removes the files of other models:
    metrics/scores/DATASET/MODEL.json                     the headline numbers
    metrics/full/DATASET/MODEL.csv                        all numbers
    metrics/comparisons/DATASET/models.csv, text.csv      paired differences; the effect of the text
    metrics/predictions/DATASET.csv                       each model's cell type of each cell
    metrics/probabilities/DATASET/ANNOTATION/MODEL.csv    what logistic regressions predict
    plots/confusion/DATASET/MODEL.csv                     predicted and annotated cell type of each test cell

    Embeddings that did not change since an earlier run are not scored again (data/cache/evaluate). --check scores all
    of them and writes nothing; it refuses inputs that are not as dvc.lock records, as does a run by DVC embeddings that
    are not as their stages wrote them.
    """
    if not dataset and not check:
        raise click.UsageError("name a DATASET")
    config = datasets.read(dataset) if dataset else None

    from genept.metrics import evaluation, results, verification

    records = lock.recorded(lock.read())
    written = [one for one in records if one.is_out]
    if check:
        names = [dataset] if dataset else params.grid.datasets
        read = [one for one in records if not one.is_out and one.stage in {f"evaluate@{name}" for name in names}]
        tracked.refuse_changed([*written, *read], [one.path for one in read])
        verification.check(names, params)
        return
    name = str(dataset)
    if "DVC_STAGE" in os.environ:  # what is scored by hand need not be in the lock
        tracked.refuse_changed(written, [f"data/{name}/embeddings", f"data/{name}/labelled"])
    scored = evaluation.evaluate_dataset(name, params)
    by_authors: dict[str, results.Results] = {}
    if config and config.paper:
        by_authors = evaluation.evaluate_dataset(name, params.by(AUTHORS), compare=False).results
    results.write(name, scored.results, by_authors, scored.headlines, scored.comparisons, scored.predictions)
    say(f"{name}: {len(scored.headlines)} models scored, and what scores lie between; metrics/full/{name}")


if __name__ == "__main__":
    main(prog_name="python -m stages.evaluate")
