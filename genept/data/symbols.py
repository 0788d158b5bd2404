"""Gene symbols of a file under HGNC's approved ones, so that the file and the datasets call a gene by the same name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genept.core.errors import InputError
from genept.data.genes import KNOWN, Harmonised, Table, harmonise, unversioned


def under_approved_symbols(path: Path, names: list[str], table: Table) -> Harmonised:
    """Harmonise the names of a file by the rules for datasets.

    Those are at the top of `genept.data.genes`. Of two equally good names of a gene, the first in the file wins.

    Raises
    ------
    InputError
        If HGNC knows none of them, or they are another species'.
    """
    names = [" ".join(name.split()) for name in names]  # as a table of tab-separated lines needs them
    if not any(table.find(unversioned(name) or name).how in KNOWN for name in names):
        such = f" (such as {names[0]!r})" if names else ""
        raise InputError(f"{path}: HGNC knows none of its {len(names)} gene symbols{such}")
    try:
        return harmonise(names, np.ones(len(names)), table)
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from None
