"""scGPT: tokens, checkpoints and the native encoder, against upstream's network and vectors frozen from upstream.

``fixtures/scgpt`` holds two cells of Qian et al. 2020 (raw counts of the vocabulary genes they express), a random
checkpoint of 2 layers x 32, its vocabulary cut to those genes, and what scgpt 0.2.4 made of them: ``drawn_*`` are the
inputs and outputs of its ``embed_data`` with numpy's seed 0, ``fixed_*`` those of its network for bins without draws.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages import files
from stages.embed import scgpt as engine
from stages.errors import InputError, ParamsError
from stages.scgpt import binning, checkpoint, network, tokens, torchtext_stand_in, upstream
from stages.scgpt.tokens import Tokens

FIXTURES = Path(__file__).parent / "fixtures" / "scgpt"
OPTIONS = {"engine": "scgpt", "implementation": "native", "seed": 0, "max_length": 1200}
ARGS = {
    "pad_token": "<pad>",
    "input_emb_style": "continuous",
    "n_bins": 51,
    "nlayers": 3,
    "nheads": 2,
    "embsize": 16,
    "d_hid": 24,
    "dropout": 0.2,
    "n_layers_cls": 3,
    "pad_value": -2,
}
SYMBOLS = [f"GENE{i}" for i in range(60)]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "golden.npz") as archive:
        return dict(archive)


def as_tokens(ids: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> Tokens:
    real = np.arange(ids.shape[1]) < lengths[:, None]
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Tokens(ids[real].astype(np.int32), values[real].astype(np.int16), starts, lengths - 1)


def upstream_model(seed: int = 0) -> tuple[Any, dict[str, int]]:
    """Upstream's network with random weights, of which none is trivial."""
    vocab = {token: i for i, token in enumerate([*SYMBOLS, *checkpoint.SPECIAL_TOKENS])}
    torch.manual_seed(seed)
    model = upstream.network(ARGS, len(vocab), vocab["<pad>"])
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.eval(), vocab


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, vocab = upstream_model()
    folder = tmp_path_factory.mktemp("scgpt")
    checkpoint.write(folder, ARGS, vocab, model.state_dict())
    return folder


def change(saved: Path, folder: Path, **weights: torch.Tensor | None) -> Path:
    """Copy the saved checkpoint with some weights replaced, added, or (None) left out; `__` stands for a dot."""
    state = checkpoint.read_weights(saved / "best_model.pt")
    for name, weight in weights.items():
        key = name.replace("__", ".")
        if weight is None:
            del state[key]
        else:
            state[key] = weight
    checkpoint.write(folder, ARGS, checkpoint.read_vocab(saved / "vocab.json"), state)
    return folder


def random_tokens(n_cells: int, seed: int = 0, longest: int = 40) -> Tokens:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, longest, n_cells)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(0, len(SYMBOLS), starts[-1]).astype(np.int32)
    values = rng.integers(1, 51, starts[-1]).astype(np.int16)
    ids[starts[:-1]], values[starts[:-1]] = len(SYMBOLS) + 1, -2
    return Tokens(ids, values, starts, lengths - 1)


def counts(n_cells: int = 12, seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    x = sp.csr_matrix(rng.poisson(rng.gamma(1.0, 2.0, (n_cells, len(SYMBOLS)))).astype(np.float32))
    data = anndata.AnnData(x, pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]), pd.DataFrame(index=SYMBOLS))
    data.uns["x"] = "counts"
    return data


# --- bins and tokens


def reference_bins(values: np.ndarray, uniforms: np.ndarray, n_bins: int) -> np.ndarray:
    edges = np.quantile(values, np.linspace(0, 1, n_bins - 1))
    left, right = np.digitize(values, edges), np.digitize(values, edges, right=True)
    return np.ceil(uniforms * (right - left) + left)


def cut(values: np.ndarray, uniforms: np.ndarray, n_bins: int, drawn: bool = True) -> np.ndarray:
    bins = np.empty(len(values), dtype=np.float32)
    binning.cut(values.astype(np.float32), uniforms, np.linspace(0, 1, n_bins - 1), drawn, bins)
    return bins


