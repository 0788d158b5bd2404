"""The cell types of a re-analysed data set, for the stage that labels it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genept.core import files
from genept.core.errors import InputError
from genept.data.cells import DATA

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("cell_id", "cluster", "cell_type", "qc")


@dataclass(frozen=True)
class Result:
    """What a re-analysis found.

    Attributes
    ----------
    cell_types
        Of every cell of the file, in its order, indexed by cell id: the type, ``Unknown`` if its cluster has none, or
        `None` if quality control dropped the cell. Of objects.
    summary
        The content of ``summary.json``: ``method``, ``method_version``, the choices and numbers.
    """

    cell_types: pd.Series
    summary: dict[str, Any]


def folder(dataset: str) -> Path:
    """Folder of a re-analysis."""
    return DATA / dataset / "reanalysis"


def read(dataset: str) -> Result | None:
    """Read the re-analysis of a data set; `None` where its entry asks for none, its labels being the authors'.

    That a data set was re-analysed does not mean that its labels are to be these: the ovarian set is, to compare them
    with the authors'. Its entry's ``label_source`` says which to take.

    Raises
    ------
    FileNotFoundError
        If the stage has not run.
    InputError
        If its files are damaged or do not belong together.
    """
    path = folder(dataset) / "summary.json"
    again = f"`python -m stages.annotate run {dataset}` makes it anew"
    try:
        summary = files.read_json(path)
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); {again}") from None
    if not isinstance(summary, dict) or summary.get("label_source") not in ("author", "reanalysis"):
        raise InputError(f"{path}: has no label_source; {again}")
    if summary["label_source"] == "author":
        return None
    table = read_cells(dataset)
    cell_types = table["cell_type"].astype(object).where(table["qc"] == "ok", None)
    if sum(summary.get("cells", {}).values()) != len(cell_types):
        raise InputError(f"{path}: is not of the {len(cell_types)} cells in cells.csv beside it; {again}")
    return Result(cell_types, summary)


def read_cells(dataset: str) -> pd.DataFrame:
    """Read ``cells.csv`` as text, indexed by cell id."""
    import pandas as pd

    path = folder(dataset) / "cells.csv"
    path.stat()
    again = f"`python -m stages.annotate run {dataset}` makes it anew"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a readable table ({' '.join(str(error).split())}); {again}") from None
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; {again}")
    return table.set_index("cell_id")
