"""What the report reads: the scores of each pair of dataset and model, and what datasets and models are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import FiniteFloat

from genept.core.config import read_yaml
from genept.core.params import AUTHORS, ENSEMBLE, MAJORITY, OWN, RANDOM_CELLS, SUPERVISED, Params
from genept.core.readers import Reader, count, exactly, number, optional, read_json, read_table, rows_of
from genept.core.text import MESSAGE, printable, shorten
from genept.engines.config import MODELS, ModelConfig
from genept.report.records import METRICS, read_record

NOT_COMPARABLE = "not comparable"
NOTE_SEPARATOR = "; "
BOUNDS = (MAJORITY, RANDOM_CELLS, SUPERVISED)
ONE_LABEL = "each donor has one label"  # the note on random splits of a label that is constant within donors


class Score(NamedTuple):
    """One number and what is known of it, as `genept.metrics.results.Row` says.

    `value` is None where it could not be computed, and `notes` say why. Of a sample, `n_all` and `se` are known.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    n_runs: int = 1
    first: float | None = None
    scaled: float | None = None
    n_cells: int | None = None
    n_classes: int | None = None
    n_donors: int | None = None
    notes: tuple[str, ...] = ()
    n_all: int | None = None
    se: float | None = None

    @property
    def sampled(self) -> str:
        """Of how many cells a score is, and how many they were drawn from; empty if it is of all."""
        return "" if self.n_all is None else f"{self.n_cells:,} of {self.n_all:,}"


Key = tuple[str, str, str, str]  # task, annotation, split, metric


@dataclass(frozen=True)
class Pair:
    """The scores of a model on a dataset: `headlines` by name, `scores` by (task, annotation, split, metric).

    `by_authors` are scores by the authors' protocol, of a dataset of the paper.
    """

    dataset: str
    model: str
    headlines: dict[str, float]
    scores: dict[Key, Score]
    by_authors: dict[Key, Score] = field(default_factory=dict)

    def score(self, task: str, annotation: str, metric: str, split: str = "") -> Score | None:
        """Return a score; one without value where the annotation could not be scored; None where there is none."""
        unscored = self.scores.get(("labels", annotation, "", "n_classes"))
        return self.scores.get((task, annotation, split, metric)) or (unscored and unscored._replace(value=None))

    def noted(self, metric: str) -> float | None:
        """Return a number from the notes beside the embedding, such as ``n_genes_missing``; None if not noted."""
        score = self.scores.get(("embedding", "", "", metric))
        return score.value if score else None


@dataclass(frozen=True)
class Run:
    """The run to report."""

    params: Params
    pairs: list[Pair]  # in the order of `Params.pairs`
    records: dict[str, dict[str, Any]]  # metrics/verification/<dataset>.json by dataset
    models: dict[str, ModelConfig]  # models/<model>.yaml by name; those outside the grid included

    def pair(self, dataset: str, model: str | None) -> Pair | None:
        """Return the pair of a dataset and model, None where the grid has none."""
        return next((pair for pair in self.pairs if (pair.dataset, pair.model) == (dataset, model)), None)

    def competes(self, model: str) -> bool:
        """Whether a row can be the best: not what has learned from labels, nor what scores lie between."""
        grid = self.params.grid
        return model not in (*grid.models.finetuned, *grid.heads_on_controls, *BOUNDS)

    def default_split(self, dataset: str, annotation: str) -> str:
        """Return ``donors`` for an annotation that is constant within donors, else ``random``."""
        notes = (
            note
            for pair in self.pairs
            if pair.dataset == dataset
            for (_, scored, split, _), score in pair.scores.items()
            if (scored, split) == (annotation, "random")
            for note in score.notes
        )
        return "donors" if any(note.startswith(ONE_LABEL) for note in notes) else "random"

    @property
    def applied(self) -> Params:
        """The settings as far as they applied: no donors are held out where no dataset has donors to hold out."""
        if any(split == "donors" for pair in self.pairs for _, _, split, _ in pair.scores):
            return self.params
        split = self.params.evaluate.split.model_copy(update={"groups": None})
        evaluate = self.params.evaluate.model_copy(update={"split": split})
        return self.params.model_copy(update={"evaluate": evaluate})

    @property
    def has_patients(self) -> bool:
        """Whether patients of some dataset were clustered."""
        return any(key[:2] == ("kmeans", "patient") for pair in self.pairs for key in pair.scores)

    def is_comparable(self, dataset: str, model: str) -> bool:
        """Whether no note calls the scores of a row not comparable."""
        pair = self.pair(dataset, model)
        return pair is None or not any(NOT_COMPARABLE in note for one in pair.scores.values() for note in one.notes)

    def sampled(self, dataset: str, task: str = "knn") -> tuple[int, int] | None:
        """Return how many cells are drawn for the scores of a task, and of how many; None if they are of all."""
        pairs = [pair for pair in self.pairs if pair.dataset == dataset]
        scores = [score for pair in pairs for key, score in pair.scores.items() if key[0] == task]
        sizes = [(score.n_all, score.n_cells or 0) for score in scores if score.n_all is not None]
        return max(sizes)[::-1] if sizes else None

    def n_scored(self, dataset: str) -> int:
        """Return how many cells of a dataset are scored, or stood for by a sample."""
        scores = [score for pair in self.pairs if pair.dataset == dataset for score in pair.scores.values()]
        return max((score.n_all or score.n_cells or 0 for score in scores), default=0)

    def model_title(self, name: str) -> str:
        """Say what a row is; for the ensemble, what it combines."""
        grid = self.params.grid
        if name == ENSEMBLE:
            how = "Pooled neighbours of " if self.params.evaluate.ensemble == "pooled" else "Majority vote of "
            return how + ", ".join(f"`{member}`" for member in grid.ensemble)
        if name in grid.heads_on_controls:
            head, control = grid.heads_on_controls[name]
            return f"The head of `{head}` fitted on `{control}`"
        bounds = {
            MAJORITY: "Floor: the most frequent label of the training cells",
            RANDOM_CELLS: "Floor: a random vector for each cell",
            SUPERVISED: f"Supervision: a logistic regression on `{self.params.baseline}`",
        }
        return bounds.get(name) or self.models[name].title


