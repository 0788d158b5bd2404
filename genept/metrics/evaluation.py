"""Scoring all models of the grid on one dataset; what did not change since an earlier run comes from the cache.

On the machine that made the committed scores, scoring again gives the same to the last digit. On another kind of CPU
the last bits of embeddings differ, and k-means and the small models trained here carry that on into the scores.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from joblib import Memory, Parallel, delayed
from joblib.memory import extract_first_line

from genept.core import files, orphans
from genept.core.cli import progress
from genept.core.errors import InputError
from genept.core.params import ENSEMBLE, MAJORITY, RANDOM_CELLS, SUPERVISED, Evaluate, Grid, Params
from genept.data import cells, embeddings, splits
from genept.engines.finetuned.config import Finetune
from genept.metrics import benchmark, bounds, classifiers, comparisons, targets, text_effect, trainings
from genept.metrics.embedding import Embedding, Head
from genept.metrics.results import Results, Row
from genept.metrics.rows import FIRST_DRAW, Spread
from genept.metrics.targets import DONORS, RANDOM, Target

CACHE = cells.DATA / "cache/evaluate"
CACHE_BYTES = "200M"
PACKAGE = Path(__file__).parents[1]
CODE = (
    "metrics/*.py",
    "engines/finetuned/*.py",
    "data/sampling.py",
    "data/splits.py",
)  # another version of it shares no cached score
LIBRARIES = ("numpy", "scikit-learn", "scipy", "torch")
HOW = {"pooled": "pooled neighbours", "vote": "majority vote"}
UNCOVERED = "the range does not contain the training: models/trainings.csv is of other settings"
CENTRED = "its coordinates have mean zero, so its cosine distance is a centred one"
Job = TypeVar("Job")
COVERAGE = ("n_genes", "n_genes_missing", "n_genes_missing_exact", "n_cells_without_gene", "share_of_counts_missing")


@dataclass(frozen=True)
class Lesson:
    """What a fine-tuned model's head learns, and how."""

    annotation: str
    labels: np.ndarray  # of all cells, (n_cells,)
    labelled: np.ndarray  # rows of cells with a label
    config: Finetune


@dataclass(frozen=True)
class Evaluation:
    """All that scoring a dataset gives: results by model in the order of the tables, predictions and comparisons."""

    results: dict[str, Results]
    predictions: pd.DataFrame
    comparisons: dict[str, pd.DataFrame]
    headlines: dict[str, dict[str, float]]


def evaluate_dataset(dataset: str, params: Params, cache: Path | None = CACHE, compare: bool = True) -> Evaluation:
    """Score every model of the grid on a dataset, their ensemble, and what scores lie between.

    Without a `cache`, everything anew. With `compare` also the paired comparisons and the effect of the text.
    `InputError` if the dataset cannot be scored, or an embedding was made for other cells; `OSError` if one is missing.
    """
    obs = cells.read_obs(dataset)
    seed, evaluate, grid = params.scoring_seed, params.evaluate, params.grid
    planned, left_out = targets.plan(obs, evaluate, seed, str(cells.obs_path(dataset)))
    memory = Memory(cache and files.shared(cache), verbose=0)
    logging.getLogger("joblib").setLevel(logging.ERROR)  # it warns at length of a broken entry, then computes it anew
    code = code_digest()
    notes = {name: embeddings.read_notes(dataset, name) for name in grid.models.names}
    draws = {
        name: embeddings.read_draws(dataset, name, list(obs.index))
        for name in grid.models.names
        if name not in grid.models.finetuned
    }
    jobs: dict[tuple[str, str], tuple[Any, ...]] = {}  # by what is done and to which model; the longest first
    scored, measured = cached(memory, score), cached(memory, measure_text)
    for head, (finetuned, base) in heads(grid, notes).items():
        lesson = read_lesson(notes[finetuned], obs)
        jobs["score", head] = scored, code, *once_a_draw(planned, evaluate, len(draws[base])), draws[base], lesson, seed
    for name in draws:
        spread = trainings.spread(name, dataset, params)
        jobs["score", name] = scored, code, planned, evaluate, draws[name], None, seed, spread
    random = bounds.random_cells(len(obs), seed)
    jobs["score", RANDOM_CELLS] = scored, code, *once_a_draw(planned, evaluate, len(random)), random, None, seed
    jobs["score", SUPERVISED] = scored, code, planned, evaluate, draws[params.baseline], None, seed, {}, params.baseline
    for name in text_effect.models(params) if compare else ():
        jobs["text", name] = measured, code, planned[0], evaluate, draws[name], seed
    done = in_processes(jobs, params.threads, dataset)
    scores = {name: done["score", name] for kind, name in jobs if kind == "score"}
    if grid.ensemble:
        spread = trainings.spread(ENSEMBLE, dataset, params)
        scores[ENSEMBLE] = benchmark.score_ensemble(planned, [scores[m] for m in grid.ensemble], evaluate, seed, spread)
    scores[MAJORITY] = bounds.majority(planned, evaluate, seed)
    ordered = {name: scores[name] for name in grid.scored}
    default_split = {target.annotation: target.default for target in planned}
    named = bounds.scale({name: with_notes(name, result, params, notes) for name, result in ordered.items()})
    named = {
        name: result.with_note(UNCOVERED) if trainings.is_uncovered(name, dataset, params) else result
        for name, result in named.items()
    }
    named = {name: result.and_rows(left_out).with_cell_ids(obs.index) for name, result in named.items()}
    headlines = {
        name: result.headlines(default_split)
        for name, result in named.items()
        if name not in (MAJORITY, RANDOM_CELLS, SUPERVISED)
    }
    tables = {}
    if compare:
        tables["models"] = comparisons.compare(ordered, planned, evaluate, seed)
        runs = {name: done["text", name] for kind, name in jobs if kind == "text"}
        tables["text"] = text_effect.table(runs, planned[0], params)
    if cache is not None:
        memory.reduce_size(CACHE_BYTES)
    predictions = classifiers.predicted_labels(planned[0], ordered, obs.index)
    return Evaluation(named, predictions, tables, headlines)


