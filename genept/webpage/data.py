"""What the files of each dataset hold: the verification record, genes that models know, cell types by markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from genept.report import captions
from genept.report import tracking_words as words
from genept.report.pairs import labellers, labels_from
from genept.report.printing import NONE
from genept.webpage.render import capitalised, html
from genept.webpage.sources import Sources, View

CELLS = {
    "n_file": "in the files",
    "n_empty_dropped": "dropped: without any count",
    "n_dropped_by_qc": "dropped: by the annotation's quality control",
    "n_not_evaluated": "not drawn into the evaluated subset; models trained here may learn from them",
    "n_evaluated": "evaluated",
    "n_scored": "scored (of a reference and a query: the query's)",
}
GENES = {
    "n_genes": "kept",
    "n_known_to_hgnc": "known to HGNC, the committee that names human genes",
    "n_without_ensembl_id": "without an Ensembl id",
    "n_renamed": "renamed to the approved symbol",
    "n_dropped_duplicates": "dropped: another column has the same gene",
}
GENE_LISTS = {
    "unknown": "Unknown to HGNC, kept under their names",
    "ambiguous": "Ambiguous: a former name of several genes",
    "collisions": "Kept under their names, since another column has the approved symbol",
    "dropped_duplicates": "Dropped duplicates",
}
SMALL = "smaller_than_min_class_size"
CONTENT = {"counts": "raw counts", "lognorm": "logarithms of normalised counts"}
AGREEMENT = {
    "ari": "ARI (adjusted Rand index)",
    "ami": "AMI (adjusted mutual information)",
    "accuracy": "share of cells with {whose} type",
    "f1": "F1, mean over {whose} types",
}


class Listing(NamedTuple):
    """A folded list: its heading, which says how long it is, and its items."""

    heading: str
    items: list[str]


def view(sources: Sources) -> View:
    """Return the view."""
    genes = list(words.gene_lines(sources.paper, sources.run, sources.counterparts))
    datasets = [
        {"name": name, "record": record, "coverage": [line[1:] for line in genes if line[0] == name]}
        | {"agreement": list(agreement(sources.agreements.get(name, {}), labellers(record)))}
        | {"labellers": labellers(record)}
        | tables(record)
        for name, record in sources.run.records.items()
    ]
    text = html(
        "data.html",
        datasets=datasets,
        missing=captions.missing(sources.run.params),
        explanation=words.GENES,
        headings=list(words.GENE_HEADINGS),
        min_class_size=sources.run.params.label.min_class_size,
    )
    return View("data", "Data", text)


def tables(record: dict[str, Any]) -> dict[str, Any]:
    """Return the tables and lists of a verification record, as texts."""
    annotations = record["annotations"]
    return {
        "about": list(about(record)),
        "cells": counts(CELLS, record["cells"]),
        "genes": counts(GENES, record["genes"]),
        "lists": list(listings(record["genes"])),
        "checked": [
            (key, f"{one['found']:,}", f"{one['expected']:,}" if "expected" in one else NONE, yes(one.get("match")))
            for key, one in record["checked"].items()
        ],
        "reported": [
            (one["by"], one["what"], size(one["reported"]), size(one["found"]), yes(one["match"]))
            for one in record.get("reported", [])
        ],
        "annotations": [
            (
                key,
                one["column"],
                one["n_labels_scored"],
                f"{one['n_missing']:,}",
                len(one["smaller_than_min_class_size"]),
            )
            for key, one in annotations.items()
        ],
        "labels": [(key, list(labels(one))) for key, one in annotations.items()],
        "patients": [(key, list(one["patients_per_label"].items())) for key, one in record["patients"].items()],
        "files": [(path, file["sha256"]) for path, file in record["files"].items()],
    }


def yes(match: bool | None) -> str:
    """Say whether two numbers are equal; a dash where there is only one."""
    return NONE if match is None else "yes" if match else "no"


def size(reported: int | Sequence[str]) -> str:
    """Print a count, or how many labels a list has; the notes name those that differ."""
    return f"{reported:,}" if isinstance(reported, int) else captions.count(len(reported), "label")


def labels(annotation: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each label with its cells in the files and among the evaluated ones."""
    for label, n_cells in annotation["all_cells"].items():
        yield label, f"{n_cells:,}", f"{annotation['evaluated_cells'].get(label, 0):,}"


def about(record: dict[str, Any]) -> Iterator[str]:
    """Say in sentences what a dataset is, who labelled it, and which cells were drawn."""
    for text in filter(None, (record["note"], labels_from(record))):
        yield f"{capitalised(text)}."
    layer = f", from the layer {record['layer']}" if record["layer"] else ""
    yield f"The matrix holds {CONTENT.get(record['x'], record['x'])}{layer}."
    if subset := record["subset"]:
        n_cells = f"{subset['n_cells']:,}" if "n_cells" in subset else f"{subset['share']:.0%} of the"
        evenly = f" evenly over each {subset['by']}" if "by" in subset else ""
        yield f"For scoring, {n_cells} cells were drawn{evenly} (seed {subset['seed']})."
    for name, how in record.get("derived", {}).items():
        yield f"{name} is derived: {', '.join(f'{key} {value}' for key, value in how.items())}."


def counts(meanings: Mapping[str, str], numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is counted with its number; nothing dropped needs no line."""
    present = {key: numbers.get(key) for key in meanings}
    return [(meanings[key], f"{number:,}") for key, number in present.items() if number or key in ("n_file", "n_genes")]


def listings(genes: Mapping[str, Any]) -> Iterator[Listing]:
    """Yield the lists of gene names that are not empty."""
    if renamed := genes["renamed"]:
        yield listing("Renamed", [f"{old} → {new}" for old, new in renamed.items()])
    for key, heading in GENE_LISTS.items():
        if genes[key]:
            yield listing(heading, genes[key])


def listing(heading: str, items: Sequence[str]) -> Listing:
    """Count a list in its heading."""
    return Listing(f"{heading} ({len(items):,})", list(items))


def agreement(scores: Mapping[str, float], whose: str) -> Iterator[tuple[str, str]]:
    """Yield how far cell types by clusters and markers agree with the labels of the files, `whose` they are."""
    for key, heading in AGREEMENT.items():
        if key in scores:
            yield heading.format(whose=whose), f"{scores[key]:.3f}"
