"""The benchmarks' arithmetic, and that the two sides of every case agree on a tiny input."""

from __future__ import annotations

import csv
import io
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
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench import bounds, geneformer, genept_w, inputs, minilm, plot, results, scgpt
from bench.__main__ import main
from bench.case import FLOAT32, Case, Rates, Spec, Target, relative_difference
from bench.cases import CASES, GPU_CASES
from bench.timing import interleaved, quiet
from genept.core import cli
from genept.core.errors import InputError
from genept.data import cells as labelled
from genept.engines.network import transformer
from genept.engines.network.precision import PRECISIONS
from tests import helpers

RATES = Rates(product=2e9, copy=1e9)
TEXTS = ["CD19: CD19 molecule", "GAPDH", "lysozyme: LYZ " * 40, "HLA-DRB1: major histocompatibility complex", "B"]


def make_cells(n_cells: int = 5, n_genes: int = 90, seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.8, 2.0, size=n_genes), size=(n_cells, n_genes)).astype(np.float32)
    counts[:, :60] += 1
    ids = [f"ENSG{i:011d}" if i % 9 else "" for i in range(n_genes)]
    return anndata.AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]),
        var=pd.DataFrame({"ensembl_id": ids}, index=[f"G{i}" for i in range(n_genes)]),
        uns={"x": "counts"},
    )


def scgpt_embedding(folder: Path) -> Case:
    return scgpt.embedding(make_cells(), folder, nlayers=2, nheads=2, embsize=16, d_hid=24)


def scgpt_tokens(folder: Path) -> Case:
    return scgpt.tokenisation(make_cells(), folder)


def geneformer_embedding(folder: Path) -> Case:
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 24,
    }
    return geneformer.embedding(make_cells(), folder, vocab_size=120, max_position_embeddings=70, **sizes)


def geneformer_tokens(folder: Path) -> Case:
    return geneformer.tokenisation(make_cells(), folder)


def genept_w_sums(folder: Path) -> Case:
    return genept_w.embedding(make_cells(), folder, n_dimensions=300)


def minilm_encoding(folder: Path) -> Case:
    helpers.write_encoder(folder, TEXTS)
    return minilm.encoding(TEXTS, folder, encoder=folder)


BUILDERS: dict[Callable[[Path], Case], str] = {
    scgpt_embedding: "scgpt_ovarian",
    scgpt_tokens: "tokenise_scgpt",
    geneformer_embedding: "geneformer_ovarian",
    geneformer_tokens: "tokenise_geneformer",
    genept_w_sums: "genept_w",
    minilm_encoding: "minilm_names",
}


# --- cases


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_both_sides_of_every_case_agree(build: Callable[[Path], Case], tmp_path: Path) -> None:
    spec = CASES[BUILDERS[build]]
    case = build(tmp_path)
    rows = results.measure("tiny", case, spec, 1, RATES)
    assert [(row.precision, row.upstream) for row in rows] == [(FLOAT32, name) for name in case.upstream]
    for row in rows:
        assert row.agrees and row.cells == 5
        assert row.ratio == row.upstream_seconds / row.ours_seconds
    goals = set(spec.targets[FLOAT32].ratios) - {minilm.SENTENCE_TRANSFORMERS, minilm.ITS_STEPS}
    assert goals <= set(case.upstream)  # else a goal would silently hold for nothing


@pytest.mark.parametrize("build", [scgpt_embedding, geneformer_embedding, minilm_encoding], ids=lambda b: b.__name__)
def test_a_wrong_cell_is_noticed(build: Callable[[Path], Case], tmp_path: Path) -> None:
    with quiet():
        case = build(tmp_path)
        right = case.ours[FLOAT32](case.few)
        upstream = next(iter(case.upstream.values()))(case.few)
    assert case.difference(right, upstream) < 1e-5
    assert case.difference(right[::-1], upstream) > 1e-3  # else all cells are alike, and agreement means nothing


