"""Scoring all models of the grid on one dataset; what did not change since an earlier run comes from the cache.

On the machine that made the committed scores, scoring again gives the same to the last digit. On another kind of CPU
the last bits of embeddings differ, and k-means and the small models trained here carry that on into the scores.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from joblib import Memory

from genept.core.cli import progress
from genept.core.errors import InputError
from genept.core.params import ENSEMBLE, Evaluate, Params
from genept.data import cells, embeddings, splits
from genept.engines.finetuned.config import Finetune
from genept.metrics import benchmark, targets
from genept.metrics.results import SCORES, Results, Row
from genept.metrics.targets import Target

CACHE = cells.DATA / "cache/evaluate"
CACHE_BYTES = "200M"
PACKAGE = Path(__file__).parents[1]
CODE = ("metrics/*.py", "engines/finetuned/*.py", "data/splits.py")  # another version of it shares no cached score
LIBRARIES = ("numpy", "scikit-learn", "scipy", "torch")
TOLERANCE = 0.05  # of a score computed again on another machine
HOW = {"pooled": "pooled neighbours", "vote": "majority vote"}
COVERAGE = ("n_genes", "n_genes_missing", "n_genes_missing_exact", "n_cells_without_gene", "share_of_counts_missing")


@dataclass(frozen=True)
class Head:
    """What a fine-tuned model's head learns, and how."""

    annotation: str
    labels: np.ndarray  # of all cells, (n_cells,)
    labelled: np.ndarray  # rows of cells with a label
    config: Finetune


def score_models(dataset: str, params: Params, cache: Path | None = CACHE) -> dict[str, Results]:
    """Score every model of the grid on a dataset, and their ensemble; without a `cache`, everything anew.

    `InputError` if the dataset cannot be scored, or an embedding was made for other cells; `OSError` if one is missing.
    """
    obs = cells.read_obs(dataset)
    planned, left_out = targets.plan(obs, params.evaluate, params.scoring_seed, str(cells.DATA / dataset / "obs.csv"))
    memory = Memory(cache, verbose=0)
    logging.getLogger("joblib").setLevel(logging.ERROR)  # it warns at length of a broken entry, then computes it anew
    code = code_digest()
    scores, results = {}, {}
    for model in progress(params.grid.models.names, dataset, unit="model"):
        notes, head = embeddings.read_notes(dataset, model), None
        if model in params.grid.models.finetuned:
            head = read_head(notes, obs)
            notes = embeddings.read_notes(dataset, notes["base"])
        matrix = np.array(embeddings.read(dataset, notes["model"], list(obs.index)))
        scores[model] = memory.cache(score)(code, planned, matrix, head, params.evaluate, params.scoring_seed)
        results[model] = scores[model].and_rows(left_out).with_note(caveat(notes)).and_rows(coverage_rows(notes))
    if members := params.grid.ensemble:
        votes = benchmark.score_ensemble(planned, [scores[member] for member in members], params.evaluate)
        votes = votes.and_rows(left_out).with_note(f"{HOW[params.evaluate.ensemble]} of {' + '.join(members)}")
        for member in members:
            votes = votes.with_note(caveat(embeddings.read_notes(dataset, member)))
        results[ENSEMBLE] = votes
    memory.reduce_size(CACHE_BYTES)
    return results


def score(
    code: str, planned: Sequence[Target], matrix: np.ndarray, head: Head | None, evaluate: Evaluate, seed: int
) -> Results:
    """Score an embedding, or a head on it that is fitted anew to the training cells of each split.

    `joblib.Memory` caches by the arguments, so everything that scores depend on is one; `code` stands for this package.
    """
    if head is None:
        return benchmark.score(planned, [matrix.astype(np.float64)] * len(planned), evaluate, seed)
    from genept.engines.finetuned import training  # imports torch

    divided = [target.split for target in planned]
    matrices = training.refit(matrix, head.labels, head.labelled, divided, head.config, seed)
    results = benchmark.score(planned, matrices, evaluate, seed, unseen_only=True)
    return results.with_note("unseen cells only").with_note(f"supervised by {head.annotation}", head.annotation)


def read_head(notes: dict[str, Any], obs: pd.DataFrame) -> Head:
    """Return what a fine-tuned model's head learned, from the notes beside its embedding."""
    path = embeddings.notes_path(notes["dataset"], notes["model"])
    annotation = str(notes.get("annotation"))
    if annotation not in obs:
        raise InputError(f"{path}: not of a fine-tuned embedding; `python -m stages.finetune` writes one")
    labelled = splits.labelled_cells(obs, annotation)
    config = Finetune.parse(notes["finetune"], f"{path}: finetune")
    return Head(annotation, obs[annotation].to_numpy(dtype=str), labelled, config)


def coverage_rows(notes: dict[str, Any]) -> list[Row]:
    """Return how much of the dataset a model does not see, if its notes tell; see `genept.data.expression.coverage`."""
    return [
        Row("embedding", "", name, notes[name], notes["n_cells"], 0) for name in COVERAGE if notes.get(name) is not None
    ]


def caveat(notes: dict[str, Any]) -> str:
    """Return why an embedding cannot be compared with others, as its own notes tell; empty if it can."""
    if notes.get("comparable", True):
        return ""
    return f"{notes['model']} is not comparable: {notes.get('reason', 'no reason given')}"


def code_digest() -> str:
    """Return a hash of the code that scores depend on."""
    digest = hashlib.sha256(" ".join(map(version, LIBRARIES)).encode())
    for path in (path for pattern in CODE for path in sorted(PACKAGE.glob(pattern))):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def check(datasets: Sequence[str], params: Params) -> None:
    """Score all models of some datasets, without the cache, and compare with the last commit's scores.

    `InputError` if a score moved by more than `TOLERANCE`, appeared or vanished, or none is committed.
    """
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    for dataset in datasets:
        before |= committed(dataset)
        for model, result in score_models(dataset, params, cache=None).items():
            after |= {f"{dataset}, {model}, {name}": value for name, value in result.headlines.items()}
    names = sorted(before | after)
    moved = {name: abs(before.get(name, math.inf) - after.get(name, -math.inf)) for name in names}
    click.echo(f"{len(names)} scores computed again; largest difference {max(moved.values()):.4f}")
    if far := [f"{name} {before.get(name)} -> {after.get(name)}" for name in names if moved[name] > TOLERANCE]:
        raise InputError(f"scores differ from the last commit's by more than {TOLERANCE}: {'; '.join(far)}")


def committed(dataset: str) -> dict[str, float]:
    """Return the headline numbers of a dataset in the last commit."""
    folder = f"{SCORES.as_posix()}/{dataset}/"
    listing = subprocess.run(["git", "ls-tree", "--name-only", "HEAD", folder], capture_output=True, text=True)
    scores: dict[str, float] = {}
    for path in map(Path, listing.stdout.split()):
        text = subprocess.run(["git", "show", f"HEAD:{path.as_posix()}"], check=True, capture_output=True).stdout
        scores |= {f"{dataset}, {path.stem}, {name}": value for name, value in json.loads(text).items()}
    if not scores:
        raise InputError(f"{folder}: the last commit has no scores to compare with")
    return scores
