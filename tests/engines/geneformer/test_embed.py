"""The geneformer engine: against frozen vectors and transformers; notes, precision and broken checkpoints."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from genept.core.errors import InputError, ParamsError
from genept.engines.geneformer import dictionaries, ranking
from genept.engines.geneformer.config import Model
from genept.engines.geneformer.dictionaries import Dictionaries
from genept.engines.geneformer.embed import embed, encode, load
from genept.engines.network import bert
from tests.engines.geneformer.made import (
    CONFIG,
    FIXTURES,
    V1,
    V2,
    random_cells,
    reference_tokens,
    small,
    upstream,
    write_model,
)

CELL, CLS = (
    Model.parse({"title": "t", "engine": "geneformer", "embed": {"emb_mode": mode}}, "models/m.yaml")
    for mode in ("cell", "cls")
)


def test_the_embedding_is_the_frozen_one(tmp_path: Path) -> None:
    frozen = np.load(FIXTURES / "upstream_embedding.npz")
    counts, ids, entries, _ = upstream("v1")
    genes = [ids[column] for column in frozen["columns"]]  # of the rows of the token embedding, after <pad>, <mask>
    cut = Dictionaries(V1 | {gene: 2 + i for i, gene in enumerate(genes)}, entries.medians)
    rng = np.random.default_rng(0)
    weights = {name: torch.from_numpy(frozen[name]) for name in frozen.files if name.startswith("bert.")}
    for name in [name for name in weights if ".layer.0." in name]:  # the last layer must not matter
        shape = weights[name].shape
        weights[name.replace(".layer.0.", ".layer.2.")] = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
    config = {
        **{"model_type": "bert", "vocab_size": len(cut.tokens), "max_position_embeddings": len(genes)},
        **{"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64},
        "hidden_act": "relu",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(weights, tmp_path / "pytorch_model.bin")
    dictionaries.write(tmp_path, cut.tokens, {gene: entries.medians[gene] for gene in genes})
    cells = AnnData(
        counts.astype(np.float32)[:1], var=pd.DataFrame({"ensembl_id": ids}, index=[str(i) for i in range(len(ids))])
    )
    cells.uns["x"] = "counts"
    found, notes = embed(cells, tmp_path, CONFIG, "cpu")
    np.testing.assert_allclose(found[0], frozen["embedding"], rtol=0, atol=1e-5)
    assert notes["mean_length"] == len(genes) == 960


@pytest.mark.parametrize(("special", "n_layers"), [(V1, 3), (V2, 3), (V1, 1)])
def test_the_embedding_is_the_mean_over_genes_of_the_second_to_last_layer(
    tmp_path: Path, special: dict[str, int], n_layers: int
) -> None:
    from transformers import BertForMaskedLM

    entries = small(special)
    write_model(tmp_path, entries, num_hidden_layers=n_layers)
    cells = random_cells(entries)
    found, notes = embed(cells, tmp_path, CELL, "cpu")
    whole = BertForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids = cells.var["ensembl_id"].tolist()
    n_empty = 0
    for row, vector in zip(cells.X.toarray(), found, strict=True):
        cell = reference_tokens(row, ids, entries, 20)
        if not cell:
            n_empty += 1
            assert not vector.any()
            continue
        with torch.no_grad():
            states = whole(input_ids=torch.tensor([cell]), output_hidden_states=True).hidden_states
        assert len(states) == n_layers + 1
        genes = states[-2][0, 1:-1] if special is V2 else states[-2][0]
        np.testing.assert_allclose(vector, genes.mean(dim=0).numpy(), rtol=0, atol=2e-6)
    assert (notes["n_cells_without_gene"], notes["layer"]) == (n_empty, n_layers - 1)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> tuple[bert.Bert, list[np.ndarray], np.ndarray]:
    """A small network, the tokens of 25 cells, of which some are empty, and the cells embedded one by one."""
    folder = tmp_path_factory.mktemp("geneformer")
    entries = small(V2)
    write_model(folder, entries)
    cells = random_cells(entries, n_cells=25)
    matched = ranking.match(cells.var["ensembl_id"].tolist(), entries)
    sequences, _ = ranking.rank(cells.X, matched, entries, 20)
    assert 0 < sum(not len(sequence) for sequence in sequences) < 25
    model = load(folder, len(entries.tokens))
    return model, list(sequences), encode(model, sequences, 1, tokens_per_batch=1)


@settings(max_examples=10)
@given(tokens_per_batch=st.integers(1, 500), order=st.permutations(range(25)))
def test_embedding_depends_on_neither_the_batches_nor_the_order_of_the_cells(
    ranked: tuple[bert.Bert, list[np.ndarray], np.ndarray], tokens_per_batch: int, order: list[int]
) -> None:
    model, sequences, one_by_one = ranked
    found = encode(model, [sequences[i] for i in order], 1, tokens_per_batch=tokens_per_batch)
    np.testing.assert_allclose(found, one_by_one[order], rtol=0, atol=1e-6 * np.abs(one_by_one).max())


def test_a_checkpoint_in_the_layer_sizes_of_the_104m_model_embeds_a_cell(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    entries = small(V2, 5_000)
    sizes_config = BertConfig(
        vocab_size=5_004,
        hidden_size=768,
        intermediate_size=3072,
        max_position_embeddings=4096,
        num_hidden_layers=4,
        hidden_act="relu",
    )
    with torch.device("meta"):
        sizes = {name: weight.shape for name, weight in BertModel(sizes_config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights = {
        f"bert.{name}": torch.empty(size, dtype=torch.float16).normal_(std=0.05, generator=generator)
        for name, size in sizes.items()
    }
    for name in [name for name in weights if name.endswith("LayerNorm.weight")]:
        weights[name] += 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    sizes_config.save_pretrained(tmp_path)
    dictionaries.write(tmp_path, entries.tokens, entries.medians)
    ids = [*list(entries.medians)[::122], "unknown"]
    counts = np.arange(1, len(ids) + 1)
    cells = AnnData(
        sparse.csr_matrix(counts[None].astype(np.float32)), var=pd.DataFrame({"ensembl_id": ids}, index=ids)
    )
    cells.uns["x"] = "counts"
    found, notes = embed(cells, tmp_path, CELL, "cpu")

    whole = BertModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    cell = reference_tokens(counts, ids, entries, 4096)
    with torch.no_grad():
        states = whole(input_ids=torch.tensor([cell]), output_hidden_states=True).hidden_states
    expected = states[-2][:, 1:-1].mean(dim=1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert (notes["layer"], notes["max_length"], notes["mean_length"]) == (3, 4096, 43)
    assert found.shape == (1, 768)


def test_a_bin_file_as_a_training_loop_wraps_it_gives_the_same_network(tmp_path: Path) -> None:
    write_model(tmp_path / "new", small(V1))
    write_model(tmp_path / "old", small(V1), bin_file=True)
    path = tmp_path / "old" / "pytorch_model.bin"
    state = {f"module.{name}": weight for name, weight in torch.load(path, weights_only=True).items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    expected, found = (load(tmp_path / name, 32) for name in ("new", "old"))
    assert torch.equal(found.words, expected.words) and found.words.any()
    for ours, theirs in zip(found.transformer.layers, expected.transformer.layers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


QUERY = "bert.encoder.layer.2.attention.self.query.weight"


def weights(change: Any) -> Any:
    """Return a change of the file of weights."""

    def rewrite(folder: Path) -> None:
        path = folder / "pytorch_model.bin"
        torch.save(change(torch.load(path, weights_only=True)), path)

    return rewrite


def config(**change: object) -> Any:
    """Return a change of the configuration."""

    def rewrite(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

    return rewrite


def content(name: str, data: bytes) -> Any:
    """Return a change of a whole file."""
    return lambda folder: (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (config(vocab_size=33), "knows 33 tokens, the token dictionary has 32"),
        (weights(lambda w: {k: v for k, v in w.items() if k != QUERY}), "1 weights that config.json calls for are"),
        (weights(lambda w: w | {QUERY: w[QUERY][:3].clone()}), "has shape (3, 16), config.json calls for (16, 16)"),
        (weights(lambda w: w | {QUERY: w[QUERY] * float("nan")}), "holds NaN"),
        (content("pytorch_model.bin", b"PK" * 500), "pytorch_model.bin: damaged"),
        (content("model.safetensors", b"x" * 1000), "model.safetensors: damaged"),
        (lambda folder: (folder / "pytorch_model.bin").unlink(), "no weights; expected model.safetensors or pytorch"),
        (config(num_attention_heads=5), "config.json: hidden_size 16 cannot be divided into 5 heads"),
        (config(model_type="gpt2"), "config.json: model_type: should be 'bert', got 'gpt2'"),
        (content("config.json", b"{"), "config.json: not readable as JSON"),
    ],
)
def test_a_broken_checkpoint_is_one_line(tmp_path: Path, change: Any, text: str) -> None:
    write_model(tmp_path, small(V1), bin_file=True)
    change(tmp_path)
    with pytest.raises(InputError) as error:
        load(tmp_path, 32)
    assert text in error.value.message and "\n" not in error.value.message


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
        "emb_mode": "cls",
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


@pytest.mark.parametrize("base", [math.e, 2])
def test_log_normalised_counts_are_embedded_as_their_counts(tmp_path: Path, base: float) -> None:
    entries = small(V2)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    expected, _ = embed(cells, tmp_path, CONFIG, "cpu")
    logarithms = np.log1p(cells.X.toarray() / np.maximum(cells.X.sum(axis=1).A1, 1)[:, None] * 1e4) / np.log(base)
    cells.X = sparse.csr_matrix(logarithms.astype(np.float32))
    cells.uns["x"] = "lognorm"
    found, notes = embed(cells, tmp_path, CONFIG, "cpu")
    np.testing.assert_array_equal(found, expected)
    assert notes["comparable"] is True and notes["counts_from"] == f"expm1, base {'e' if base == math.e else 2}"


def test_other_values_run_and_are_marked_as_not_comparable(tmp_path: Path) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    cells.X = cells.X.sqrt()
    cells.uns["x"] = "lognorm"
    matrix, notes = embed(cells, tmp_path, CONFIG, "cpu")
    assert np.isfinite(matrix).all()
    assert notes["comparable"] is False
    assert "holds log-normalised values, and expm1 (base e) gives no multiples of one count in" in notes["reason"]


@pytest.mark.parametrize("n_layers", [1, 3])
def test_cls_is_its_state_in_the_second_to_last_layer_as_upstream_takes_it(tmp_path: Path, n_layers: int) -> None:
    from transformers import BertForMaskedLM

    entries = small(V2)
    write_model(tmp_path, entries, num_hidden_layers=n_layers)
    cells = random_cells(entries)
    by_default, notes = embed(cells, tmp_path, CONFIG, "cpu")
    found, _ = embed(cells, tmp_path, CLS, "cpu")
    np.testing.assert_array_equal(by_default, found)
    assert notes["emb_mode"] == "cls"
    whole = BertForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids = cells.var["ensembl_id"].tolist()
    cut = [reference_tokens(row, ids, entries, 20) for row in cells.X.toarray()]
    some = [i for i, cell in enumerate(cut) if cell]
    longest = max(map(len, cut))
    padded = torch.tensor([cut[i] + [0] * (longest - len(cut[i])) for i in some])  # upstream pads, and masks
    with torch.no_grad():
        states = whole(input_ids=padded, attention_mask=(padded != 0).long(), output_hidden_states=True).hidden_states
    layer_to_quant = len(whole.bert.encoder.layer) + -1  # upstream's name: number of layers + emb_layer
    np.testing.assert_allclose(found[some], states[layer_to_quant][:, 0, :].numpy(), rtol=0, atol=2e-6)
    assert len(some) < len(cut) and not np.delete(found, some, axis=0).any()


def test_cls_without_that_token_is_one_line(tmp_path: Path) -> None:
    write_model(tmp_path, small(V1))
    with pytest.raises(
        ParamsError, match=r"^embed\.emb_mode: cls is for V2; the V1 dictionary has no <cls>, use cell$"
    ):
        embed(random_cells(small(V1)), tmp_path, CLS, "cpu")
