"""How often the rule of `genept.report.verdicts` is right: ``make verdicts``, after a run of the default grid.

Each model is scored many times on the cells of the default grid, by the authors' protocol and with other seeds. One
run, rounded to two decimals, plays the paper's row; 20 others play ours, of the same model or of another one, and the
remaining models are those whose rows must not fit. So every verdict can be checked. The runs are kept in
``bench/verdicts.npz``, and ``bench/verdicts.csv`` is computed from them, here and in the tests: whoever changes the
rule sees what becomes of the shares.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from genept.core import cli, files
from genept.core.params import AUTHORS, Evaluate, Params
from genept.report.verdicts import (
    DIFFERS,
    HALF_WIDTH,
    INCONCLUSIVE,
    OTHER_SUBSET,
    REPRODUCED,
    Estimate,
    Printed,
    Row,
    interval,
    judge,
)

METRICS = ("ari", "ami", "asw", "accuracy", "precision_macro", "recall_macro", "f1_macro")
FIXED = ("asw",)  # no seed moves it
N_RUNS, BLOCKS = 20, 8  # ours are N_RUNS runs; all cells are scored BLOCKS times as often
ALL = "all"  # cells; else "a" and "b", the halves
SCALE = 10_000  # the runs are kept with four decimals, as all scores are
RUNS, TABLE = Path("bench/verdicts.npz"), Path("bench/verdicts.csv")
HEADER = ("cells", "rule", "published", "reproduced", "inconclusive", "differs", "n")
CELLS = ("the same", "the other half")
SAME, ANOTHER = "the same model", "another model"
Runs = dict[tuple[str, str], dict[str, np.ndarray]]  # by dataset and cells, by model: (n_runs, n_metrics)


class Trial(NamedTuple):
    """One comparison: a published row, our rows, and whose row is compared."""

    published: dict[str, Printed]
    rows: dict[str, Row]  # by model, means and SD of `N_RUNS` runs
    first: dict[str, dict[str, float]]  # the first of them
    model: str
    of: str  # SAME or ANOTHER

    @property
    def others(self) -> dict[str, Row]:
        """The rows of the models that are not compared."""
        return {name: row for name, row in self.rows.items() if name != self.model}


def score(matrix: np.ndarray, labels: np.ndarray, seeds: Sequence[int], evaluate: Evaluate) -> np.ndarray:
    """Score cells by a protocol with each seed: shape (n_seeds, n_metrics), in the order of `METRICS`."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import adjusted_mutual_info_score as ami
    from sklearn.metrics import adjusted_rand_score as ari
    from sklearn.metrics import precision_recall_fscore_support, silhouette_score
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from threadpoolctl import threadpool_limits

    classes, codes = np.unique(labels, return_inverse=True)
    batches = {"batch_size": evaluate.kmeans.batch_size, "n_init": evaluate.kmeans.n_init}
    runs = []
    with threadpool_limits(limits=1):  # batches of 20 cells: threads would wait for each other
        asw = silhouette_score(matrix, codes, metric="euclidean")
        for seed in seeds:
            clusters = MiniBatchKMeans(len(classes), random_state=seed, **batches).fit_predict(matrix)
            train, test = train_test_split(np.arange(len(codes)), test_size=evaluate.split.test_size, random_state=seed)
            neighbours = KNeighborsClassifier(evaluate.knn.k, algorithm="brute", metric="cosine")
            predicted = neighbours.fit(matrix[train], codes[train]).predict(matrix[test])
            macro = precision_recall_fscore_support(codes[test], predicted, average="macro", zero_division=0)[:3]
            runs.append([ari(codes, clusters), ami(codes, clusters), asw, np.mean(predicted == codes[test]), *macro])
    return np.array(runs)


