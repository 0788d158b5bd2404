"""Pretraining the small Geneformer: dictionaries, objective, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from genept.core.errors import InputError
from genept.data.cells import Cells, in_memory
from genept.engines.geneformer import dictionaries, medians
from genept.engines.geneformer import pretrain as geneformer
from genept.engines.geneformer.embed import embed
from genept.engines.pretraining import Pretraining
from tests.engines.geneformer.made import CONFIG as MODEL

SIZES = {"width": 8, "n_layers": 2, "n_heads": 2}
CONFIG = Pretraining(seed=3, steps=5, batch_size=8, max_length=12, learning_rate=0.003, mask_ratio=0.15, **SIZES)
FILES = ["config.json", "gene_median_dictionary.pkl", "model.safetensors", "token_dictionary.pkl"]


def corpus(ids: list[str], n_cells: int = 30, seed: int = 0) -> AnnData:
    """Cells of two kinds, each with genes of its own."""
    rng = np.random.default_rng(seed)
    rate = np.where(np.arange(n_cells)[:, None] % 2 == np.arange(len(ids)) % 2, 3.0, 0.2)
    counts = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
    cells = AnnData(counts, var=pd.DataFrame({"ensembl_id": ids}, index=[f"g{i}" for i in range(len(ids))]))
    cells.uns["x"] = "counts"
    return cells


def ids(first: int, last: int) -> list[str]:
    return [f"ENSG{i:011d}" for i in range(first, last)]


def corpora() -> dict[str, Cells]:
    return {"one": in_memory(corpus(ids(1, 21))), "two": in_memory(corpus([*ids(15, 41), ""], n_cells=9, seed=1))}


def changed(**change: Any) -> Pretraining:
    return CONFIG.model_copy(update=change)


def test_the_folder_is_a_checkpoint_that_transformers_loads_whole_and_the_engine_embeds_with(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    losses, n_weights = geneformer.pretrain(corpora(), CONFIG, tmp_path, "cpu")
    assert len(losses) == 5 and all(0 < loss < 2 * np.log(42) for loss in losses)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    loaded: Any = BertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    model, report = loaded
    assert not any(report.values())
    assert (model.config.vocab_size, n_weights) == (42, model.num_parameters())
    assert model.config.max_position_embeddings == 12
    entries = dictionaries.read(tmp_path)
    assert entries.version == "V1"
    assert list(entries.tokens) == ["<pad>", "<mask>", *ids(1, 41)]
    matrix, notes = embed(corpora()["two"].whole(), tmp_path, MODEL, "cpu")
    assert matrix.shape == (9, 8) and np.isfinite(matrix).all()
    assert (notes["version"], notes["layer"], notes["n_genes_missing"]) == ("V1", 1, 1)


def test_equal_runs_give_equal_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first = geneformer.pretrain(corpora(), CONFIG, tmp_path / "a", "cpu")
    torch.manual_seed(99)
    before = torch.get_rng_state()
    second = geneformer.pretrain(corpora(), CONFIG, tmp_path / "b", "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert first == second
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    geneformer.pretrain(corpora(), changed(seed=4), tmp_path / "c", "cpu")
    assert (tmp_path / "a" / FILES[2]).read_bytes() != (tmp_path / "c" / FILES[2]).read_bytes()


def test_training_learns_which_genes_go_together(tmp_path: Path) -> None:
    config = changed(steps=150, batch_size=16, learning_rate=0.01, width=16)
    losses, _ = geneformer.pretrain({"one": in_memory(corpus(ids(1, 21), n_cells=60))}, config, tmp_path, "cpu")
    # Knowing the frequencies only costs log(20) nats; knowing the kind of cell, about log(10).
    assert np.mean(losses[:5]) > 2.8
    assert np.mean(losses[-30:]) < 2.6


def test_medians_are_over_the_non_zero_counts_of_all_cells() -> None:
    one, two = (cells.whole() for cells in corpora().values())
    names = two.var["ensembl_id"].tolist()
    names[3] = names[2]  # two columns of one gene are one gene
    names[5] = "ENSG99999999999"  # a gene that no cell has gets no token
    two.X = sparse.csr_matrix(two.X.toarray() * (np.arange(27) != 5))
    two.var["ensembl_id"] = names
    values: dict[str, list[float]] = {}
    for cells in (one, two):
        for row in cells.X.toarray().astype(float):
            by_gene = pd.Series(row).groupby(cells.var["ensembl_id"].to_numpy()).sum()
            for gene, count in by_gene[by_gene > 0].items():
                values.setdefault(str(gene), []).append(count / row.sum() * 10_000)
    values.pop("")
    entries = geneformer.make_dictionaries([in_memory(one), in_memory(two)])
    assert entries.medians == pytest.approx({gene: float(np.median(v)) for gene, v in values.items()})
    assert list(entries.tokens) == ["<pad>", "<mask>", *sorted(values)]


@pytest.mark.parametrize("few", [10**9, 0])
def test_medians_of_cells_read_in_parts_are_exact(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medians, "FEW", few)
    rng = np.random.default_rng(0)
    dense = (1e-6 + rng.random((60, 40)) ** 9) * 1e4 * (rng.random((60, 40)) < rng.random(40))
    dense[:, 0], dense[:, 1], dense[:, 2] = 0, 7.1, np.repeat([1e-8, 1e4], 30)  # none, equal ones, two values far apart
    dense[1:, 3], dense[0, 3] = 0, 5.5
    blocks = [sparse.csr_matrix(dense[start : start + 7]) for start in range(0, 60, 7)]
    expected = [np.median(column[column > 0]) if column.any() else np.nan for column in dense.T]
    np.testing.assert_array_equal(medians.medians(lambda: blocks, 40), expected)


def test_the_loss_is_that_of_the_whole_head_over_padded_cells() -> None:
    model = geneformer.new_model(CONFIG, n_tokens=42).eval()
    rng = np.random.default_rng(0)
    parts = [[rng.integers(2, 42, length) for length in lengths] for lengths in ((3, 5, 4), (12, 9))]
    loss = geneformer.batch_loss(model, parts, 0.4, torch.Generator().manual_seed(7))

    generator = torch.Generator().manual_seed(7)
    masked, mask, labels = (torch.zeros((5, 12), dtype=torch.long) for _ in range(3))
    labels -= 100  # what transformers leaves out of the loss
    for part, rows in zip(parts, ([0, 1, 2], [3, 4]), strict=True):
        original, real = geneformer.pad(part)
        changed, chosen = geneformer.mask_genes(original, real, 0.4, 42, generator)
        length = original.shape[1]
        masked[rows, :length], mask[rows, :length] = changed, real
        labels[rows, :length] = torch.where(chosen, original, -100)
    whole = model(input_ids=masked, attention_mask=mask, labels=labels).loss
    torch.testing.assert_close(loss, whole, rtol=1e-5, atol=1e-6)


def test_masking_is_that_of_bert() -> None:
    original = torch.randint(2, 1000, (200, 300), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(original)
    mask[:, 250:] = 0
    changed, chosen = geneformer.mask_genes(original, mask, 0.15, 1000, torch.Generator().manual_seed(1))
    n_chosen = int(chosen.sum())
    assert not chosen[:, 250:].any()
    assert n_chosen / 50_000 == pytest.approx(0.15, abs=0.01)
    assert torch.equal(changed[~chosen], original[~chosen])
    assert int((changed[chosen] == 1).sum()) / n_chosen == pytest.approx(0.8, abs=0.02)
    assert int((changed[chosen] == original[chosen]).sum()) / n_chosen == pytest.approx(0.1, abs=0.02)
    assert int(changed[chosen & (changed != 1)].min()) >= 2  # a random gene, never <pad>


def test_an_unlucky_batch_without_a_masked_gene_does_not_break_the_run(tmp_path: Path) -> None:
    losses, _ = geneformer.pretrain(corpora(), changed(mask_ratio=1e-9), tmp_path, "cpu")
    assert losses == [0.0] * 5
    matrix, _ = embed(corpora()["one"].whole(), tmp_path, MODEL, "cpu")
    assert np.isfinite(matrix).all()


def test_cells_without_a_known_gene_are_not_drawn() -> None:
    cells = corpus([*ids(1, 6), ""])
    counts = cells.X.toarray()
    counts[:27, :5], counts[27:, 0] = 0, 1
    cells.X = sparse.csr_matrix(counts)
    entries = geneformer.make_dictionaries([in_memory(cells)])
    steps = geneformer.draw("one", in_memory(cells), entries, CONFIG, 8, np.random.default_rng(0))
    assert [len(batch) for batch in steps] == [8] * 5
    assert all(len(cell) for batch in steps for cell in batch)


def lognorm() -> AnnData:
    cells = corpus(ids(1, 21))
    cells.uns["x"] = "lognorm"
    return cells


@pytest.mark.parametrize(
    ("two", "text"),
    [
        (lognorm(), "data/corpus/two: Geneformer learns from raw counts"),
        (corpus(["", ""]), "data/corpus/two: no gene has both an Ensembl id and a count"),
        (corpus(ids(1, 21), n_cells=3), "data/corpus/two: 3 cells are outside the evaluated subset"),
    ],
)
def test_a_dataset_that_cannot_be_learned_from_is_refused(tmp_path: Path, two: AnnData, text: str) -> None:
    with pytest.raises(InputError, match=text):
        geneformer.pretrain({"one": in_memory(corpus(ids(1, 21))), "two": in_memory(two)}, CONFIG, tmp_path, "cpu")
    assert not any(tmp_path.iterdir())
