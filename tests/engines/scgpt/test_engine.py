"""The scgpt engine: notes, settings, precision, and the package behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import yaml

from genept.core.errors import InputError, ParamsError
from genept.engines.scgpt import embed as engine
from genept.engines.scgpt import upstream
from genept.engines.scgpt.config import Model
from tests import helpers
from tests.engines.scgpt.made import SYMBOLS, config, counts


def test_notes_count_what_the_model_does_not_see(saved: Path) -> None:
    data = counts(5)
    data.var_names = [*SYMBOLS[:40], *(f"UNKNOWN{i}" for i in range(20))]
    dense = data.X.toarray()
    dense[3, :40] = 0
    data.X = sp.csr_matrix(dense)
    matrix, notes = engine.embed(data, saved, config(max_length=20), "cpu")
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
    expected, _ = engine.embed(data, saved, config(), "cpu")
    found, notes = engine.embed(normalised, saved, config(), "cpu")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert notes["comparable"] is True and "log-normalisation does not change" in notes["reason"]


def test_upstream_and_native_implementations_agree_also_on_expected_bins(saved: Path) -> None:
    data = counts(20)
    for binning in ("drawn", "expected"):
        native, notes = engine.embed(data, saved, config(max_length=20, binning=binning), "cpu")
        oracle, _ = engine.embed(data, saved, config(max_length=20, binning=binning, implementation="upstream"), "cpu")
        assert notes["binning"] == binning
        np.testing.assert_allclose(native, oracle, atol=1e-5)


def test_upstream_s_bar_counts_cells_not_batches(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = helpers.record_bars(monkeypatch, upstream)
    monkeypatch.setattr(upstream, "BATCH_SIZE", 8)
    engine.embed(counts(20), saved, config(max_length=20, implementation="upstream"), "cpu")
    assert [(bar.desc, bar.n, bar.total, bar.unit) for bar in bars] == [("cells", 20, 20, "cell")]


def test_bfloat16_is_near_float32_and_the_notes_say_how_near(saved: Path) -> None:
    data = counts(20)
    exact, notes = engine.embed(data, saved, config(), "cpu")
    rough, rough_notes = engine.embed(data, saved, config(precision="bfloat16"), "cpu")
    assert "against_float32" not in notes
    distance = rough_notes["against_float32"]
    cosines = (exact * rough).sum(axis=1)  # unit rows
    assert distance["n_compared"] == 16
    assert cosines.min() - 1e-6 <= distance["cosine_min"] < 1
    assert distance["cosine_min"] > 0.999
    assert rough.dtype == np.float32


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("symbols", "old_names", "vocab", "expected", "n_by_old_name"),
    [  # IL8 is CXCL8 now, which an older vocabulary does not have
        (["CD4", "CXCL8", "NEW1"], ["CD4", "IL8", "OLD1"], ["IL8", "CD4", "<pad>"], [1, 0, -1], 1),
        (["CXCL8"], ["IL8"], ["IL8", "CXCL8"], [1], 0),
        # a file may call a gene MARS, its Ensembl id say that it is MARS1, and another column be MARS by approval
        (["MARS1", "MARS", "CD4"], ["MARS", "X", "CD4"], ["MARS", "CD4"], [-1, 0, 1], 0),
        (["MATR3X", "MATR3Y", "IL9"], ["MATR3"] * 3, ["MATR3", "IL9"], [-1, -1, 1], 0),
    ],
)
def test_genes_are_found_by_their_approved_symbol_or_an_old_name_of_one_gene(
    symbols: list[str], old_names: list[str], vocab: list[str], expected: list[int], n_by_old_name: int, order: int
) -> None:
    numbers = {name: number for number, name in enumerate(vocab)}
    found, n_found = engine.find_genes(symbols[::order], old_names[::order], numbers)
    assert (found.tolist(), found.dtype, n_found) == (expected[::order], np.int32, n_by_old_name)


def test_genes_found_by_their_old_name_are_seen_and_noted(saved: Path) -> None:
    data = counts(5)
    expected, expected_notes = engine.embed(data, saved, config(), "cpu")
    data.var["original_symbol"] = SYMBOLS
    data.var_names = [*SYMBOLS[:50], *(f"RENAMED{i}" for i in range(10))]
    found, notes = engine.embed(data, saved, config(), "cpu")
    np.testing.assert_array_equal(found, expected)
    assert (notes["n_genes_by_old_name"], notes["n_genes_missing"]) == (10, 0)
    assert expected_notes["n_genes_by_old_name"] == 0 and notes["share_of_counts_missing"] == 0
    del data.var["original_symbol"]
    assert engine.embed(data, saved, config(), "cpu")[1]["n_genes_missing"] == 10


@pytest.mark.parametrize(
    ("section", "change", "text"),
    [
        ("embed", {"implementation": "flash"}, "embed.implementation: should be 'native' or 'upstream', got 'flash'"),
        ("embed", {"precison": "bfloat16"}, "no setting 'precison'; did you mean 'precision'?"),
        ("embed", {"implementation": "upstream", "precision": "bfloat16"}, "upstream runs in precision float32 only"),
        ("pretrain", {"max_length": 2}, "pretrain.max_length: should be greater than or equal to 3, got 2"),
        ("pretrain", {"mask_ratio": 1.5}, "pretrain.mask_ratio: should be less than 1, got 1.5"),
        ("pretrain", {"width": 9}, "pretrain: width 9 is not a multiple of n_heads 2"),
    ],
)
def test_impossible_settings_are_one_line(section: str, change: dict[str, Any], text: str) -> None:
    content = yaml.safe_load((helpers.ROOT / "models" / "scgpt_mini.yaml").read_text(encoding="utf-8"))
    Model.parse(content, "models/m.yaml")
    content[section] |= change
    with pytest.raises(ParamsError) as error:
        Model.parse(content, "models/m.yaml")
    assert error.value.message.startswith("models/m.yaml: ") and text in error.value.message
    assert "\n" not in error.value.message and error.value.exit_code == 2


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("from genept.engines import config; config.read('scgpt_mini')", {"numpy", "torch"}),
        ("import genept.engines.scgpt.embed", {"scgpt", "scanpy", "torchtext", "transformers", "sklearn"}),
    ],
)
def test_settings_and_the_native_engine_import_little(code: str, unwanted: set[str]) -> None:
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=helpers.ROOT).stdout.split()
    assert "genept.engines" in loaded and not unwanted & set(loaded)


def test_a_missing_scgpt_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scgpt", None)
    with pytest.raises(InputError, match="`make setup` installs it") as error:
        upstream.package()
    assert "\n" not in error.value.message


def test_the_stand_in_for_torchtext_gives_the_package_its_vocabulary() -> None:
    from_file = upstream.package().tokenizer.GeneVocab.from_dict({"b": 1, "<pad>": 0})
    from_file.append_token("c")
    assert from_file.get_stoi() == {"<pad>": 0, "b": 1, "c": 2}
    assert "x" not in from_file and len(from_file) == 3
    assert from_file(["c", "b", "x"]) == [2, 1, 0]  # <pad> is the package's default
    assert upstream.package().tokenizer.GeneVocab(["b", "a"], specials=["<pad>"])["a"] == 1
    with pytest.raises(RuntimeError, match="no default index"):
        upstream.Vocab(["a"])["b"]


def test_a_torchtext_that_loads_is_left_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    real, real_vocab = ModuleType("torchtext"), ModuleType("torchtext.vocab")
    monkeypatch.setitem(sys.modules, "torchtext", real)
    monkeypatch.setitem(sys.modules, "torchtext.vocab", real_vocab)
    upstream.install_torchtext()
    assert sys.modules["torchtext.vocab"] is real_vocab


def test_a_torchtext_whose_library_does_not_load_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "torchtext"
    package.mkdir()
    (package / "__init__.py").write_text("raise OSError('undefined symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchtext", "torchtext.vocab"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    upstream.install_torchtext()
    assert sys.modules["torchtext.vocab"].Vocab is upstream.Vocab
