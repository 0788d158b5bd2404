"""Embed the cells of a dataset by a model: one vector per cell.

A folder here with a ``config.py`` is an engine: a way to embed, named by ``engine:`` in ``models/<model>.yaml``. It has
a class ``Model`` in ``config.py`` (its settings, see `genept.engines.config`) and this function in ``embed.py``. A
model that names no engine has both in ``models/<model>.py``; ``models/expression.py`` is the example to copy. ::

    def embed(cells: AnnData, folder: Path, config: Model, device: str) -> tuple[np.ndarray, dict[str, Any]]

``cells``
    The evaluated cells or, of many, some of them (`genept.engines.running`), see `genept.data.cells`. Do not filter or
    reorder them in place. The vector of a cell must not depend on the other cells.
``folder``
    ``models/<model>/``: what an earlier stage made or fetched for the model.
``config``
    The model's settings; those of this function are ``config.embed``.
``device``
    ``auto``, ``cpu`` or ``cuda``, as in params.yaml. `genept.core.compute.resolve_device` decides what ``auto`` is.

It returns the embedding, float32 of shape (n_cells, n_dimensions) with rows in the order of ``cells``, and notes: what
a reader needs to trust the numbers, as a dict that JSON can hold, without dates and paths. Every engine notes what
`genept.data.expression.coverage` counts and ``comparable``: False, with a ``reason``, where the method is not what its
authors describe, for example a rank over values that are no counts. An engine that uses torch also notes the
``device``, as resolved.

What grows with the cells is noted as `genept.core.notes.Total` or `Mean`. An engine that has to know something of all
cells before it embeds some of them has two more functions, which are called where the cells are in several parts::

    def add(cells: AnnData, sums: dict[str, np.ndarray], config: Model) -> None
    def survey(cells: Cells, sums: dict[str, np.ndarray], config: Model) -> dict[str, Any]

``add`` adds some cells to ``sums``, arrays of float64 of one dimension that it makes itself if there are none yet, see
`genept.engines.sums`. ``survey`` gets those of all cells, and returns what each part has in ``cells.uns``; without
``add`` it may read the cells itself.

`genept.engines.network.batching.run` runs a network over sequences: it takes care of batches, several GPUs, lack of
memory, progress, and resuming a run that was interrupted.
"""