@settings(deadline=None)
@given(data=st.data(), n_bins=st.sampled_from([3, 5, 51, 100]), n=st.integers(1, 300))
def test_bins_equal_quantile_and_digitize_to_the_bit(data: st.DataObject, n_bins: int, n: int) -> None:
    numbers = data.draw(st.sampled_from([st.integers(1, 4), st.integers(1, 10_000), st.floats(2**-10, 12, width=32)]))
    values = data.draw(hnp.arrays(np.float32, n, elements=numbers))
    uniforms = np.random.default_rng(data.draw(st.integers(0, 99))).random(n)
    found = cut(values, uniforms, n_bins)
    np.testing.assert_array_equal(found, reference_bins(values, uniforms, n_bins))
    assert found.min() >= 1 and found.max() <= n_bins - 1


@settings(deadline=None)
@given(
    values=hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(2**-10, 1e4, width=32)), n=st.integers(2, 60)
)
def test_quantiles_of_sorted_values_equal_numpys_to_the_bit(values: np.ndarray, n: int) -> None:
    expected = np.quantile(values, np.linspace(0, 1, n))
    np.testing.assert_array_equal(binning.quantiles(np.sort(values), np.linspace(0, 1, n)), expected)


def test_bins_replay_upstreams_draws_for_real_cells(golden: dict[str, np.ndarray]) -> None:
    generator = np.random.RandomState(0)
    for cell, n_cells_between in ((0, 0), (1, 1124)):  # upstream drew once per gene, cell after cell
        generator.random_sample(n_cells_between)
        expressed = golden["counts"][cell] > 0
        values = golden["counts"][cell][expressed].astype(np.float32)
        bins = cut(values, generator.random_sample(len(values)), 51)
        by_gene = dict(zip(golden["gene_ids"][expressed], bins, strict=True))
        length = golden["drawn_lengths"][cell]
        recorded = golden["drawn_values"][cell, 1:length]
        assert [by_gene[gene] for gene in golden["drawn_ids"][cell, 1:length]] == recorded.tolist()


def tokenise(
    data: anndata.AnnData, gene_ids: np.ndarray, max_length: int = 1200, seed: int = 0, drawn: bool = True
) -> Tokens:
    special = {"cls_id": 99, "pad_value": -2, "n_bins": 51}
    cells = list(data.obs_names)
    return tokens.tokenise(data.X, cells, gene_ids, max_length=max_length, seed=seed, drawn=drawn, **special)


def cell_tokens(sequences: Tokens, cell: int) -> dict[int, int]:
    part = slice(sequences.starts[cell], sequences.starts[cell + 1])
    return dict(zip(sequences.ids[part].tolist(), sequences.values[part].tolist(), strict=True))


def test_a_cell_is_cls_and_its_expressed_vocabulary_genes_in_the_order_of_var() -> None:
    data = counts()
    gene_ids = np.arange(60)[::-1].copy()
    gene_ids[::7] = -1
    sequences = tokenise(data, gene_ids)
    for cell, row in enumerate(data.X.toarray()):
        expected = [99, *(gene for gene, value in zip(gene_ids, row, strict=True) if value and gene >= 0)]
        start, stop = sequences.starts[cell : cell + 2]
        assert sequences.ids[start:stop].tolist() == expected
        assert sequences.values[start] == -2
        assert (sequences.values[start + 1 : stop] >= 1).all() and (sequences.values[start + 1 : stop] <= 50).all()


def test_explicit_zeros_and_unsorted_indices_change_nothing() -> None:
    data = counts()
    shuffled = data.copy()
    x = shuffled.X
    x.data[0] = 0
    data.X[0, x.indices[0]] = 0
    for row in range(x.shape[0]):
        part = slice(x.indptr[row], x.indptr[row + 1])
        x.indices[part], x.data[part] = x.indices[part][::-1].copy(), x.data[part][::-1].copy()
    x.has_sorted_indices = False
    expected, found = tokenise(data, np.arange(60)), tokenise(shuffled, np.arange(60))
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.values, expected.values)


