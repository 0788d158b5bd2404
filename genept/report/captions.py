"""The sentences of the tables and pages that depend on ``params.yaml``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

from genept.core.params import AUTHORS, Evaluate, Params, Split
from genept.report import significance
from genept.report.pairs import Run

WIDTH = 110
HELD_OUT = {"patient": "donors"}
DISTANCES = {
    "cosine": "cosine distance",
    "centred_cosine": "centred cosine distance (the mean of all cells is subtracted first)",
    "euclidean": "euclidean distance",
}


def neighbours(params: Params) -> str:
    """Name the nearest neighbours of Table C4."""
    k = params.evaluate.knn.k
    return "nearest neighbour" if k == 1 else f"{k} nearest neighbours"


def clustering(params: Params) -> str:
    """Say how cells are clustered and how often."""
    kmeans = params.evaluate.kmeans
    batches = f"batches of {kmeans.batch_size} cells, " if kmeans.algorithm == "minibatch" else ""
    name = f"{'mini-batch' if batches else 'full'} k-means ({batches}n_init {kmeans.n_init})"
    return f"{name}, {count(params.evaluate.repeats, 'seed')}"


def count(n: int, noun: str) -> str:
    """Write a number with its noun: "one seed", "20 seeds"."""
    return f"one {noun}" if n == 1 else f"{n} {noun}s"


def clusters(params: Params) -> str:
    """Say how clusters and silhouettes are compared with labels."""
    evaluate = params.evaluate
    return (
        "ARI (adjusted Rand index) and AMI (adjusted mutual information) compare the labels with as many clusters, by "
        f"{clustering(params)}. ASW is the average silhouette width of the labels, by "
        f"{DISTANCES[evaluate.asw or evaluate.metric]}; of all cells it is one number, for which there is no test."
    )


def table_2(params: Params) -> str:
    """Explain Table 2."""
    return " ".join(
        [
            f"{clusters(params)} Higher is better.",
            runs(params, classifies=False),
            f"Test cells only: all models on the test cells of {count(params.evaluate.repeats, 'random split')}, the "
            "only cells on which a fine-tuned model can be scored.",
            bounds(params),
            missing(params),
        ]
    )


def nearest(params: Params) -> str:
    """Say how a cell type is predicted."""
    evaluate = params.evaluate
    tie = "that of the nearest cell" if evaluate.knn.tie == "nearest" else "the alphabetically first"
    return (
        f"The cell type of a test cell is the most frequent among its {neighbours(params)} in the training cells, of "
        f"equally frequent ones {tie}, by {DISTANCES[evaluate.metric]}."
    )


def table_c4(params: Params, with_reference: str = "") -> str:
    """Explain Table C4; `with_reference` is the annotation of rows that go from reference to query."""
    evaluate = params.evaluate
    sentences = [
        nearest(params),
        split(evaluate.split),
        "Precision, recall and F1 are macro averages: means over all cell types, each with the same weight, as in the "
        f"paper; F1, frequent: over those with at least {count(evaluate.min_test_cells, 'test cell')}. Higher is "
        "better.",
        runs(params),
    ]
    if params.grid.ensemble:
        sentences.append(ensemble(evaluate))
    if with_reference:
        sentences.append(f"{with_reference}: the training cells are the reference, the test cells all of the query.")
    return " ".join([*sentences, bounds(params, has_supervised=True), missing(params)])


def ensemble(evaluate: Evaluate) -> str:
    """Say how the ensemble decides."""
    if evaluate.ensemble == "pooled":
        return (
            "The ensemble takes the most frequent cell type among the neighbours that all its models find. "
            "The paper does not say how its ensemble decides; this is the likely reading."
        )
    tie = "alphabetically first" if evaluate.vote_tie == "smallest" else "first model's"
    return f"Each model of the ensemble has one vote; if votes are tied, the {tie} cell type is chosen."


def patients(params: Params) -> str:
    """Say what patients are clustered on, and what their ARI means."""
    n_components = params.evaluate.kmeans.pca_for_patient
    on = f"at most {n_components} principal components" if n_components else "the whole embedding"
    return (
        f"Patients are clustered on {on}; a lower patient ARI means a smaller batch effect, or less signal of any "
        "kind: by itself it discriminates nothing, and that of random vectors is about 0."
    )


def section_4_4(params: Params, has_patients: bool = True) -> str:
    """Explain Section 4.4."""
    logreg = params.evaluate.logreg
    sentences = [
        f"ARI (adjusted Rand index) compares the labels with as many clusters, by {clustering(params)}.",
        *([patients(params)] if has_patients else []),
    ]
    if logreg.labels:
        sentences += [
            "The other columns are of the annotation named: its ARI on all cells, and accuracy, balanced accuracy "
            "(mean recall of the classes), AUROC (area under the ROC curve, each class against the rest) and precision "
            "(weighted by the cells of each class) of a logistic regression on test cells, "
            f"C = {logreg.C:g}, at most {count(logreg.max_iter, 'iteration')}. As the authors: coordinates as they "
            "are, which often makes it predict one class; standardised: each coordinate with mean 0 and variance 1. "
            "The accuracy of `majority` is the majority rate. Higher is better.",
            split(params.evaluate.split),
        ]
    return " ".join([*sentences, runs(params), bounds(params)])


def split(config: Split) -> str:
    """Say how test cells are chosen."""
    how = "with each label in the same proportion" if config.stratified else "at random"
    drawn = f"{100 * config.test_size:g} % of the cells, drawn {how}, are test cells"
    if config.groups is None:
        return f"{drawn}."
    held_out = HELD_OUT.get(config.groups, f"{config.groups} groups")
    return (
        f"{drawn}; or whole {held_out} are held out in turn, so that each cell of a known one is tested once. The "
        f"latter comes first for a label that all cells of a {held_out[:-1]} share."
    )


def runs(params: Params, classifies: bool = True) -> str:
    """Say what a score and its brackets are; donors are held out only where cells are classified."""
    groups = HELD_OUT.get(params.evaluate.split.groups or "", f"{params.evaluate.split.groups} groups")
    held_out = (
        f"With {groups} held out, the brackets are the 95 % bootstrap interval over {groups} or, of fewer than 10 "
        f"{groups}, the lowest and the highest {groups[:-1]}'s own accuracy; other scores then have none."
    )
    repeats = params.evaluate.repeats
    first = "A score is that of one run."
    if repeats > 1:
        first = (
            f"A score is the mean over {repeats} runs (splits, or seeds of k-means; of a control, draws of gene "
            "vectors, too), in brackets where 95 % of single runs fall."
        )
        grid = params.grid.models
        if grid.scgpt_trained or grid.geneformer_trained:
            first += " Brackets of models trained here, and of an ensemble with one, also hold other trainings."
    return f"{first} {held_out}" if classifies and params.evaluate.split.groups else first


SAMPLED = {"kmeans": ("clusters", ""), "silhouette": ("silhouettes (ASW)", ", each against all")}  # may be, by task


def samples(run: Run, datasets: Iterable[str] | None = None) -> list[str]:
    """Say which scores of large datasets are of samples."""
    found = []
    for dataset in run.records if datasets is None else datasets:
        if sizes := run.sampled(dataset):
            others = [
                f"{name} of at most {of[0]:,} of {of[1]:,} cells{how}"
                for task, (name, how) in SAMPLED.items()
                if (of := run.sampled(dataset, task))
            ]
            found.append(
                f"`{dataset}`: predictions are of a sample drawn by seed, at most {sizes[0]:,} of {sizes[1]:,} cells, "
                f"whose neighbours are the exact ones among all training cells{''.join(f'; {one}' for one in others)}. "
                "± is the standard error of a sample's score, which its brackets contain. No sampled score is called "
                "reproduced."
            )
    return found


def bounds(params: Params, has_supervised: bool = False) -> str:
    """Say what scores lie between; only a table of cell types has the row `supervised`."""
    learned = f" `supervised`: what a logistic regression learns from `{params.baseline}`." if has_supervised else ""
    return (
        "Floor: `majority`, always the most frequent label of the training cells, and `random_cells`, a random vector "
        f"for each cell.{learned} The CSV file has each score also scaled from 0, the higher floor, to 1, the label "
        "itself."
    )


def bold(is_shown: bool) -> str:
    """Explain bold numbers."""
    rule = (
        f"no test tells from the highest of their group: paired over splits, seeds or donors, p adjusted by Holm above "
        f"{significance.LEVEL:g}"
    )
    nothing = "if the highest cannot be told from the floor, or no test is possible"
    others = (
        "Fine-tuned models, heads on controls, floors, `supervised` and rows that are not comparable do not compete."
    )
    if is_shown:
        return f"Bold: scores that {rule}; nothing is bold {nothing}. {others}"
    return f"Nothing is bold: there is no group with two scores to compare, or {nothing.removeprefix('if ')}."


def missing(params: Params) -> str:
    """Say which labels are none."""
    labels = params.label.missing_labels
    named = f", or with one that means missing ({', '.join(labels)}, in any case)" if labels else ""
    return f"Cells without label{named} are left out."


def protocol(params: Params) -> str:
    """Say how the run was scored."""
    evaluate = params.evaluate
    return (
        f"This run: seed {params.scoring_seed}; {clustering(params)}; {neighbours(params)} by "
        f"{DISTANCES[evaluate.metric]}; silhouettes by {DISTANCES[evaluate.asw or evaluate.metric]}. "
        f"{split(evaluate.split)}"
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
        (
            f"Small models, not the published ones, trained here{trained_on(run)}",
            [*grid.scgpt_trained, *grid.geneformer_trained],
        ),
        (
            "Fitted on training cells, again for each split, and scored only on other cells",
            [*grid.finetuned, *run.params.grid.heads_on_controls],
        ),
    )
    present = [(role, [f"`{name}`" for name in models if name in members]) for role, members in named]
    return [f"{role}: {', '.join(members)}." for role, members in present if members]


def trained_on(run: Run) -> str:
    """Say what the models that are trained here have seen, and whether it is of donors that are scored."""
    names = run.params.grid.pretrain
    of_donors = (run.records[name]["annotations"].get("patient", {}) for name in names if name in run.records)
    has_shared = any(
        n_cells > own["evaluated_cells"].get(donor, 0) > 0
        for own in of_donors
        for donor, n_cells in own.get("all_cells", {}).items()
    )
    of = ", though other cells of their donors are" if has_shared else ""
    return f" on cells of {', '.join(f'`{name}`' for name in names)} that are not scored{of}" if names else ""


def escaped(text: str) -> str:
    """Return a text with words of a user so that Markdown, in a table too, prints it as it is; names are code."""
    return re.sub(r"`\w+`|[\\`*\[\]<>|#$]", lambda found: found[0] if len(found[0]) > 1 else f"\\{found[0]}", text)


def filled(text: str, width: int = WIDTH, bullet: str = "") -> str:
    """Break a text into lines."""
    lines = textwrap.TextWrapper(width, bullet, " " * len(bullet), break_long_words=False, break_on_hyphens=False)
    return lines.fill(text)
