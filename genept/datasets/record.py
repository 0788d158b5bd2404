"""The verification record: what was found in a data set, what was expected of it, and what became of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from genept.core.errors import InputError
from genept.data.cells import PART, QUERY
from genept.data.genes import Harmonised
from genept.datasets.entry import Entry
from genept.datasets.obs import UNKNOWN
from genept.datasets.raw import Whole


class Said(NamedTuple):
    """What somebody says of a data set, and what its files show: a number or labels by name."""

    by: str
    what: str
    says: int | list[str]
    found: int | list[str]
    match: bool


def compare(where: str, expected: dict[str, int], found: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Compare the numbers found in a file with those that ``params.yaml`` expects.

    Returns
    -------
    Per number found: ``found``, and where one is expected ``expected`` and ``match``.

    Raises
    ------
    InputError
        If one differs; the message names them all.
    """
    wrong = [f"{key} is {n}, not {expected[key]}" for key, n in found.items() if n != expected.get(key, n)]
    if wrong:
        raise InputError(f"{where} contradicts params.yaml: {'; '.join(wrong)}; correct `expected:` there, or the file")
    return {
        key: {"found": number, **({"expected": expected[key], "match": True} if key in expected else {})}
        for key, number in found.items()
    }


def found(in_files: Whole, labels: pd.DataFrame) -> dict[str, int]:
    """Count what `expected` can name: cells and genes, the cells of each part, and the labels of each annotation.

    Parameters
    ----------
    in_files
        What the files hold, before any cell is left out.
    labels
        The annotations of the cells, derived ones and those of a re-analysis included, missing labels being `None`,
        which is no label.
    """
    parts = tally(in_files.labels[PART]) if PART in in_files.labels else {}
    return {
        "n_cells": in_files.x.shape[0],
        "n_genes": in_files.x.shape[1],
        **parts,
        **{str(key): int(values.nunique()) for key, values in labels.items() if key != PART},
    }


def scored(obs: pd.DataFrame) -> pd.DataFrame:
    """Return the evaluated cells that scores are of: of a data set in two parts the query's, else all."""
    return obs[obs[PART] == QUERY] if PART in obs else obs


def against(said: dict[str, dict[str, int | list[str]]], found: dict[str, int], scored: pd.DataFrame) -> list[Said]:
    """Hold what others say of a data set against what its files show.

    Parameters
    ----------
    said
        See `Entry`.
    found
        As `found` returns it.
    scored
        The annotations of the cells that scores are of, filled; labels are counted in these.

    Returns
    -------
    One statement each, in the order of `said`. A label set that differs says which labels are lacking and which more.
    """
    rows = []
    for who, statements in said.items():
        for what, says in statements.items():
            here: int | list[str]
            if what == "n_scored":
                here = len(scored)
            elif what in scored:
                labels = sorted(set(scored[what]) - {UNKNOWN})
                here = labels if isinstance(says, list) else len(labels)
            elif what in found:
                here = found[what]
            else:
                here = 0  # an annotation or a part that the files do not have
            rows.append(Said(who, what, says, here, here == says))
    return rows


def differences(rows: list[Said]) -> list[str]:
    """Say in a sentence each where the files show something else than others say."""
    notes = []
    for row in rows:
        if row.match:
            continue
        if isinstance(row.says, list):
            here = row.found if isinstance(row.found, list) else []
            lacking, more = (
                ", ".join(sorted(set(a) - set(b))) or "none" for a, b in ((row.says, here), (here, row.says))
            )
            notes.append(f"{row.what}: of the labels that {row.by} names lacking: {lacking}; more here: {more}")
        else:
            notes.append(f"{row.what}: {row.by} says {row.says}, here it is {row.found}")
    return notes


def genes(harmonised: Harmonised) -> dict[str, Any]:
    """Report what became of the gene names."""

    def names(how: str) -> list[str]:
        return [name for name, found in zip(harmonised.original, harmonised.how, strict=True) if found == how]

    pairs = zip(harmonised.original, harmonised.symbols, harmonised.how, strict=True)
    renamed = {old: new for old, new, how in pairs if old != new and how in ("previous", "alias", "ensembl")}
    return {
        "n_genes": len(harmonised.keep),
        "n_known_to_hgnc": sum(how in ("ensembl", "approved", "previous", "alias") for how in harmonised.how),
        "n_without_ensembl_id": sum(not ensembl_id for ensembl_id in harmonised.ensembl_ids),
        "n_renamed": len(renamed),
        "n_dropped_duplicates": len(harmonised.dropped),
        "dropped_duplicates": harmonised.dropped,
        "ambiguous": names("ambiguous"),
        "kept_name_because_taken": names("taken"),
        "unknown": names("unknown"),
        "renamed": renamed,
    }


def annotation(
    raw: pd.Series, column: str, evaluated: pd.Series, scored: pd.Series, min_class_size: int
) -> dict[str, Any]:
    """Report the labels of one annotation.

    Parameters
    ----------
    raw
        The labels of all cells with counts, missing ones being `None`.
    column
        Its name in the file.
    evaluated
        The labels of the evaluated cells, missing ones called ``Unknown``.
    min_class_size
        Labels with fewer evaluated cells are listed.
    scored
        Those of the evaluated cells that scores are of.
    """
    counts = {"all_cells": tally(raw), "evaluated_cells": tally(evaluated)}
    return {
        "column": column,
        "n_labels_scored": len(set(scored) - {UNKNOWN}),
        "n_missing": int(raw.isna().sum()),
        "smaller_than_min_class_size": [
            label for label, number in counts["evaluated_cells"].items() if number < min_class_size
        ],
        **counts,
    }


def tally(labels: pd.Series) -> dict[str, int]:
    """Count labels, the most frequent first and equal ones by name."""
    counts = labels.value_counts()
    return {str(label): int(counts[label]) for label in sorted(counts.index, key=lambda text: (-counts[text], text))}


def patients(labels: pd.DataFrame) -> dict[str, Any]:
    """Count the patients behind each phenotype and disease: the number that a comparison of conditions rests on.

    Returns
    -------
    Per annotation that exists, beside ``patient``: the number of patients of each label, and the patients that have
    cells under several labels. Cells without a patient or a label do not count.
    """
    report = {}
    for key in ("phenotype", "disease"):
        if "patient" in labels and key in labels:
            pairs = labels[["patient", key]].dropna().drop_duplicates()
            repeated = pairs["patient"].value_counts()
            report[key] = {
                "patients_per_label": tally(pairs[key]),
                "patients_with_several_labels": sorted(repeated[repeated > 1].index),
            }
    return report


def small_classes(annotations: dict[str, dict[str, Any]], min_class_size: int) -> list[str]:
    """Say in a sentence per annotation which labels have few evaluated cells. They are kept."""
    return [
        f"{key}: fewer than {min_class_size} evaluated cells of "
        + ", ".join(f"{label} ({report['evaluated_cells'][label]})" for label in report["smaller_than_min_class_size"])
        for key, report in annotations.items()
        if report["smaller_than_min_class_size"]
    ]


def declared(entry: Entry) -> dict[str, Any]:
    """Return what of the entry explains the record."""
    subset = entry.subset
    drawn = None
    if subset is not None:
        size = {"n_cells": subset.n_cells} if subset.share is None else {"share": subset.share}
        drawn = {**size, "by": subset.by, "seed": subset.seed}
    return {
        "layer": entry.layer,
        "subset": drawn,
        "n_samples": len(entry.samples),
        "finetune": entry.finetune,
    }
