"""All cells of a data set as they were published, from whatever files."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import scipy.sparse as sp


@dataclass(frozen=True)
class Whole:
    """All cells of a data set as they were published.

    Attributes
    ----------
    x
        Shape (n_cells, n_genes); without rows of ``var`` that are no genes.
    labels
        The annotations that columns hold, as text, missing ones `None`; of a data set in two files also ``part``.
    var
        The genes' own table; of two files that of the first.
    content
        What `x` holds, ``counts`` or ``lognorm``.
    notes
        What a user should know, one sentence each.
    """

    x: sp.csr_matrix
    labels: pd.DataFrame
    var: pd.DataFrame
    content: str
    notes: list[str]
