"""Corpora: every cell has its turn, and every value stays under its gene."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.engines.network import corpus
from tests.engines.pretrain.made import cells

pytestmark = pytest.mark.usefixtures("one_thread")


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 20), st.integers(0, 99))
def test_a_cell_comes_again_only_when_all_others_have_had_their_turn(
    n_cells: int, n_per_step: int, n_steps: int, seed: int
) -> None:
    drawn = corpus.draws(n_cells, n_per_step, n_steps, np.random.default_rng(seed))
    assert drawn.shape == (n_steps, n_per_step)
    times = np.bincount(drawn.ravel(), minlength=n_cells)
    assert len(times) == n_cells
    assert times.max() - times.min() <= 1


def test_stacked_corpora_keep_every_value_under_its_gene() -> None:
    corpora = [cells("one", 5), cells("two", 7)]
    symbols = corpus.gene_symbols(corpora)
    assert symbols == sorted(f"G{i}" for i in range(60))
    columns = [np.array([symbols.index(gene) for gene in part.var_names]) for part in corpora]
    stacked = pd.DataFrame(corpus.stack(corpora, columns, 60).toarray(), columns=symbols)
    expected = pd.concat([part.to_df() for part in corpora], ignore_index=True).fillna(0)
    pd.testing.assert_frame_equal(stacked[symbols], expected[symbols])