def read(params: Params) -> Run:
    """Read the scores and descriptions of what the grid names.

    `ParamsError` if a model has no file; `InputError` if a file of scores
    or a verification record is missing or damaged.
    """
    pairs = [read_pair(dataset, model) for dataset, model in params.pairs()]
    records = {dataset: read_record(dataset) for dataset in params.grid.datasets}
    models = {}
    for path in [*(MODELS / f"{model}.yaml" for model in params.grid.models.names), *sorted(MODELS.glob("*.yaml"))]:
        if path.stem not in models:  # what an engine adds is checked by the stages that use it
            common = {key: value for key, value in read_yaml(path).items() if key in ModelConfig.model_fields}
            models[path.stem] = ModelConfig.parse(common, path.as_posix())
    return Run(params, pairs, records, models)


def read_pair(dataset: str, model: str) -> Pair:
    """Read the headline scores and all scores of a pair; `BOUNDS` have no headline scores."""
    stage, scores = f"evaluate@{dataset}", read_scores(dataset, model)
    path = METRICS / "scores" / dataset / f"{model}.json"
    numbers = {} if model in BOUNDS else read_json(path, dict[str, FiniteFloat], stage)
    return Pair(dataset, model, numbers, scores.get(OWN, {}), scores.get(AUTHORS, {}))


def read_scores(dataset: str, model: str) -> dict[str, dict[Key, Score]]:
    """Read all scores of a pair but those of single classes, by their protocol."""
    columns: dict[str, Reader] = dict.fromkeys(
        ("protocol", "task", "annotation", "split", "metric", "class", "note"), str
    )
    columns |= dict.fromkeys(("value", "low", "high", "sd", "first", "scaled"), optional(number))
    columns |= dict.fromkeys(("n_cells", "n_classes", "n_donors"), optional(count))
    columns |= {"n_runs": count, "dataset": exactly(dataset), "model": exactly(model)}
    scores: dict[str, dict[Key, Score]] = {}
    path = METRICS / "full" / dataset / f"{model}.csv"
    of_samples: dict[str, Reader] = {"n_all": optional(count), "se": optional(number)}  # of large datasets
    table = read_table(path, columns, f"evaluate@{dataset}", lambda name: of_samples.get(name, str), may_be_empty=False)
    for row in rows_of(table):
        if not row["class"]:
            key = row["task"], row["annotation"], row["split"], row["metric"]
            notes = tuple(shorten(printable(note), MESSAGE) for note in row["note"].split(NOTE_SEPARATOR) if note)
            fields: dict[str, Any] = {name: row.get(name) for name in Score._fields if name != "notes"}
            scores.setdefault(row["protocol"], {})[key] = Score(**fields, notes=notes)
    return scores


def labellers(record: dict[str, Any]) -> str:
    """Name those whose labels the files of a dataset have."""
    return "the user's" if record["label_source"] == "user" else "the authors'"


def labels_from(record: dict[str, Any]) -> str:
    """Say who labelled the cells of a dataset, and whether they come from its fallback."""
    source, table, fallback = record["label_source"], record.get("labels_from"), record.get("fallback")
    if source == "annotation":
        version = (record.get("annotation") or {}).get("method_version")
        who = f"cell types by clusters and markers{f', version {version}' if version else ''}, not by the authors"
    else:
        who = "labels by the user" if source == "user" else "labels by the authors"
        if table:
            place = f"from {table['path']}, put there by hand (sha256 {table['sha256'][:12]})"
            who = f"labels {place}" if source == "user" else f"{who}, {place}"
    return f"{who}; fallback: {fallback['title']}, {fallback['note']} ({fallback['because']})" if fallback else who
