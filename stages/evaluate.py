"""Score embeddings: clustering, nearest neighbours and logistic regression against the cells' annotations.

Usage: ``python -m stages.evaluate model covid scgpt_mini``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from genept.core import params as parameters
from genept.core.cli import stage
from genept.data import cells, embeddings

if TYPE_CHECKING:
    from genept.metrics.results import Results


@click.group()
def main() -> None:
    """Score how well embeddings keep the cells' annotations: cell type, patient, phenotype and others.

    Each command writes three files: the headline numbers to metrics/scores/DATASET/MODEL.json, all numbers to
    metrics/full/DATASET/MODEL.csv, and the predicted cell type of each test cell to plots/confusion/DATASET/MODEL.csv.
    The choices are under `evaluate` in params.yaml.
    """


@main.command()
@click.argument("dataset")
@click.argument("model")
@stage
def model(params: dict[str, Any], dataset: str, model: str) -> None:
    """Score the embedding of DATASET by MODEL, which `python -m stages.embed` has written."""
    import numpy as np

    from genept.metrics import choices, rows, scores, tasks

    chosen = choices.read(params)
    for section, name in (("datasets", dataset), ("models", model)):
        parameters.entry(params, section, name)
    obs = cells.read_obs(dataset)
    matrix = embeddings.read(dataset, model, list(obs.index)).astype(np.float64)
    planned, left_out = tasks.plan(obs, chosen, obs_path(dataset))
    results = scores.score(planned, scores.fixed(matrix), chosen)
    results = results.and_rows(left_out).with_note(caveat(dataset, model))
    finish(dataset, model, results.and_rows(rows.coverage_rows(embeddings.read_notes(dataset, model))))


@main.command()
@click.argument("dataset")
@click.argument("model")
@click.option("--from", "base", required=True, help="The model whose embedding the head is fitted on.")
@stage
def finetuned(params: dict[str, Any], dataset: str, model: str, base: str) -> None:
    """Score MODEL, a head fine-tuned on the embedding of DATASET by another model.

    The head is fitted anew on the training cells of every split that it is scored on, so every number, clustering
    included, is of cells that the head has not seen.
    """
    import numpy as np

    from genept.engines.finetuned import head, task
    from genept.engines.finetuned import refit as finetuned
    from genept.metrics import choices, rows, scores, tasks

    chosen = choices.read(params)
    for section, name in (("datasets", dataset), ("models", base)):
        parameters.entry(params, section, name)
    options = head.read_choices(parameters.entry(params, "models", model), model)
    obs = cells.read_obs(dataset)
    label = task.label_of(params, dataset, obs)
    matrix = embeddings.read(dataset, base, list(obs.index)).astype(np.float32)
    planned, left_out = tasks.plan(obs, chosen, obs_path(dataset))
    project = finetuned.Refitted(obs, matrix, label, options, chosen)
    results = scores.score(planned, project, chosen, unseen_only=True).with_note("unseen cells only")
    results = results.with_note(f"supervised by {label}", annotation=label).and_rows(left_out)
    results = results.with_note(caveat(dataset, base))
    finish(dataset, model, results.and_rows(rows.coverage_rows(embeddings.read_notes(dataset, base))))


@main.command()
@click.argument("dataset")
@click.argument("members", nargs=3)
@stage
def ensemble(params: dict[str, Any], dataset: str, members: tuple[str, ...]) -> None:
    """Score the majority vote of three MEMBERS, models whose embeddings of DATASET are there.

    Where all three disagree, `evaluate.ensemble_tie` in params.yaml says whose vote counts.
    """
    import numpy as np

    from genept.metrics import choices, scores, tasks

    chosen = choices.read(params)
    for section, name in (("datasets", dataset), *(("models", member) for member in members)):
        parameters.entry(params, section, name)
    obs = cells.read_obs(dataset)
    matrices = [embeddings.read(dataset, member, list(obs.index)).astype(np.float64) for member in members]
    planned, left_out = tasks.plan(obs, chosen, obs_path(dataset))
    results = scores.score_ensemble(planned, matrices, chosen).and_rows(left_out)
    results = results.with_note(f"majority vote of {' + '.join(members)}")
    for member in members:
        results = results.with_note(caveat(dataset, member))
    finish(dataset, "ensemble", results)


def obs_path(dataset: str) -> str:
    """Name the file of a dataset's annotations, for errors."""
    return str(cells.DATA / dataset / "obs.csv")


def caveat(dataset: str, model: str) -> str:
    """Return why an embedding cannot be compared with others, as its own notes say; empty if it can."""
    notes = embeddings.read_notes(dataset, model)
    if notes.get("comparable", True):
        return ""
    return f"{model} is not comparable: {notes.get('reason', 'no reason given')}"


def finish(dataset: str, model: str, results: Results) -> None:
    """Write the results and print the headline numbers."""
    from genept.metrics import results as output

    scores = output.write(dataset, model, results)
    click.echo(f"{dataset}, {model}: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main(prog_name="python -m stages.evaluate")
