"""From a raw dataset to labelled cells: annotations in the common schema, approved symbols, the evaluated cells."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genept.core.errors import InputError
from genept.core.text import listed
from genept.data import genes
from genept.data.cells import PART, UNKNOWN
from genept.datasets import copies, inputs
from genept.datasets.config import ANNOTATION, AUTHOR, USER, DatasetConfig, Subset
from genept.datasets.derive import add_derived
from genept.datasets.labelled import Chosen
from genept.datasets.matrix import Matrix
from genept.datasets.raw import RawDataset, check_scorable, missing_texts

CODE = re.compile(r"(?:(?:cluster|leiden|louvain|group|c)[ _.-]?)?\d{1,4}", re.IGNORECASE)
#: Texts that cannot be labels, and what they stand for; the columns are those of ``metrics/probabilities``.
RESERVED = {UNKNOWN: "stands for no label"} | dict.fromkeys(
    ("cell_id", "task", "split", "actual"), "is a column of metrics/probabilities"
)


@dataclass(frozen=True)
class Labelled:
    """A labelled dataset: its cells, and all that the verification record says of how they came about."""

    cells: Chosen  # the evaluated cells
    corpus: Chosen | None  # the other cells, if wanted
    obs: pd.DataFrame  # the annotations of both, in the order of the file: categories, without ids
    content: str  # what X holds: counts or lognorm
    dtype: str  # of X in the file; it is float32 in the cells
    missing: dict[str, dict[str, int]]  # of annotations with missing labels: the texts in place of them, "" for none
    derived: dict[str, dict[str, Any]]  # how each derived annotation was made
    label_source: str  # author, annotation or user
    labels_from: dict[str, str]  # path and sha256 of a table of labels from this machine; else empty
    annotation: dict[str, Any]  # how `annotate` gave the cell types; empty where the labels are those of a file
    genes: genes.Harmonised
    counted: dict[str, int]  # cells, genes and labels in the files
    copies: dict[str, int]  # cells with equal counts, see `genept.datasets.copies`
    n_empty: int  # cells dropped because they have no count
    n_dropped_by_qc: int  # cells that the annotation's quality control left out
    unexpected: list[str]  # in what the files differ from ``expected``, where that is accepted
    notes: list[str]  # what a user should know, one sentence each

    def var(self) -> pd.DataFrame:
        """Return the genes: approved symbols, ids, and names in the file."""
        columns = {"ensembl_id": self.genes.ensembl_ids, "original_symbol": self.genes.original}
        return pd.DataFrame(columns, index=pd.Index(self.genes.symbols, name="symbol"))

    def uns(self) -> dict[str, Any]:
        """Return what an h5ad says of itself: what X holds, its type in the file, how the labels came about."""
        method = {key: self.annotation[key] for key in ("method", "method_version") if key in self.annotation}
        content = {"x": self.content, "x_dtype": self.dtype, "label_source": self.label_source}
        return content | {k: v for k, v in (("labels_from", self.labels_from), ("annotation", method)) if v}


def label(
    folder: Path,
    config: DatasetConfig,
    table: genes.Table,
    dataset: str,
    with_corpus: bool = False,
    accept_unexpected: bool = False,
    missing_labels: Iterable[str] = (),
    least_known_genes: float = 0.0,
) -> Labelled:
    """Read, check, harmonise and divide a dataset, whose files are in `folder`.

    `table` is HGNC's, which must know a share of at least `least_known_genes` of the gene names; `missing_labels` are
    texts that are no label, unless the config has a list of its own.
    `InputError` names a file that is damaged or contradicts the config; with `accept_unexpected` its numbers may differ
    from ``expected``.
    """
    if not accept_unexpected:  # before any matrix is read
        n_cells = inputs.count_cells(folder, config)
        check_expected(folder, dataset, {key: n for key, n in config.expected.items() if key in n_cells}, n_cells)
    annotation, labels_from = dict[str, Any](), dict[str, str]()
    if inputs.uses_annotation(folder, config):
        published = inputs.read_raw(folder, config.without_cell_types())
        raw, annotation = inputs.join_cell_types(published, dataset)
        label_source = ANNOTATION
    else:
        raw = published = inputs.read_raw(folder, config)
        labels_from = inputs.local_labels(folder, config, dataset)
        label_source = config.label_source or (USER if labels_from else AUTHOR)
    texts = raw.obs
    obs, derived = add_derived(texts, config.derive, raw.path, config.missing(missing_labels))
    if annotation:
        obs["cell_type"] = obs["cell_type"].where(obs["cell_type"] != UNKNOWN, None)
    counted = count(published, obs)
    if not accept_unexpected:
        check_expected(raw.path, dataset, config.expected, counted)
    n_dropped_by_qc = len(published.obs) - len(raw.obs)
    harmonised = raw.harmonise(config, table, least_known_genes)
    path, x, content = raw.path, raw.x, raw.content
    notes = [*raw.notes, *annotation.get("notes", []), *harmonised.notes]
    del published, raw
    if len(harmonised.keep) < x.shape[1]:
        x = x.genes(harmonised.keep)
    digests, is_empty = copies.digests(x)
    if is_empty.all():
        raise InputError(f"{path}: none of its {len(obs)} cells has a count")
    if is_empty.any():
        x = x.cells(np.flatnonzero(~is_empty))
        texts, obs, digests = texts[~is_empty], obs[~is_empty], digests[~is_empty]
    missing = missing_texts(texts, obs)
    del texts
    obs, renamed = rename_reserved(obs)
    filled = obs.fillna(UNKNOWN)
    by = config.subset.by if config.subset else None
    evaluated = draw(obs.index, None if by is None else filled[by], config.subset)
    counted_copies, torn = copies.count(digests, filled, evaluated)
    notes += [*renamed, *codes(filled[evaluated]), *torn]
    notes += check_scorable(filled[evaluated], dataset, is_annotated=bool(annotation))
    return Labelled(
        cells=choose(x, filled, digests, evaluated),
        corpus=choose(x, filled, digests, ~evaluated) if with_corpus else None,
        obs=obs.reset_index(drop=True).astype("category"),
        content=content,
        dtype=str(x.dtype),
        missing=missing,
        derived=derived,
        label_source=label_source,
        labels_from=labels_from,
        annotation=annotation,
        genes=harmonised,
        counted=counted,
        copies=counted_copies,
        n_empty=int(is_empty.sum()),
        n_dropped_by_qc=n_dropped_by_qc,
        unexpected=differences(config.expected, counted),
        notes=notes,
    )


def count(published: RawDataset, obs: pd.DataFrame) -> dict[str, int]:
    """Count what ``expected`` can name: cells and genes in the files, cells of each part, labels of each annotation."""
    n_cells, n_genes = published.x.shape
    counted: dict[Any, int] = {"n_cells": n_cells, "n_genes": n_genes}
    if PART in published.obs:
        counted |= published.obs[PART].value_counts().to_dict()
    return counted | obs.drop(columns=PART, errors="ignore").nunique().to_dict()


def rename_reserved(obs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Give another name to labels that are spelt like a missing one and are none, or like a column of our tables."""
    notes = []
    for text, meaning in RESERVED.items():
        names = [name for name in obs.columns if (obs[name] == text).any()]
        other = f"{text} (label)"
        while obs[names].isin([other]).any(axis=None):  # it is a label, too
            other += " (label)"
        obs = obs.replace({name: {text: other} for name in names})
        notes += [f"{name}: the label {text!r} is written {other!r}, since {text!r} {meaning}" for name in names]
    return obs, notes


