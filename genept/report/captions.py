"""Every title and sentence of the tables and pages that depends on ``params.yaml``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from genept.core.params import AUTHORS, Evaluate, Params, Split
from genept.report.pairs import Run

WIDTH = 110
HELD_OUT = {"patient": "donors"}
TERMS = {  # explained below a table whose titles have them
    "GenePT-w": "a cell is the mean of its genes' text vectors, weighted by expression",
    "GenePT-s": "a cell is the embedding of one sentence, its genes in order of expression",
    "MiniLM": "the text encoder all-MiniLM-L6-v2 (384 dimensions), in place of OpenAI's",
    "ada-002": "OpenAI's text encoder text-embedding-ada-002, the paper's",
    "stand-in": "a dataset that installs with an ordinary package, in place of the paper's",
}


def neighbours(params: Params) -> str:
    """Name the nearest neighbours of Table C4."""
    k = params.evaluate.knn.k
    return "nearest neighbour" if k == 1 else f"{k} nearest neighbours"


def clustering(params: Params) -> str:
    """Say how cells are clustered and what is averaged."""
    kmeans = params.evaluate.kmeans
    batches = f"batches of {kmeans.batch_size} cells, " if kmeans.algorithm == "minibatch" else ""
    name = f"{'mini-batch' if batches else 'full'} k-means ({batches}n_init {kmeans.n_init})"
    over = "one seed" if kmeans.repeats == 1 else f"mean and standard deviation over {kmeans.repeats} seeds"
    return f"{name}, {over}"


def table_2(params: Params) -> str:
    """Explain Table 2."""
    return (
        "ARI (adjusted Rand index) and AMI (adjusted mutual information) compare the labels with as many clusters, "
        f"by {clustering(params)}. ASW is the average silhouette width of the labels, by {params.evaluate.asw} "
        "distance. Higher is better."
    ) + unknown(params)


def table_c4(params: Params, with_reference: str = "") -> str:
    """Explain Table C4; `with_reference` is the annotation of rows that go from reference to query."""
    sentences = [
        f"The cell type of a test cell is the most frequent among its {neighbours(params)} in the training cells, by "
        f"{params.evaluate.knn.metric} distance.",
        split(params.evaluate.split),
        "Precision, recall and F1 are macro averages: means over cell types, each with the same weight. Higher is "
        "better.",
    ]
    if params.grid.ensemble:
        sentences.append(ensemble(params.evaluate))
    if with_reference:
        sentences.append(f"{with_reference}: the training cells are the reference, the test cells all of the query.")
    return " ".join(sentences) + unknown(params)


def ensemble(evaluate: Evaluate) -> str:
    """Say how the ensemble decides."""
    if evaluate.ensemble == "pooled":
        return (
            "The ensemble takes the most frequent cell type among the neighbours that all its models find, of equals "
            "the alphabetically first. The paper does not say how its ensemble decides; this is the likely reading."
        )
    tie = "alphabetically first" if evaluate.vote_tie == "smallest" else "first model's"
    return f"Each model of the ensemble has one vote; if votes are tied, the {tie} cell type is chosen."


def section_4_4(params: Params) -> str:
    """Explain Section 4.4."""
    kmeans, logreg = params.evaluate.kmeans, params.evaluate.logreg
    on = f"at most {kmeans.pca_for_patient} principal components" if kmeans.pca_for_patient else "the whole embedding"
    sentences = [
        f"ARI (adjusted Rand index) compares the labels with as many clusters, by {clustering(params)}. Patients are "
        f"clustered on {on}; a lower patient ARI means a smaller batch effect, or less signal of any kind."
    ]
    if logreg.labels:
        scaled = "standardised coordinates" if logreg.standardise else "coordinates as they are"
        sentences += [
            "The other columns are of the annotation named: its ARI, and accuracy, precision and recall of a logistic "
            f"regression (C = {logreg.C:g}, at most {logreg.max_iter} iterations, {scaled}) on test cells. Precision "
            "and recall are weighted by the cells of each class. Higher is better.",
            split(params.evaluate.split),
        ]
    return " ".join([*sentences, f"Baseline: `{params.baseline}`."])


def split(config: Split) -> str:
    """Say how test cells are chosen."""
    share = f"{100 * config.test_size:g} %"
    if config.groups:
        held_out = HELD_OUT.get(config.groups, f"{config.groups} groups")
        return f"Whole {held_out} are held out: {share} of the {held_out}, with all their cells, are the test cells."
    how = "with each label in the same proportion" if config.stratified else "at random"
    return f"{share} of the cells, drawn {how}, are test cells."


def unknown(params: Params) -> str:
    """Say which labels are no cell type, after a space; nothing if there are none."""
    labels = " or ".join(params.evaluate.unknown)
    return f" Cells labelled {labels} are left out of the cell types." if labels else ""


def protocol(params: Params) -> str:
    """Say how the run was scored."""
    evaluate = params.evaluate
    return (
        f"This run: seed {params.scoring_seed}; {clustering(params)}; {neighbours(params)} by {evaluate.knn.metric} "
        f"distance; silhouettes by {evaluate.asw} distance. {split(evaluate.split)}"
    )


def unlike_authors(params: Params) -> str:
    """Name the settings that are not those of the authors' protocol."""
    theirs, ours = flat(params.protocols[AUTHORS].model_dump()), flat(params.evaluate.model_dump())
    changed = [f"{key} {ours[key]} ({value})" for key, value in theirs.items() if ours[key] != value]
    return f"Settings under `evaluate` that differ from the authors', in brackets: {', '.join(changed) or 'none'}."


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted keys; None as YAML writes it."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return {key: "null" if value is None else value for key, value in values.items()}


def dataset_notes(run: Run, datasets: Iterable[str]) -> list[str]:
    """Repeat the notes on datasets; those with the same note in one sentence."""
    by_note: dict[str, list[str]] = {}
    for dataset in datasets:
        if note := run.records[dataset]["note"]:
            by_note.setdefault(note, []).append(f"`{dataset}`")
    return [f"{', '.join(names)}: {note}." for note, names in by_note.items()]


def roles(run: Run, models: Iterable[str]) -> list[str]:
    """Say which models of a table are controls, which are small, and which are fine-tuned."""
    grid = run.params.grid.models
    named = (
        ("Controls, whose gene vectors mean nothing", grid.controls),
        ("Small models trained here, not the published ones", [*grid.scgpt_trained, *grid.geneformer_trained]),
        ("Fitted on training cells, again for each split, and scored only on other cells", grid.finetuned),
    )
    present = [(role, [f"`{name}`" for name in models if name in members]) for role, members in named]
    return [f"{role}: {', '.join(members)}." for role, members in present if members]


def terms(text: str) -> list[str]:
    """Explain the abbreviations that occur in a text."""
    explained = [f"{term}: {meaning}" for term, meaning in TERMS.items() if term in text]
    return [f"{'; '.join(explained)}."] if explained else []


def filled(text: str, width: int = WIDTH, bullet: str = "") -> str:
    """Break a text into lines."""
    lines = textwrap.TextWrapper(width, bullet, " " * len(bullet), break_long_words=False, break_on_hyphens=False)
    return lines.fill(text)