def cached(memory: Memory, function: Callable[..., Any]) -> Any:
    """Cache a function's results; drop earlier ones if joblib's record of the function, beside them, is damaged."""
    found = memory.cache(function)
    if memory.location is not None:
        try:
            _, first_line = extract_first_line(found.store_backend.get_cached_func_code([found.func_id]))
        except FileNotFoundError:  # nothing is cached yet
            return found
        except ValueError:
            first_line = -1
        if first_line < 0:
            found.clear(warn=False)
    return found


def in_processes(jobs: Mapping[Job, tuple[Any, ...]], n_processes: int, label: str) -> dict[Job, Any]:
    """Call a function for each job, (function, *arguments), several at a time, and return the results."""
    if n_processes == 1 or len(jobs) == 1:
        found = (function(*arguments) for function, *arguments in jobs.values())
    else:
        calls = (delayed(function)(*arguments) for function, *arguments in jobs.values())
        n_jobs = min(n_processes, len(jobs))
        found = Parallel(n_jobs=n_jobs, return_as="generator", initializer=orphans.tie_worker)(calls)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped")  # one whose memory grew; another takes its place
        return dict(zip(jobs, progress(found, label, len(jobs), unit="job"), strict=True))


def once_a_draw(planned: Sequence[Target], evaluate: Evaluate, n_draws: int) -> tuple[list[Target], Evaluate]:
    """Leave as many runs as there are draws, if there are several: one of each."""
    n_runs = min(evaluate.repeats, n_draws) if n_draws > 1 else evaluate.repeats
    return [target.first(n_runs) for target in planned], evaluate.model_copy(update={"repeats": n_runs})


