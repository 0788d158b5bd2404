"""The verification record of a dataset: what its files show, what others report of it, and what became of its cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from genept.core import files
from genept.core.text import MESSAGE, listed, printable, shorten
from genept.data import hgnc
from genept.data.cells import PART, QUERY, UNKNOWN
from genept.data.genes import COLLISION, KNOWN, Harmonised
from genept.datasets.config import ANNOTATION, DatasetConfig, Replacement
from genept.datasets.inputs import ATTEMPTS, read_attempts
from genept.datasets.label import Labelled

OPTIONAL = (
    "fallback",
    "labels_from",
    "annotation",
    "attempts",
    "unexpected",
    "reported",
    "derived",
)  # left out where empty


def describe(
    dataset: str,
    config: DatasetConfig,
    fallback: Replacement | None,
    labelled: Labelled,
    digests: dict[str, str],
    folder: Path,
    min_class_size: int,
) -> dict[str, Any]:
    """Return the record; `digests` are those of the files in `folder` that were read.

    Labels with fewer evaluated cells than `min_class_size` are listed. They are scored all the same.
    """
    evaluated, scored = labelled.cells.obs, scored_cells(labelled.cells.obs)
    origins: dict[Any, str] = {**config.obs} | dict.fromkeys(labelled.derived, "derived")
    if labelled.annotation:
        origins["cell_type"] = ANNOTATION
    annotations, small = dict[str, Any](), list[str]()
    for key in labelled.obs.columns.drop(PART, errors="ignore"):
        counts = tally(evaluated[key])
        rare = [name for name, number in counts.items() if number < min_class_size and name != UNKNOWN]
        annotations[key] = {
            "column": origins[key],
            "n_labels_scored": len(set(scored[key].unique()) - {UNKNOWN}),
            "n_missing": int(labelled.obs[key].isna().sum()),
            **({"missing": labelled.missing[key]} if key in labelled.missing else {}),
            "smaller_than_min_class_size": rare,
            "all_cells": tally(labelled.obs[key]),
            "evaluated_cells": counts,
        }
        if rare:
            names = listed(f"{shorten(name)} ({counts[name]})" for name in rare)
            small.append(f"{key}: fewer than {min_class_size} evaluated cells of {names}")
    counted, expected = labelled.counted, config.expected
    comparisons, patients = compare(config.reported, counted, scored), count_patients(labelled.obs)
    digests = digests | {hgnc.PATH.as_posix(): files.sha256(hgnc.PATH)}
    record: dict[str, Any] = {
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
        "attempts": read_attempts(folder, dataset) if (folder / ATTEMPTS).exists() else None,
        "checked": {
            key: {"found": n} | ({"expected": expected[key], "match": expected[key] == n} if key in expected else {})
            for key, n in counted.items()
        },
        "unexpected": labelled.unexpected,
        "reported": comparisons,
        "cells": {
            "n_file": counted["n_cells"],
            "n_empty_dropped": labelled.n_empty,
            "n_dropped_by_qc": labelled.n_dropped_by_qc,
            "n_evaluated": len(evaluated),
            "n_scored": len(scored),
            "n_not_evaluated": len(labelled.obs) - len(evaluated),
        },
        "copies": labelled.copies,
        "genes": describe_genes(labelled.genes),
        "annotations": annotations,
        "derived": labelled.derived,
        "patients": patients,
        "notes": [
            *([f"fallback: {fallback.title} ({fallback.because})"] if fallback else []),
            *(f"not as expected, but accepted: {what}" for what in labelled.unexpected),
            *labelled.notes,
            *(without_label(key, texts) for key, texts in labelled.missing.items()),
            *of_one_patient(patients),
            *(difference(row) for row in comparisons if not row["match"]),
            *small,
        ],
    }
    record["notes"] = [shorten(printable(note), MESSAGE) for note in record["notes"]]
    return {key: value for key, value in record.items() if value or key not in OPTIONAL}


def without_label(annotation: str, texts: dict[str, int]) -> str:
    """Say how many cells have no label, and what stands in its place."""
    named = [f"{repr(shorten(text)) if text else 'empty'} {number}" for text, number in texts.items()]
    return f"{annotation}: {sum(texts.values())} cells without a label ({listed(named)})"


def of_one_patient(patients: dict[str, Any]) -> list[str]:
    """Say which labels of a condition are those of a single patient: such a label cannot be told from its donor."""
    notes = []
    for key, counts in patients.items():
        if single := [label for label, number in counts["patients_per_label"].items() if number == 1]:
            notes.append(f"{key}: one patient only has {listed(single)}")
    return notes


def scored_cells(obs: pd.DataFrame) -> pd.DataFrame:
    """Return the evaluated cells that scores are of: of reference and query the query's, else all."""
    return obs[obs[PART] == QUERY] if PART in obs else obs


def compare(
    reported: dict[str, dict[str, int | list[str]]], counted: dict[str, int], scored: pd.DataFrame
) -> list[dict[str, Any]]:
    """Compare what others report with what the files show; labels are counted in the cells that scores are of."""
    comparisons = []
    for who, statements in reported.items():
        for what, value in statements.items():
            found: int | list[str] = counted.get(what, 0)  # 0: an annotation or a part that the files do not have
            if what == "n_scored":
                found = len(scored)
            elif what in scored:
                labels = sorted(set(scored[what].unique()) - {UNKNOWN})
                found = labels if isinstance(value, list) else len(labels)
            value = sorted(value) if isinstance(value, list) else value
            comparisons.append({"by": who, "what": what, "reported": value, "found": found, "match": found == value})
    return comparisons


def difference(row: dict[str, Any]) -> str:
    """Say in a sentence that the files show something else than others report."""
    by, what, reported, found = row["by"], row["what"], row["reported"], row["found"]
    if not isinstance(reported, list):
        return f"{what}: {by} reports {reported}, the files show {found}"
    labels = set(found) if isinstance(found, list) else set()
    absent = listed(sorted(set(reported) - labels), most=20) or "none"
    extra = listed(sorted(labels - set(reported)), most=20) or "none"
    return f"{what}: labels that {by} reports and the files lack: {absent}; in the files only: {extra}"


def describe_genes(harmonised: Harmonised) -> dict[str, Any]:
    """Report what became of the gene names."""
    rows = list(zip(harmonised.original, harmonised.symbols, harmonised.how, strict=True))
    renamed = {old: new for old, new, how in rows if old != new and how in KNOWN}
    return {
        "n_genes": len(harmonised.keep),
        "n_known_to_hgnc": (n_known := sum(how in KNOWN for how in harmonised.how)),
        "share_known_to_hgnc": round(n_known / len(harmonised.how), 4),
        "n_without_ensembl_id": sum(not ensembl_id for ensembl_id in harmonised.ensembl_ids),
        "n_renamed": len(renamed),
        "n_dropped_duplicates": len(harmonised.dropped),
        "dropped_duplicates": harmonised.dropped,
        "ambiguous": [old for old, _, how in rows if how == "ambiguous"],
        "collisions": [old for old, _, how in rows if how == COLLISION],
        "unknown": [old for old, _, how in rows if how == "unknown"],
        "renamed": renamed,
    }


def tally(labels: pd.Series) -> dict[str, int]:
    """Count labels, the most frequent first and equal ones by name."""
    counts = ((str(label), int(number)) for label, number in labels.value_counts().items() if number)
    return dict(sorted(counts, key=lambda item: (-item[1], item[0])))


def count_patients(obs: pd.DataFrame) -> dict[str, Any]:
    """Count the patients behind each phenotype and disease: the number that a comparison of conditions rests on.

    Cells without a patient or a label do not count.
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
