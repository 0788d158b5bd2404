"""The annotations of the cells: a dataset's own columns brought to the common schema, missing ones named, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genept.core.errors import InputError
from genept.data.cells import ANNOTATIONS
from genept.datasets.raw import column

UNKNOWN = "Unknown"
MISSING = ("", "nan", "NaN", "None", "<NA>")  # the texts that missing values become in a column turned into text


def to_schema(obs: pd.DataFrame, columns: Mapping[Any, str], path: Path) -> pd.DataFrame:
    """Return the annotations as text in the order of the schema, indexed by ``cell_id``.

    Spaces around a label are removed, and whole numbers that a column with gaps holds as 1.0 are written 1. A label is
    missing, `None`, if it is NaN or None, empty, or one of the texts `MISSING`.
    """
    cell_ids = obs.index.astype(str)
    if not cell_ids.is_unique:
        repeated = cell_ids[cell_ids.duplicated()]
        raise InputError(
            f"{path}: {len(repeated)} cells have the id of an earlier cell (such as {repeated[0]!r}); make ids "
            "unique in the file, for example obs_names = sample + '_' + barcode, or set `repeated_ids: number`"
        )
    labels = {key: as_text(column(obs, columns[key], path, "obs")) for key in ANNOTATIONS if key in columns}
    return pd.DataFrame(labels, index=cell_ids.rename("cell_id"))


def as_text(values: pd.Series) -> np.ndarray:
    """Return labels as text, missing ones as `None`; each distinct value is converted once."""
    codes, distinct = pd.factorize(values)
    texts = np.array([*map(label_text, distinct), None], dtype=object)  # code -1, missing: the last
    return texts[codes]


def label_text(value: object) -> str | None:
    """Return one label as text, or `None` if it is missing."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    text = str(value).strip()
    return None if text in MISSING else text


def check_scorable(obs: pd.DataFrame, dataset: str, is_annotated: bool) -> list[str]:
    """Check that something can be scored on the evaluated cells; note which annotations have one label only."""
    single = [str(key) for key, labels in obs.items() if labels[labels != UNKNOWN].nunique() < 2]
    if "cell_type" in single or len(single) == obs.shape[1]:
        key = "cell_type" if "cell_type" in single else single[0]
        advice = f"correct its column under `obs` in data/{dataset}.yaml"
        if is_annotated and key == "cell_type":
            advice = (
                f"see data/{dataset}/annotation/clusters.csv and plots/annotation/{dataset}, then correct the marker "
                f"table or annotation.min_margin in data/{dataset}.yaml"
            )
        labels = ", ".join(map(repr, sorted(obs[key].unique())))
        raise InputError(
            f"{dataset}: {key} has only {labels} in the evaluated cells, so nothing can be scored; {advice}"
        )
    return [f"{key} has one label only, so it is not scored" for key in single]
