"""What the names in tables mean: terms, metrics, and the models of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from genept.core.config import read_yaml
from genept.core.params import ENSEMBLE
from genept.engines.config import MODELS
from genept.report.pairs import BOUNDS, Run

TERMS = {  # explained below a table whose titles have them
    "GenePT-w": "a cell is the mean of its genes' text vectors, weighted by expression",
    "GenePT-s": "a cell is the embedding of one sentence, its genes in order of expression",
    "MiniLM": "the text encoder all-MiniLM-L6-v2 (384 dimensions), in place of OpenAI's",
    "ada-002": "OpenAI's text encoder text-embedding-ada-002, the paper's",
    "stand-in": "a dataset that installs with an ordinary package, in place of the paper's",
}
METRICS = {  # what it is, and its lowest value; the highest is 1
    "ari": ("adjusted Rand index: how far clusters and labels put the same cells together, less chance", -0.5),
    "ami": ("adjusted mutual information: how much clusters tell of the labels, less chance", -1),
    "asw": ("average silhouette width: how much nearer cells are to those of their own label than to the next", -1),
    "accuracy": ("share of test cells whose label is right", 0),
    "balanced_accuracy": ("mean recall of the classes", 0),
    "auroc": ("area under the ROC curve, each class against the rest; 0.5 is chance", 0),
}
OF_CLASS = {
    "precision": "of the cells that are given a class, the share that have it",
    "recall": "of the cells of a class, the share that are given it",
    "f1": "harmonic mean of precision and recall",
}
AVERAGES = {
    "weighted": "mean over classes, weighted by their cells",
    "macro": "mean over all classes, each with the same weight",
    "frequent": "mean over classes with at least {n} test cells, each with the same weight",
}
METRICS |= {
    f"{one}_{average}": (f"{OF_CLASS[one]}; {AVERAGES[average]}", 0) for average in AVERAGES for one in OF_CLASS
}
TASKS = {
    "kmeans": "clusters",
    "silhouette": "silhouettes",
    "knn": "nearest neighbours",
    "logreg": "logistic regression",
    "logreg_standardised": "logistic regression",
}
KINDS = {  # the lists of the grid
    "custom": "code of its own",
    "controls": "control",
    "genept_w": "GenePT-w",
    "genept_s": "GenePT-s",
    "scgpt": "scGPT, released",
    "geneformer": "Geneformer, released",
    "scgpt_trained": "scGPT, trained here",
    "geneformer_trained": "Geneformer, trained here",
    "finetuned": "fine-tuned head",
}


class MetricWords(NamedTuple):
    """A metric: its name, the tasks that it scores, what it is, and its lowest value."""

    name: str
    tasks: list[str]
    meaning: str
    low: float


class ModelWords(NamedTuple):
    """A row of the tables: what it is, its kind, dimensions as its settings say, where its weights are from."""

    name: str
    title: str
    kind: str
    dimensions: str
    origin: str


def terms(text: str) -> list[str]:
    """Explain the abbreviations that occur in a text."""
    explained = [f"{term}: {meaning}" for term, meaning in TERMS.items() if term in text]
    return [f"{'; '.join(explained)}."] if explained else []


def metrics(run: Run) -> Iterator[MetricWords]:
    """Yield the metrics that a run has, in the order of `METRICS`."""
    scored = {(task, metric) for pair in run.pairs for task, _, _, metric in pair.scores}
    for name, (meaning, low) in METRICS.items():
        if tasks := dict.fromkeys(words for task, words in TASKS.items() if (task, name) in scored):
            yield MetricWords(name, list(tasks), meaning.format(n=run.params.evaluate.min_test_cells), low)


def models(run: Run) -> Iterator[ModelWords]:
    """Yield every row of the tables."""
    grid = run.params.grid
    kinds = {name: kind for key, kind in KINDS.items() for name in getattr(grid.models, key)}
    kinds |= dict.fromkeys(grid.heads_on_controls, "fine-tuned head on a control")
    kinds |= {ENSEMBLE: "ensemble"} | dict.fromkeys(BOUNDS, "what scores lie between")
    for name in grid.scored:
        yield ModelWords(name, run.model_title(name), kinds[name], dimensions(run, name), origin(run, name))


def dimensions(run: Run, name: str) -> str:
    """Return the dimensions of an embedding that a model's file states; empty if it states none."""
    if name not in run.models:
        return ""
    content = read_yaml(MODELS / f"{name}.yaml")
    stated = (("vectors", "n_dimensions", ""), ("pretrain", "width", ""), ("embed", "n_components", "at most "))
    found = (f"{words}{content[part][key]}" for part, key, words in stated if key in (content.get(part) or {}))
    return next(found, "")


def origin(run: Run, name: str) -> str:
    """Say where the weights or vectors of a row come from; empty of what has none."""
    grid = run.params.grid
    if name in grid.heads_on_controls:
        return f"fitted here on training cells of `{grid.heads_on_controls[name][1]}`"
    if name in grid.models.finetuned:
        return f"fitted here on training cells of `{grid.models.genept_w[0]}`"
    if name in grid.models.controls:
        return f"drawn here, from those of `{grid.models.genept_w[0]}`"
    if name in (*grid.models.scgpt_trained, *grid.models.geneformer_trained):
        return f"trained here on cells of {listed(grid.pretrain)} that are not scored"
    if name in grid.models.custom:
        return f"`models/{name}.py`"
    if name not in run.models:
        return ""
    places = [file.places[0] for source in run.models[name].source for file in source.files.values()]
    fetched = dict.fromkeys((place.archive or place).words for place in places)
    return "; ".join(fetched) or f"nothing fetched, see `models/{name}.yaml`"


def listed(names: Iterable[str]) -> str:
    """Write names as code."""
    return ", ".join(f"`{name}`" for name in names)
