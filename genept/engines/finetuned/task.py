"""What a dataset's head is trained to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genept.core import params as parameters
from genept.core.errors import ParamsError

if TYPE_CHECKING:
    import pandas as pd


def label_of(params: dict[str, Any], dataset: str, obs: pd.DataFrame) -> str:
    """Return the annotation that ``datasets.<dataset>.finetune`` names.

    Raises
    ------
    ParamsError
        If it names none, or one that the dataset does not have.
    """
    label = parameters.entry(params, "datasets", dataset).get("finetune")
    if not isinstance(label, str) or label not in obs:
        raise ParamsError(
            f"{parameters.PATH}: datasets.{dataset}.finetune must name an annotation of the dataset "
            f"({', '.join(obs.columns)}), got {label!r}"
        )
    return label
