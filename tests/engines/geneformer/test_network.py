"""Geneformer checkpoints and network: against frozen vectors and transformers."""

from __future__ import annotations

import json
import pickle
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

from genept.core.errors import InputError
from genept.engines.geneformer import checkpoint, dictionaries, network, tokens
from genept.engines.geneformer.dictionaries import Dictionaries
from genept.engines.geneformer.embed import embed
from genept.engines.network import bert
from tests.engines.geneformer.made import (
    FIXTURES,
    V1,
    V2,
    Malicious,
    random_cells,
    reference_tokens,
    small,
    upstream,
    write_model,
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
    found, notes = embed(cells, tmp_path, {}, "cpu")
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
    found, notes = embed(cells, tmp_path, {}, "cpu")
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
    matched = tokens.match(cells.var["ensembl_id"].tolist(), entries)
    sequences, _ = tokens.rank(cells.X, matched, entries, 20)
    assert 0 < sum(not len(sequence) for sequence in sequences) < 25
    model = checkpoint.load(folder, len(entries.tokens))
    return model, list(sequences), network.embed(model, sequences, 1, tokens_per_batch=1)


@settings(deadline=None, max_examples=25)
@given(tokens_per_batch=st.integers(1, 500), order=st.permutations(range(25)))
def test_embedding_depends_on_neither_the_batches_nor_the_order_of_the_cells(
    ranked: tuple[bert.Bert, list[np.ndarray], np.ndarray], tokens_per_batch: int, order: list[int]
) -> None:
    model, sequences, one_by_one = ranked
    found = network.embed(model, [sequences[i] for i in order], 1, tokens_per_batch=tokens_per_batch)
    np.testing.assert_allclose(found, one_by_one[order], rtol=0, atol=1e-6 * np.abs(one_by_one).max())


def test_embedding_does_not_depend_on_torchs_threads(ranked: tuple[bert.Bert, list[np.ndarray], np.ndarray]) -> None:
    model, sequences, one_by_one = ranked
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = network.embed(model, sequences * 8, 1)
        torch.set_num_threads(2)
        found = network.embed(model, sequences * 8, 1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(one_by_one).max())
    finally:
        torch.set_num_threads(before)


def test_a_checkpoint_in_the_sizes_of_the_104m_model_embeds_a_cell(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    entries = small(V2, 20_271)
    config = BertConfig(
        vocab_size=20_275, hidden_size=768, intermediate_size=3072, max_position_embeddings=4096, hidden_act="relu"
    )
    assert (config.num_hidden_layers, config.num_attention_heads) == (12, 12)
    with torch.device("meta"):
        sizes = {name: weight.shape for name, weight in BertModel(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights = {
        f"bert.{name}": torch.empty(size, dtype=torch.float16).normal_(std=0.05, generator=generator)
        for name, size in sizes.items()
    }
    for name in [name for name in weights if name.endswith("LayerNorm.weight")]:
        weights[name] += 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(tmp_path)
    dictionaries.write(tmp_path, entries.tokens, entries.medians)
    ids = [*list(entries.medians)[::500], "unknown"]
    counts = np.arange(1, len(ids) + 1)
    cells = AnnData(
        sparse.csr_matrix(counts[None].astype(np.float32)), var=pd.DataFrame({"ensembl_id": ids}, index=ids)
    )
    cells.uns["x"] = "counts"
    found, notes = embed(cells, tmp_path, {}, "cpu")

    whole = BertModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    cell = reference_tokens(counts, ids, entries, 4096)
    with torch.no_grad():
        states = whole(input_ids=torch.tensor([cell]), output_hidden_states=True).hidden_states
    expected = states[-2][:, 1:-1].mean(dim=1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert (notes["layer"], notes["max_length"], notes["mean_length"]) == (11, 4096, 43)
    assert found.shape == (1, 768)


def test_safetensors_and_bin_give_the_same_network(tmp_path: Path) -> None:
    entries = small(V1)
    cells = random_cells(entries)
    write_model(tmp_path / "new", entries)
    write_model(tmp_path / "old", entries, bin_file=True)
    assert not (tmp_path / "old" / "model.safetensors").exists()
    new, old = (embed(cells, tmp_path / name, {}, "cpu")[0] for name in ("new", "old"))
    assert new.any()
    np.testing.assert_array_equal(new, old)


def damage(folder: Path, change: Any) -> None:
    """Rewrite a checkpoint's weights after `change` edited the dictionary of tensors."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


QUERY = "bert.encoder.layer.2.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(QUERY), r"model\.safetensors: 1 weights .* missing, e\.g\. encoder\.layer\.2\.attention"),
        (lambda w: w.update({QUERY: w[QUERY][:3].clone()}), r"has shape \(3, 16\), config\.json calls for \(16, 16\)"),
        (lambda w: w[QUERY].fill_(float("nan")), "holds NaN"),
        (lambda w: w.update({QUERY: w[QUERY].to(torch.float8_e4m3fn)}), "is float8_e4m3fn; only float16, bfloat16, "),
    ],
)
def test_a_missing_misshapen_or_broken_weight_is_an_error(tmp_path: Path, change: Any, message: str) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    damage(tmp_path, change)
    with pytest.raises(InputError, match=message):
        checkpoint.load(tmp_path, len(entries.tokens))


def test_other_broken_checkpoints_are_one_line(tmp_path: Path) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    with pytest.raises(InputError, match="knows 32 tokens, the token dictionary has 33"):
        checkpoint.load(tmp_path, 33)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: damaged"):
        checkpoint.load(tmp_path, 32)
    weights.unlink()
    with pytest.raises(InputError, match=r"no weights; expected model\.safetensors or pytorch_model\.bin"):
        checkpoint.load(tmp_path, 32)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Malicious()}, protocol=2))
    with pytest.raises(InputError, match=r"pytorch_model\.bin: damaged"):
        checkpoint.load(tmp_path, 32)
    config_before = json.loads(config.read_text())
    config.write_text(json.dumps({**config_before, "num_attention_heads": 5}))
    with pytest.raises(InputError, match=r"config\.json: hidden_size 16 cannot be divided into 5 heads"):
        checkpoint.load(tmp_path, 32)
    config.write_text(json.dumps({**config_before, "model_type": "gpt2"}))
    with pytest.raises(InputError, match="model_type is 'gpt2'; only a 'bert' can be read"):
        checkpoint.load(tmp_path, 32)
    config.write_text("{")
    with pytest.raises(InputError, match=r"config\.json: not readable as JSON"):
        checkpoint.load(tmp_path, 32)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_as_a_training_loop_wraps_it_gives_the_same_network(
    tmp_path: Path, prefix: str, wrapper: str | None
) -> None:
    entries = small(V1)
    write_model(tmp_path, entries, bin_file=True)
    path = tmp_path / "pytorch_model.bin"
    expected = checkpoint.load(tmp_path, 32)
    state = {prefix + name: weight for name, weight in torch.load(path, weights_only=True).items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    found = checkpoint.load(tmp_path, 32)
    assert torch.equal(found.words, expected.words) and found.words.any()
    for ours, theirs in zip(found.transformer.layers, expected.transformer.layers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no plain state dict"),
        ({QUERY: 1}, "holds no plain state dict"),
        (
            {QUERY: torch.zeros(16, 16, dtype=torch.complex64)},
            r"weight 'encoder\.layer\.2\..*' is complex64; only float16",
        ),
    ],
    ids=["list", "number", "complex"],
)
def test_a_file_without_usable_tensors_is_one_line(tmp_path: Path, content: Any, message: str) -> None:
    entries = small(V1)
    write_model(tmp_path, entries, bin_file=True)
    path = tmp_path / "pytorch_model.bin"
    state = torch.load(path, weights_only=True)
    torch.save(state | content if isinstance(content, dict) else content, path)
    with pytest.raises(InputError, match=rf"pytorch_model\.bin: .*{message}") as error:
        checkpoint.load(tmp_path, 32)
    assert "\n" not in error.value.message