def heads(grid: Grid, notes: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the fine-tuned model and the base of each head: that of the model, then the controls."""
    for name in grid.models.finetuned:
        if "base" not in notes[name]:
            path = embeddings.notes_path(notes[name]["dataset"], name)
            raise InputError(f"{path}: not of a fine-tuned embedding; `python -m stages.finetune` writes one")
        if (base := notes[name]["base"]) not in notes:
            path = embeddings.notes_path(notes[name]["dataset"], name)
            raise InputError(f"{path}: made from {base!r}, which the grid no longer has; `dvc repro` makes it anew")
    own = {name: (name, notes[name]["base"]) for name in grid.models.finetuned}
    return own | grid.heads_on_controls


def score(
    code: str,
    planned: Sequence[Target],
    evaluate: Evaluate,
    draws: np.ndarray,
    lesson: Lesson | None,
    seed: int,
    spread: Spread | None = None,
    supervised: str = "",
) -> Results:
    """Score an embedding, or a head on it that is fitted anew to the training cells of each split.

    If `supervised` names the embedding, score what a logistic regression learns from it, see `bounds.supervised`.

    `joblib.Memory` caches by the arguments, so everything that scores depend on is one; `code` stands for this package.
    """
    embedding = Embedding(draws)
    if supervised:
        return bounds.supervised(planned, embedding, supervised, evaluate, seed)
    if lesson is None:
        results = benchmark.score(planned, embedding, evaluate, seed, spread)
        return results.with_note(CENTRED) if embedding.is_centred and evaluate.metric == "cosine" else results
    from genept.engines.finetuned import training  # imports torch

    assert lesson is not None

    def fit(jobs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Callable[[np.ndarray], np.ndarray]]:
        most = evaluate.sample.head_cells
        trained = [(matrix, planned[0].first_cells(train, most)) for matrix, train in jobs]
        learned = [(matrix, np.intersect1d(train, lesson.labelled)) for matrix, train in trained]
        step = len(jobs) if planned[0].order is None else 1  # sets of training cells that are held at once
        fitted: list[training.Fitted] = []
        for some in (learned[first : first + step] for first in range(0, len(learned), step)):
            parts = [matrix[rows] for matrix, rows in some], [lesson.labels[rows] for _, rows in some]
            fitted += training.fit_each(*parts, lesson.config, seed)
        return [partial(training.project, one.head) for one in fitted]

    planned = [teachable(target, lesson) for target in planned]
    results = benchmark.score(planned, Head(embedding, planned, fit), evaluate, seed)
    if embedding.n_draws > 1:
        results = results.with_rows(row.noted(FIRST_DRAW) if row.split == DONORS else row for row in results.rows)
    return results.with_note("unseen cells only").with_note(f"supervised by {lesson.annotation}", lesson.annotation)


def teachable(target: Target, lesson: Lesson) -> Target:
    """Leave out held-out donors if, without some of them, a head would have one label to learn."""
    for split in target.splits.get(DONORS, []):
        if len(np.unique(lesson.labels[np.intersect1d(split.train, lesson.labelled)])) < 2:
            kinds = {kind: divisions for kind, divisions in target.splits.items() if kind != DONORS}
            note = "donors are not held out: without some, the head has one label to learn"
            notes = target.notes | {RANDOM: "; ".join(filter(None, [target.notes.get(RANDOM), note]))}
            return dataclasses.replace(target, splits=kinds, notes=notes)
    return target


def with_notes(name: str, result: Results, params: Params, notes: dict[str, dict[str, Any]]) -> Results:
    """Add to a model's rows what its notes say of it."""
    if name == ENSEMBLE:
        result = result.with_note(f"{HOW[params.evaluate.ensemble]} of {' + '.join(params.grid.ensemble)}")
        for member in params.grid.ensemble:
            result = result.with_note(caveat(notes[member]))
        return result
    own = notes.get(name) or notes.get(params.grid.heads_on_controls.get(name, ("", ""))[1])
    if own is None:
        return result
    own = notes[own["base"]] if "base" in own else own
    result = result.with_note(caveat(own))
    return result.and_rows(coverage_rows(own)) if name in notes else result


def measure_text(
    code: str, target: Target, evaluate: Evaluate, draws: np.ndarray, seed: int
) -> dict[tuple[str, str], np.ndarray]:
    """Measure an embedding for the effect of the text; cached as `score`."""
    return text_effect.measure(target, Embedding(draws, n_whole=len(draws)), evaluate, seed)


def read_lesson(notes: dict[str, Any], obs: pd.DataFrame) -> Lesson:
    """Return what a fine-tuned model's head learned, from the notes beside its embedding."""
    path = embeddings.notes_path(notes["dataset"], notes["model"])
    annotation = str(notes.get("annotation"))
    if annotation not in obs:
        raise InputError(f"{path}: not of a fine-tuned embedding; `python -m stages.finetune` writes one")
    labelled = splits.labelled_cells(obs, annotation)
    config = Finetune.parse(notes["finetune"], f"{path}: finetune")
    return Lesson(annotation, obs[annotation].to_numpy(dtype=str), labelled, config)


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