def test_wrong_scgpt_tokens_are_noticed(tmp_path: Path) -> None:
    case = scgpt_tokens(tmp_path)
    with quiet():
        ours = case.ours[FLOAT32](case.few)
        upstream = case.upstream[scgpt.COLLATOR](case.few)
    assert scgpt.token_difference(ours, upstream) == 0
    values = ours.values.copy()
    values[1] += 3
    assert scgpt.token_difference(replace(ours, values=values), upstream) == 3
    assert scgpt.token_difference(replace(ours, ids=ours.ids[::-1]), upstream) == np.inf
    assert scgpt.token_difference(ours, upstream[:-1]) == np.inf


def test_wrong_ranks_are_noticed_and_ties_are_not(tmp_path: Path) -> None:
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
    changed = scgpt.without_draws(cells, max_length=61).X
    for row in range(changed.shape[0]):
        part = changed[row]
        assert part.nnz == 60
        assert len(set(part.data.tolist())) == 60 and part.data.min() > 0
        assert set(part.indices) <= set(before[row].indices)


def test_every_goal_is_of_a_case_with_known_precision() -> None:
    for spec in [*CASES.values(), *GPU_CASES.values()]:
        assert set(spec.targets) <= set(PRECISIONS)
        for target in spec.targets.values():
            assert all(goal > 1 for goal in target.ratios.values())


# --- inputs


def test_cells_are_spread_evenly_and_repeated_if_too_few() -> None:
    cells = make_cells(5)
    some = inputs.spread(cells, 2)
    np.testing.assert_array_equal(some.X.toarray(), cells.X[[0, 2]].toarray())
    many = inputs.spread(cells, 11)
    assert many.n_obs == 11 and many.obs_names.is_unique
    np.testing.assert_array_equal(many.X[:3].toarray(), cells.X[[0, 0, 0]].toarray())


def test_missing_cells_say_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "DATA", tmp_path)
    with pytest.raises(InputError, match=r"ovarian/cells\.h5ad: no such file; run `make repro` first"):
        inputs.cells("ovarian", 3)


# --- arithmetic


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
    assert seconds == {"a": 2, "b": 1}
    assert answers == {"a": 3, "b": 4}


@pytest.mark.parametrize("first_only", [False, True])
def test_operations_are_those_that_torch_counts(first_only: bool) -> None:
    width, n_hidden, lengths = 8, 12, np.array([7, 7, 3])
    sizes = [(3 * width, width), (width, width), (width,), (n_hidden, width), (width, n_hidden), (width,)]
    weights: list[torch.Tensor] = []
    for size in sizes:
        weights += [torch.ones(size), torch.ones(size[0])]
    network = transformer.Transformer((transformer.Layer(*weights),) * 3, 2, torch.relu_, 1e-5)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        transformer.encode(network, torch.ones(int(lengths.sum()), width), lengths, first_only=first_only)
    assert bounds.transformer_flops(lengths, width, n_hidden, 3, first_only=first_only) == counter.get_total_flops()


def test_the_faster_way_bounds_the_weighted_sums() -> None:
    # 2 * 10 * 100 * 50 operations at 2e9 a second; 4 bytes * (200 + 10) * 50 at 1e9 a second
    assert bounds.weighted_sums_seconds(10, 100, 50, 200, RATES) == pytest.approx(4.2e-5)
    assert bounds.weighted_sums_seconds(10, 100, 50, 900, RATES) == pytest.approx(5e-5)


def test_rates_are_measured() -> None:
    rates = bounds.rates(side=16, n_bytes=1024, repeats=2)
    assert rates.product > 0 and rates.copy > 0
    assert bounds.gpu_product("cpu", side=16, repeats=2) > 0


def test_cases_on_a_gpu_are_held_against_its_rate(tmp_path: Path) -> None:
    case = scgpt.embedding(make_cells(), tmp_path, device="cuda", nlayers=2, nheads=2, embsize=16, d_hid=24)
    assert set(case.upstream) == {scgpt.PUBLISHED}
    assert case.bound is not None and case.flops is not None
    assert case.bound(RATES._replace(gpu_product=1e12)) == case.flops / 1e12


