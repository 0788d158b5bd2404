"""GenePT: sums of gene vectors against the notebook's and scipy's products, MiniLM against sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from bench import bounds
from bench.case import FLOAT32, Case
from genept.data.expression import log_normalise
from genept.engines.encoder.local import LocalEncoder
from genept.engines.genept_w.weighted_sums import weighted_sums
from genept.engines.network import bert
from genept.engines.network.transformer import PRECISIONS

DENSE = "dense float64 product (notebook)"
SPARSE = "sparse float64 product"
N_DIMENSIONS = 1536  # of ada-002, which the authors use


def weighting(
    cells: AnnData, folder: Path, precisions: tuple[str, ...] = (FLOAT32,), n_dimensions: int = N_DIMENSIONS
) -> Case:
    """Compare the products alone: every side is given the expression as it wants it. `folder` is not used."""
    expression = log_normalise(cells).tocsr()
    vectors = np.random.default_rng(0).standard_normal((cells.n_vars, n_dimensions), dtype=np.float32)
    exact = vectors.astype(np.float64)

    def inputs(n_cells: int) -> dict[str, object]:
        double = expression[:n_cells].astype(np.float64)
        return {FLOAT32: expression[:n_cells], DENSE: double.toarray(), SPARSE: double}

    return Case(
        cells=inputs(cells.n_obs),
        few=inputs(N_FEW),
        n_cells=cells.n_obs,
        ours={FLOAT32: lambda given: weighted_sums(given[FLOAT32], vectors)},
        upstream={DENSE: lambda given: given[DENSE] @ exact, SPARSE: lambda given: given[SPARSE] @ exact},
        bound=lambda rates: bounds.weighted_sums_seconds(
            cells.n_obs, cells.n_vars, n_dimensions, expression.nnz, rates
        ),
    )


ENCODER = Path("models/genept_s_minilm")
ITS_STEPS = "transformers BertModel, padded batches"
BATCH_SIZE = 32  # the default of `SentenceTransformer.encode`
N_FEW = 4


def encoding(texts: list[str], folder: Path, precisions: tuple[str, ...] = (FLOAT32,), encoder: Path = ENCODER) -> Case:
    """Compare encoders that are already loaded. The weights are `encoder`'s; `folder` is not used."""
    encoders = {name: LocalEncoder(encoder, "cpu", dtype=PRECISIONS[name]) for name in precisions}
    some = next(iter(encoders.values()))
    lengths = np.array([len(encoding.ids) for encoding in some.tokenizer.encode_batch(texts)])
    config = bert.read_config(encoder / "config.json")
    sizes = (config[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    flops = bounds.transformer_flops(lengths, *sizes)
    return Case(
        cells=texts,
        few=texts[:N_FEW],
        n_cells=len(texts),
        ours={name: partial(encode, reader) for name, reader in encoders.items()},
        upstream={ITS_STEPS: its_steps(encoder, some.max_length)},
        flops=flops,
        bound=lambda rates: flops / rates.product,
    )


def encode(encoder: LocalEncoder, texts: list[str]) -> np.ndarray:
    """Encode texts by our side."""
    return encoder.encode(texts).vectors


def its_steps(encoder: Path, max_length: int) -> Callable[[list[str]], np.ndarray]:
    """Return an encoder that does what `SentenceTransformer.encode` does, with transformers.

    Longest texts (in characters) first, batches padded to their longest text, the mean over tokens by the attention
    mask, unit length.
    """
    from transformers import BertModel, PreTrainedTokenizerFast

    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_file=str(encoder / "tokenizer.json"), pad_token="[PAD]", model_max_length=max_length
    )
    model = BertModel.from_pretrained(encoder, add_pooling_layer=False, dtype=torch.float32).eval()

    def run(texts: list[str]) -> np.ndarray:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            tokens = tokenizer([texts[i] for i in batch], padding=True, truncation=True, return_tensors="pt")
            mask = tokens["attention_mask"]
            with torch.no_grad():
                hidden = model(tokens["input_ids"], attention_mask=mask).last_hidden_state
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[batch] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return vectors

    return run