def test_draws_belong_to_the_cell_not_to_its_neighbours_or_place() -> None:
    data = counts()
    order = np.random.default_rng(1).permutation(12)[:7]
    everyone, some = tokenise(data, np.arange(60), 15), tokenise(data[order].copy(), np.arange(60), 15)
    for place, cell in enumerate(order):
        assert cell_tokens(some, place) == cell_tokens(everyone, int(cell))


def test_another_seed_gives_other_draws() -> None:
    data = counts()
    assert tokenise(data, np.arange(60), seed=1).values.tolist() != tokenise(data, np.arange(60)).values.tolist()


def test_a_long_cell_keeps_cls_and_a_subset_binned_over_all_its_genes() -> None:
    data = counts()
    whole, cut = tokenise(data, np.arange(60)), tokenise(data, np.arange(60), max_length=15)
    assert cut.lengths.tolist() == np.minimum(whole.lengths, 15).tolist()
    assert cut.n_expressed.tolist() == whole.n_expressed.tolist()
    for cell in range(len(cut)):
        kept = cell_tokens(cut, cell)
        assert next(iter(kept)) == 99
        assert kept.items() <= cell_tokens(whole, cell).items()


def cells_of_ones(n_cells: int, n_genes: int) -> anndata.AnnData:
    x = sp.csr_matrix(np.ones((n_cells, n_genes), dtype=np.float32))
    return anndata.AnnData(x, pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))


def test_every_gene_of_a_long_cell_is_equally_likely_to_be_kept() -> None:
    sequences = tokenise(cells_of_ones(2000, 30), np.arange(30), max_length=11)
    kept = np.bincount(sequences.ids[sequences.ids != 99], minlength=30)
    assert kept.sum() == 2000 * 10
    assert np.abs(kept / 2000 - 1 / 3).max() < 0.05  # standard deviation 0.0105


def test_draws_are_uniform_over_the_bins_as_upstreams_and_independent_between_genes() -> None:
    """Values that are all equal can be in any bin; upstream draws each from 1 to 50 alike."""
    sequences = tokenise(cells_of_ones(2000, 20), np.arange(20))
    bins = sequences.values.reshape(2000, 21)[:, 1:]
    for gene in range(20):
        assert scipy.stats.chisquare(np.bincount(bins[:, gene].astype(int), minlength=51)[1:]).pvalue > 1e-4
    correlations = np.corrcoef(bins.T)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < 0.1  # standard deviation 0.022
    assert abs(np.corrcoef(bins[:-1].ravel(), bins[1:].ravel())[0, 1]) < 0.02  # of neighbouring cells; 0.005


def test_draws_belong_to_the_gene_not_to_its_column() -> None:
    data = counts()
    order = np.random.default_rng(1).permutation(60)
    expected, found = tokenise(data, np.arange(60), 15), tokenise(data[:, order].copy(), order, 15)
    for cell in range(len(expected)):
        assert cell_tokens(found, cell) == cell_tokens(expected, cell)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_and_their_portions_change_nothing(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    expected = tokenise(counts(40), np.arange(60), 25)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(tokens, "CELLS_AT_ONCE", 3)
    found = tokenise(counts(40), np.arange(60), 25)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.values, expected.values)


COUNTS = hnp.arrays(np.float32, st.integers(1, 80), elements=st.integers(1, 6))


@settings(deadline=None)
@given(values=COUNTS, n_bins=st.sampled_from([3, 5, 51]))
def test_the_expected_bin_is_the_middle_of_those_that_can_be_drawn(values: np.ndarray, n_bins: int) -> None:
    found = cut(values, np.zeros(len(values)), n_bins, drawn=False)
    highest, lowest = (cut(values, np.full(len(values), share), n_bins) for share in (0.0, 1 - 1e-9))
    np.testing.assert_array_equal(found, (highest + lowest) / 2)


