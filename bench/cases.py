"""All comparisons, with their goals, on real cells and texts as the pipeline leaves them; a precision is one target."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from anndata import AnnData

from bench import geneformer, genept, scgpt, scoring
from bench.case import FLOAT32, Spec, Target
from genept.core.errors import InputError
from genept.data import cells as labelled
from genept.data import hgnc
from genept.engines.gene_vectors import texts
from genept.engines.genept_s import embed as genept_s
from genept.engines.genept_s.config import Embed

BFLOAT16 = "bfloat16"


def read_cells(dataset: str, n_cells: int) -> AnnData:
    """Read evenly spaced cells of a dataset; if it has fewer, each several times, under names of its own."""
    needed(labelled.labelled(dataset))
    found = labelled.read(dataset)
    chosen = found[np.arange(n_cells) * found.n_obs // n_cells].copy()
    chosen.obs_names = [f"{name}-{number}" for number, name in enumerate(chosen.obs_names)]
    return chosen


def sentences(dataset: str, n_cells: int) -> list[str]:
    """Return cells as GenePT-s writes them, for the encoder in `genept.ENCODER`."""
    needed(genept.ENCODER / "model.safetensors")
    found = read_cells(dataset, n_cells)
    symbols, settings = list(found.var_names), Embed()
    rows = genept_s.ranked(found.X.tocsr(), symbols, settings.max_symbols)
    return [genept_s.sentence(settings.prompt, symbols, row) for row in rows]


def gene_names(n_genes: int) -> list[str]:
    """Return the texts of evenly spaced genes of HGNC's table, for the encoder in `genept.ENCODER`."""
    needed(genept.ENCODER / "model.safetensors")
    genes = hgnc.read(needed(hgnc.PATH))
    return [texts.name(genes[i]) for i in np.arange(n_genes) * len(genes) // n_genes]


def needed(path: Path) -> Path:
    """Return `path`, or say that the pipeline has to run first."""
    if not path.exists():
        raise InputError(f"{path}: no such file; run `make repro` first, the benchmarks use its cells and texts")
    return path


COVID, OVARIAN = partial(read_cells, "covid"), partial(read_cells, "ovarian")


def goals(upstream: str, float32: float, bfloat16: float) -> dict[str, Target]:
    """How many times as fast as upstream a network on a processor should be."""
    return {FLOAT32: Target(1e-4, {upstream: float32}), BFLOAT16: Target(0.05, {upstream: bfloat16})}


GENEPT_W = Target(1e-5, {genept.DENSE: 4, genept.SPARSE: 15}, times_bound=1.5)
MINILM = {FLOAT32: Target(1e-4, {genept.ITS_STEPS: 2}), BFLOAT16: Target(0.05)}
SCORING = {FLOAT32: Target(0.01, {scoring.SINGLE_PASS: 1 / 5})}  # all repeats in the time of five passes
CASES = {
    "scgpt_ovarian": Spec(OVARIAN, scgpt.embedding, 24, goals(scgpt.PUBLISHED, 4, 15)),
    "scgpt_covid": Spec(COVID, scgpt.embedding, 48, goals(scgpt.PUBLISHED, 6, 15)),
    "geneformer_ovarian": Spec(OVARIAN, geneformer.embedding, 32, goals(geneformer.PADDED, 4, 12)),
    "tokenise_scgpt": Spec(OVARIAN, scgpt.tokenisation, 1000, {FLOAT32: Target(0, {scgpt.COLLATOR: 50})}),
    "tokenise_geneformer": Spec(OVARIAN, geneformer.tokenisation, 1000, {FLOAT32: Target(1e-12)}),
    "genept_w": Spec(OVARIAN, genept.weighting, 4000, {FLOAT32: GENEPT_W}),
    "minilm_sentences": Spec(partial(sentences, "ovarian"), genept.encoding, 96, MINILM),
    "minilm_names": Spec(gene_names, genept.encoding, 1024, MINILM),
    "score_model": Spec(scoring.make_cells, scoring.scoring, 10_000, SCORING),
    "score_control": Spec(partial(scoring.make_cells, n_draws=scoring.N_DRAWS), scoring.scoring, 10_000, SCORING),
}

#: Where there is one. Upstream's scGPT works in float16 there, so answers are further apart.
SCGPT_GPU = partial(scgpt.embedding, device="cuda")
SCGPT_GPU_GOALS = {name: Target(0.05, {scgpt.PUBLISHED: 5}) for name in (FLOAT32, BFLOAT16)}
GENEFORMER_GPU = partial(geneformer.embedding, device="cuda")
GPU_CASES = {
    "scgpt_ovarian_gpu": Spec(OVARIAN, SCGPT_GPU, 2000, SCGPT_GPU_GOALS),
    "scgpt_covid_gpu": Spec(COVID, SCGPT_GPU, 4000, SCGPT_GPU_GOALS),
    "geneformer_ovarian_gpu": Spec(OVARIAN, GENEFORMER_GPU, 2000, {FLOAT32: Target(1e-3), BFLOAT16: Target(0.05)}),
}
