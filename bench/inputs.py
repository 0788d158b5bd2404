"""Real cells and real texts, as the pipeline leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anndata import AnnData

from genept.core.errors import InputError
from genept.data import cells as labelled
from genept.data import hgnc
from genept.engines.gene_vectors import texts
from genept.engines.genept_s import embed as genept_s
from genept.engines.genept_s.config import Embed

ENCODER = Path("models/genept_s_minilm")


def cells(dataset: str, n_cells: int) -> AnnData:
    """Read evenly spaced cells of a dataset; if it has fewer, each several times, under names of its own."""
    needed(labelled.DATA / dataset / "cells.h5ad")
    found = labelled.read(dataset)
    chosen = found[np.arange(n_cells) * found.n_obs // n_cells].copy()
    chosen.obs_names = [f"{name}-{number}" for number, name in enumerate(chosen.obs_names)]
    return chosen


def sentences(dataset: str, n_cells: int) -> list[str]:
    """Return cells as GenePT-s writes them, for the encoder in `ENCODER`."""
    needed(ENCODER / "model.safetensors")
    found = cells(dataset, n_cells)
    symbols, settings = list(found.var_names), Embed()
    rows = genept_s.ranked(found.X.tocsr(), symbols, settings.max_symbols)
    return [genept_s.sentence(settings.prompt, symbols, row) for row in rows]


def gene_names(n_genes: int) -> list[str]:
    """Return the texts of evenly spaced genes of HGNC's table, for the encoder in `ENCODER`."""
    needed(ENCODER / "model.safetensors")
    genes = hgnc.read(needed(hgnc.PATH))
    return [texts.name(genes[i]) for i in np.arange(n_genes) * len(genes) // n_genes]


def needed(path: Path) -> Path:
    """Return `path`, or say that the pipeline has to run first."""
    if not path.exists():
        raise InputError(f"{path}: no such file; run `make repro` first, the benchmarks use its cells and texts")
    return path
