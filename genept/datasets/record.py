"""The verification record of a dataset: what its files show, what others report of it, and what became of its cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from genept.core import files
from genept.data import hgnc
from genept.data.cells import PART, QUERY
from genept.data.genes import COLLISION, KNOWN, Harmonised
from genept.datasets.config import DatasetConfig, Replacement
from genept.datasets.inputs import ATTEMPTS
from genept.datasets.label import Labelled
from genept.datasets.obs import UNKNOWN

OPTIONAL = ("fallback", "labels_from", "annotation", "attempts", "reported", "derived")  # left out where empty


class Comparison(NamedTuple):
    """What somebody reports of a dataset, and what its files show: a number or labels by name."""

    by: str
    what: str
    reported: int | list[str]
    found: int | list[str]
    match: bool


def describe(
    dataset: str,
    config: DatasetConfig,
    fallback: Replacement | None,
    labelled: Labelled,
    digests: dict[str, str],
    folder: Path,
    min_class_size: int,
) -> dict[str, Any]:
    """Return the record.

    Parameters
    ----------
    fallback
        The fallback that the files are of, `None` if they are the dataset's own.
    digests
        The sha256 of each file in `folder` that was read.
    min_class_size
        Labels with fewer evaluated cells are listed.
    """
    scored = scored_cells(labelled.cells.obs)
    annotations = {
        key: describe_annotation(labelled.obs[key], column, labelled.cells.obs[key], scored[key], min_class_size)
        for key, column in labelled.columns.items()
    }
    counted = {key: check["found"] for key, check in labelled.checked.items()}
    comparisons = compare(config.reported, counted, scored)
    attempts, n_evaluated = folder / ATTEMPTS, labelled.cells.n_obs
    digests = digests | {hgnc.PATH.as_posix(): files.sha256(hgnc.PATH)}
    record = {
        "dataset": dataset,
        "title": config.title,
        "note": config.note,
        "paper": config.paper,
        "fallback": fallback and fallback._asdict(),
        "label_source": labelled.label_source,
        "labels_from": labelled.labels_from,
        "annotation": labelled.annotation,
        "x": labelled.content,
        "layer": config.layer,
        "subset": config.subset and config.subset.model_dump(exclude_none=True),
        "n_samples": len(config.samples),
        "finetune": config.finetune,
        "files": {path: {"sha256": digest} for path, digest in digests.items()},
        "attempts": files.read_json(attempts) if attempts.is_file() else None,
        "checked": labelled.checked,
        "reported": [comparison._asdict() for comparison in comparisons],
        "cells": {
            "n_file": counted["n_cells"],
            "n_empty_dropped": labelled.n_empty,
            "n_dropped_by_qc": labelled.n_dropped_by_qc,
            "n_evaluated": n_evaluated,
            "n_scored": len(scored),
            "n_not_evaluated": len(labelled.obs) - n_evaluated,
        },
        "genes": describe_genes(labelled.genes),
        "annotations": annotations,
        "derived": labelled.derived,
        "patients": count_patients(labelled.obs),
        "notes": [
            *([f"fallback: {fallback.title} ({fallback.because})"] if fallback else []),
            *labelled.notes,
            *differences(comparisons),
            *small_classes(annotations, min_class_size),
        ],
    }
    return {key: value for key, value in record.items() if value or key not in OPTIONAL}


def scored_cells(obs: pd.DataFrame) -> pd.DataFrame:
    """Return the evaluated cells that scores are of: of reference and query the query's, else all."""
    return obs[obs[PART] == QUERY] if PART in obs else obs


def compare(
    reported: dict[str, dict[str, int | list[str]]], counted: dict[str, int], scored: pd.DataFrame
) -> list[Comparison]:
    """Compare what others report of a dataset with what its files show.

    Parameters
    ----------
    reported
        By who reports it: ``n_cells``, ``n_genes``, ``n_scored``, cells of ``reference`` and ``query``, and of
        annotations numbers of labels, or labels by name.
    counted
        As `genept.datasets.label.count` returns it.
    scored
        The annotations of the cells that scores are of, filled; labels are counted in these.
    """
    comparisons = []
    for who, statements in reported.items():
        for what, value in statements.items():
            found: int | list[str] = counted.get(what, 0)  # 0: an annotation or a part that the files do not have
            if what == "n_scored":
                found = len(scored)
            elif what in scored:
                labels = sorted(set(scored[what]) - {UNKNOWN})
                found = labels if isinstance(value, list) else len(labels)
            value = sorted(value) if isinstance(value, list) else value
            comparisons.append(Comparison(who, what, value, found, found == value))
    return comparisons


