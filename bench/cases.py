"""All comparisons, with their sizes and goals. Another precision is one more target."""

from __future__ import annotations

from functools import partial

from bench import geneformer, genept_w, inputs, minilm, scgpt
from bench.case import FLOAT32, Spec, Target

BFLOAT16 = "bfloat16"

COVID, OVARIAN = partial(inputs.cells, "covid"), partial(inputs.cells, "ovarian")

CASES = {
    "scgpt_ovarian": Spec(
        OVARIAN,
        scgpt.embedding,
        n_cells=24,
        targets={FLOAT32: Target(1e-4, {scgpt.PUBLISHED: 4}), BFLOAT16: Target(0.05, {scgpt.PUBLISHED: 15})},
    ),
    "scgpt_covid": Spec(
        COVID,
        scgpt.embedding,
        n_cells=48,
        targets={FLOAT32: Target(1e-4, {scgpt.PUBLISHED: 6}), BFLOAT16: Target(0.05, {scgpt.PUBLISHED: 15})},
    ),
    "geneformer_ovarian": Spec(
        OVARIAN,
        geneformer.embedding,
        n_cells=32,
        targets={FLOAT32: Target(1e-4, {geneformer.PADDED: 4}), BFLOAT16: Target(0.05, {geneformer.PADDED: 12})},
    ),
    "tokenise_scgpt": Spec(
        OVARIAN, scgpt.tokenisation, n_cells=1000, targets={FLOAT32: Target(0, {scgpt.COLLATOR: 50})}
    ),
    "tokenise_geneformer": Spec(OVARIAN, geneformer.tokenisation, n_cells=1000, targets={FLOAT32: Target(1e-12)}),
    "genept_w": Spec(
        OVARIAN,
        genept_w.embedding,
        n_cells=4000,
        targets={FLOAT32: Target(1e-5, {genept_w.DENSE: 4, genept_w.SPARSE: 15}, times_bound=1.5)},
    ),
    "minilm_sentences": Spec(
        partial(inputs.sentences, "ovarian"),
        minilm.encoding,
        n_cells=96,
        targets={
            FLOAT32: Target(1e-4, {minilm.ITS_STEPS: 2, minilm.SENTENCE_TRANSFORMERS: 2}),
            BFLOAT16: Target(0.05, {}),
        },
    ),
    "minilm_names": Spec(
        inputs.gene_names,
        minilm.encoding,
        n_cells=1024,
        targets={
            FLOAT32: Target(1e-4, {minilm.ITS_STEPS: 2, minilm.SENTENCE_TRANSFORMERS: 2}),
            BFLOAT16: Target(0.05, {}),
        },
    ),
}

#: Where there is one. Upstream's scGPT works in float16 there, so answers are further apart.
GPU_CASES = {
    "scgpt_ovarian_gpu": Spec(
        OVARIAN,
        partial(scgpt.embedding, device="cuda"),
        n_cells=2000,
        targets={name: Target(0.05, {scgpt.PUBLISHED: 5}) for name in (FLOAT32, BFLOAT16)},
    ),
    "scgpt_covid_gpu": Spec(
        COVID,
        partial(scgpt.embedding, device="cuda"),
        n_cells=4000,
        targets={name: Target(0.05, {scgpt.PUBLISHED: 5}) for name in (FLOAT32, BFLOAT16)},
    ),
    "geneformer_ovarian_gpu": Spec(
        OVARIAN,
        partial(geneformer.embedding, device="cuda"),
        n_cells=2000,
        targets={FLOAT32: Target(1e-3), BFLOAT16: Target(0.05)},
    ),
}
