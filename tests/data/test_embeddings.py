"""Embeddings as files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.data import embeddings


@given(st.data(), st.integers(1, 12), st.integers(1, 4), st.integers(0, 3))
@settings(max_examples=50)
def test_an_embedding_in_pieces_is_written_as_numpy_writes_it_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, n_cells: int, n_dimensions: int, n_draws: int
) -> None:
    folder = tmp_path_factory.mktemp("writer")
    shape = (*([n_draws] if n_draws else []), n_cells, n_dimensions)
    whole = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    whole[..., 0, :] = 0
    np.save(folder / "whole.npy", whole)
    ends = sorted({*data.draw(st.lists(st.integers(1, n_cells))), n_cells})
    writer = embeddings.Writer(lambda: folder / "pieces.npy", "x", n_cells)
    for start, end in zip([0, *ends], ends, strict=False):
        piece = whole[..., start:end, :]
        writer.add(np.asfortranarray(piece) if data.draw(st.booleans()) else piece.astype(np.float64))
    assert writer.n_zeros == 1 and writer.n_added == n_cells
    writer.write()
    assert (folder / "pieces.npy").read_bytes() == (folder / "whole.npy").read_bytes()
    with pytest.raises(InputError, match=r"dimensions.* for some cells, .* for others"):
        writer.add(np.zeros((*shape[:-1], n_dimensions + 1)))
