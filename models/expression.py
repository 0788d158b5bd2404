"""Log-normalised expression, reduced by PCA: the baseline, and the example to copy for a model of your own.

A model of your own is two files: ``models/<name>.yaml`` with its title and settings, and ``models/<name>.py`` with the
class `Model`, which says what settings there may be, and the function ``embed``. Put its name in ``grid.models.custom``
of params.yaml. `genept.engines` says what ``embed`` gets and returns. ``BY_PARTS``, ``add`` and ``survey`` are for
datasets of more cells than are embedded at once; most models need at most the first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PositiveInt

from genept.core.config import Config
from genept.data.expression import coverage, log_normalise, log_normalised_parts
from genept.data.pca import principal_components, project
from genept.engines.config import ModelConfig

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.data.cells import Cells


BY_PARTS = True  # of many cells, `embed` may get some after the other


class Embed(Config):
    """The section ``embed`` of models/expression.yaml."""

    n_components: PositiveInt = 50


class Model(ModelConfig):
    """The content of models/expression.yaml."""

    embed: Embed = Embed()


def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the first principal components of log-normalised expression, and notes."""
    known = np.ones(cells.n_vars, dtype=bool)  # this model knows every gene
    if "axes" in cells.uns:  # these are some of the cells, and `survey` has found the components of all
        parts = [project(x, cells.uns["axes"], cells.uns["mean"]) for _, x in log_normalised_parts(cells)]
        matrix = np.concatenate(parts)
    else:
        matrix = principal_components(log_normalise(cells), config.embed.n_components)
    return matrix.astype(np.float32), {**coverage(cells, known), "comparable": True}


def add(cells: AnnData, sums: dict[str, np.ndarray], config: Model) -> None:
    """Add some cells to the sums of which `survey` makes the components."""
    from genept.data.covariance import add_products  # compiled code, for many cells only

    for _, x in log_normalised_parts(cells):
        add_products(sums, x)


def survey(cells: Cells, sums: dict[str, np.ndarray], config: Model) -> dict[str, Any]:
    """Return the components of all cells."""
    from genept.data.covariance import components

    axes, mean = components(sums, cells.n_obs, config.embed.n_components)
    return {"axes": axes, "mean": mean}
