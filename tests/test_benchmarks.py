"""The benchmarks' arithmetic, and that the two sides of every case agree on a tiny input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from click.testing import CliRunner
from threadpoolctl import threadpool_limits
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench import bounds, geneformer, genept, results, scgpt, scoring
from bench import cases as benchmarks
from bench.__main__ import main
from bench.case import FLOAT32, Case, Rates, Spec, Target, interleaved, quiet, relative_difference
from bench.cases import CASES, GPU_CASES
from genept.core import cli
from genept.core.errors import InputError
from genept.data import cells as labelled
from genept.engines.network import transformer
from genept.engines.network.transformer import PRECISIONS
from tests import helpers

RATES = Rates(product=2e9, copy=1e9)
TEXTS = ["CD19: CD19 molecule", "GAPDH", "lysozyme: LYZ " * 40, "HLA-DRB1: major histocompatibility complex", "B"]
BERT = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
SIZES: dict[str, Any] = BERT | {"vocab_size": 120, "max_position_embeddings": 70}


def make_cells(n_cells: int = 5, n_genes: int = 90) -> anndata.AnnData:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.8, 2.0, size=n_genes), size=(n_cells, n_genes)).astype(np.float32)
    counts[:, :60] += 1
    ids = [f"ENSG{i:011d}" if i % 9 else "" for i in range(n_genes)]
    return anndata.AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]),
        var=pd.DataFrame({"ensembl_id": ids}, index=[f"G{i}" for i in range(n_genes)]),
        uns={"x": "counts"},
    )


def minilm_case(folder: Path) -> Case:
    helpers.write_encoder(folder, TEXTS)
    return genept.encoding(TEXTS, folder, encoder=folder)


BUILDERS: dict[str, Callable[[Path], Case]] = {
    "scgpt_ovarian": lambda folder: scgpt.embedding(make_cells(), folder, nlayers=2, nheads=2, embsize=16, d_hid=24),
    "tokenise_scgpt": lambda folder: scgpt.tokenisation(make_cells(), folder),
    "geneformer_ovarian": lambda folder: geneformer.embedding(make_cells(), folder, **SIZES),
    "tokenise_geneformer": lambda folder: geneformer.tokenisation(make_cells(), folder),
    "genept_w": lambda folder: genept.weighting(make_cells(), folder, n_dimensions=300),
    "minilm_names": minilm_case,
}


@pytest.mark.parametrize("name", BUILDERS)
def test_both_sides_of_every_case_agree_and_a_wrong_cell_is_noticed(name: str, tmp_path: Path) -> None:
    spec, case = CASES[name], BUILDERS[name](tmp_path)
    rows = results.measure("tiny", case, spec, 1, RATES)
    assert [(row.precision, row.upstream) for row in rows] == [(FLOAT32, upstream) for upstream in case.upstream]
    assert all(row.cells == 5 and row.ratio == row.upstream_seconds / row.ours_seconds for row in rows)
    assert set(spec.targets[FLOAT32].ratios) <= set(case.upstream)  # else a goal would silently hold for nothing
    if "tokenise" not in name:  # else all cells are alike, and agreement means nothing
        with quiet():
            right, upstream = case.ours[FLOAT32](case.few), next(iter(case.upstream.values()))(case.few)
        assert case.difference(right[::-1], upstream) > 1e-3


def test_all_repeats_begin_with_what_one_pass_gives(tmp_path: Path) -> None:
    cells = scoring.make_cells(240, n_draws=2, n_dimensions=12)
    case = scoring.scoring(cells, tmp_path)
    with quiet(), threadpool_limits(1):
        ours = case.ours[FLOAT32](cells)
        assert ours == pytest.approx(case.upstream[scoring.SINGLE_PASS](cells)) and 0.1 < ours["accuracy"] < 1
        cells.draws[0, :, 0] += 0.3
        assert case.difference(ours, case.upstream[scoring.SINGLE_PASS](cells)) > 0.01


def test_wrong_scgpt_tokens_are_noticed(tmp_path: Path) -> None:
    case = scgpt.tokenisation(make_cells(), tmp_path)
    with quiet():
        ours, upstream = case.ours[FLOAT32](case.few), case.upstream[scgpt.COLLATOR](case.few)
    values = ours.values.copy()
    values[1] += 3
    assert scgpt.token_difference(replace(ours, values=values), upstream) == 3
    assert scgpt.token_difference(replace(ours, ids=ours.ids[::-1]), upstream) == np.inf
    assert scgpt.token_difference(ours, upstream[:-1]) == np.inf


def test_wrong_ranks_are_noticed_and_ties_are_not() -> None:
    cells = make_cells(1)
    entries = geneformer.make_dictionaries(cells, 120)
    genes = [entries.tokens["ENSG00000000001"], entries.tokens["ENSG00000000002"]]
    cells.X = sp.csr_matrix(([2.0, 2.0], ([0, 0], [1, 2])), shape=cells.shape)
    a, b = np.array(genes), np.array(genes[::-1])
    assert geneformer.rank_difference((cells, [a]), [b], entries) > 0.01
    entries.medians["ENSG00000000002"] = entries.medians["ENSG00000000001"]
    assert geneformer.rank_difference((cells, [a]), [b], entries) == 0
    assert geneformer.rank_difference((cells, [a[:1]]), [b], entries) == np.inf
    assert geneformer.rank_difference((cells, [a[[0, 0]]]), [b], entries) == np.inf


def test_cells_without_draws_have_distinct_values_and_room_for_all() -> None:
    cells = make_cells()
    before = cells.X.copy()
    for changed, row in zip(scgpt.without_draws(cells, max_length=61).X, before, strict=True):
        assert changed.nnz == len(set(changed.data.tolist())) == 60 and changed.data.min() > 0
        assert set(changed.indices) <= set(row.indices)


def test_every_goal_is_of_a_case_with_known_precision() -> None:
    for spec in [*CASES.values(), *GPU_CASES.values()]:
        assert set(spec.targets) <= set(PRECISIONS)
        for upstream, goal in (pair for target in spec.targets.values() for pair in target.ratios.items()):
            assert goal > 1 or upstream == scoring.SINGLE_PASS


def test_cells_are_spread_evenly_and_repeated_if_too_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "DATA", tmp_path)
    with pytest.raises(InputError, match=r"ovarian/labelled: no such file; run `make repro` first"):
        benchmarks.read_cells("ovarian", 3)
    cells = make_cells(5)
    (tmp_path / "ovarian/labelled").mkdir(parents=True)
    cells.write_h5ad(tmp_path / "ovarian/labelled/cells.h5ad")
    np.testing.assert_array_equal(benchmarks.read_cells("ovarian", 2).X.toarray(), cells.X[[0, 2]].toarray())
    many = benchmarks.read_cells("ovarian", 11)
    assert many.n_obs == 11 and many.obs_names.is_unique
    np.testing.assert_array_equal(many.X[:3].toarray(), cells.X[[0, 0, 0]].toarray())


def test_relative_difference() -> None:
    assert relative_difference(np.array([1.0, -4.5]), np.array([1.0, -4.0])) == 0.125
    assert relative_difference(np.zeros(2), np.zeros(2)) == 0
    assert relative_difference(np.array([np.nan]), np.ones(1)) == np.inf
    assert relative_difference(np.ones(2), np.ones(3)) == np.inf


def test_sides_take_turns_and_the_fastest_repeat_counts() -> None:
    calls: list[str] = []
    times: Iterator[float] = iter([0, 5, 5, 6, 10, 12, 20, 29])

    def side(name: str) -> int:
        calls.append(name)
        return len(calls)

    seconds, answers = interleaved({name: partial(side, name) for name in "ab"}, 2, clock=lambda: next(times))
    assert calls == ["a", "b", "a", "b"]
    assert (seconds, answers) == ({"a": 2, "b": 1}, {"a": 3, "b": 4})


@pytest.mark.parametrize("first_only", [False, True])
def test_operations_are_those_that_torch_counts(first_only: bool) -> None:
    width, n_hidden, lengths = 8, 12, np.array([7, 7, 3])
    sizes = [(3 * width, width), (width, width), (width,), (n_hidden, width), (width, n_hidden), (width,)]
    weights = [tensor for size in sizes for tensor in (torch.ones(size), torch.ones(size[0]))]
    network = transformer.Transformer((transformer.Layer(*weights),) * 3, 2, torch.relu_, 1e-5)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        transformer.encode(network, torch.ones(int(lengths.sum()), width), lengths, first_only=first_only)
    assert bounds.transformer_flops(lengths, width, n_hidden, 3, first_only=first_only) == counter.get_total_flops()


def test_bounds(tmp_path: Path) -> None:
    # 2 * 10 * 100 * 50 operations at 2e9 a second; 4 bytes * (200 + 10) * 50 at 1e9 a second
    assert bounds.weighted_sums_seconds(10, 100, 50, 200, RATES) == pytest.approx(4.2e-5)
    assert bounds.weighted_sums_seconds(10, 100, 50, 900, RATES) == pytest.approx(5e-5)
    rates = bounds.rates(side=16, n_bytes=1024, repeats=2)
    assert rates.product > 0 and rates.copy > 0 and bounds.gpu_product("cpu", side=16, repeats=2) > 0
    case = scgpt.embedding(make_cells(), tmp_path, device="cuda", nlayers=2, nheads=2, embsize=16, d_hid=24)
    assert set(case.upstream) == {scgpt.PUBLISHED}
    assert case.bound is not None and case.flops is not None
    assert case.bound(RATES._replace(gpu_product=1e12)) == case.flops / 1e12  # on a GPU, against its rate


def test_rows_table_and_picture(tmp_path: Path) -> None:
    case = Case(None, None, 7, {}, {}, flops=4e9, bound=lambda rates: 4e9 / rates.product)
    target = Target(1e-3, {"slow": 4, "slower": 9}, times_bound=2)
    measured = [("slow", 25.0, 1e-4), ("slower", 30.0, 1e-4), ("wrong", 90.0, 1e-2)]
    rows = [
        results.row("case", FLOAT32, name, case, target, 5.0, theirs, distance, RATES)
        for name, theirs, distance in measured
    ]
    assert [(row.ratio, row.goal) for row in rows] == [(5.0, 4), (6.0, 9), (None, None)]
    assert rows[0].ours_gflops == pytest.approx(0.8)
    assert (rows[0].bound_seconds, rows[0].share_of_bound, rows[0].share_goal) == (2.0, 0.4, 0.5)
    met, missed, wrong = results.table(rows).splitlines()[2:]
    assert "4 met" in met and "40% (goal 50% missed)" in met and "9 missed" in missed
    assert "different answers" in wrong and "1.0e-02 > 0.001" in wrong and " 18 " not in wrong
    assert [results.look(row) for row in rows] == [  # goals by more than colour
        (results.MET, ""),
        (results.MISSED, "//"),
        (results.NO_GOAL, ""),
    ]
    for some in (rows, []):
        results.draw(some, tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def tiny_spec(factor: float) -> Spec:
    def build(cells: int, folder: Path, precisions: tuple[str, ...]) -> Case:
        ours = {FLOAT32: lambda n: np.arange(n) * factor}
        return Case(cells, cells, cells, ours, {"plain": lambda n: np.arange(n) * 1.0})

    return Spec(lambda n_cells: n_cells, build, 9, {FLOAT32: Target(1e-6, {"plain": 1})})


@pytest.mark.parametrize(
    ("name", "factor", "code", "text"),
    [
        ("tiny", 1.0, 0, "benchmarks.csv"),
        ("tiny", 1.5, 1, "different answers"),
        ("scgpt_ovarain", 1.0, 2, "did you mean 'scgpt_ovarian'?"),
    ],
)
def test_the_command_writes_its_files_and_fails_on_different_answers(
    name: str, factor: float, code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CASES, "tiny", tiny_spec(factor))
    monkeypatch.setattr(bounds, "rates", lambda: RATES)
    monkeypatch.setattr(cli, "prepare", lambda params: None)
    monkeypatch.chdir(helpers.ROOT)
    result = CliRunner().invoke(main, ["--cases", name, "--cells", "3", "--output", str(tmp_path)])
    assert (result.exit_code, text in result.output) == (code, True), result.output
    if code < 2:
        table = pd.read_csv(tmp_path / "benchmarks.csv")
        assert table[["case", "precision", "upstream", "cells"]].to_numpy()[0].tolist() == ["tiny", FLOAT32, "plain", 3]
        assert table["ratio"].isna().tolist() == [bool(code)] and (tmp_path / "benchmarks.png").exists()
