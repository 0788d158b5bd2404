"""Cells with equal values: those that one experiment or two files hold twice, and that a split can tear apart."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.core.text import listed
from genept.data.cells import PART, QUERY, REFERENCE, UNKNOWN


def groups(x: sp.csr_matrix) -> np.ndarray:
    """Give each cell a number that just the cells with the same value in each gene share, shape (n_cells,).

    `x` has sorted indices and no stored zeros. Of each cell only a hash of 128 bits is kept.
    """
    digests = []
    for start, end in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        digest = hashlib.blake2b(x.indices[start:end].tobytes(), digest_size=16)
        digest.update(x.data[start:end].tobytes())
        digests.append(digest.digest())
    return pd.factorize(np.array(digests, dtype=object))[0]


def count(x: sp.csr_matrix, obs: pd.DataFrame, evaluated: np.ndarray) -> tuple[dict[str, int], list[str]]:
    """Count the cells that have a copy, for the verification record; say what copies are in both halves of a split.

    `obs` has the annotations of all cells, ``Unknown`` for none, and `evaluated` says which are scored or, of a
    reference and a query, may be learned from. An annotation ``patient`` tells donors apart.
    """
    numbers = groups(x)
    is_copy = np.bincount(numbers)[numbers] > 1
    if not is_copy.any():
        return {"n_cells": 0}, []
    numbers, own, obs = numbers[is_copy], evaluated[is_copy], obs[is_copy]
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
