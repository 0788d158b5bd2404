"""Cells with equal values: those that one experiment or two files hold twice, and that a split can tear apart."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pandas as pd

from genept.core.text import listed
from genept.data.cells import PART, QUERY, REFERENCE, UNKNOWN
from genept.datasets.matrix import Matrix


def digests(x: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return a hash of each cell that just the cells with the same value in each gene share, and which have no value.

    Both have shape (n_cells,). A hash has 128 bits, 16 bytes of an array: objects would take five times as much.
    """
    found, is_empty, first = np.empty(x.shape[0], dtype="S16"), np.empty(x.shape[0], dtype=bool), 0
    for block in x.read():
        values, indices = block.data.astype(np.float32, copy=False), block.indices.astype(np.int32, copy=False)
        for row, (start, end) in enumerate(pairwise(block.indptr), first):
            digest = hashlib.blake2b(indices[start:end].tobytes(), digest_size=16)
            digest.update(values[start:end].tobytes())
            found[row] = digest.digest()
        is_empty[first : first + block.shape[0]] = np.diff(block.indptr) == 0
        first += block.shape[0]
    return found, is_empty


def count(digests: np.ndarray, obs: pd.DataFrame, evaluated: np.ndarray) -> tuple[dict[str, int], list[str]]:
    """Count the cells that have a copy, for the verification record; say what copies are in both halves of a split.

    `digests` are those of all cells, of which `obs` has the annotations, ``Unknown`` for none. `evaluated` says which
    are scored or, of a reference and a query, may be learned from. An annotation ``patient`` tells donors apart.
    """
    _, numbers, sizes = np.unique(digests, return_inverse=True, return_counts=True)
    is_copy = sizes[numbers] > 1
    if not is_copy.any():
        return {"n_cells": 0}, []
    numbers, own, obs = pd.factorize(numbers[is_copy])[0], evaluated[is_copy], obs[is_copy]
    scored = own & (obs[PART] == QUERY).to_numpy() if PART in obs else own
    learned = own & (obs[PART] == REFERENCE).to_numpy() if PART in obs else np.zeros(len(own), dtype=bool)
    table = pd.DataFrame({"group": numbers[scored], "id": obs.index[scored]})
    table = table[table.duplicated("group", keep=False)].sort_values("group", kind="stable")
    counted = {"n_cells": len(numbers), "n_within_scored": len(table)}
    notes = []
    if len(table):
        text = f"copies: {len(table)} scored cells have the counts of another ({listed(table['id'][:2])}), so a random "
        text += "split puts some into both training and test cells"
        if "patient" in obs:
            donors = obs.loc[table["id"], "patient"].replace(UNKNOWN, None).astype(object).to_numpy()
            n_donors = pd.Series(donors).groupby(table["group"].to_numpy()).transform("nunique")
            if n := int((n_donors > 1).sum()):
                counted["n_of_several_donors"] = n
                text += f"; {n} of them are in several donors, so that holding donors out does, too"
        notes.append(text)
    for key, others, what in (
        ("n_in_reference", learned, "a cell of the reference, from which they are predicted"),
        ("n_outside", ~own, "a cell outside the evaluated subset, from which models trained here may learn"),
    ):
        if n := int(np.isin(numbers[scored], numbers[others]).sum()):
            counted[key] = n
            notes.append(f"copies: {n} scored cells have the counts of {what}")
    return counted, notes
