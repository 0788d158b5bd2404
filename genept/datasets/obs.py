"""The annotations of the cells, brought from a data set's own column names to the common schema."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anndata.utils import make_index_unique

from genept.core.errors import InputError
from genept.data.cells import ANNOTATIONS
from genept.datasets.h5ad import column

UNKNOWN = "Unknown"
MISSING = ("", "nan", "NaN", "None", "<NA>")  # the texts that missing values become in a column turned into text


def to_schema(obs: pd.DataFrame, mapping: dict[str, str], path: Path) -> pd.DataFrame:
    """Return the mapped annotations as text, missing ones as `None`, in the order of the schema.

    Spaces around a label are removed, and whole numbers that a column with gaps holds as 1.0 are written 1. A label is
    missing if it is NaN or None, empty, or one of the texts `MISSING`.

    Raises
    ------
    InputError
        If a column is not there or two cells have one id.
    """
    cell_ids = obs.index.astype(str)
    if not cell_ids.is_unique:
        repeated = cell_ids[cell_ids.duplicated()]
        raise InputError(
            f"{path}: {len(repeated)} cells have the id of an earlier cell (such as {repeated[0]!r}); make ids "
            "unique in the file, for example obs_names = sample + '_' + barcode, or say `repeated_ids: number`"
        )
    labels = {key: as_text(column(obs, mapping[key], path, "obs", "obs")) for key in ANNOTATIONS if key in mapping}
    return pd.DataFrame({key: values.to_numpy() for key, values in labels.items()}, index=cell_ids.rename("cell_id"))


def numbered(ids: pd.Index) -> pd.Index:
    """Tell equal cell ids apart by the endings -1, -2, ... in the order of the file, as scanpy does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an id such as AAAC-1 was there before; it is passed over
        return make_index_unique(ids.astype(str))


def as_text(values: pd.Series) -> pd.Series:
    """Return labels as text, missing ones as `None`; each distinct value is converted once."""
    codes, distinct = pd.factorize(values)
    texts = pd.Series([label(value) for value in distinct] + [None], dtype=object)  # code -1, missing: the last
    return pd.Series(texts.to_numpy()[codes], index=values.index)


def label(value: object) -> str | None:
    """Return one label as text, or `None` if it is missing."""
    is_whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    text = str(int(value)) if is_whole else str(value).strip()  # type: ignore[call-overload]
    return None if text in MISSING else text


def fill(labels: pd.DataFrame) -> pd.DataFrame:
    """Call missing labels ``Unknown``. Cell-type tasks leave such cells out (``evaluate.unknown``)."""
    return labels.where(labels.notna(), UNKNOWN)


def check_scorable(labels: pd.DataFrame, dataset: str, is_reanalysed: bool = False) -> list[str]:
    """Check that something can be scored on the evaluated cells; return what to note about the rest.

    Parameters
    ----------
    labels
        The annotations of the evaluated cells, filled.
    is_reanalysed
        Whether the cell types are of a re-analysis.

    Returns
    -------
    One sentence per annotation that has one label only. Such an annotation is kept.

    Raises
    ------
    InputError
        If the one label is the cell type's, or no annotation has two.
    """
    n_labels = {key: int(values[values != UNKNOWN].nunique()) for key, values in labels.items()}
    single = [str(key) for key, number in n_labels.items() if number < 2]
    if "cell_type" in single or len(single) == len(n_labels):
        key = "cell_type" if "cell_type" in single else single[0]
        found = ", ".join(map(repr, sorted(labels[key].unique())))
        advice = f"correct the column named under datasets.{dataset}.obs"
        if is_reanalysed and key == "cell_type":
            advice = (
                f"see data/{dataset}/reanalysis/clusters.csv and plots/reanalysis/{dataset}, then correct markers or "
                f"min_margin under datasets.{dataset}.reanalysis"
            )
        raise InputError(
            f"{dataset}: {key} has only {found} in the evaluated cells, so nothing can be scored; {advice}"
        )
    return [f"{key} has one label only, so it is not scored" for key in single]