def codes(obs: pd.DataFrame) -> list[str]:
    """Note annotations whose labels are all numbers, of clusters perhaps; patients, ages and batches may be."""
    notes = []
    for name in obs.columns.intersection(["cell_type", "phenotype", "disease", "cancer_type"]):
        labels = sorted(set(obs[name].unique()) - {UNKNOWN}, key=by_number)
        if labels and all(CODE.fullmatch(label) for label in labels):
            notes.append(
                f"{name}: its labels are codes ({listed(labels)}), such as clusters have; is it the right column?"
            )
    return notes


def by_number(label: str) -> tuple[int, str]:
    """Return the key that sorts codes by the number in them."""
    return int("".join(filter(str.isdecimal, label)) or 0), label


def differences(expected: dict[str, int], counted: dict[str, int]) -> list[str]:
    """Say in what the files differ from what the config expects."""
    return [f"{key} is {counted.get(key, 0)}, not {n}" for key, n in expected.items() if counted.get(key) != n]


def check_expected(path: Path, dataset: str, expected: dict[str, int], counted: dict[str, int]) -> None:
    """Refuse files that are not those that the config expects."""
    if wrong := differences(expected, counted):
        raise InputError(
            f"{path} is not as expected: {'; '.join(wrong)}; if it is the right file, correct `expected` in "
            f"data/{dataset}.yaml; to run it all the same, name {dataset} under label.accept_unexpected in params.yaml"
        )


def draw(
    cell_ids: Sequence[str] | pd.Index, groups: Sequence[str] | pd.Series | None, subset: Subset | None
) -> np.ndarray:
    """Return which cells are evaluated, shape (n_cells,) of bool.

    Each group (without groups: all cells) gives the number of cells that `shares` says. Within a group the cells are
    ranked by a hash of seed and cell id, and the first ones are drawn: at random, but independent of the other cells,
    of their order and of a random generator's version.
    """
    n_cells = len(cell_ids) if subset is None else subset.size(len(cell_ids))
    if subset is None or n_cells == len(cell_ids):
        return np.ones(len(cell_ids), dtype=bool)
    digests = (hashlib.sha256(f"{subset.seed}\0{cell_id}".encode()).digest() for cell_id in cell_ids)
    order = np.argsort(np.fromiter(digests, dtype="S32", count=len(cell_ids)))
    cells = pd.Series("" if groups is None else np.asarray(groups), index=range(len(cell_ids)), dtype="category")
    ranks = cells.iloc[order].groupby(cells.cat.codes.iloc[order]).cumcount().sort_index()
    given = shares(Counter(cells), n_cells)
    return (ranks < cells.map(given).astype(int)).to_numpy()


def shares(sizes: dict[str, int], n_cells: int) -> dict[str, int]:
    """Return how many cells each group gives, in all `n_cells` or, if there are fewer, every cell.

    Water-filling: from the smallest group to the largest (by name where equal), each gives an equal part of the cells
    that are still needed, rounded down, or all it has. So no two groups that have enough differ by more than one cell,
    and those that give one more are the largest.
    """
    given, needed = {}, n_cells
    groups = sorted(sizes, key=lambda name: (sizes[name], name))
    for n_waiting, group in zip(range(len(groups), 0, -1), groups, strict=True):
        given[group] = min(sizes[group], needed // n_waiting)
        needed -= given[group]
    return given


def choose(x: Matrix, obs: pd.DataFrame, digests: np.ndarray, selected: np.ndarray) -> Chosen:
    """Return the selected cells; labels become categories in alphabetical order.

    Ids are in an Arrow array: 33 bytes for one of 25 letters, of which an object takes 88.
    """
    own = obs[selected].astype("category")
    own.index = own.index.astype("string[pyarrow]")
    return Chosen(x.cells(np.flatnonzero(selected)), own, digests[selected])
