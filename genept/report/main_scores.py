"""The main scores of each row: the columns of the page's overview, the panels of the summary picture."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from genept.core.params import MAJORITY, RANDOM_CELLS
from genept.data.cells import heading
from genept.plots.palette import ModelLook, model_looks
from genept.plots.summary import Line, Panel
from genept.report.pairs import BOUNDS, Key, Run, Score
from genept.report.summary import kinds
from genept.report.table import Column

CLUSTERS, CELLS, DONORS, BATCH = "Clusters", "New cells", "New donors", "Batch and phenotype"
Scores = Mapping["Headed", Mapping[str, Score]]  # by column, then by row


class Headed(NamedTuple):
    """A column below a heading that it shares; where lower is better it has neither shade nor best."""

    family: str
    column: Column
    is_lower_better: bool = False

    @property
    def key(self) -> Key:
        """The key of its scores."""
        return self.column.task, self.column.annotation, self.column.split or "", self.column.metric


def columns(run: Run, dataset: str) -> list[Headed]:
    """Return what may be printed of a dataset: clusters, neighbours by both splits, patients and the phenotype."""
    clusters = (("kmeans", "ari"), ("kmeans", "ami"), ("silhouette", "asw"))
    neighbours = (("Accuracy", "accuracy"), ("F1", "f1_macro"))
    patient = Column("patient_ari", "Patient ARI", "kmeans", "ari", "patient", "", best=False)
    found = [Headed(CLUSTERS, Column(name, name.upper(), task, name, "cell_type", "")) for task, name in clusters]
    for family, split in ((CELLS, "random"), (DONORS, "donors")):
        found += [Headed(family, Column(name, head, "knn", name, "cell_type", split)) for head, name in neighbours]
    found.append(Headed(BATCH, patient, is_lower_better=True))
    for label in run.params.evaluate.logreg.labels:
        split = run.default_split(dataset, label)
        column = Column(label, f"{heading(label)} AUROC", "logreg_standardised", "auroc", label, split)
        found.append(Headed(BATCH, column))
    return found


def scores_of(run: Run, dataset: str) -> dict[Headed, dict[str, Score]]:
    """Return the scores of each row by column, without columns that no row has a value in."""
    pairs = [pair for pair in run.pairs if pair.dataset == dataset]
    table = {
        one: {pair.model: score for pair in pairs if (score := pair.scores.get(one.key))}
        for one in columns(run, dataset)
    }
    return {one: rows for one, rows in table.items() if any(score.value is not None for score in rows.values())}


def grouped(run: Run, present: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the kinds of rows that are present, with their names."""
    for kind, models in {**kinds(run), "bounds": list(BOUNDS)}.items():
        if some := [model for model in models if model in present]:
            yield kind, some


def panels(run: Run, scores: Scores) -> list[Panel]:
    """Return a panel for each column, with its floor and a line for each row that has a value."""
    found = []
    for one, rows in scores.items():
        values = {model: score.value for model, score in rows.items() if score.value is not None}
        floors = [values[name] for name in (MAJORITY, RANDOM_CELLS) if name in values]
        lines = [
            Line(model, kind, values[model], rows[model].low, rows[model].high)
            for kind, some in grouped(run, values)
            for model in some
        ]
        title = one.column.heading if one.family == BATCH else f"{one.column.heading}, {one.family.lower()}"
        found.append(Panel(title, lines, max(floors, default=0.0), one.is_lower_better))
    return found


def summary_panels(run: Run, dataset: str) -> list[Panel]:
    """Return the two panels of the summary picture: accuracy, of new donors where there are, and ARI."""
    scores = scores_of(run, dataset)
    accuracy = [one for one in scores if one.column.metric == "accuracy"][-1:]
    ari = [one for one in scores if one.key == ("kmeans", "cell_type", "", "ari")]
    return panels(run, {one: scores[one] for one in [*accuracy, *ari]})


def looks(run: Run) -> dict[str, ModelLook]:
    """Return how each row is drawn, by its role."""
    by_kind = {**kinds(run), "bounds": list(BOUNDS)}
    text = next(iter(run.params.grid.models.genept_w), "")
    return model_looks(by_kind, run.params.baseline, text)
