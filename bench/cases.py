"""All comparisons, with their sizes and goals. Another precision is one more target."""

from __future__ import annotations

from functools import partial

from bench import geneformer, genept_w, inputs, minilm, scgpt
from bench.case import FLOAT32, Spec, Target

BFLOAT16 = "bfloat16"

COVID, OVARIAN = partial(inputs.cells, "covid"), partial(inputs.cells, "ovarian")


def goals(upstream: str, float32: float, bfloat16: float) -> dict[str, Target]:
    """How many times as fast as upstream a network on a processor should be."""
    return {FLOAT32: Target(1e-4, {upstream: float32}), BFLOAT16: Target(0.05, {upstream: bfloat16})}


GENEPT_W = Target(1e-5, {genept_w.DENSE: 4, genept_w.SPARSE: 15}, times_bound=1.5)
MINILM = {FLOAT32: Target(1e-4, {minilm.ITS_STEPS: 2}), BFLOAT16: Target(0.05)}
CASES = {
    "scgpt_ovarian": Spec(OVARIAN, scgpt.embedding, 24, goals(scgpt.PUBLISHED, 4, 15)),
    "scgpt_covid": Spec(COVID, scgpt.embedding, 48, goals(scgpt.PUBLISHED, 6, 15)),
    "geneformer_ovarian": Spec(OVARIAN, geneformer.embedding, 32, goals(geneformer.PADDED, 4, 12)),
    "tokenise_scgpt": Spec(OVARIAN, scgpt.tokenisation, 1000, {FLOAT32: Target(0, {scgpt.COLLATOR: 50})}),
    "tokenise_geneformer": Spec(OVARIAN, geneformer.tokenisation, 1000, {FLOAT32: Target(1e-12)}),
    "genept_w": Spec(OVARIAN, genept_w.embedding, 4000, {FLOAT32: GENEPT_W}),
    "minilm_sentences": Spec(partial(inputs.sentences, "ovarian"), minilm.encoding, 96, MINILM),
    "minilm_names": Spec(inputs.gene_names, minilm.encoding, 1024, MINILM),
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