def differences(comparisons: list[Comparison]) -> list[str]:
    """Say in a sentence each where the files show something else than others report."""
    notes = []
    for by, what, reported, found, match in comparisons:
        if match:
            continue
        if isinstance(reported, list):
            labels = found if isinstance(found, list) else []
            absent = ", ".join(sorted(set(reported) - set(labels))) or "none"
            extra = ", ".join(sorted(set(labels) - set(reported))) or "none"
            notes.append(f"{what}: labels that {by} reports and the files lack: {absent}; in the files only: {extra}")
        else:
            notes.append(f"{what}: {by} reports {reported}, the files show {found}")
    return notes


def describe_genes(harmonised: Harmonised) -> dict[str, Any]:
    """Report what became of the gene names."""
    rows = list(zip(harmonised.original, harmonised.symbols, harmonised.how, strict=True))
    renamed = {old: new for old, new, how in rows if old != new and how in KNOWN}
    return {
        "n_genes": len(harmonised.keep),
        "n_known_to_hgnc": sum(how in KNOWN for how in harmonised.how),
        "n_without_ensembl_id": sum(not ensembl_id for ensembl_id in harmonised.ensembl_ids),
        "n_renamed": len(renamed),
        "n_dropped_duplicates": len(harmonised.dropped),
        "dropped_duplicates": harmonised.dropped,
        "ambiguous": [old for old, _, how in rows if how == "ambiguous"],
        "collisions": [old for old, _, how in rows if how == COLLISION],
        "unknown": [old for old, _, how in rows if how == "unknown"],
        "renamed": renamed,
    }


def describe_annotation(
    labels: pd.Series, column: str, evaluated: pd.Series, scored: pd.Series, min_class_size: int
) -> dict[str, Any]:
    """Report the labels of one annotation.

    Parameters
    ----------
    labels
        The labels of all cells with counts, missing ones being `None`.
    column
        Its name in the file.
    evaluated, scored
        The labels of the evaluated cells, missing ones called ``Unknown``; and of those that scores are of.
    """
    counts = tally(evaluated)
    return {
        "column": column,
        "n_labels_scored": len(set(scored) - {UNKNOWN}),
        "n_missing": int(labels.isna().sum()),
        "smaller_than_min_class_size": [name for name, number in counts.items() if number < min_class_size],
        "all_cells": tally(labels),
        "evaluated_cells": counts,
    }


def tally(labels: pd.Series) -> dict[str, int]:
    """Count labels, the most frequent first and equal ones by name."""
    counts = labels.value_counts()
    return {str(label): int(counts[label]) for label in sorted(counts.index, key=lambda text: (-counts[text], text))}


def count_patients(obs: pd.DataFrame) -> dict[str, Any]:
    """Count the patients behind each phenotype and disease: the number that a comparison of conditions rests on.

    Returns
    -------
    Of each annotation that exists, beside ``patient``: the number of patients of each label, and the patients that have
    cells under several labels. Cells without a patient or a label do not count.
    """
    report = {}
    for key in ("phenotype", "disease"):
        if "patient" in obs and key in obs:
            pairs = obs[["patient", key]].dropna().drop_duplicates()
            n_labels = pairs["patient"].value_counts()
            report[key] = {
                "patients_per_label": tally(pairs[key]),
                "patients_with_several_labels": sorted(n_labels[n_labels > 1].index),
            }
    return report


def small_classes(annotations: dict[str, dict[str, Any]], min_class_size: int) -> list[str]:
    """Say in a sentence per annotation which labels have few evaluated cells. They are scored all the same."""
    return [
        f"{key}: fewer than {min_class_size} evaluated cells of "
        + ", ".join(f"{label} ({report['evaluated_cells'][label]})" for label in report["smaller_than_min_class_size"])
        for key, report in annotations.items()
        if report["smaller_than_min_class_size"]
    ]