def run(dataset: str, models: Sequence[str], evaluate: Evaluate, threads: int) -> Runs:
    """Score the models on all labelled cells of a dataset with many seeds, and on both halves, divided at random."""
    from joblib import Parallel, delayed

    from genept.data import cells, embeddings

    obs = cells.read_obs(dataset)
    labels = obs["cell_type"].to_numpy(dtype=str)
    labelled = np.flatnonzero(labels != cells.UNKNOWN)
    order = np.random.default_rng(0).permutation(labelled)
    parts = {ALL: labelled, "a": order[: len(order) // 2], "b": order[len(order) // 2 :]}
    matrices = {m: np.array(embeddings.read(dataset, m, list(obs.index)), dtype=np.float64) for m in models}
    jobs = [(part, model, block) for part in parts for model in models for block in range(BLOCKS if part == ALL else 1)]
    scores = Parallel(n_jobs=threads, return_as="generator")(
        delayed(score)(
            matrices[model][parts[part]], labels[parts[part]], range(block * N_RUNS, (block + 1) * N_RUNS), evaluate
        )
        for part, model, block in jobs
    )
    runs: Runs = {(dataset, part): {} for part in parts}
    for (part, model, _), block in zip(jobs, cli.progress(scores, dataset, len(jobs), unit="block"), strict=True):
        before = runs[dataset, part].get(model, np.empty((0, len(METRICS))))
        runs[dataset, part][model] = np.concatenate([before, block])
    return runs


def trials(runs: Runs, halves: bool) -> Iterator[Trial]:
    """Yield every comparison.

    On all cells, the single runs of each block of seeds are the published rows for the next block. Of `halves`, the
    runs on one half are those for the other.
    """
    for (dataset, part), by_model in runs.items():
        if halves == (part == ALL):
            continue
        if halves:
            pairs = [(runs[dataset, "b" if part == "a" else "a"], by_model)]
        else:
            blocks = [{m: r[i : i + N_RUNS] for m, r in by_model.items()} for i in range(0, N_RUNS * BLOCKS, N_RUNS)]
            pairs = list(zip(blocks, blocks[1:] + blocks[:1], strict=True))
        for published, ours in pairs:
            rows = {model: estimates(block) for model, block in ours.items()}
            first = {model: dict(zip(METRICS, block[0], strict=True)) for model, block in ours.items()}
            for author, block in published.items():
                for values in block:
                    printed = {name: Printed(round(v, 2)) for name, v in zip(METRICS, values, strict=True)}
                    for model in rows:
                        yield Trial(printed, rows, first, model, SAME if model == author else ANOTHER)


def estimates(block: np.ndarray) -> Row:
    """Return means and standard deviations of runs, shape (n_runs, n_metrics)."""
    means, sds = block.mean(axis=0), block.std(axis=0, ddof=1)
    return {
        name: Estimate(float(mean), None if name in FIXED else float(sd), len(block))
        for name, mean, sd in zip(METRICS, means, sds, strict=True)
    }


def within(trial: Trial, tolerance: float = 0.02) -> list[str]:
    """Judge each number by its distance from one run of ours, as until now."""
    ours = trial.first[trial.model]
    near = [abs(number.value - ours[name]) <= tolerance + 1e-9 for name, number in trial.published.items()]
    return [REPRODUCED if yes else DIFFERS for yes in near]


def single(trial: Trial) -> list[str]:
    """Judge each number that a seed moves by its own 95 % prediction interval."""
    verdicts = []
    for name, number in trial.published.items():
        if name not in FIXED:
            one = interval(trial.rows[trial.model][name], number)
            wide = INCONCLUSIVE if one.half_width > HALF_WIDTH else REPRODUCED
            verdicts.append(wide if number.value in one else DIFFERS)
    return verdicts


def row(trial: Trial, widening: float = 1.0) -> list[str]:
    """Judge the whole row."""
    ours = trial.rows[trial.model]
    return [judge(trial.published, ours, trial.others, widening=widening).verdict]


RULES: dict[str, Callable[[Trial], list[str]]] = {
    "each number: within .02 of one run": within,
    "each number: in its 95 % interval": single,
    "whole row": row,
}


def operating_table(runs: Runs) -> list[dict[str, Any]]:
    """Return the shares of verdicts by cells, rule and whose row was published, to three decimals."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for cells in CELLS:
        halves = cells == CELLS[1]
        for trial in trials(runs, halves):
            for rule, verdicts in RULES.items():
                found = row(trial, OTHER_SUBSET) if halves and rule == "whole row" else verdicts(trial)
                counts.setdefault((cells, rule, trial.of), Counter()).update(found)
    ordered = [(cells, rule, of) for cells in CELLS for rule in RULES for of in (SAME, ANOTHER)]
    return [
        dict(zip(HEADER, (*key, *shares(counts[key]), counts[key].total()), strict=True))
        for key in ordered
        if key in counts
    ]


def shares(count: Mapping[str, int]) -> list[float]:
    """Return the shares of reproduced, inconclusive and differs."""
    total = sum(count.values())
    return [round(count.get(verdict, 0) / total, 3) for verdict in (REPRODUCED, INCONCLUSIVE, DIFFERS)]


def pack(runs: Runs) -> dict[str, np.ndarray]:
    """Return the runs as whole ten-thousandths, one array (n_models, n_runs, n_metrics) for each dataset and cells."""
    arrays = {"/".join(key): np.rint(SCALE * np.stack(list(runs[key].values()))).astype(np.int16) for key in runs}
    return arrays | {"models": np.array(list(next(iter(runs.values()))))}


def unpack(path: Path = RUNS) -> Runs:
    """Read the runs that `pack` made."""
    with np.load(path) as arrays:
        models = [str(model) for model in arrays["models"]]
        return {
            (key.split("/")[0], key.split("/")[1]): dict(zip(models, arrays[key] / SCALE, strict=True))
            for key in arrays.files
            if key != "models"
        }


@click.command()
@cli.stage
def main(params: Params) -> None:
    """Score the models of the grid again and again, and write bench/verdicts.npz and bench/verdicts.csv.

    Models that are fine-tuned are left out: they are scored on other cells.
    """
    from tabulate import tabulate

    models = [name for name in params.grid.models.names if name not in params.grid.models.finetuned]
    runs: Runs = {}
    for dataset in params.grid.datasets:
        runs |= run(dataset, models, params.protocols[AUTHORS], params.threads)
    arrays: Any = pack(runs)
    with files.replacing(RUNS) as path:
        with path.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    table = operating_table(unpack())
    with files.replacing(TABLE) as path:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, HEADER, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
    click.echo(tabulate(table, headers="keys", floatfmt=".3f"))


if __name__ == "__main__":
    main(prog_name="python -m bench.verdicts")
