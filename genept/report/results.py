"""Reading the scores of the pairs of dataset and model that the grid names, and of no others."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from genept.core import files
from genept.core import params as parameters
from genept.core.errors import InputError, ParamsError

METRICS = Path("metrics")
ENSEMBLE = "ensemble"
NOTE_SEPARATOR = "; "


class Named(NamedTuple):
    """A pair that the grid names, and the DVC stage that scores it."""

    dataset: str
    model: str
    stage: str


class Score(NamedTuple):
    """One number and what is known of it; `value` is None where it could not be computed, and `notes` say why."""

    value: float | None
    sd: float | None = None  # over k-means seeds
    n_cells: int | None = None
    n_classes: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """The scores of a model on a dataset: `headlines` by name, `scores` by (task, annotation, metric)."""

    dataset: str
    model: str
    headlines: dict[str, float]
    scores: dict[tuple[str, str, str], Score]

    def score(self, task: str, annotation: str, metric: str) -> Score | None:
        """Return a score; one without value where the annotation could not be scored; None where there is none."""
        left_out = self.scores.get(("labels", annotation, "n_classes"))
        return self.scores.get((task, annotation, metric)) or (left_out and left_out._replace(value=None))


def named(params: dict[str, Any]) -> list[Named]:
    """List the pairs of the grid: of every dataset its models, the fine-tuned one, the ensemble.

    Raises
    ------
    ParamsError
        If the grid lacks one of its lists, or names nothing.
    """
    try:
        found = list(dict.fromkeys(_named(params["grid"])))
    except (KeyError, TypeError) as error:
        raise ParamsError(
            f"{parameters.PATH}: grid must list datasets, models, finetune.datasets and ensemble.datasets ({error})"
        ) from None
    if not found:
        raise ParamsError(f"{parameters.PATH}: grid names no pair of dataset and model to report")
    return found


def read(pair: Named) -> Pair:
    """Read both files of a pair.

    Raises
    ------
    InputError
        If a file is missing or is not what ``evaluate`` writes.
    """
    headlines = METRICS / "scores" / pair.dataset / f"{pair.model}.json"
    full = METRICS / "full" / pair.dataset / f"{pair.model}.csv"
    for path in (headlines, full):
        if not path.is_file():
            raise InputError(f"{path}: no such file, though the grid names the pair; `dvc repro {pair.stage}` makes it")
    try:
        return Pair(pair.dataset, pair.model, files.read_json(headlines), _scores(full))
    except (KeyError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{full}: not a table of scores, or {headlines} no list of them ({reason}); "
            f"`dvc repro --force --single-item {pair.stage}` makes both anew"
        ) from None


def read_record(dataset: str) -> dict[str, Any]:
    """Read the verification record of a dataset.

    Raises
    ------
    InputError
        If there is none.
    """
    path = METRICS / "verification" / f"{dataset}.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file; `dvc repro label@{dataset}` makes it")
    return files.read_json(path)


def labelled_by(record: dict[str, Any]) -> str:
    """Say in some words who labelled a dataset's cells, and whether others took their place, from its record."""
    other = record.get("in_its_place")
    instead = f"; in its place: {other['title']}, {other['note']} ({other['because']})" if other else ""
    if record.get("label_source") != "reanalysis":
        return f"{labels_of(record)}{instead}"
    how = record.get("reanalysis") or {}
    version = f", version {how['method_version']}" if "method_version" in how else ""
    return f"cell types by re-analysis{version}, not by the study's authors{instead}"


def labels_of(record: dict[str, Any]) -> str:
    """Say whose labels a dataset has that a file holds, and where the file is if somebody put it there by hand."""
    is_user, table = record.get("label_source") == "user", record.get("labels_from")
    if not table:
        return "labels by the user" if is_user else "labels by the authors"
    place = f"from {table['path']}, put there by hand (sha256 {table['sha256'][:12]})"
    return f"labels {place}" if is_user else f"labels by the authors, {place}"


def _named(grid: dict[str, Any]) -> Iterator[Named]:
    finetune, ensemble = grid["finetune"], grid["ensemble"]
    for dataset in dict.fromkeys([*grid["datasets"], *finetune["datasets"], *ensemble["datasets"]]):
        if dataset in grid["datasets"]:
            for model in grid["models"]:
                yield Named(dataset, model, f"evaluate@{dataset}-{model}")
        if dataset in finetune["datasets"]:
            yield Named(dataset, finetune["model"], f"evaluate_finetuned@{dataset}")
        if dataset in ensemble["datasets"]:
            yield Named(dataset, ENSEMBLE, f"evaluate_ensemble@{dataset}")


def _scores(path: Path) -> dict[tuple[str, str, str], Score]:
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            (row["task"], row["annotation"], row["metric"]): Score(
                float(row["value"]),
                float(row["sd"]) if row["sd"] else None,
                int(row["n_cells"]),
                int(row["n_classes"]),
                tuple(filter(None, row["note"].split(NOTE_SEPARATOR))),
            )
            for row in csv.DictReader(stream)
            if not row["class"]
        }
