"""Log-normalised expression, reduced by PCA: the baseline, and the example to copy for a model of your own.

A model of your own is two files: ``models/<name>.yaml`` with its title and settings, and ``models/<name>.py`` with the
class `Model`, which says what settings there may be, and the function ``embed``. Put its name in ``grid.models.custom``
of params.yaml. `genept.engines` says what ``embed`` gets and returns. Here it is ``embed_parts``, which gets the same
but the cells part by part: ``cells.whole()`` is the AnnData that ``embed`` would get.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PositiveInt

from genept.core.config import Config
from genept.core.notes import merged
from genept.data.expression import coverage, log_normalise, log_normalised
from genept.data.pca import components_of_parts, principal_components
from genept.engines.config import ModelConfig

if TYPE_CHECKING:
    from genept.data.cells import Cells


IN_MEMORY = 20_000  # cells; of more, expression is normalised in parts


class Embed(Config):
    """The section ``embed`` of models/expression.yaml."""

    n_components: PositiveInt = 50


class Model(ModelConfig):
    """The content of models/expression.yaml."""

    embed: Embed = Embed()


def embed_parts(cells: Cells, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the first principal components of log-normalised expression, and notes."""
    known = np.ones(len(cells.var), dtype=bool)  # this model knows every gene
    if cells.n_obs <= IN_MEMORY:
        whole = cells.whole()
        matrix = principal_components(log_normalise(whole), config.embed.n_components)
        found = coverage(whole, known)
    else:
        matrix = components_of_parts(lambda: log_normalised(cells), cells.shape, config.embed.n_components)
        found = merged([coverage(part, known) for part in cells])
    return matrix.astype(np.float32), {**found, "comparable": True}
