"""What the machine could do at best: its measured rates, and the operations that an answer takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from bench.case import Rates

SIDE = 2048  # rows and columns of the product
GPU_SIDE = 8192
COPIED = 1 << 28  # bytes of the copy: more than any cache holds
REPEATS = 5
FLOAT32_BYTES = 4


def rates(side: int = SIDE, n_bytes: int = COPIED, repeats: int = REPEATS) -> Rates:
    """Measure torch's float32 matrix product and copy with the threads it has; the fastest of some repeats counts."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(side, side, generator=generator) for _ in range(2))
    product, source = torch.empty(side, side), torch.ones(n_bytes // FLOAT32_BYTES)
    target = torch.empty_like(source)
    return Rates(
        product=2 * side**3 / _fastest(lambda: torch.mm(a, b, out=product), repeats),
        copy=2 * source.nbytes / _fastest(lambda: target.copy_(source), repeats),
    )


def gpu_product(device: str, side: int = GPU_SIDE, repeats: int = REPEATS) -> float:
    """Measure torch's bfloat16 matrix product on a device: operations a second."""
    a, b = (torch.rand(side, side, device=device).to(torch.bfloat16) for _ in range(2))

    def product() -> None:
        torch.mm(a, b)
        if device != "cpu":
            torch.cuda.synchronize(device)

    return 2 * side**3 / _fastest(product, repeats)


def _fastest(function: Callable[[], object], repeats: int) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def transformer_flops(
    lengths: np.ndarray, width: int, n_hidden: int, n_layers: int, *, first_only: bool = False
) -> float:
    """Count the operations of a transformer encoder's matrix products; norms, activations and lookups are left out.

    A product of (n, k) and (k, m) counts 2nkm. A layer has, for a sequence of L tokens and width w: queries, keys,
    values and output 8Lw², scores and weighted sums 4L²w, and the feed-forward part 4Lwh.

    Parameters
    ----------
    lengths
        Tokens of each sequence, without padding.
    n_hidden
        Width h of the feed-forward part.
    n_layers
        Layers that run.
    first_only
        Of the last layer only the first token's output counts: keys and values 4Lw² for all tokens, the rest once.
    """
    tokens = lengths.astype(np.float64)
    n_tokens, n_pairs, n_sequences = tokens.sum(), (tokens**2).sum(), np.count_nonzero(lengths)
    of_token = 8 * width**2 + 4 * width * n_hidden
    layer = n_tokens * of_token + 4 * n_pairs * width
    if not first_only:
        return float(n_layers * layer)
    last = n_tokens * (4 * width**2 + 4 * width) + n_sequences * (of_token - 4 * width**2)
    return float((n_layers - 1) * layer + last)


def weighted_sums_seconds(n_cells: int, n_genes: int, n_dimensions: int, n_nonzero: int, rates: Rates) -> float:
    """Return the seconds of the faster of the two plain ways to sum gene vectors, both at the machine's full rate.

    One is a dense float32 product, bound by arithmetic. The other reads one float32 gene vector from memory for every
    non-zero weight and writes the cells once, bound by memory. It is the better of two methods rather than a limit of
    nature: vectors that stay in the cache can beat the second.
    """
    dense = 2 * n_cells * n_genes * n_dimensions / rates.product
    moved = FLOAT32_BYTES * (n_nonzero + n_cells) * n_dimensions / rates.copy
    return min(dense, moved)
