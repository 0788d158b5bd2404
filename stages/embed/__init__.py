"""Embed the cells of a dataset by a model: one vector per cell.

Every file in this folder whose name does not begin with ``_`` is an engine, a way to embed, named by ``engine:`` in a
model's entry in params.yaml. A model without an engine is its own file, ``models/<model>/embed.py``. Both offer one
function::

    def embed(cells: AnnData, folder: Path, options: dict[str, Any], device: str) -> tuple[np.ndarray, dict[str, Any]]

``cells``
    The evaluated cells, see `stages.cells`; not to be changed.
``folder``
    ``models/<model>/``: what an earlier stage made or fetched for the model.
``options``
    The model's entry in params.yaml.
``device``
    As params.yaml has it; `stages.device.resolve` says what ``auto`` is.

It returns float32 of shape (n_cells, n_dimensions), rows in the order of ``cells``, and notes: what a reader needs to
trust the numbers, as values that JSON has. Every engine notes what `stages.expression.coverage` counts and
``comparable``: False where the method is not what its authors describe, as a rank over values without counts. An engine
that uses torch also notes the ``device``, as resolved.
"""