def test_expected_bins_need_no_seed_where_no_cell_is_too_long() -> None:
    data = counts()
    first, second = (tokenise(data, np.arange(60), seed=seed, drawn=False) for seed in (0, 1))
    np.testing.assert_array_equal(first.values, second.values)
    assert (first.values % 1 == 0.5).any()


def test_log_normalised_values_give_the_bins_of_the_counts() -> None:
    data = counts(50)
    normalised = data.copy()
    normalised.X = (data.X.multiply(10_000 / data.X.sum(axis=1))).tocsr().astype(np.float32).log1p()
    same = tokenise(data, np.arange(60)).values == tokenise(normalised, np.arange(60)).values
    assert same.mean() > 0.999  # a value on an edge may fall either way by rounding


# --- network


@pytest.mark.parametrize("kind", ["drawn", "fixed"])
def test_native_equals_upstreams_frozen_embeddings(golden: dict[str, np.ndarray], kind: str) -> None:
    sequences = as_tokens(*(golden[f"{kind}_{name}"] for name in ("ids", "values", "lengths")))
    found = network.embed(checkpoint.read(FIXTURES), sequences)
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
    np.testing.assert_allclose(network.embed(loaded, sequences), expected, atol=1e-5)
    np.testing.assert_allclose(upstream.embed(loaded, sequences), expected, atol=1e-5)


