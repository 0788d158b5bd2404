"""What the machine could do at best: its measured rates, and the operations that an answer takes."""

from __future__ import annotations

import numpy as np
import torch

from bench.case import Rates, interleaved

SIDE, GPU_SIDE = 2048, 8192  # rows and columns of the product
COPIED = 1 << 28  # bytes of the copy: more than any cache holds
REPEATS = 6
FLOAT32_BYTES = 4


def rates(side: int = SIDE, n_bytes: int = COPIED, repeats: int = REPEATS) -> Rates:
    """Measure torch's float32 matrix product and copy with the threads it has; the fastest repeat counts."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(side, side, generator=generator) for _ in range(2))
    product, source = torch.empty(side, side), torch.ones(n_bytes // FLOAT32_BYTES)
    target = torch.empty_like(source)
    sides = {"product": lambda: torch.mm(a, b, out=product), "copy": lambda: target.copy_(source)}
    seconds, _ = interleaved(sides, repeats)
    return Rates(2 * side**3 / seconds["product"], 2 * source.nbytes / seconds["copy"])


def gpu_product(device: str, side: int = GPU_SIDE, repeats: int = REPEATS) -> float:
    """Measure torch's bfloat16 matrix product on a device: operations a second."""
    a, b = (torch.rand(side, side, device=device).to(torch.bfloat16) for _ in range(2))

    def product() -> None:
        torch.mm(a, b)
        if device != "cpu":
            torch.cuda.synchronize(device)

    seconds, _ = interleaved({device: product}, repeats)
    return 2 * side**3 / seconds[device]


def transformer_flops(
    lengths: np.ndarray, width: int, n_hidden: int, n_layers: int, *, first_only: bool = False
) -> float:
    """Count the operations of a transformer encoder's matrix products; norms, activations and lookups are left out.

    A product of (n, k) and (k, m) counts 2nkm. A layer of width w has, for a sequence of L tokens: queries, keys,
    values and output 8Lw², scores and weighted sums 4L²w, the feed-forward part of width h 4Lwh. With `first_only` the
    last layer counts keys and values 4Lw² for all tokens, the rest once.
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

    One is a dense float32 product. The other reads one float32 gene vector from memory for every non-zero weight and
    writes the cells once; vectors that stay in the cache can beat it.
    """
    dense = 2 * n_cells * n_genes * n_dimensions / rates.product
    return min(dense, FLOAT32_BYTES * (n_nonzero + n_cells) * n_dimensions / rates.copy)
