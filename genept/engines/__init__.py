"""Embed the cells of a dataset by a model: one vector per cell.

Every file in this folder whose name does not begin with ``_`` is an engine, a way to embed, named by ``engine:`` in a
model's entry in params.yaml. A model without an engine is its own file, ``models/<model>/embed.py``. Both offer one
function::

    def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]

``cells``
    The evaluated cells, see `genept.data.cells`; not to be changed.
``folder``
    ``models/<model>/``: what an earlier stage made or fetched for the model.
``options``
    The model's entry in params.yaml. Of an engine's entry every key must be known, see `KEYS`.
``device``
    As params.yaml has it; `genept.core.device.resolve` says what ``auto`` is.

It returns float32 of shape (n_cells, n_dimensions), rows in the order of ``cells``, and notes: what a reader needs to
trust the numbers, as values that JSON has. Every engine notes what `genept.data.expression.coverage` counts and
``comparable``: False where the method is not what its authors describe, as a rank over values without counts. An engine
that uses torch also notes the ``device``, as resolved.
"""

from __future__ import annotations

from typing import Any

from genept.core.errors import ParamsError, nearest

#: Keys that any model's entry may have: for tables, for the paper's numbers, and for `genept.downloads`.
COMMON_KEYS = ("title", "note", "paper", "engine", "source")

#: What else the entries of each engine may have, for the engine or an earlier stage; an engine that is not here, any.
KEYS = {
    "genept_w": ("vectors", "divide_by", "unit_norm"),
    "genept_s": ("encoder", "openai", "prompt", "max_symbols", "precision"),
    "scgpt": ("pretrain", "implementation", "seed", "max_length", "binning", "precision"),
    "geneformer": ("pretrain", "precision"),
}


def check_keys(options: dict[str, Any]) -> None:
    """Refuse an entry with a key that its engine does not know, which else would have no effect.

    Parameters
    ----------
    options
        A model's entry in ``params.yaml``; one without ``engine``, a model that is its own file, may have any keys.

    Raises
    ------
    ParamsError
        The message names the nearest key.
    """
    engine = options.get("engine")
    if engine not in KEYS:
        return
    known = (*COMMON_KEYS, *KEYS[engine])
    for key in options:
        if key not in known:
            hint = nearest(str(key), known) or "."
            raise ParamsError(f"params.yaml: engine {engine} has no option {key!r}{hint} Known: {', '.join(known)}")
