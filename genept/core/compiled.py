"""Compiled code of libraries, kept between processes."""

from __future__ import annotations

import contextlib
from typing import Any


def import_umap() -> Any:
    """Import `umap.UMAP` and keep its compiled functions on disk: 5 s less in each process but the first."""
    from umap import UMAP, layouts, umap_

    for function in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        with contextlib.suppress(RuntimeError, AttributeError):  # no writable place to keep them
            function.enable_caching()
    return UMAP
