"""The native scGPT encoder: against upstream's network and vectors frozen from upstream."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scgpt import RELEASED_ARGS
from genept.engines.scgpt import checkpoint, upstream
from genept.engines.scgpt import embed as engine
from genept.engines.scgpt.tokens import Tokens
from tests.engines.scgpt.made import (
    FIXTURES,
    N_TOKENS,
    SYMBOLS,
    as_tokens,
    config,
    random_tokens,
    upstream_model,
)


@pytest.mark.parametrize("kind", ["drawn", "fixed"])
def test_native_equals_upstreams_frozen_embeddings(golden: dict[str, np.ndarray], kind: str) -> None:
    sequences = as_tokens(*(golden[f"{kind}_{name}"] for name in ("ids", "values", "lengths")))
    found = engine.encode(checkpoint.read(FIXTURES), sequences)
    np.testing.assert_allclose(found, golden[f"{kind}_embeddings"], atol=1e-5)


def test_native_equals_the_network_of_the_scgpt_package(saved: Path) -> None:
    model, vocab = upstream_model()
    sequences = random_tokens(30)
    ids, values, padding = (torch.from_numpy(a) for a in sequences.pad(np.arange(30), vocab["<pad>"], -2))
    with torch.no_grad():
        expected = model._encode(ids, values, padding)[:, 0].numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    loaded = checkpoint.read(saved)
    assert np.std(expected, axis=0).min() > 1e-3  # the cells differ by far more than the tolerance
    np.testing.assert_allclose(engine.encode(loaded, sequences), expected, atol=1e-5)
    np.testing.assert_allclose(upstream.embed(loaded, sequences), expected, atol=1e-5)


def test_native_equals_embed_data_of_the_scgpt_package(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that are all different leave nothing to chance, so the whole way can be compared."""
    package = upstream.package()
    rng = np.random.default_rng(0)
    x = np.array([rng.permutation(60) * (rng.random(60) < 0.6) for _ in range(9)], dtype=np.float32)
    data = anndata.AnnData(sp.csr_matrix(x), pd.DataFrame(index=list("abcdefghi")), pd.DataFrame(index=SYMBOLS))
    data.uns["x"] = "counts"
    data.var_names = [*SYMBOLS[:50], *(f"UNKNOWN{i}" for i in range(10))]
    found, _ = engine.embed(data, saved, config(), "cpu")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: (), raising=False)  # no worker processes
    torch.backends.mha.set_fastpath_enabled(True)
    expected = package.tasks.embed_data(
        data.copy(), saved, gene_col="index", device="cpu", use_fast_transformer=False, batch_size=4
    )
    np.testing.assert_allclose(found, expected.obsm["X_scGPT"], atol=1e-5)


@pytest.fixture(scope="module")
def embedded(saved: Path) -> tuple[checkpoint.Checkpoint, Tokens, np.ndarray]:
    """A small network, the tokens of some cells, and the cells embedded one by one."""
    loaded, sequences = checkpoint.read(saved), random_tokens(25)
    return loaded, sequences, engine.encode(loaded, sequences, tokens_per_batch=1)


@settings(max_examples=10)
@given(tokens_per_batch=st.integers(1, 1000), order=st.permutations(range(25)))
def test_embedding_depends_on_neither_the_batches_nor_the_order_of_the_cells(
    embedded: tuple[checkpoint.Checkpoint, Tokens, np.ndarray], tokens_per_batch: int, order: list[int]
) -> None:
    loaded, sequences, expected = embedded
    found = engine.encode(loaded, sequences.take(np.array(order)), tokens_per_batch=tokens_per_batch)
    np.testing.assert_allclose(found, expected[order], rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-6)


def test_a_checkpoint_in_the_layout_of_the_released_one_embeds_as_the_scgpt_packages_network(tmp_path: Path) -> None:
    """The whole way, from a flash-attention checkpoint of 4 layers of 12; values all different leave no draw."""
    args = RELEASED_ARGS | {"nlayers": 4}
    model, vocab = upstream_model(args=args, symbols=[f"GENE{i}" for i in range(N_TOKENS - 3)])
    state = {name.replace("in_proj_", "Wqkv."): weight for name, weight in model.state_dict().items()}
    assert sum("Wqkv" in name for name in state) == 2 * 4
    state["flag_encoder.weight"] = torch.zeros(2, 512)
    checkpoint.write(tmp_path, args, vocab, state)
    rng = np.random.default_rng(0)
    genes = np.sort(rng.choice(N_TOKENS - 3, 90, replace=False))
    x = np.zeros((2, 90), dtype=np.float32)
    for row, n in zip(x, (40, 70), strict=True):
        row[rng.choice(90, n, replace=False)] = 3 * rng.permutation(n) + 1
    data = anndata.AnnData(sp.csr_matrix(x), var=pd.DataFrame(index=[f"GENE{gene}" for gene in genes]))
    data.uns["x"] = "counts"
    found, notes = engine.embed(data, tmp_path, config(), "cpu")
    (tmp_path / "best_model.pt").unlink()  # 70 megabytes, which pytest would keep
    for row, vector in zip(x, found, strict=True):
        values = row[row > 0]
        bins = np.digitize(values, np.quantile(values, np.linspace(0, 1, 50)))
        ids = torch.tensor([[vocab["<cls>"], *genes[row > 0]]])
        with torch.no_grad(), upstream.without_fused_layers():
            output = model._encode(ids, torch.tensor([[-2.0, *bins]]), torch.zeros(ids.shape, dtype=torch.bool))
        expected = torch.nn.functional.normalize(output[0, 0], dim=0).numpy()
        np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert (found.shape, notes["n_bins"], notes["n_genes_missing"], notes["mean_length"]) == ((2, 512), 51, 0, 56)
