"""Gene names that several columns of a data set in two files have: which columns of both are one.

In one file `genept.data.genes` keeps, of columns with one name and meaning, that with the largest total. So it does
here if the repeated columns have the same ids in both files: they are joined by id, and the totals over both decide,
so that both files keep the same column. An id is the column's Ensembl id or, where another column of ``var`` has the
symbols, its entry in the index, else its place in the file. If the ids differ, nobody can say which columns are one;
each file then keeps the one with its own largest total, the first if equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Columns(NamedTuple):
    """The columns of one file: their names, their ids and their sums over its cells."""

    names: list[str]
    ids: list[str]
    totals: np.ndarray


class Joined(NamedTuple):
    """Of each file the columns to join, first file's order first, and a sentence for each way names were settled."""

    columns: list[list[int]]
    notes: list[str]


def join(files: Sequence[Columns]) -> Joined:
    """Find the columns that all files have, in the order of the first.

    A name is in the result once, or, if its columns have the same ids in all files, as often as the files have it.
    """
    places = [by_name(columns.names) for columns in files]
    shared = [name for name in places[0] if all(name in others for others in places)]
    keyed: list[dict[tuple[str, str], int]] = [{} for _ in files]
    by_id, by_total = list[str](), list[str]()
    for name in shared:
        found = [here[name] for here in places]
        ids = [[columns.ids[i] for i in here] for columns, here in zip(files, found, strict=True)]
        is_repeated = any(len(here) > 1 for here in found)
        same_ids = len(set(ids[0])) == len(ids[0]) and all(sorted(here) == sorted(ids[0]) for here in ids)
        if is_repeated:
            (by_id if same_ids else by_total).append(name)
        for keys, columns, here in zip(keyed, files, found, strict=True):
            if is_repeated and same_ids:
                keys.update({(name, columns.ids[i]): i for i in here})
            else:
                keys[name, ""] = max(here, key=lambda i: (columns.totals[i], -i))
    order = sorted(keyed[0], key=keyed[0].__getitem__)
    return Joined(
        [[keys[key] for key in order] for keys in keyed],
        [
            *said(by_id, "joined by their ids, equal in both files; the larger total over both is kept of one meaning"),
            *said(by_total, "their ids differ between the files, so each keeps the column with its largest total"),
        ],
    )


def by_name(names: list[str]) -> dict[str, list[int]]:
    """Return the places of each name."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places


def said(names: list[str], how: str) -> list[str]:
    """Say of repeated names how they were settled; nothing if there is none."""
    if not names:
        return []
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return [f"{len(names)} gene names are those of several columns ({some}): {how}"]
