"""Scoring the trainings that `bench.trainings` keeps: ``python -m bench.training_scores PROCESSOR N_SEEDS``.

Scores come from the package's own scoring. The ensemble is scored with each training of its members that are trained
here; its other members are as the last run left them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.trainings import CACHE, NATIVE, PROCESSORS, Training, trainings
from genept.core import files
from genept.core.cli import stage
from genept.core.params import ENSEMBLE, Params

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHOWN = [  # in the summary: task, annotation, split, metric
    ("knn", "cell_type", "random", "accuracy"),
    ("knn", "cell_type", "random", "precision_macro"),
    ("knn", "cell_type", "random", "f1_macro"),
    ("kmeans", "cell_type", "", "ari"),
    ("kmeans", "cell_type", "", "ami"),
    ("silhouette", "cell_type", "", "asw"),
]


@click.command()
@click.argument("processor", type=click.Choice(list(PROCESSORS)))
@click.argument("n_seeds", type=click.IntRange(min=1))
@stage
def main(params: Params, processor: str, n_seeds: int) -> None:
    """Score the trainings of a processor, which the environment has to play, into data/cache/trainings."""
    import pandas as pd

    chosen = [training for training in trainings(params, n_seeds) if training.processor == processor]
    rows = [row for dataset in params.grid.datasets for row in score(dataset, chosen, params)]
    with files.replacing(path(processor)) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def path(processor: str) -> Path:
    """Where the scores of a processor's trainings are kept."""
    return CACHE / f"scores-{processor}.csv"


def score(dataset: str, chosen: Sequence[Training], params: Params) -> Iterator[dict[str, Any]]:
    """Yield the scores of trainings, and of the ensembles with them, on a dataset, each a row of the long table."""
    from joblib import Memory

    from genept.data import cells, embeddings
    from genept.metrics import benchmark, evaluation, targets

    obs, evaluate, seed = cells.read_obs(dataset), params.evaluate, params.scoring_seed
    planned, _ = targets.plan(obs, evaluate, seed, str(cells.obs_path(dataset)))
    code, memory = evaluation.code_digest(), Memory(CACHE / f"evaluate-{chosen[0].processor}", verbose=0)
    trained = list(dict.fromkeys(training.model for training in chosen))
    jobs: dict[str, tuple[Any, ...]] = {}
    scored = memory.cache(evaluation.score)
    for training in chosen:
        draws = read(training, dataset)[None]
        jobs[f"{training.model} {training.number}"] = scored, code, planned, evaluate, draws, None, seed
    for member in params.grid.ensemble:
        if member not in trained:
            draws = embeddings.read_draws(dataset, member, list(obs.index))
            jobs[member] = scored, code, planned, evaluate, draws, None, seed
    results = evaluation.in_processes(jobs, params.threads, dataset)
    by_model: list[tuple[str, Training, Any]] = [
        (training.model, training, results[f"{training.model} {training.number}"]) for training in chosen
    ]
    if set(params.grid.ensemble) & set(trained):
        for training in {one.number: one for one in chosen}.values():
            names = [f"{name} {training.number}" if name in trained else name for name in params.grid.ensemble]
            together = benchmark.score_ensemble(planned, [results[name] for name in names], evaluate, seed, {})
            by_model.append((ENSEMBLE, training, together))
    for model, training, result in by_model:
        for row in result.rows:
            if not row.label and row.task not in ("labels", "embedding"):
                place = {"task": row.task, "annotation": row.annotation, "split": row.split, "metric": row.metric}
                yield {"model": model, "dataset": dataset, **place, "training": training.name, "value": row.value}


def read(training: Training, dataset: str) -> np.ndarray:
    """Read a training's embedding of a dataset, shape (n_cells, n_dimensions)."""
    import numpy as np

    return np.load(training.folder / f"{dataset}.npy", allow_pickle=False)


def table(planned: Sequence[Training], params: Params) -> pd.DataFrame:
    """Return the table of the study: a line for each score, a column for each training, as `genept.metrics.trainings`.

    Its first lines are of task ``embedding``: the lowest cosine, over cells, of an embedding with that of the same seed
    on this processor.
    """
    import pandas as pd

    from genept.metrics import trainings as study

    long = pd.concat([pd.DataFrame(cosines(planned, params)), *(pd.read_csv(path(name)) for name in PROCESSORS)])
    long["settings"] = [study.settings(model, params) for model in long["model"]]
    long = long.fillna(dict.fromkeys(study.COLUMNS, ""))
    columns = list(dict.fromkeys(training.name for training in planned))
    wide = long.pivot(index=study.COLUMNS, columns="training", values="value")
    order = long[study.COLUMNS].drop_duplicates()
    return wide.loc[pd.MultiIndex.from_frame(order), columns].round(4).reset_index()


def cosines(planned: Sequence[Training], params: Params) -> Iterator[dict[str, Any]]:
    """Yield, for each training and dataset, the lowest cosine of a cell with itself as trained on this processor."""
    from sklearn.preprocessing import normalize

    for training in planned:
        for dataset in params.grid.datasets:
            pair = [normalize(read(one, dataset)) for one in (training, training._replace(processor=NATIVE))]
            lowest = float((pair[0] * pair[1]).sum(axis=1).min())
            place = {"task": "embedding", "annotation": "", "split": "", "metric": "lowest_cosine"}
            yield {
                "model": training.model,
                "dataset": dataset,
                **place,
                "training": training.name,
                "value": min(lowest, 1.0),
            }


def summary(table: pd.DataFrame) -> str:
    """Write the spread of some scores for people."""
    from tabulate import tabulate

    from genept.metrics import trainings as study

    lines = []
    for (model, dataset), part in table.groupby(["model", "dataset"], sort=False):
        for line, values in zip(part[study.KEY].to_numpy().tolist(), study.by_seed(part), strict=True):
            if tuple(line) in SHOWN:
                processors, seeds = study.variances(values)
                name = f"{line[0]} {line[3]}"
                lines.append([model, dataset, name, values.mean(), seeds**0.5, processors**0.5, study.margin(values)])
    header = ["Model", "Dataset", "Cell types", "Mean", "SD of seeds", "SD of processors", "95 % margin"]
    return tabulate(lines, header, floatfmt=".3f")


if __name__ == "__main__":
    main(prog_name="python -m bench.training_scores")