def test_native_equals_embed_data_of_the_scgpt_package(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that are all different leave nothing to chance, so the whole way can be compared."""
    package = upstream.package()
    rng = np.random.default_rng(0)
    x = np.array([rng.permutation(60) * (rng.random(60) < 0.6) for _ in range(9)], dtype=np.float32)
    data = anndata.AnnData(sp.csr_matrix(x), pd.DataFrame(index=list("abcdefghi")), pd.DataFrame(index=SYMBOLS))
    data.uns["x"] = "counts"
    data.var_names = [*SYMBOLS[:50], *(f"UNKNOWN{i}" for i in range(10))]
    found, _ = engine.embed(data, saved, OPTIONS, "cpu")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: (), raising=False)  # no worker processes
    torch.backends.mha.set_fastpath_enabled(True)
    expected = package.tasks.embed_data(
        data.copy(), saved, gene_col="index", device="cpu", use_fast_transformer=False, batch_size=4
    )
    np.testing.assert_allclose(found, expected.obsm["X_scGPT"], atol=1e-5)


@pytest.mark.parametrize("tokens_per_batch", [1, 100, 10_000])
def test_embedding_does_not_depend_on_the_batches(saved: Path, tokens_per_batch: int) -> None:
    loaded, sequences = checkpoint.read(saved), random_tokens(40)
    expected = network.embed(loaded, sequences)
    found = network.embed(loaded, sequences, tokens_per_batch=tokens_per_batch)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-6)


# --- checkpoints


def test_equal_checkpoints_have_equal_bytes(saved: Path, tmp_path: Path) -> None:
    model, vocab = upstream_model()
    checkpoint.write(tmp_path, ARGS, vocab, model.state_dict())
    for name in ("args.json", "vocab.json", "best_model.pt"):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


def test_flash_attention_names_and_unused_heads_load_alike(saved: Path, tmp_path: Path) -> None:
    state = checkpoint.read_weights(saved / "best_model.pt")
    flash = {name.replace("in_proj_", "Wqkv."): weight for name, weight in state.items()}
    flash["flag_encoder.weight"] = torch.zeros(2, 16)
    checkpoint.write(tmp_path, ARGS, checkpoint.read_vocab(saved / "vocab.json"), flash)
    assert any("Wqkv" in name for name in checkpoint.read_weights(tmp_path / "best_model.pt"))
    expected, found = checkpoint.read(saved).weights, checkpoint.read(tmp_path).weights
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_every_weight_that_upstream_has_is_the_encoders_or_known_as_unused() -> None:
    model, vocab = upstream_model()
    config = checkpoint.Config(embsize=16, nheads=2, d_hid=24, nlayers=3, n_bins=51, pad_value=-2)
    expected = {
        name: tuple(weight.shape)
        for name, weight in model.state_dict().items()
        if not name.startswith(checkpoint.UNUSED)
    }
    assert checkpoint.shapes(config, len(vocab)) == expected


def test_a_missing_weight_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path, transformer_encoder__layers__1__linear2__bias=None)
    with pytest.raises(InputError, match=r"best_model\.pt: no weight 'transformer_encoder\.layers\.1\.linear2\.bias'"):
        checkpoint.read(folder)


def test_a_missing_embedding_is_an_error(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no weight 'encoder\.embedding\.weight', expected with shape \(63, 16\)"):
        checkpoint.read(change(saved, tmp_path, encoder__embedding__weight=None))


def test_a_misshapen_weight_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path, value_encoder__norm__bias=torch.zeros(8))
    with pytest.raises(
        InputError, match=r"'value_encoder\.norm\.bias' has shape \(8,\), but args\.json makes it \(16,\)"
    ):
        checkpoint.read(folder)


def test_an_unknown_weight_is_an_error(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unexpected weight 'dsbn\.bns\.0\.weight'"):
        checkpoint.read(change(saved, tmp_path, dsbn__bns__0__weight=torch.zeros(16)))


def test_fewer_layers_in_args_than_in_the_weights_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path)
    files.write_json(folder / "args.json", ARGS | {"nlayers": 2})
    with pytest.raises(InputError, match=r"more layers than the 2 of args\.json"):
        checkpoint.read(folder)


def test_a_vocabulary_of_another_size_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path)
    vocab = files.read_json(folder / "vocab.json")
    files.write_json(folder / "vocab.json", vocab | {"GENE60": len(vocab)})
    with pytest.raises(InputError, match=r"embeds 63 tokens, but vocab\.json has 64"):
        checkpoint.read(folder)


def test_missing_special_tokens_take_the_rows_at_the_end_as_in_upstream(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path)
    files.write_json(folder / "vocab.json", {symbol: i for i, symbol in enumerate(SYMBOLS)})
    assert checkpoint.read(folder).vocab == files.read_json(saved / "vocab.json")


def test_a_special_token_without_a_row_is_an_error(saved: Path, tmp_path: Path) -> None:
    folder = change(saved, tmp_path, encoder__embedding__weight=torch.zeros(61, 16))
    files.write_json(folder / "vocab.json", {symbol: i for i, symbol in enumerate(SYMBOLS)})
    with pytest.raises(InputError, match=r"vocab\.json: no token '<cls>', and the weights have no row for it"):
        checkpoint.read(folder)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("embsize", None, "'embsize' should be a whole number, found None"),
        ("nlayers", 0, "'nlayers' should be a whole number, found 0"),
        ("nheads", 3, "embsize 16 cannot be divided into 3 heads"),
        ("input_emb_style", "category", "input_emb_style 'category' is not supported"),
        ("pad_token", "[PAD]", r"pad_token '\[PAD\]' is not supported"),
    ],
)
def test_impossible_settings_are_errors(saved: Path, tmp_path: Path, setting: str, value: object, message: str) -> None:
    folder = change(saved, tmp_path)
    files.write_json(folder / "args.json", ARGS | {setting: value})
    with pytest.raises(InputError, match=message):
        checkpoint.read(folder)


@pytest.mark.parametrize("vocab", [{"A": 0, "B": 2}, {"A": 0, "B": 0}, {"A": "0"}, ["A"]])
def test_a_vocabulary_with_gaps_or_doubles_is_an_error(tmp_path: Path, vocab: object) -> None:
    files.write_json(tmp_path / "vocab.json", vocab)
    with pytest.raises(InputError, match=r"vocab\.json: "):
        checkpoint.read_vocab(tmp_path / "vocab.json")


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("/").joinpath, ("harm",))


def _saved(content: object) -> bytes:
    archive = io.BytesIO()
    torch.save(content, archive)
    return archive.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        pickle.dumps(Harmful(), protocol=2),
        _saved({"a": Harmful()}),
        _saved([1, 2]),
        _saved({"a": 1}),
    ],
    ids=["empty", "text", "pickle with code", "archive with code", "list", "numbers"],
)
def test_a_file_that_is_no_state_dict_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "best_model.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"best_model\.pt: ") as error:
        checkpoint.read_weights(path)
    assert "\n" not in error.value.message


def test_a_truncated_checkpoint_is_one_line(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "best_model.pt"
    path.write_bytes((saved / "best_model.pt").read_bytes()[:-500])
    with pytest.raises(InputError, match="not a readable torch checkpoint") as error:
        checkpoint.read_weights(path)
    assert "\n" not in error.value.message


# --- the engine


def test_notes_count_what_the_model_does_not_see(saved: Path) -> None:
    data = counts(5)
    data.var_names = [*SYMBOLS[:40], *(f"UNKNOWN{i}" for i in range(20))]
    dense = data.X.toarray()
    dense[3, :40] = 0
    data.X = sp.csr_matrix(dense)
    matrix, notes = engine.embed(data, saved, OPTIONS | {"max_length": 20}, "cpu")
    n_expressed = (dense[:, :40] > 0).sum(axis=1)
    assert notes["n_genes"] == 60
    assert notes["n_genes_missing"] == 20
    assert notes["share_of_counts_missing"] == pytest.approx(dense[:, 40:].sum() / dense.sum(), abs=1e-6)
    assert notes["n_cells_truncated"] == (n_expressed > 19).sum() > 0
    assert notes["mean_length"] == pytest.approx(np.minimum(n_expressed + 1, 20).mean())
    assert notes["n_cells_without_gene"] == 1
    assert notes["comparable"] is True
    assert "reason" not in notes
    assert not matrix[3].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(matrix, 3, axis=0), axis=1), 1, atol=1e-6)


def test_log_normalised_cells_are_comparable_and_the_notes_say_why(saved: Path) -> None:
    data = counts(5)
    normalised = data.copy()
    normalised.X, normalised.uns["x"] = data.X.log1p(), "lognorm"
    expected, _ = engine.embed(data, saved, OPTIONS, "cpu")
    found, notes = engine.embed(normalised, saved, OPTIONS, "cpu")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert notes["comparable"] is True and "log-normalisation does not change" in notes["reason"]


def test_upstream_and_native_implementations_agree(saved: Path) -> None:
    data = counts(20)
    native, _ = engine.embed(data, saved, OPTIONS | {"max_length": 20}, "cpu")
    oracle, notes = engine.embed(data, saved, OPTIONS | {"max_length": 20, "implementation": "upstream"}, "cpu")
    assert notes["implementation"] == "upstream"
    np.testing.assert_allclose(native, oracle, atol=1e-5)


def test_bfloat16_is_near_float32_and_the_notes_say_how_near(saved: Path) -> None:
    data = counts(20)
    exact, notes = engine.embed(data, saved, OPTIONS, "cpu")
    rough, rough_notes = engine.embed(data, saved, OPTIONS | {"precision": "bfloat16"}, "cpu")
    assert "against_float32" not in notes
    told = rough_notes["against_float32"]
    cosines = (exact * rough).sum(axis=1)  # unit rows
    assert told["n_compared"] == 16
    assert cosines.min() - 1e-6 <= told["cosine_min"] < 1
    assert told["cosine_min"] > 0.999
    assert rough.dtype == np.float32


def test_half_bins_go_through_as_upstreams_network_takes_them(saved: Path) -> None:
    loaded, sequences = checkpoint.read(saved), random_tokens(20)
    halves = dataclasses.replace(sequences, values=sequences.values + np.float32(0.5) * (sequences.values > 0))
    found = network.embed(loaded, halves)
    np.testing.assert_allclose(found, upstream.embed(loaded, halves), atol=1e-5)
    assert np.abs(found - network.embed(loaded, sequences)).max() > 1e-4


def test_expected_bins_embed_between_the_draws(saved: Path) -> None:
    data = counts(20)
    drawn = [engine.embed(data, saved, OPTIONS | {"seed": seed}, "cpu")[0] for seed in range(30)]
    expected, notes = engine.embed(data, saved, OPTIONS | {"binning": "expected"}, "cpu")
    assert notes["binning"] == "expected"
    middle = np.mean(drawn, axis=0)
    assert np.abs(expected - middle).max() < np.abs(np.array(drawn) - middle).max()


def test_no_known_gene_is_an_error(saved: Path) -> None:
    data = counts(3)
    data.var_names = [f"Gene{i}" for i in range(60)]
    with pytest.raises(InputError, match="knows none of the 60 genes"):
        engine.embed(data, saved, OPTIONS, "cpu")


@pytest.mark.parametrize(
    ("option", "value"),
    [("implementation", "flash"), ("max_length", 1), ("seed", None), ("binning", "mean"), ("precision", "half")],
)
def test_impossible_options_are_errors(saved: Path, option: str, value: object) -> None:
    with pytest.raises(ParamsError, match=f"{option} must be"):
        engine.embed(counts(3), saved, OPTIONS | {option: value}, "cpu")


def test_upstreams_network_runs_in_float32_only(saved: Path) -> None:
    with pytest.raises(ParamsError, match="implementation upstream runs in precision float32 only"):
        engine.embed(counts(3), saved, OPTIONS | {"implementation": "upstream", "precision": "bfloat16"}, "cpu")


def test_the_native_engine_does_not_import_the_scgpt_package() -> None:
    code = "import sys, stages.embed.scgpt, stages.scgpt.network; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"scgpt", "scanpy", "torchtext", "transformers", "sklearn"} & set(loaded)


def test_a_missing_scgpt_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scgpt", None)
    with pytest.raises(InputError, match="`make setup` installs it") as error:
        upstream.package()
    assert "\n" not in error.value.message


# --- the stand-in for torchtext


def test_the_vocabulary_numbers_tokens_and_inserts_between() -> None:
    vocab = torchtext_stand_in.vocab({"a": 3, "b": 1, "c": 2}, min_freq=2, specials=["<pad>"])
    assert vocab.get_itos() == ["<pad>", "a", "c"]
    vocab.insert_token("x", 1)
    vocab.append_token("y")
    assert vocab.get_stoi() == {"<pad>": 0, "x": 1, "a": 2, "c": 3, "y": 4}
    assert vocab(["c", "a"]) == vocab.lookup_indices(["c", "a"]) == [3, 2]
    assert vocab.lookup_tokens([4, 0]) == ["y", "<pad>"]
    assert len(vocab) == 5
    assert "x" in vocab
    with pytest.raises(RuntimeError, match="already in the vocabulary"):
        vocab.append_token("a")
    with pytest.raises(RuntimeError, match="outside"):
        vocab.insert_token("z", 6)
    with pytest.raises(RuntimeError, match="outside"):
        vocab.lookup_token(-1)


def test_the_default_index_answers_for_unknown_tokens_only_once_set() -> None:
    vocab = torchtext_stand_in.vocab({"a": 1}, specials=["<pad>"], special_first=False)
    with pytest.raises(RuntimeError, match="no default index"):
        vocab["b"]
    vocab.set_default_index(vocab["<pad>"])
    assert vocab["b"] == vocab.get_default_index() == 1
    assert "b" not in vocab
    assert torchtext_stand_in.Vocab(vocab.vocab)["b"] == 1


def test_a_torchtext_that_loads_is_left_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    real, real_vocab = ModuleType("torchtext"), ModuleType("torchtext.vocab")
    monkeypatch.setitem(sys.modules, "torchtext", real)
    monkeypatch.setitem(sys.modules, "torchtext.vocab", real_vocab)
    torchtext_stand_in.install()
    assert sys.modules["torchtext.vocab"] is real_vocab


def test_a_torchtext_whose_library_does_not_load_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "torchtext"
    package.mkdir()
    (package / "__init__.py").write_text("raise OSError('undefined symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchtext", "torchtext.vocab"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    torchtext_stand_in.install()
    assert sys.modules["torchtext.vocab"].Vocab is torchtext_stand_in.Vocab