# --- table, csv, picture


CASE = Case(None, None, 7, {}, {}, flops=4e9, bound=lambda rates: 4e9 / rates.product)
TARGET = Target(1e-3, {"slow": 4, "slower": 9}, times_bound=2)


def make_rows() -> list[results.Row]:
    return [
        results.row("case", FLOAT32, "slow", CASE, TARGET, 5.0, 25.0, 1e-4, RATES),
        results.row("case", FLOAT32, "slower", CASE, TARGET, 5.0, 30.0, 1e-4, RATES),
        results.row("case", FLOAT32, "wrong", CASE, TARGET, 5.0, 90.0, 1e-2, RATES),
    ]


def test_a_row_is_computed_from_seconds() -> None:
    row, _, wrong = make_rows()
    assert (row.ratio, row.goal, row.agrees) == (5.0, 4, True)
    assert row.ours_gflops == pytest.approx(0.8)
    assert (row.bound_seconds, row.share_of_bound, row.share_goal) == (2.0, 0.4, 0.5)
    assert (wrong.ratio, wrong.goal, wrong.agrees) == (None, None, False)


def test_the_table_says_what_met_its_goal_and_gives_no_ratio_for_different_answers() -> None:
    met, missed, wrong = results.table(make_rows()).splitlines()[2:]
    assert "4 met" in met and "40% (goal 50% missed)" in met
    assert "9 missed" in missed
    assert "different answers" in wrong and "1.0e-02 > 0.001" in wrong and " 18 " not in wrong


def test_the_csv_repeats_the_rows() -> None:
    found = list(csv.DictReader(io.StringIO(results.to_csv(make_rows()))))
    assert [line["upstream"] for line in found] == ["slow", "slower", "wrong"]
    assert float(found[0]["ratio"]) == 5.0 and found[2]["ratio"] == ""


def test_the_picture_shows_goals_by_more_than_colour(tmp_path: Path) -> None:
    rows = make_rows()
    assert [plot.look(row) for row in rows] == [(plot.MET, ""), (plot.MISSED, "//"), (plot.NO_GOAL, "")]
    plot.draw(rows, tmp_path / "a.png")
    plot.draw([], tmp_path / "empty.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("a.png", "empty.png"))


# --- command


def tiny_spec(factor: float) -> Spec:
    def build(cells: int, folder: Path, precisions: tuple[str, ...]) -> Case:
        ours = {FLOAT32: lambda n: np.arange(n) * factor}
        return Case(cells, cells, cells, ours, {"plain": lambda n: np.arange(n) * 1.0})

    return Spec(lambda n_cells: n_cells, build, 9, {FLOAT32: Target(1e-6, {"plain": 1})})


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.5, 1)])
def test_the_command_writes_its_files_and_fails_on_different_answers(
    factor: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CASES, "tiny", tiny_spec(factor))
    monkeypatch.setattr(bounds, "rates", lambda: RATES)
    monkeypatch.setattr(cli, "prepare", lambda params: None)
    monkeypatch.chdir(helpers.ROOT)
    result = CliRunner().invoke(main, ["--cases", "tiny", "--cells", "3", "--output", str(tmp_path)])
    assert result.exit_code == code, result.output
    line = (tmp_path / "benchmarks.csv").read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith("tiny,float32,plain,3,")
    assert (tmp_path / "benchmarks.png").exists()
    assert ("different answers" in result.output) == bool(code)


def test_an_unknown_case_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "prepare", lambda params: None)
    monkeypatch.chdir(helpers.ROOT)
    result = CliRunner().invoke(main, ["--cases", "scgpt_ovarain"])
    assert result.exit_code == 2
    assert "did you mean 'scgpt_ovarian'?" in result.output
