"""The geneformer engine: notes, precision and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genept.core.errors import InputError
from genept.engines.geneformer.config import Model
from genept.engines.geneformer.embed import embed
from tests.engines.geneformer.made import CONFIG, V1, V2, random_cells, small, write_model


def test_notes_say_what_the_model_did_not_see(tmp_path: Path) -> None:
    entries = small(V2)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    matrix, notes = embed(cells, tmp_path, CONFIG, "cpu")
    counts = cells.X.toarray()
    n_tokens = (counts[:, :30] > 0).sum(axis=1)
    lengths = np.where(n_tokens > 0, np.minimum(n_tokens, 18) + 2, 0)
    assert matrix.dtype == np.float32
    assert matrix.shape == (12, 16)
    assert notes == {
        "version": "V2",
        "device": "cpu",
        "max_length": 20,
        "layer": 2,
        "n_genes": 33,
        "n_genes_missing": 3,
        "share_of_counts_missing": pytest.approx(counts[:, 30:].sum() / counts.sum(), abs=1e-6),
        "n_cells_without_gene": int((n_tokens == 0).sum()),
        "n_cells_truncated": int((n_tokens > 18).sum()),
        "mean_length": pytest.approx(lengths.mean(), abs=0.01),
        "comparable": True,
    }


def test_bfloat16_is_near_float32_and_the_notes_say_how_near(tmp_path: Path) -> None:
    entries = small(V2)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    half = Model.parse({"title": "t", "engine": "geneformer", "embed": {"precision": "bfloat16"}}, "models/m.yaml")
    exact, notes = embed(cells, tmp_path, CONFIG, "cpu")
    rough, rough_notes = embed(cells, tmp_path, half, "cpu")
    distance = rough_notes["against_float32"]
    assert "against_float32" not in notes
    assert 0.99 < distance["cosine_min"] < 1 and distance["difference_max"] < 0.1
    np.testing.assert_allclose(rough, exact, rtol=0, atol=0.1 * np.abs(exact).max())
    assert not rough[~exact.any(axis=1)].any()


def test_log_normalised_values_run_and_are_marked_as_not_comparable(tmp_path: Path) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    cells.X = cells.X.log1p()
    cells.uns["x"] = "lognorm"
    matrix, notes = embed(cells, tmp_path, CONFIG, "cpu")
    assert np.isfinite(matrix).all()
    assert notes["comparable"] is False
    assert "log-normalised" in notes["reason"]


def test_a_dataset_without_a_gene_that_has_a_token_is_an_error(tmp_path: Path) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    cells.var["ensembl_id"] = [f"ENSMUSG{i:011d}" for i in range(cells.n_vars)]
    with pytest.raises(InputError, match="knows none of the 33 genes"):
        embed(cells, tmp_path, CONFIG, "cpu")
