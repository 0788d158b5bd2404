"""The scgpt engine: notes, options and precision."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from genept.core.errors import InputError, ParamsError
from genept.engines.scgpt import checkpoint, network, upstream
from genept.engines.scgpt import embed as engine
from tests.engines.scgpt.made import OPTIONS, SYMBOLS, counts, random_tokens


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


def test_a_renamed_gene_is_found_by_the_name_in_the_file() -> None:
    """IL8 is CXCL8 now, which an older vocabulary does not have."""
    vocab = {"IL8": 0, "CD4": 1, "<pad>": 2}
    ids, n_by_old_name = engine.find_genes(["CD4", "CXCL8", "NEW1"], ["CD4", "IL8", "OLD1"], vocab)
    assert ids.tolist() == [1, 0, -1] and ids.dtype == np.int32
    assert n_by_old_name == 1


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_an_old_name_that_is_another_genes_approved_symbol_is_not_taken(order: list[int]) -> None:
    """A file may call a gene MARS, its Ensembl id say that it is MARS1, and another column be MARS by approval."""
    symbols, originals, expected = ["MARS1", "MARS", "CD4"], ["MARS", "X", "CD4"], [-1, 0, 1]
    found, n_by_old_name = engine.find_genes(
        [symbols[i] for i in order], [originals[i] for i in order], {"MARS": 0, "CD4": 1}
    )
    assert found.tolist() == [expected[i] for i in order] and n_by_old_name == 0


def test_of_two_genes_with_one_old_name_neither_is_found() -> None:
    symbols, originals = ["MATR3X", "MATR3Y", "IL9"], ["MATR3", "MATR3", "MATR3"]
    ids, n_by_old_name = engine.find_genes(symbols, originals, {"MATR3": 0, "IL9": 1})
    assert ids.tolist() == [-1, -1, 1] and n_by_old_name == 0


def test_a_gene_that_the_vocabulary_has_by_both_names_is_its_approved_one() -> None:
    ids, n_by_old_name = engine.find_genes(["CXCL8"], ["IL8"], {"IL8": 0, "CXCL8": 1})
    assert ids.tolist() == [1] and n_by_old_name == 0


def test_genes_found_by_their_old_name_are_seen_and_noted(saved: Path) -> None:
    data = counts(5)
    expected, expected_notes = engine.embed(data, saved, OPTIONS, "cpu")
    data.var["original_symbol"] = SYMBOLS
    data.var_names = [*SYMBOLS[:50], *(f"RENAMED{i}" for i in range(10))]
    found, notes = engine.embed(data, saved, OPTIONS, "cpu")
    np.testing.assert_array_equal(found, expected)
    assert (notes["n_genes_by_old_name"], notes["n_genes_missing"]) == (10, 0)
    assert expected_notes["n_genes_by_old_name"] == 0 and notes["share_of_counts_missing"] == 0
    del data.var["original_symbol"]
    assert engine.embed(data, saved, OPTIONS, "cpu")[1]["n_genes_missing"] == 10


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
    code = "import sys, genept.engines.scgpt.embed, genept.engines.scgpt.network; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"scgpt", "scanpy", "torchtext", "transformers", "sklearn"} & set(loaded)


def test_a_missing_scgpt_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scgpt", None)
    with pytest.raises(InputError, match="`make setup` installs it") as error:
        upstream.package()
    assert "\n" not in error.value.message
